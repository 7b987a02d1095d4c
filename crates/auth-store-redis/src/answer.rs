//! What the scripts answer.

use std::time::{Duration, SystemTime};

use auth_core::Secret;
use auth_core::store::{LeaseNumber, LeaseOutcome, Snapshot};
use redis::{FromRedisValue, ParsingError, Value};

pub(crate) struct Loaded {
    pub(crate) now: u64,
    revision: u64,
    saved: u64,
    access: Vec<u8>,
    cooldown: Vec<u8>,
    has_refresh: Vec<u8>,
}

pub(crate) struct Leased {
    pub(crate) loaded: Loaded,
    outcome: Vec<u8>,
    number: u64,
}

impl Leased {
    /// None where the question came too late.
    pub(crate) fn lease(&self) -> Option<LeaseOutcome> {
        match self.outcome.as_slice() {
            b"granted" => Some(LeaseOutcome::Granted(LeaseNumber(self.number))),
            b"held" => Some(LeaseOutcome::Held(Duration::from_millis(self.number))),
            b"changed" => Some(LeaseOutcome::Changed),
            _ => None,
        }
    }
}

impl FromRedisValue for Loaded {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        type Parts = (u64, u64, u64, Vec<u8>, Vec<u8>, Vec<u8>);
        let (now, revision, saved, access, cooldown, has_refresh) = Parts::from_redis_value(value)?;
        Ok(Self { now, revision, saved, access, cooldown, has_refresh })
    }
}

impl FromRedisValue for Leased {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        type Parts = (u64, u64, u64, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, u64);
        let (now, revision, saved, access, cooldown, has_refresh, outcome, number) = Parts::from_redis_value(value)?;
        Ok(Self { loaded: Loaded { now, revision, saved, access, cooldown, has_refresh }, outcome, number })
    }
}

impl From<Loaded> for Snapshot {
    fn from(loaded: Loaded) -> Self {
        let now = SystemTime::UNIX_EPOCH + Duration::from_micros(loaded.now);
        let mut snapshot = Self::empty(now);
        snapshot.revision = LeaseNumber(loaded.revision);
        snapshot.saved = LeaseNumber(loaded.saved);
        snapshot.access = part(loaded.access);
        snapshot.cooldown = part(loaded.cooldown);
        snapshot.has_refresh = !loaded.has_refresh.is_empty();
        snapshot
    }
}

/// A part of an entry. A list of Lua cannot hold nil, so an empty text stands for none. What is no text was not put
/// there by us, and will not open.
pub(crate) fn part(bytes: Vec<u8>) -> Option<Secret> {
    let text = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Some(Secret::from(text)).filter(|text| !text.is_empty())
}

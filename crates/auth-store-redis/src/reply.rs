//! The replies of the scripts.

use std::time::{Duration, SystemTime};

use auth_core::Secret;
use auth_core::store::{LeaseNumber, LeaseOutcome, Snapshot};
use redis::{FromRedisValue, ParsingError, Value};

/// The reply of `load.lua`.
pub(crate) struct LoadReply {
    pub(crate) now: u64,
    revision: u64,
    saved: u64,
    access: Vec<u8>,
    cooldown: Vec<u8>,
    has_refresh: Vec<u8>,
}

/// The reply of `lease.lua`: the entry, followed by the outcome and its value.
pub(crate) struct LeaseReply {
    pub(crate) entry: LoadReply,
    outcome: Vec<u8>,
    /// The lease number if granted, the remaining milliseconds if held.
    value: u64,
}

impl LeaseReply {
    /// Returns `None` if the request reached Redis after its deadline.
    pub(crate) fn outcome(&self) -> Option<LeaseOutcome> {
        match self.outcome.as_slice() {
            b"granted" => Some(LeaseOutcome::Granted(LeaseNumber(self.value))),
            b"held" => Some(LeaseOutcome::Held(Duration::from_millis(self.value))),
            b"changed" => Some(LeaseOutcome::Changed),
            _ => None,
        }
    }
}

impl FromRedisValue for LoadReply {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        type Fields = (u64, u64, u64, Vec<u8>, Vec<u8>, Vec<u8>);
        let (now, revision, saved, access, cooldown, has_refresh) = Fields::from_redis_value(value)?;
        Ok(Self { now, revision, saved, access, cooldown, has_refresh })
    }
}

impl FromRedisValue for LeaseReply {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        type Fields = (u64, u64, u64, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, u64);
        let (now, revision, saved, access, cooldown, has_refresh, outcome, value) = Fields::from_redis_value(value)?;
        Ok(Self { entry: LoadReply { now, revision, saved, access, cooldown, has_refresh }, outcome, value })
    }
}

impl From<LoadReply> for Snapshot {
    fn from(reply: LoadReply) -> Self {
        let now = SystemTime::UNIX_EPOCH + Duration::from_micros(reply.now);
        let mut snapshot = Self::empty(now);
        snapshot.revision = LeaseNumber(reply.revision);
        snapshot.saved = LeaseNumber(reply.saved);
        snapshot.access = sealed_part(reply.access);
        snapshot.cooldown = sealed_part(reply.cooldown);
        snapshot.has_refresh = !reply.has_refresh.is_empty();
        snapshot
    }
}

/// Converts a field of the entry. For a missing field, the scripts return an empty text, because nil would end a Lua
/// table.
///
/// A field that is not UTF-8 was written by another program. It is converted to UTF-8 anyway, and later it fails to
/// open.
pub(crate) fn sealed_part(bytes: Vec<u8>) -> Option<Secret> {
    let text = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Some(Secret::from(text)).filter(|text| !text.is_empty())
}

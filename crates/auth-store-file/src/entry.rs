//! One entry as a file.

use std::time::{Duration, SystemTime};

use auth_core::store::{LeaseNumber, Record};
use auth_core::{Secret, SecretBytes};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What a file holds.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) record: Record,
    /// When it is over.
    pub(crate) until: SystemTime,
}

/// A part is JSON where it is plain, and a text where it is sealed: either is read and written as it stands, since what
/// a parser unescapes goes through a buffer of its own, which nobody wipes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    until_ms: u64,
    lease_number: u64,
    revision: u64,
    saved: u64,
    #[serde(borrow)]
    access: Option<&'a RawValue>,
    #[serde(borrow)]
    refresh: Option<&'a RawValue>,
    #[serde(borrow)]
    cooldown: Option<&'a RawValue>,
}

/// The part as the store's user gave it.
fn part(raw: &RawValue) -> Secret {
    let raw = raw.get();
    let text = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
    Secret::from(text.unwrap_or(raw))
}

/// The part as JSON. What is sealed holds nothing that needs an escape, and no secret.
fn quoted(part: &Secret) -> Secret {
    if part.expose().starts_with('{') { part.clone() } else { format!("\"{}\"", part.expose()).into() }
}

fn raw(quoted: Option<&Secret>) -> serde_json::Result<Option<&RawValue>> {
    quoted.map(|quoted| serde_json::from_str(quoted.expose())).transpose()
}

impl Entry {
    pub(crate) fn empty() -> Self {
        Self { record: Record::default(), until: SystemTime::UNIX_EPOCH }
    }

    /// None where it is none of ours, or broken.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let wire: Wire<'_> = serde_json::from_slice(bytes).ok()?;
        let mut record = Record::default();
        record.lease_number = LeaseNumber(wire.lease_number);
        record.revision = LeaseNumber(wire.revision);
        record.saved = LeaseNumber(wire.saved);
        record.access = wire.access.map(part);
        record.refresh = wire.refresh.map(part);
        record.cooldown = wire.cooldown.map(part);
        let until = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(wire.until_ms))?;
        Some(Self { record, until })
    }

    pub(crate) fn write(&self) -> serde_json::Result<SecretBytes> {
        let until = self.until.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let record = &self.record;
        let parts = [&record.access, &record.refresh, &record.cooldown];
        let [access, refresh, cooldown] = parts.map(|part| part.as_ref().map(quoted));
        let wire = Wire {
            until_ms: until.as_millis().try_into().unwrap_or(u64::MAX),
            lease_number: record.lease_number.0,
            revision: record.revision.0,
            saved: record.saved.0,
            access: raw(access.as_ref())?,
            refresh: raw(refresh.as_ref())?,
            cooldown: raw(cooldown.as_ref())?,
        };
        let mut body = SecretBytes::with_capacity(4096);
        serde_json::to_writer_pretty(&mut body, &wire)?;
        Ok(body)
    }
}

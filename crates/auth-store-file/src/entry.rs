//! Converts an [`Entry`] to the JSON of its file and back.

use std::time::{Duration, SystemTime};

use auth_core::store::{LeaseNumber, Record};
use auth_core::{Secret, SecretBytes};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An entry and its expiry, which are stored in one file.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) record: Record,
    /// When the entry expires.
    pub(crate) until: SystemTime,
}

/// The JSON of an entry's file. Each part is a JSON object in an unsealed store, and a JSON string in a sealed one.
///
/// Both are read and written as raw JSON. Otherwise the parser would copy a string with escapes into a buffer that is
/// not wiped.
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

/// Returns the part as it was passed to the store.
fn from_raw(raw: &RawValue) -> Secret {
    let raw = raw.get();
    let text = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
    Secret::from(text.unwrap_or(raw))
}

/// Returns the part as JSON. A sealed text needs no escapes and is not secret, so formatting it is safe.
fn to_json(part: &Secret) -> Secret {
    if part.expose().starts_with('{') { part.clone() } else { format!("\"{}\"", part.expose()).into() }
}

fn to_raw(json: Option<&Secret>) -> serde_json::Result<Option<&RawValue>> {
    json.map(|json| serde_json::from_str(json.expose())).transpose()
}

impl Entry {
    pub(crate) fn empty() -> Self {
        Self { record: Record::default(), until: SystemTime::UNIX_EPOCH }
    }

    /// Parses the content of a file. Returns `None` if it is not a complete entry.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let wire: Wire<'_> = serde_json::from_slice(bytes).ok()?;
        let mut record = Record::default();
        record.lease_number = LeaseNumber(wire.lease_number);
        record.revision = LeaseNumber(wire.revision);
        record.saved = LeaseNumber(wire.saved);
        record.access = wire.access.map(from_raw);
        record.refresh = wire.refresh.map(from_raw);
        record.cooldown = wire.cooldown.map(from_raw);
        let until = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(wire.until_ms))?;
        Some(Self { record, until })
    }

    pub(crate) fn to_json(&self) -> serde_json::Result<SecretBytes> {
        let until = self.until.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let record = &self.record;
        let parts = [&record.access, &record.refresh, &record.cooldown];
        let [access, refresh, cooldown] = parts.map(|part| part.as_ref().map(to_json));
        let wire = Wire {
            until_ms: until.as_millis().try_into().unwrap_or(u64::MAX),
            lease_number: record.lease_number.0,
            revision: record.revision.0,
            saved: record.saved.0,
            access: to_raw(access.as_ref())?,
            refresh: to_raw(refresh.as_ref())?,
            cooldown: to_raw(cooldown.as_ref())?,
        };
        let mut body = SecretBytes::with_capacity(4096);
        serde_json::to_writer_pretty(&mut body, &wire)?;
        Ok(body)
    }
}

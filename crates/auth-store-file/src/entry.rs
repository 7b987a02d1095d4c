//! One entry as a file.

use std::time::{Duration, SystemTime};

use auth_core::store::{Fence, Record};
use auth_core::{Body, Secret};
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

/// What a file holds.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) record: Record,
    /// When it is over.
    pub(crate) until: SystemTime,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<S> {
    version: u32,
    until_ms: u64,
    fence: u64,
    revision: u64,
    saved: u64,
    access: Option<S>,
    refresh: Option<S>,
    setback: Option<S>,
}

impl Entry {
    pub(crate) fn empty() -> Self {
        Self { record: Record::default(), until: SystemTime::UNIX_EPOCH }
    }

    /// None where it is none of ours, or broken.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let wire: Wire<Secret> = serde_json::from_slice(bytes).ok()?;
        if wire.version != VERSION {
            return None;
        }
        let mut record = Record::default();
        (record.fence, record.revision, record.saved) = (Fence(wire.fence), Fence(wire.revision), Fence(wire.saved));
        (record.access, record.refresh, record.setback) = (wire.access, wire.refresh, wire.setback);
        let until = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(wire.until_ms))?;
        Some(Self { record, until })
    }

    pub(crate) fn write(&self) -> serde_json::Result<Body> {
        let until = self.until.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let record = &self.record;
        let wire = Wire {
            version: VERSION,
            until_ms: until.as_millis().try_into().unwrap_or(u64::MAX),
            fence: record.fence.0,
            revision: record.revision.0,
            saved: record.saved.0,
            access: record.access.as_ref().map(Secret::expose),
            refresh: record.refresh.as_ref().map(Secret::expose),
            setback: record.setback.as_ref().map(Secret::expose),
        };
        let mut body = Body::with_capacity(4096);
        serde_json::to_writer_pretty(&mut body, &wire)?;
        Ok(body)
    }
}

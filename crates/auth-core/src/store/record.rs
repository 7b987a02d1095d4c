//! What each call of a store does to an entry, without I/O and without a clock of its own.

use std::time::{Duration, SystemTime};

use super::{Change, Fence, Lease, Snapshot};
use crate::secret::Secret;

/// A number so many microseconds ahead of the clock was never given out.
const FAR: u64 = 24 * 3600 * 1_000_000;

/// Holds all that a store keeps of one entry, but for its lease and its end.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use auth_core::store::{Change, Fence, Lease, Record};
///
/// let (mut record, now) = (Record::default(), SystemTime::now());
/// let (Lease::Granted(lease), _) = record.lease(Fence(0), now, None) else { panic!("nobody holds it") };
/// assert!(record.save(lease, Change::lasting(Duration::from_secs(60))));
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Record {
    /// The highest number given out.
    pub fence: Fence,
    /// The number of the last change.
    pub revision: Fence,
    /// The number under which the access token was saved.
    pub saved: Fence,
    /// The access token, sealed.
    pub access: Option<Secret>,
    /// The refresh token, sealed.
    pub refresh: Option<Secret>,
    /// The memory of failures, sealed.
    pub setback: Option<Secret>,
}

impl Record {
    /// What [`TokenStore::load`](super::TokenStore::load) gives.
    #[must_use]
    pub fn snapshot(&self, now: SystemTime) -> Snapshot {
        Snapshot {
            now,
            revision: self.revision,
            saved: self.saved,
            access: self.access.clone(),
            setback: self.setback.clone(),
            has_refresh: self.refresh.is_some(),
        }
    }

    /// What [`TokenStore::lease`](super::TokenStore::lease) does, where another's lease is `held` for so long yet, or none
    /// is. The lease itself is for the store to keep, where it is granted.
    pub fn lease(&mut self, known: Fence, now: SystemTime, held: Option<Duration>) -> (Lease, Snapshot) {
        let is_news = self.revision != known && self.revision != Fence(0);
        let lease = match held {
            _ if is_news => Lease::Changed,
            Some(left) => Lease::Held(left),
            None => Lease::Granted(self.next(now)),
        };
        let mut snapshot = self.snapshot(now);
        if !is_news {
            (snapshot.access, snapshot.setback) = (None, None);
        }
        (lease, snapshot)
    }

    /// What [`TokenStore::claim_refresh`](super::TokenStore::claim_refresh) does.
    pub fn claim_refresh(&mut self, lease: Fence) -> Option<Secret> {
        // One that comes after its own save would take what that has brought.
        self.refresh.take_if(|_| self.fence == lease && self.revision != lease)
    }

    /// What [`TokenStore::save`](super::TokenStore::save) does; the end of entry and lease is for the store to set.
    pub fn save(&mut self, lease: Fence, change: Change) -> bool {
        if self.fence > lease {
            return false;
        }
        (self.fence, self.revision) = (lease, lease);
        if let Some(access) = change.access {
            (self.access, self.saved) = (Some(access), lease);
        }
        (self.refresh, self.setback) = (change.refresh, change.setback);
        true
    }

    /// What [`TokenStore::forget`](super::TokenStore::forget) does; tells whether anything changed.
    pub fn forget(&mut self, saved: Fence) -> bool {
        self.access.take_if(|_| self.saved == saved).is_some()
    }

    /// The next number: by the clock, so that numbers rise although the store has forgotten all.
    fn next(&mut self, now: SystemTime) -> Fence {
        let micros = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
        let micros = u64::try_from(micros).unwrap_or(0);
        let next = if self.fence.0 > micros.saturating_add(FAR) { micros } else { micros.max(self.fence.0 + 1) };
        self.fence = Fence(next);
        self.fence
    }
}

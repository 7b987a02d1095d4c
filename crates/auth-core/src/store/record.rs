//! What each call of a store does to an entry, without I/O and without a clock of its own.

use std::time::{Duration, SystemTime};

use super::{EntryUpdate, LeaseNumber, LeaseOutcome, Snapshot};
use crate::secret::Secret;

/// A number so many microseconds ahead of the clock was never given out.
const FAR: u64 = 24 * 3600 * 1_000_000;

/// Holds all that a store keeps of one entry, but for its lease and its end.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use auth_core::store::{EntryUpdate, LeaseNumber, LeaseOutcome, Record};
///
/// let (mut record, now) = (Record::default(), SystemTime::now());
/// let (LeaseOutcome::Granted(lease), _) = record.lease(LeaseNumber(0), now, None) else { panic!("nobody holds it") };
/// assert!(record.save(lease, EntryUpdate::lasting(Duration::from_secs(60))));
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Record {
    /// The highest number given out.
    pub lease_number: LeaseNumber,
    /// The number of the last change.
    pub revision: LeaseNumber,
    /// The number under which the access token was saved.
    pub saved: LeaseNumber,
    /// The access token, sealed.
    pub access: Option<Secret>,
    /// The refresh token, sealed.
    pub refresh: Option<Secret>,
    /// The memory of failures, sealed.
    pub cooldown: Option<Secret>,
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
            cooldown: self.cooldown.clone(),
            has_refresh: self.refresh.is_some(),
        }
    }

    /// What [`TokenStore::lease`](super::TokenStore::lease) does, where another's lease is `held` for so long yet, or none
    /// is. The lease itself is for the store to keep, where it is granted.
    pub fn lease(&mut self, known: LeaseNumber, now: SystemTime, held: Option<Duration>) -> (LeaseOutcome, Snapshot) {
        let is_news = self.revision != known && self.revision != LeaseNumber(0);
        let lease = match held {
            _ if is_news => LeaseOutcome::Changed,
            Some(left) => LeaseOutcome::Held(left),
            None => LeaseOutcome::Granted(self.next(now)),
        };
        let mut snapshot = self.snapshot(now);
        if !is_news {
            snapshot.access = None;
            snapshot.cooldown = None;
        }
        (lease, snapshot)
    }

    /// What [`TokenStore::claim_refresh`](super::TokenStore::claim_refresh) does.
    pub fn claim_refresh(&mut self, lease: LeaseNumber) -> Option<Secret> {
        // One that comes after its own save would take what that has brought.
        self.refresh.take_if(|_| self.lease_number == lease && self.revision != lease)
    }

    /// What [`TokenStore::save`](super::TokenStore::save) does; the end of entry and lease is for the store to set.
    pub fn save(&mut self, lease: LeaseNumber, change: EntryUpdate) -> bool {
        if self.lease_number > lease {
            return false;
        }
        self.lease_number = lease;
        self.revision = lease;
        if let Some(access) = change.access {
            self.access = Some(access);
            self.saved = lease;
        }
        self.refresh = change.refresh;
        self.cooldown = change.cooldown;
        true
    }

    /// What [`TokenStore::forget`](super::TokenStore::forget) does; tells whether anything changed.
    pub fn forget(&mut self, saved: LeaseNumber) -> bool {
        self.access.take_if(|_| self.saved == saved).is_some()
    }

    /// The next number: by the clock, so that numbers rise although the store has forgotten all.
    fn next(&mut self, now: SystemTime) -> LeaseNumber {
        let micros = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
        let micros = u64::try_from(micros).unwrap_or(0);
        let next =
            if self.lease_number.0 > micros.saturating_add(FAR) { micros } else { micros.max(self.lease_number.0 + 1) };
        self.lease_number = LeaseNumber(next);
        self.lease_number
    }
}

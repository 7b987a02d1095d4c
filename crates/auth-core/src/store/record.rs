//! What each call of a store does to an entry, without I/O and without a clock.

use std::time::{Duration, SystemTime};

use super::{EntryUpdate, LeaseNumber, LeaseOutcome, Snapshot};
use crate::secret::Secret;

/// In microseconds: a lease number that is further ahead of the clock was granted while a clock was wrong, and is
/// ignored.
const MAX_CLOCK_ERROR: u64 = 24 * 3600 * 1_000_000;

/// One entry, without its lease and its expiry, and what each call of a [`TokenStore`](super::TokenStore) does to it.
///
/// A store that can hold a lock during a call can use this type directly. Any other store must behave in the same way.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use auth_core::store::{EntryUpdate, LeaseNumber, LeaseOutcome, Record};
///
/// let mut record = Record::default();
/// let (outcome, _) = record.lease(LeaseNumber(0), SystemTime::now(), None);
/// let LeaseOutcome::Granted(lease) = outcome else { panic!("no other process holds the lease") };
///
/// let mut update = EntryUpdate::new(Duration::from_secs(60));
/// update.access = Some("the sealed text of a token".into());
/// assert!(record.save(lease, update));
/// assert_eq!(record.snapshot(SystemTime::now()).revision, lease);
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Record {
    /// The number of the last lease that was granted.
    pub lease_number: LeaseNumber,
    /// The number of the last change; 0 if nothing was ever saved.
    pub revision: LeaseNumber,
    /// The number under which the access token was saved.
    pub saved: LeaseNumber,
    /// The access token, sealed.
    pub access: Option<Secret>,
    /// The refresh token, sealed.
    pub refresh: Option<Secret>,
    /// The last failure and its cooldown, sealed.
    pub cooldown: Option<Secret>,
}

impl Record {
    /// Implements [`TokenStore::load`](super::TokenStore::load); `now` is the time by the store's clock.
    ///
    /// ```
    /// use std::time::SystemTime;
    ///
    /// let snapshot = auth_core::store::Record::default().snapshot(SystemTime::now());
    /// assert!(snapshot.access.is_none() && !snapshot.has_refresh);
    /// ```
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

    /// Implements [`TokenStore::lease`](super::TokenStore::lease).
    ///
    /// `held` is the time that another lease still lasts, or `None` if no lease is held. If the result is
    /// [`Granted`](LeaseOutcome::Granted), the store must remember the lease and its end.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    ///
    /// use auth_core::store::{LeaseNumber, LeaseOutcome, Record};
    ///
    /// let left = Duration::from_secs(2);
    /// let (outcome, _) = Record::default().lease(LeaseNumber(0), SystemTime::now(), Some(left));
    /// assert_eq!(outcome, LeaseOutcome::Held(left));
    /// ```
    pub fn lease(&mut self, known: LeaseNumber, now: SystemTime, held: Option<Duration>) -> (LeaseOutcome, Snapshot) {
        let has_changed = self.revision != known && self.revision != LeaseNumber(0);
        let outcome = match held {
            _ if has_changed => LeaseOutcome::Changed,
            Some(left) => LeaseOutcome::Held(left),
            None => LeaseOutcome::Granted(self.next_number(now)),
        };
        let mut snapshot = self.snapshot(now);
        if !has_changed {
            snapshot.access = None;
            snapshot.cooldown = None;
        }
        (outcome, snapshot)
    }

    /// Implements [`TokenStore::claim_refresh`](super::TokenStore::claim_refresh).
    ///
    /// ```
    /// use std::time::SystemTime;
    ///
    /// use auth_core::store::{LeaseNumber, LeaseOutcome, Record};
    ///
    /// let mut record = Record::default();
    /// record.refresh = Some("the sealed text of a refresh token".into());
    /// let (outcome, _) = record.lease(LeaseNumber(0), SystemTime::now(), None);
    /// let LeaseOutcome::Granted(lease) = outcome else { panic!("no other process holds the lease") };
    /// assert!(record.claim_refresh(lease).is_some());
    /// assert!(record.claim_refresh(lease).is_none(), "only one caller gets it");
    /// ```
    pub fn claim_refresh(&mut self, lease: LeaseNumber) -> Option<Secret> {
        // The second condition: a claim that is carried out after the save of its own lease must not take the refresh
        // token that this save has written. That token is for the next holder.
        self.refresh.take_if(|_| self.lease_number == lease && self.revision != lease)
    }

    /// Implements [`TokenStore::save`](super::TokenStore::save).
    ///
    /// If it returns `true`, the store must end the lease and keep the entry for at least [`EntryUpdate::ttl`].
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    ///
    /// use auth_core::store::{EntryUpdate, LeaseNumber, Record};
    ///
    /// let mut record = Record::default();
    /// record.lease(LeaseNumber(0), SystemTime::now(), None);
    /// let update = EntryUpdate::new(Duration::from_secs(60));
    /// assert!(!record.save(LeaseNumber(1), update), "a newer lease has been granted");
    /// ```
    pub fn save(&mut self, lease: LeaseNumber, update: EntryUpdate) -> bool {
        // The caller was stopped during its login, and a newer lease has been granted. Its token may be older than the
        // current one.
        if self.lease_number > lease {
            return false;
        }
        self.lease_number = lease;
        self.revision = lease;
        if let Some(access) = update.access {
            self.access = Some(access);
            self.saved = lease;
        }
        self.refresh = update.refresh;
        self.cooldown = update.cooldown;
        true
    }

    /// Implements [`TokenStore::forget`](super::TokenStore::forget). Returns `true` if the entry has changed.
    ///
    /// ```
    /// use auth_core::store::{LeaseNumber, Record};
    ///
    /// let mut record = Record::default();
    /// record.access = Some("the sealed text of a token".into());
    /// record.saved = LeaseNumber(7);
    /// assert!(!record.forget(LeaseNumber(6)), "the rejected token has already been replaced");
    /// assert!(record.forget(LeaseNumber(7)));
    /// ```
    pub fn forget(&mut self, saved: LeaseNumber) -> bool {
        self.access.take_if(|_| self.saved == saved).is_some()
    }

    fn next_number(&mut self, now: SystemTime) -> LeaseNumber {
        // Numbers follow the clock, so that they rise even after a store has lost an entry and its last number.
        let micros = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
        let micros = u64::try_from(micros).unwrap_or(0);
        let is_from_wrong_clock = self.lease_number.0 > micros.saturating_add(MAX_CLOCK_ERROR);
        let next = if is_from_wrong_clock { micros } else { micros.max(self.lease_number.0 + 1) };
        self.lease_number = LeaseNumber(next);
        self.lease_number
    }
}

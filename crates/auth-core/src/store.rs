//! What processes share: a store of sealed entries, and the lease that lets one of them log in for all.
//!
//! [`TokenManager::with_store`](crate::TokenManager::with_store) takes a [`TokenStore`]: of `auth-store-redis` for a fleet,
//! of `auth-store-file` for the processes of one user, or one of your own.
//!
//! - A hit asks nobody. Before a login, the manager asks for a newer token or for the lease, in one step; who has the lease
//!   logs in for all, and saves before anybody gets the token. While the old token is usable, nobody waits for that.
//! - A lease lasts as long as the login's [deadline](crate::Policy::with_deadline), a quarter more, and four times the
//!   store's [timeout](TokenStore::timeout), so it outlives the login by construction; who dies with it delays others by
//!   the rest of it, and only those without a usable token. It saves logins; nothing else hangs on its time.
//! - A refresh token is in one place at a time. Who will use it takes it out of the store first.
//! - A store that does not answer is waited for once in a login, as long as its timeout lasts; the login then goes on alone.
//!   Nobody sees an error from it, and the next login asks it again. What it was asked is done all the same, or given back.
//! - The memory of failures is shared, so that a wrong password in a hundred processes is tried as rarely as in one.
//! - The store's clock is the one that counts: the processes' own may differ.

mod keys;
mod record;
mod sealing;
pub(crate) mod wire;

use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::error::Error;
use crate::secret::Secret;

pub use keys::SealingKeys;
pub use record::Record;
pub use sealing::Sealing;

/// The version of the format that entries have. A store puts it into its key and file names, so that processes with another
/// format use entries of their own.
pub const FORMAT_VERSION: u32 = 2;

/// Shares one token between processes: [`TokenManager::with_store`](crate::TokenManager::with_store) asks it before a
/// login, and tells it after.
///
/// An entry is found by its name, and changed by the holder of its lease alone, but for [`forget`](Self::forget). All
/// numbers that it gives out for one entry rise ([`LeaseNumber`]), so whoever comes late is told apart. The store's own clock
/// is the only one that all processes share: each snapshot says what it shows.
///
/// What each call does to an entry is written once, as functions of [`Record`]; a store that can run them under a lock
/// adds the lease, and the ends of lease and entry. A call may take its time, and may be carried out although nobody
/// waits for it any more: the manager waits for [`timeout`](Self::timeout) and then goes on without the store.
#[async_trait]
pub trait TokenStore: fmt::Debug + Send + Sync + 'static {
    /// The store's kind in events and metrics, lower case.
    fn name(&self) -> &'static str;

    /// What entries are sealed with.
    fn sealing(&self) -> &Sealing;

    /// How long a caller may wait for an answer of this store, before a login goes on without it. Default is 50 ms.
    fn timeout(&self) -> Duration {
        Duration::from_millis(50)
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) where the store cannot be asked.
    async fn load(&self, name: &EntryName) -> Result<Snapshot, Error>;

    /// Asks for the lease of an entry for the time `ttl`. `known` is the last change that the asker has seen ([`LeaseNumber`]
    /// 0 for none): after another, the answer is [`LeaseOutcome::Changed`] with the entry in the snapshot, and nothing is
    /// leased.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    async fn lease(
        &self,
        name: &EntryName,
        known: LeaseNumber,
        ttl: Duration,
    ) -> Result<(LeaseOutcome, Snapshot), Error>;

    /// Takes the refresh token out of an entry, for the holder of its lease, so that nobody else can use it; none where
    /// there is none, the lease is another's by now, or something was saved under it already.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    async fn claim_refresh(&self, name: &EntryName, lease: LeaseNumber) -> Result<Option<Secret>, Error>;

    /// Changes an entry and ends the lease; tells whether it was done, which it is not where a later lease was given.
    /// The entry stays for `change.ttl` at least.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    async fn save(&self, name: &EntryName, lease: LeaseNumber, change: EntryUpdate) -> Result<bool, Error>;

    /// Ends a lease; another's stays.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    async fn release(&self, name: &EntryName, lease: LeaseNumber) -> Result<(), Error>;

    /// Takes the access token out of an entry where it still is the one that was saved as `saved`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    async fn forget(&self, name: &EntryName, saved: LeaseNumber) -> Result<(), Error>;
}

/// Names one identity's entry: 32 lower-case hexadecimal digits that a keyed hash makes of all that tells the
/// credentials apart.
///
/// There is no account and no secret in it. (The key of [`Sealing::plain`] is known to all.)
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryName(String);

impl EntryName {
    /// Reads a name; none where it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 32 && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// The name as text, good for a key or a file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A number that a store gave out for an entry, higher than all before it; 0 is before the first.
///
/// By [`Record`]: microseconds since 1970 by the store's clock, or one more than the last, whichever is higher.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseNumber(pub u64);

/// Says what became of the wish for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseOutcome {
    /// It is the asker's, under this number.
    Granted(LeaseNumber),
    /// It is another's, and ends by itself within this time.
    Held(Duration),
    /// The entry has changed since the asker knew it: look at it first.
    Changed,
}

/// Holds what an entry says, and when.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Snapshot {
    /// What the store's clock shows.
    pub now: SystemTime,
    /// The number of the last change; [`LeaseNumber`] 0 where there is no entry.
    pub revision: LeaseNumber,
    /// The number under which the access token was saved.
    pub saved: LeaseNumber,
    /// The access token, sealed; none where there is none, or the asker knows it already.
    pub access: Option<Secret>,
    /// The memory of failures, sealed; as above.
    pub cooldown: Option<Secret>,
    /// Whether there is a refresh token to claim.
    pub has_refresh: bool,
}

/// Holds what a login changes of an entry.
///
/// The texts are core's: where the store is sealed, of letters that need no escape in JSON, else a JSON object on one
/// line. A token may be some thousand bytes long.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EntryUpdate {
    /// The new access token; none leaves the old where it is.
    pub access: Option<Secret>,
    /// The refresh token from now on; none means that there is none.
    pub refresh: Option<Secret>,
    /// The memory of failures from now on; none means that there is none.
    pub cooldown: Option<Secret>,
    /// How long the entry must stay from now on.
    pub ttl: Duration,
}

impl Snapshot {
    /// Starts with an entry of which nothing is told, by what the store's clock shows.
    #[must_use]
    pub fn empty(now: SystemTime) -> Self {
        Self { now, revision: LeaseNumber(0), saved: LeaseNumber(0), access: None, cooldown: None, has_refresh: false }
    }
}

impl EntryUpdate {
    /// Starts with a change that brings nothing, of an entry that must stay so long.
    #[must_use]
    pub fn lasting(ttl: Duration) -> Self {
        Self { access: None, refresh: None, cooldown: None, ttl }
    }
}

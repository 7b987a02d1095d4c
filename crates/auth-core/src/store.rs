//! Tokens that several processes share: the trait for stores, the sealing of their entries, and the rules of the lease.
//!
//! Pass a [`TokenStore`] to [`TokenManagerBuilder::with_store`](crate::TokenManagerBuilder::with_store). Use `auth-store-redis` for a
//! fleet, `auth-store-file` for the processes of one user, or write your own store: this page describes how.
//!
//! # What callers can rely on
//!
//! - A fresh token in memory is returned without a call to the store.
//! - Only the process that holds the lease logs in. It saves the new token before any caller gets it.
//! - While the old token is usable, no caller waits for the store or for another process.
//! - If the store does not respond within its [timeout](TokenStore::timeout), that login continues without it. Callers
//!   see no error from the store, and the next login tries the store again.
//! - Failures are shared too: a wrong password in a hundred processes is tried as rarely as in one process.
//!
//! # What an entry holds
//!
//! There is one entry for each set of credentials. [`Sealing::entry_name`] derives its [`EntryName`] from the login
//! request.
//!
//! | part | meaning |
//! |---|---|
//! | `lease_number` | the number of the last lease that was granted |
//! | `revision` | the number of the lease under which the entry was last saved, 0 if never |
//! | `saved` | the number of the lease under which the access token was saved |
//! | `access` | the access token, sealed |
//! | `refresh` | the refresh token, sealed |
//! | `cooldown` | the last failure, how long logins must wait after it, and how many there were, sealed |
//! | the lease | which number holds it, and when it expires |
//!
//! A store keeps the sealed parts as opaque text. [`Record`] holds the first six rows and implements every call on them
//! without I/O. A store that can run these methods under a lock adds only the lease and the expiry of the entry.
//!
//! # The calls of a login
//!
//! 1. [`lease`](TokenStore::lease) with the last revision that this process has seen. The store checks, in this order:
//!    - The entry has another revision: it returns [`Changed`](LeaseOutcome::Changed) and the entry. If the entry has a
//!      usable token, or a failure whose cooldown is not over, the process uses that and is done. Otherwise it calls
//!      `lease` again.
//!    - Another process holds the lease: it returns [`Held`](LeaseOutcome::Held). The process calls `lease` again after
//!      10 to 20 ms, later after 125 to 250 ms.
//!    - Otherwise it returns [`Granted`](LeaseOutcome::Granted) with a new [`LeaseNumber`].
//! 2. [`claim_refresh`](TokenStore::claim_refresh), if the entry has a refresh token. This removes the token from the
//!    entry, so no other process can use it. If this process dies now, the next one logs in with the credentials.
//! 3. The login or the refresh itself.
//! 4. [`save`](TokenStore::save) with the new token, or with the failure. This ends the lease.
//! 5. [`release`](TokenStore::release), if the login saved nothing. It is repeated every 250 ms until it succeeds or
//!    the lease expires.
//!
//! [`forget`](TokenStore::forget) removes an access token that a server rejected. [`load`](TokenStore::load) reads the
//! entry without a lease.
//!
//! # What keeps it safe
//!
//! - Each lease of an entry has a higher number than all leases before it (a fencing token). [`save`](TokenStore::save)
//!   and [`claim_refresh`](TokenStore::claim_refresh) under an older number do nothing. So a process that was stopped
//!   during its login cannot overwrite a newer token or take the refresh token of a newer login.
//! - The lease only avoids unnecessary logins: no other guarantee depends on when it expires. It lasts 1.25 times the
//!   login's [deadline](crate::Policy::with_deadline) plus four times the store's timeout, so it normally outlives the
//!   login.
//! - All times in an entry are by the store's clock, because the clocks of the processes may differ.
//! - A response may be lost, and a call may be carried out after the manager has stopped waiting for it. After such a
//!   save, the manager never uses the refresh token itself, because the store may have it. A lease that is granted too
//!   late is released.
//!
//! # Writing a store
//!
//! This store keeps its entries in memory. A real store also removes an entry some time after its
//! [`ttl`](EntryUpdate::ttl). But it must keep the lease number at least as long as the lease lasts. Without the
//! number, it would accept a save under an older lease.
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::{Mutex, PoisonError};
//! use std::time::{Duration, SystemTime};
//!
//! use auth_core::store::{
//!     EntryName, EntryUpdate, LeaseNumber, LeaseOutcome, Record, Sealing, Snapshot, TokenStore,
//! };
//! use auth_core::{Error, Secret, async_trait};
//!
//! #[derive(Debug)]
//! struct LocalStore {
//!     sealing: Sealing,
//!     entries: Mutex<HashMap<EntryName, Entry>>,
//! }
//!
//! #[derive(Debug, Default)]
//! struct Entry {
//!     record: Record,
//!     lease: Option<(LeaseNumber, SystemTime)>,
//! }
//!
//! impl Entry {
//!     fn end_lease(&mut self, number: LeaseNumber) {
//!         self.lease.take_if(|(held, _)| *held == number);
//!     }
//! }
//!
//! impl LocalStore {
//!     fn with_entry<R>(&self, name: &EntryName, work: impl FnOnce(&mut Entry) -> R) -> Result<R, Error> {
//!         let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
//!         Ok(work(entries.entry(name.clone()).or_default()))
//!     }
//! }
//!
//! #[async_trait]
//! impl TokenStore for LocalStore {
//!     fn name(&self) -> &'static str {
//!         "local"
//!     }
//!
//!     fn sealing(&self) -> &Sealing {
//!         &self.sealing
//!     }
//!
//!     async fn load(&self, name: &EntryName) -> Result<Snapshot, Error> {
//!         self.with_entry(name, |entry| entry.record.snapshot(SystemTime::now()))
//!     }
//!
//!     async fn lease(
//!         &self,
//!         name: &EntryName,
//!         known: LeaseNumber,
//!         ttl: Duration,
//!     ) -> Result<(LeaseOutcome, Snapshot), Error> {
//!         self.with_entry(name, |entry| {
//!             let now = SystemTime::now();
//!             let held = entry.lease.and_then(|(_, until)| until.duration_since(now).ok());
//!             let (outcome, snapshot) = entry.record.lease(known, now, held);
//!             if let LeaseOutcome::Granted(number) = outcome {
//!                 entry.lease = Some((number, now + ttl));
//!             }
//!             (outcome, snapshot)
//!         })
//!     }
//!
//!     async fn claim_refresh(&self, name: &EntryName, lease: LeaseNumber) -> Result<Option<Secret>, Error> {
//!         self.with_entry(name, |entry| entry.record.claim_refresh(lease))
//!     }
//!
//!     async fn save(&self, name: &EntryName, lease: LeaseNumber, update: EntryUpdate) -> Result<bool, Error> {
//!         self.with_entry(name, |entry| {
//!             entry.end_lease(lease);
//!             entry.record.save(lease, update)
//!         })
//!     }
//!
//!     async fn release(&self, name: &EntryName, lease: LeaseNumber) -> Result<(), Error> {
//!         self.with_entry(name, |entry| entry.end_lease(lease))
//!     }
//!
//!     async fn forget(&self, name: &EntryName, saved: LeaseNumber) -> Result<(), Error> {
//!         self.with_entry(name, |entry| entry.record.forget(saved)).map(drop)
//!     }
//! }
//! ```
//!
//! To test your store, call `auth_testing::conformance::store`. It makes random calls and compares the results with
//! those of [`Record`].

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

/// The version of the entry format.
///
/// A store puts it into its key or file names, so that processes with different formats use separate entries.
///
/// ```
/// use auth_core::store::FORMAT_VERSION;
///
/// let key = format!("auth:v{FORMAT_VERSION}:0123456789abcdef0123456789abcdef");
/// ```
pub const FORMAT_VERSION: u32 = 2;

/// Shares one token between processes.
///
/// [`TokenManagerBuilder::with_store`](crate::TokenManagerBuilder::with_store) calls it before and after each login. The [module
/// page](self) describes the order of the calls, and has a complete store as an example. [`Record`] defines what each
/// call does to an entry. Each call must be atomic: other processes see either all of its changes or none.
///
/// # Cancel safety
/// The manager runs each call as a task and waits for it for [`timeout`](Self::timeout). After that it continues
/// without the result, but the task still runs to its end. If the runtime shuts down, a call may be dropped at any
/// await point. Even then, it must have made all of its changes or none.
#[async_trait]
pub trait TokenStore: fmt::Debug + Send + Sync + 'static {
    /// Returns the kind of store for log events, in lower case, such as `redis`.
    fn name(&self) -> &'static str;

    /// Returns how the entries of this store are sealed.
    fn sealing(&self) -> &Sealing;

    /// Returns how long a login waits for one response of this store before it continues without it.
    ///
    /// The default is 250 ms.
    fn timeout(&self) -> Duration {
        Duration::from_millis(250)
    }

    /// Reads an entry. If there is none, returns [`Snapshot::empty`].
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the store cannot be reached.
    async fn load(&self, name: &EntryName) -> Result<Snapshot, Error>;

    /// Requests the lease of an entry. A lease that is granted expires after `ttl`.
    ///
    /// `known` is the last [revision](Snapshot::revision) that the caller has seen, or 0. If the entry has another
    /// revision, returns [`LeaseOutcome::Changed`] with the entry in the snapshot, and grants no lease. With any other
    /// outcome, the snapshot has neither access token nor cooldown, because the caller already knows them.
    ///
    /// # Errors
    /// The errors of [`load`](Self::load).
    async fn lease(
        &self,
        name: &EntryName,
        known: LeaseNumber,
        ttl: Duration,
    ) -> Result<(LeaseOutcome, Snapshot), Error>;

    /// Removes the refresh token from an entry and returns it to the holder of the lease.
    ///
    /// Returns `None` if there is no refresh token, if a newer lease has been granted, or if something was already
    /// saved under `lease`.
    ///
    /// # Errors
    /// The errors of [`load`](Self::load).
    async fn claim_refresh(&self, name: &EntryName, lease: LeaseNumber) -> Result<Option<Secret>, Error>;

    /// Updates an entry and ends the lease. Returns `false`, and changes nothing, if a newer lease has been granted.
    ///
    /// The entry stays for at least [`update.ttl`](EntryUpdate::ttl).
    ///
    /// # Errors
    /// The errors of [`load`](Self::load). After an error, the entry may have been updated, because only the response
    /// may have been lost.
    async fn save(&self, name: &EntryName, lease: LeaseNumber, update: EntryUpdate) -> Result<bool, Error>;

    /// Ends a lease without saving. Does nothing if another lease is held.
    ///
    /// # Errors
    /// The errors of [`load`](Self::load).
    async fn release(&self, name: &EntryName, lease: LeaseNumber) -> Result<(), Error>;

    /// Removes the access token from an entry if it is still the one that was saved under `saved`.
    ///
    /// This needs no lease.
    ///
    /// # Errors
    /// The errors of [`load`](Self::load).
    async fn forget(&self, name: &EntryName, saved: LeaseNumber) -> Result<(), Error>;
}

/// Names the entry of one set of credentials: 32 lower-case hexadecimal digits.
///
/// [`Sealing::entry_name`] derives it with a keyed hash, so it reveals neither account nor secret. With
/// [`Sealing::plain`] the hash key is public: anyone who sees a name can test guessed passwords against it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryName(String);

impl EntryName {
    /// Parses a name. Returns `None` if the text is not 32 lower-case hexadecimal digits.
    ///
    /// ```
    /// use auth_core::store::EntryName;
    ///
    /// assert!(EntryName::parse("0123456789abcdef0123456789abcdef").is_some());
    /// assert!(EntryName::parse("lock").is_none());
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 32 && text.bytes().all(is_lower_hex_digit)).then(|| Self(text.to_owned()))
    }

    /// Returns the name as text that is safe in a key or a file name.
    ///
    /// ```
    /// use auth_core::store::{EntryName, FORMAT_VERSION};
    ///
    /// fn file_name(name: &EntryName) -> String {
    ///     format!("{}.v{FORMAT_VERSION}.json", name.as_str())
    /// }
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_lower_hex_digit(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

impl fmt::Debug for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identifies a lease of an entry, and the change that is saved under it (a fencing token).
///
/// Each number of an entry is higher than all numbers before it; 0 means none. [`Record`] uses the microseconds since
/// 1970 by the store's clock, or the last number plus one if that is higher.
///
/// ```
/// use auth_core::store::LeaseNumber;
///
/// let none = LeaseNumber::default();
/// assert_eq!(none, LeaseNumber(0));
/// assert!(none < LeaseNumber(1_700_000_000_000_000));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseNumber(pub u64);

/// The result of a request for a lease.
///
/// ```
/// use std::time::SystemTime;
///
/// use auth_core::store::{LeaseNumber, LeaseOutcome, Record};
///
/// let (outcome, _) = Record::default().lease(LeaseNumber(0), SystemTime::now(), None);
/// match outcome {
///     LeaseOutcome::Granted(number) => println!("log in, then save under {number:?}"),
///     LeaseOutcome::Held(left) => println!("wait, at most {left:?}"),
///     LeaseOutcome::Changed => println!("use what another process saved"),
///     _ => {}
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseOutcome {
    /// The caller holds the lease under this number.
    Granted(LeaseNumber),
    /// Another process holds the lease, which expires within this time.
    Held(Duration),
    /// The entry has changed since the caller last read it. The snapshot has the change, and no lease was granted.
    Changed,
}

/// The content of an entry at one instant.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Snapshot {
    /// The time by the store's clock.
    pub now: SystemTime,
    /// The number of the last change, or [`LeaseNumber`] 0 if there is no entry.
    pub revision: LeaseNumber,
    /// The number under which the access token was saved.
    pub saved: LeaseNumber,
    /// The access token, sealed; `None` if there is none, or if the caller already knows it.
    pub access: Option<Secret>,
    /// The last failure and its cooldown, sealed; `None` if there is none, or if the caller already knows it.
    pub cooldown: Option<Secret>,
    /// Whether there is a refresh token to claim.
    pub has_refresh: bool,
}

/// The change that a login makes to an entry.
///
/// auth-core creates the three texts. Each has at most a few thousand bytes. In a sealed store, they consist of
/// letters, digits, `:`, `-` and `_`, which need no escape in JSON. In an unsealed store each is a JSON object on one
/// line.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EntryUpdate {
    /// The new access token; `None` keeps the old one.
    pub access: Option<Secret>,
    /// The new refresh token; `None` removes the old one.
    pub refresh: Option<Secret>,
    /// The last failure and its cooldown; `None` removes the old one.
    pub cooldown: Option<Secret>,
    /// How long the entry must stay, counted from this change.
    pub ttl: Duration,
}

impl Snapshot {
    /// Creates the snapshot of an entry that does not exist; `now` is the time by the store's clock.
    ///
    /// ```
    /// use std::time::SystemTime;
    ///
    /// use auth_core::store::{LeaseNumber, Snapshot};
    ///
    /// let mut snapshot = Snapshot::empty(SystemTime::now());
    /// assert_eq!(snapshot.revision, LeaseNumber(0));
    /// snapshot.access = Some("the sealed text of a token".into());
    /// ```
    #[must_use]
    pub fn empty(now: SystemTime) -> Self {
        Self { now, revision: LeaseNumber(0), saved: LeaseNumber(0), access: None, cooldown: None, has_refresh: false }
    }
}

impl EntryUpdate {
    /// Creates an update that keeps the access token, removes the rest, and lets the entry stay for `ttl`.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use auth_core::store::EntryUpdate;
    ///
    /// let mut update = EntryUpdate::new(Duration::from_secs(3600));
    /// update.access = Some("the sealed text of a token".into());
    /// ```
    #[must_use]
    pub fn new(ttl: Duration) -> Self {
        Self { access: None, refresh: None, cooldown: None, ttl }
    }
}

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use auth_core::store::{
    EntryName, EntryUpdate, LeaseNumber, LeaseOutcome, Record, Sealing, SealingKeys, Snapshot, TokenStore,
};
use auth_core::{Clock, Error, Secret};
use tokio::time::Instant;

use crate::VirtualClock;

/// Stores tokens in this process's memory and fails on request.
///
/// Its entries and leases expire by tokio's clock. Clones share everything. Each manager with this store stands for one
/// process.
///
/// # Example
/// ```
/// use auth_testing::{MemoryStore, Script, ScriptedResponse};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
/// let store = MemoryStore::new();
/// let script = Script::new([ScriptedResponse::token("one", 60)]);
/// let first = script.builder().with_store(store.shared()).build()?;
/// let second = script.builder().with_store(store.shared()).build()?;
/// assert_eq!(first.token().await?.expose(), second.token().await?.expose());
/// assert_eq!(script.requests().len(), 1); // the second manager found the token in the store
/// # Ok::<(), auth_core::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct MemoryStore {
    sealing: Sealing,
    clock: VirtualClock,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<EntryName, Entry>,
    fault: StoreFault,
    calls: u64,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    until: Instant,
    lease: Option<(LeaseNumber, Instant)>,
}

/// The way in which a [`MemoryStore`] fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreFault {
    /// It does not fail.
    #[default]
    None,
    /// Each call returns an error and does nothing.
    Down,
    /// Each call is carried out at once, and its response arrives after this delay.
    Slow(Duration),
}

impl MemoryStore {
    /// Creates an empty store that seals its entries with a fixed key. The key is not secret.
    ///
    /// # Example
    /// ```
    /// use auth_testing::{MemoryStore, Script};
    ///
    /// let store = MemoryStore::new();
    /// let tokens = Script::default().builder().with_store(store.shared()).build()?;
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "the key is a constant")]
    pub fn new() -> Self {
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let Ok(keys) = SealingKeys::parse(&key.into()) else { panic!("the key must have 32 bytes") };
        Self::sealed(Sealing::with_keys(keys))
    }

    /// Creates an empty store with this sealing, for example [`Sealing::plain`].
    ///
    /// # Example
    /// ```
    /// use auth_core::store::Sealing;
    /// use auth_testing::MemoryStore;
    ///
    /// let readable = MemoryStore::sealed(Sealing::plain()); // a test can read its entries
    /// ```
    #[must_use]
    pub fn sealed(sealing: Sealing) -> Self {
        Self { sealing, clock: VirtualClock::new(), state: Arc::default() }
    }

    /// Returns a handle to the same entries with another sealing, for tests of key rotation.
    ///
    /// # Example
    /// ```
    /// use auth_core::store::{Sealing, SealingKeys};
    /// use auth_testing::MemoryStore;
    ///
    /// let keys = SealingKeys::parse(&"2:AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".into())?;
    /// let store = MemoryStore::new();
    /// let rotated = store.with_sealing(Sealing::with_keys(keys));
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_sealing(&self, sealing: Sealing) -> Self {
        Self { sealing, ..self.clone() }
    }

    /// Returns a handle to the same store, of the type that a manager requires.
    ///
    /// # Example
    /// ```
    /// use auth_testing::{MemoryStore, Script};
    ///
    /// let store = MemoryStore::new();
    /// let tokens = Script::default().builder().with_store(store.shared()).build()?;
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn shared(&self) -> Arc<dyn TokenStore> {
        Arc::new(self.clone())
    }

    /// Sets how each call fails from now on.
    ///
    /// # Example
    /// ```
    /// use auth_testing::{MemoryStore, StoreFault};
    ///
    /// let store = MemoryStore::new();
    /// store.set_fault(StoreFault::Down);
    /// store.set_fault(StoreFault::None); // works again
    /// ```
    pub fn set_fault(&self, fault: StoreFault) {
        self.state().fault = fault;
    }

    /// Returns the number of calls until now, including those that failed.
    ///
    /// # Example
    /// ```
    /// use auth_testing::MemoryStore;
    ///
    /// assert_eq!(MemoryStore::new().calls(), 0);
    /// ```
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Removes all entries and leases.
    ///
    /// # Example
    /// ```
    /// use auth_testing::MemoryStore;
    ///
    /// let store = MemoryStore::new();
    /// store.clear();
    /// assert!(store.entries().is_empty());
    /// ```
    pub fn clear(&self) {
        self.state().entries.clear();
    }

    /// Changes the record of every entry directly and without a lease, as an attacker or a broken disk would.
    ///
    /// # Example
    /// ```
    /// use auth_testing::MemoryStore;
    ///
    /// let store = MemoryStore::new();
    /// store.tamper(|record| record.access = Some("garbage".into()));
    /// ```
    pub fn tamper(&self, change: impl Fn(&mut Record)) {
        self.state().entries.values_mut().for_each(|entry| change(&mut entry.record));
    }

    /// Returns the names and contents of all entries, in no particular order.
    ///
    /// # Example
    /// ```
    /// use auth_testing::MemoryStore;
    ///
    /// for (name, record) in MemoryStore::new().entries() {
    ///     println!("{}: revision {:?}", name.as_str(), record.revision);
    /// }
    /// ```
    #[must_use]
    pub fn entries(&self) -> Vec<(EntryName, Record)> {
        let state = self.state();
        state.entries.iter().map(|(name, entry)| (name.clone(), entry.record.clone())).collect()
    }

    /// Sets the store's wall clock forward by this number of seconds, or back if the number is negative.
    ///
    /// Entries and leases still expire by tokio's clock, which does not move.
    ///
    /// # Example
    /// ```
    /// use auth_testing::MemoryStore;
    ///
    /// let store = MemoryStore::new();
    /// store.shift_clock(-3600); // tokens saved before this appear to come from the future
    /// ```
    pub fn shift_clock(&self, seconds: i64) {
        self.clock.shift_wall(seconds);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call<R>(&self, name: &EntryName, action: impl FnOnce(&mut Entry, SystemTime) -> R) -> Result<R, Error> {
        let (result, fault) = {
            let mut state = self.state();
            state.calls += 1;
            if state.fault == StoreFault::Down {
                return Err(Error::unavailable("the store is down because the test has set `StoreFault::Down`"));
            }
            let now = Instant::now();
            // An entry that has expired stays while its lease is held.
            state.entries.retain(|_, entry| entry.until > now || entry.lease.is_some_and(|(_, until)| until > now));
            let entry = state.entries.entry(name.clone()).or_insert_with(|| Entry {
                record: Record::default(),
                until: now,
                lease: None,
            });
            (action(entry, self.clock.now().wall), state.fault)
        };
        if let StoreFault::Slow(delay) = fault {
            tokio::time::sleep(delay).await;
        }
        Ok(result)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl TokenStore for MemoryStore {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn sealing(&self) -> &Sealing {
        &self.sealing
    }

    async fn load(&self, name: &EntryName) -> Result<Snapshot, Error> {
        self.call(name, |entry, now| entry.record.snapshot(now)).await
    }

    async fn lease(
        &self,
        name: &EntryName,
        known: LeaseNumber,
        ttl: Duration,
    ) -> Result<(LeaseOutcome, Snapshot), Error> {
        self.call(name, |entry, now| {
            let held = entry.lease.and_then(|(_, until)| until.checked_duration_since(Instant::now()));
            let (lease, snapshot) = entry.record.lease(known, now, held.filter(|left| !left.is_zero()));
            if let LeaseOutcome::Granted(lease_number) = lease {
                let until = Instant::now() + ttl;
                entry.lease = Some((lease_number, until));
                // The entry stays this long even if the lease is released earlier. Otherwise the record would lose the
                // lease number, and an earlier holder could still save.
                entry.until = entry.until.max(until);
            }
            (lease, snapshot)
        })
        .await
    }

    async fn claim_refresh(&self, name: &EntryName, lease: LeaseNumber) -> Result<Option<Secret>, Error> {
        self.call(name, |entry, _| entry.record.claim_refresh(lease)).await
    }

    async fn save(&self, name: &EntryName, lease: LeaseNumber, change: EntryUpdate) -> Result<bool, Error> {
        self.call(name, |entry, _| {
            let until = Instant::now() + change.ttl;
            let is_saved = entry.record.save(lease, change);
            if is_saved {
                entry.until = entry.until.max(until);
                entry.lease.take_if(|(held, _)| *held == lease);
            }
            is_saved
        })
        .await
    }

    async fn release(&self, name: &EntryName, lease: LeaseNumber) -> Result<(), Error> {
        self.call(name, |entry, _| entry.lease.take_if(|(held, _)| *held == lease)).await.map(drop)
    }

    async fn forget(&self, name: &EntryName, saved: LeaseNumber) -> Result<(), Error> {
        self.call(name, |entry, _| entry.record.forget(saved)).await.map(drop)
    }
}

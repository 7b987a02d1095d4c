use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use auth_core::store::{
    EntryName, EntryUpdate, LeaseNumber, LeaseOutcome, Record, Sealing, SealingKeys, Snapshot, TokenStore,
};
use auth_core::{Clock, Error, Secret};
use tokio::time::Instant;

use super::VirtualClock;

/// A store in this process's memory, by tokio's time, that fails as it is told. Clones share everything.
///
/// Each clone given to a manager stands for a process of its own:
///
/// ```
/// use auth_testing::{ScriptedResponse, MemoryStore, Script};
/// use auth_core::{TokenManager, TokenSource};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let (store, script) = (MemoryStore::new(), Script::new([ScriptedResponse::token("one", 60)]));
/// let first = TokenManager::with_store(script.login(), store.shared());
/// let second = TokenManager::with_store(script.login(), store.shared());
/// assert_eq!(first.token().await?.expose(), second.token().await?.expose());
/// assert_eq!(script.requests().len(), 1);
/// # Ok::<(), auth_core::Error>(()) }).unwrap();
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

/// What ails a [`MemoryStore`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreFault {
    /// Nothing.
    #[default]
    None,
    /// It answers each call with an error.
    Down,
    /// It acts on each call, and answers so much later.
    Slow(Duration),
}

impl MemoryStore {
    /// Starts empty, sealed with a key that everybody knows.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn new() -> Self {
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let Ok(keys) = SealingKeys::parse(&key.into()) else { panic!("a key of 32 bytes") };
        Self::sealed(Sealing::with_keys(keys))
    }

    /// Starts empty, sealed with keys of yours, or with none.
    #[must_use]
    pub fn sealed(sealing: Sealing) -> Self {
        Self { sealing, clock: VirtualClock::new(), state: Arc::default() }
    }

    /// The same store, read with other keys.
    #[must_use]
    pub fn with_sealing(&self, sealing: Sealing) -> Self {
        Self { sealing, ..self.clone() }
    }

    /// The same store, as a manager takes it.
    #[must_use]
    pub fn shared(&self) -> Arc<dyn TokenStore> {
        Arc::new(self.clone())
    }

    /// Lets it fail from now on.
    pub fn set_fault(&self, fault: StoreFault) {
        self.state().fault = fault;
    }

    /// How often it was asked.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.state().entries.clear();
    }

    /// Changes each entry by hand.
    pub fn tamper(&self, change: impl Fn(&mut Record)) {
        self.state().entries.values_mut().for_each(|entry| change(&mut entry.record));
    }

    /// The names and the contents of all entries.
    #[must_use]
    pub fn entries(&self) -> Vec<(EntryName, Record)> {
        let state = self.state();
        state.entries.iter().map(|(name, entry)| (name.clone(), entry.record.clone())).collect()
    }

    /// Sets the store's clock forward, or back, by so many seconds.
    pub fn shift_clock(&self, seconds: i64) {
        self.clock.shift_wall(seconds);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn with<R>(&self, name: &EntryName, act: impl FnOnce(&mut Entry, SystemTime) -> R) -> Result<R, Error> {
        let (result, fault) = {
            let mut state = self.state();
            state.calls += 1;
            if state.fault == StoreFault::Down {
                return Err(Error::unavailable("the store is down on purpose"));
            }
            let now = Instant::now();
            state.entries.retain(|_, entry| entry.until > now || entry.lease.is_some_and(|(_, until)| until > now));
            let empty = || Entry { record: Record::default(), until: now, lease: None };
            let entry = state.entries.entry(name.clone()).or_insert_with(empty);
            (act(entry, self.clock.now().wall), state.fault)
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
        self.with(name, |entry, now| entry.record.snapshot(now)).await
    }

    async fn lease(
        &self,
        name: &EntryName,
        known: LeaseNumber,
        ttl: Duration,
    ) -> Result<(LeaseOutcome, Snapshot), Error> {
        self.with(name, |entry, now| {
            let held = entry.lease.and_then(|(_, until)| until.checked_duration_since(Instant::now()));
            let (lease, snapshot) = entry.record.lease(known, now, held.filter(|left| !left.is_zero()));
            if let LeaseOutcome::Granted(lease_number) = lease {
                let until = Instant::now() + ttl;
                entry.lease = Some((lease_number, until));
                // Its number is remembered as long, or one that came before it could save after it.
                entry.until = entry.until.max(until);
            }
            (lease, snapshot)
        })
        .await
    }

    async fn claim_refresh(&self, name: &EntryName, lease: LeaseNumber) -> Result<Option<Secret>, Error> {
        self.with(name, |entry, _| entry.record.claim_refresh(lease)).await
    }

    async fn save(&self, name: &EntryName, lease: LeaseNumber, change: EntryUpdate) -> Result<bool, Error> {
        self.with(name, |entry, _| {
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
        self.with(name, |entry, _| entry.lease.take_if(|(held, _)| *held == lease)).await.map(drop)
    }

    async fn forget(&self, name: &EntryName, saved: LeaseNumber) -> Result<(), Error> {
        self.with(name, |entry, _| entry.record.forget(saved)).await.map(drop)
    }
}

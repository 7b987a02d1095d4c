#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod builder;
mod directory;
mod entry;
#[cfg(unix)]
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use auth_core::store::{EntryName, EntryUpdate, LeaseNumber, LeaseOutcome, Sealing, Snapshot, TokenStore};
use auth_core::{Error, ProviderInfo, Secret};

use directory::{Directory, Fault, LONGEST_WAIT, LeaseNote, Locked};
use entry::Entry;

pub use auth_core;
pub use builder::Builder;

const INFO: ProviderInfo = ProviderInfo::new("file", "AUTH_CACHE");

/// A longer stay is cut, and costs a login.
const LONGEST_STAY: Duration = Duration::from_secs(400 * 24 * 3600);

/// Shares tokens through a directory that only its owner can read; see the [crate's page](crate).
///
/// Clones share everything.
#[derive(Clone)]
pub struct FileStore(Arc<Shared>);

struct Shared {
    directory: Directory,
    sealing: Sealing,
    /// The locked files of the leases that this process holds.
    leases: Mutex<HashMap<EntryName, (LeaseNumber, File)>>,
}

impl FileStore {
    /// Starts with nothing set.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Reads the settings from the environment: `AUTH_CACHE_DIR`, and the rest of the [table](crate#settings).
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn from_env() -> Result<Self, Error> {
        Builder::from_env()?.build()
    }

    fn new(dir: &Path, sealing: Sealing) -> Result<Self, Error> {
        let directory = Directory::new(dir);
        directory.ready().map_err(|fault| INFO.invalid_setting("dir", fault.advice()).with_cause(&fault))?;
        Ok(Self(Arc::new(Shared { directory, sealing, leases: Mutex::default() })))
    }

    /// Where the entries are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.0.directory.path()
    }

    /// Removes every entry, whatever it holds; leases that are held go on. Blocks, for 10 seconds at most while other
    /// processes are at work.
    ///
    /// # Errors
    /// [`Unavailable`](auth_core::ErrorKind::Unavailable) where the directory cannot be read or written.
    pub fn clear(&self) -> Result<(), Error> {
        self.0.directory.locked().and_then(|directory| directory.clear(SystemTime::now())).map_err(unavailable)
    }

    /// Tells whether an entry could be written now, by writing a file and removing it.
    ///
    /// A manager goes on without a store that fails. Where logins must be remembered, ask before.
    ///
    /// # Errors
    /// As [`clear`](Self::clear).
    pub fn probe(&self) -> Result<(), Error> {
        self.0.directory.probe().map_err(unavailable)
    }

    /// Removes one entry, whatever it holds; a lease that is held goes on. Blocks, as [`clear`](Self::clear) does.
    ///
    /// ```no_run
    /// use auth_core::Provider;
    /// use auth_core::store::TokenStore;
    ///
    /// # fn example(store: auth_store_file::FileStore, provider: impl Provider) -> Result<(), auth_core::Error> {
    /// if let Some(identity) = provider.identity() {
    ///     store.remove(&store.sealing().entry_name(provider.name(), &identity))?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`clear`](Self::clear).
    pub fn remove(&self, name: &EntryName) -> Result<(), Error> {
        let removed = self.0.directory.locked().and_then(|directory| directory.remove(name, SystemTime::now()));
        removed.map_err(unavailable)
    }

    /// Works on an entry while no other process does.
    async fn with_entry<R: Send + 'static>(
        &self,
        name: &EntryName,
        look: impl FnOnce(&Shared, &Locked<'_>, Entry, SystemTime) -> Result<R, Fault> + Send + 'static,
    ) -> Result<R, Error> {
        let (shared, name) = (self.0.clone(), name.clone());
        on_a_thread(move || {
            let directory = shared.directory.locked()?;
            let now = SystemTime::now();
            let entry = directory.read(&name, now)?;
            look(&shared, &directory, entry, now)
        })
        .await
    }
}

/// Where it may wait for the disk.
async fn on_a_thread<R: Send + 'static>(work: impl FnOnce() -> Result<R, Fault> + Send + 'static) -> Result<R, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::unavailable("the store's work was cut off"))?.map_err(unavailable)
}

impl Shared {
    fn leases(&self) -> MutexGuard<'_, HashMap<EntryName, (LeaseNumber, File)>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a lease is this process's still: its time may have been over, and another may have it.
    fn holds(
        &self,
        directory: &Locked<'_>,
        name: &EntryName,
        lease: LeaseNumber,
        now: SystemTime,
    ) -> Result<bool, Fault> {
        let is_own = self.leases().get(name).is_some_and(|(held, _)| *held == lease);
        Ok(is_own && directory.lease_note(name, now)?.lease_number == lease)
    }

    fn release(&self, name: &EntryName, lease: LeaseNumber) {
        let mut leases = self.leases();
        if leases.get(name).is_some_and(|(held, _)| *held == lease) {
            leases.remove(name);
        }
    }
}

fn unavailable(fault: Fault) -> Error {
    Error::unavailable("the directory of tokens cannot be used").with_cause(&fault)
}

#[async_trait]
impl TokenStore for FileStore {
    fn name(&self) -> &'static str {
        INFO.provider
    }

    fn sealing(&self) -> &Sealing {
        &self.0.sealing
    }

    /// Longer than for a server: a lock is waited for in turn, and so is the disk.
    fn timeout(&self) -> Duration {
        LONGEST_WAIT + Duration::from_secs(2)
    }

    async fn load(&self, name: &EntryName) -> Result<Snapshot, Error> {
        self.with_entry(name, |_, _, entry, now| Ok(entry.record.snapshot(now))).await
    }

    async fn lease(
        &self,
        name: &EntryName,
        known: LeaseNumber,
        ttl: Duration,
    ) -> Result<(LeaseOutcome, Snapshot), Error> {
        let own = name.clone();
        self.with_entry(name, move |shared, directory, mut entry, now| {
            let last = directory.lease_note(&own, now)?;
            let lock = directory.try_lease(&own, now)?;
            let held = match lock {
                Some(_) => None,
                None => Some(last.until.duration_since(now).unwrap_or_default()),
            };
            // One that was given out, and perhaps never saved under.
            entry.record.lease_number = entry.record.lease_number.max(last.lease_number);
            let (lease, snapshot) = entry.record.lease(known, now, held);
            if let (LeaseOutcome::Granted(lease_number), Some(mut lock)) = (lease, lock) {
                LeaseNote { lease_number, until: now + ttl }.write(&mut lock)?;
                shared.leases().insert(own, (lease_number, lock));
            }
            Ok((lease, snapshot))
        })
        .await
    }

    async fn claim_refresh(&self, name: &EntryName, lease: LeaseNumber) -> Result<Option<Secret>, Error> {
        let own = name.clone();
        self.with_entry(name, move |shared, directory, mut entry, now| {
            if !shared.holds(directory, &own, lease, now)? {
                return Ok(None);
            }
            // It was given out, and not written.
            entry.record.lease_number = lease;
            let refresh = entry.record.claim_refresh(lease);
            if refresh.is_some() {
                directory.write(&own, &entry)?;
            }
            Ok(refresh)
        })
        .await
    }

    async fn save(&self, name: &EntryName, lease: LeaseNumber, change: EntryUpdate) -> Result<bool, Error> {
        let own = name.clone();
        let saved = self
            .with_entry(name, move |shared, directory, mut entry, now| {
                let ttl = change.ttl.min(LONGEST_STAY);
                if !shared.holds(directory, &own, lease, now)? || !entry.record.save(lease, change) {
                    return Ok(false);
                }
                entry.until = entry.until.max(now + ttl);
                directory.write(&own, &entry)?;
                if directory.is_due(now)? {
                    // The entry is written, whatever becomes of the others.
                    let _ = directory.clean_up(now);
                }
                Ok(true)
            })
            .await;
        self.0.release(name, lease);
        saved
    }

    async fn release(&self, name: &EntryName, lease: LeaseNumber) -> Result<(), Error> {
        self.0.release(name, lease);
        Ok(())
    }

    async fn forget(&self, name: &EntryName, saved: LeaseNumber) -> Result<(), Error> {
        let own = name.clone();
        self.with_entry(
            name,
            move |_, directory, mut entry, _| {
                if entry.record.forget(saved) { directory.write(&own, &entry) } else { Ok(()) }
            },
        )
        .await
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("dir", &self.dir()).finish_non_exhaustive()
    }
}

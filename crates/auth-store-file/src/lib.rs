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

use directory::{Directory, DirectoryError, LOCK_TIMEOUT, LeaseNote, LockedDirectory};
use entry::Entry;

pub use auth_core as core;
pub use builder::Builder;

const INFO: ProviderInfo = ProviderInfo::new("file", "AUTH_CACHE");

/// The longest lifetime of an entry. A token that is valid for longer costs one more login.
const MAX_TTL: Duration = Duration::from_secs(400 * 24 * 3600);

/// Shares tokens through a directory that only its owner can read; see the [crate documentation](crate).
///
/// Clones share all state and are cheap.
#[derive(Clone)]
pub struct FileStore(Arc<Shared>);

struct Shared {
    directory: Directory,
    sealing: Sealing,
    /// The leases that this process holds, each with its locked file. Closing the file ends the lease.
    leases: Mutex<HashMap<EntryName, (LeaseNumber, File)>>,
}

impl FileStore {
    /// Returns a builder without any setting.
    ///
    /// ```no_run
    /// let store = auth_store_file::FileStore::builder().with_dir("/home/me/.cache/auth").build()?;
    /// # Ok::<(), auth_store_file::core::Error>(())
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Opens a store with settings from the environment.
    ///
    /// Reads `AUTH_CACHE_DIR` and the other variables of the [table](crate#settings).
    ///
    /// ```no_run
    /// let store = auth_store_file::FileStore::from_env()?;
    /// # Ok::<(), auth_store_file::core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of [`Builder::from_env`] and [`Builder::build`].
    pub fn from_env() -> Result<Self, Error> {
        Builder::from_env()?.build()
    }

    fn new(dir: &Path, sealing: Sealing) -> Result<Self, Error> {
        let directory = Directory::new(dir);
        directory.prepare().map_err(|error| INFO.invalid_setting("dir", error.advice()).with_cause(&error))?;
        Ok(Self(Arc::new(Shared { directory, sealing, leases: Mutex::default() })))
    }

    /// Returns the directory of the entries.
    ///
    /// ```
    /// # fn example(store: auth_store_file::FileStore) {
    /// println!("tokens are kept in {}", store.dir().display());
    /// # }
    /// ```
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.0.directory.path()
    }

    /// Removes all entries, even those that are still valid. Leases that are held stay valid.
    ///
    /// Blocks the thread. While other processes use the directory, it waits for at most 10 seconds.
    ///
    /// ```no_run
    /// # fn example(store: auth_store_file::FileStore) -> Result<(), auth_core::Error> {
    /// store.clear()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Unavailable`](auth_core::ErrorKind::Unavailable) if the directory cannot be read or written.
    pub fn clear(&self) -> Result<(), Error> {
        self.0.directory.lock().and_then(|directory| directory.clear(SystemTime::now())).map_err(unavailable)
    }

    /// Checks that an entry can be written now: writes a file and removes it.
    ///
    /// If a store fails, a manager continues without it and does not save its tokens. If your program depends on the
    /// store, call this before the login. It blocks the thread while it writes.
    ///
    /// ```no_run
    /// # fn example(store: auth_store_file::FileStore) -> Result<(), auth_core::Error> {
    /// store.probe()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of [`clear`](Self::clear).
    pub fn probe(&self) -> Result<(), Error> {
        self.0.directory.probe().map_err(unavailable)
    }

    /// Removes one entry, even if it is still valid. A lease that is held stays valid.
    ///
    /// It blocks the thread as [`clear`](Self::clear) does.
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
    /// The errors of [`clear`](Self::clear).
    pub fn remove(&self, name: &EntryName) -> Result<(), Error> {
        let removed = self.0.directory.lock().and_then(|directory| directory.remove(name, SystemTime::now()));
        removed.map_err(unavailable)
    }

    /// Runs `work` on an entry. Meanwhile, no other process can use the directory.
    async fn with_entry<R, W>(&self, name: &EntryName, work: W) -> Result<R, Error>
    where
        R: Send + 'static,
        W: FnOnce(&Shared, &LockedDirectory<'_>, Entry, SystemTime) -> Result<R, DirectoryError> + Send + 'static,
    {
        let (shared, name) = (self.0.clone(), name.clone());
        run_blocking(move || {
            let directory = shared.directory.lock()?;
            let now = SystemTime::now();
            let entry = directory.read(&name, now)?;
            work(&shared, &directory, entry, now)
        })
        .await
    }
}

/// Runs `work` on a thread that may wait for the disk. It runs to its end even if the caller is dropped.
async fn run_blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, DirectoryError> + Send + 'static,
) -> Result<R, Error> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|_| Error::unavailable("the call of the store did not finish"))?.map_err(unavailable)
}

impl Shared {
    fn leases(&self) -> MutexGuard<'_, HashMap<EntryName, (LeaseNumber, File)>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns `true` if this process still holds a lease.
    ///
    /// The number in the lease file decides, not the lock. If this process was stopped during its login, the lease may
    /// have expired and another process may have taken it over. This process then still has a lock, but on the removed
    /// file.
    fn holds(
        &self,
        directory: &LockedDirectory<'_>,
        name: &EntryName,
        lease: LeaseNumber,
        now: SystemTime,
    ) -> Result<bool, DirectoryError> {
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

fn unavailable(error: DirectoryError) -> Error {
    Error::unavailable("the token directory cannot be used").with_cause(&error)
}

#[async_trait]
impl TokenStore for FileStore {
    fn name(&self) -> &'static str {
        INFO.provider
    }

    fn sealing(&self) -> &Sealing {
        &self.0.sealing
    }

    /// Returns 12 seconds: 10 seconds to wait for other processes, and 2 seconds for the disk.
    fn timeout(&self) -> Duration {
        LOCK_TIMEOUT + Duration::from_secs(2)
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
            // The holder of the last lease may have died before its save. Then its number is only in the lease file,
            // and the next number must still be higher.
            entry.record.lease_number = entry.record.lease_number.max(last.lease_number);
            let (outcome, snapshot) = entry.record.lease(known, now, held);
            if let (LeaseOutcome::Granted(lease_number), Some(mut lock)) = (outcome, lock) {
                LeaseNote { lease_number, until: now + ttl }.write(&mut lock)?;
                shared.leases().insert(own, (lease_number, lock));
            }
            Ok((outcome, snapshot))
        })
        .await
    }

    async fn claim_refresh(&self, name: &EntryName, lease: LeaseNumber) -> Result<Option<Secret>, Error> {
        let own = name.clone();
        self.with_entry(name, move |shared, directory, mut entry, now| {
            if !shared.holds(directory, &own, lease, now)? {
                return Ok(None);
            }
            // A lease is written to the lease file only, so the entry's file still has an older number.
            entry.record.lease_number = lease;
            let refresh = entry.record.claim_refresh(lease);
            if refresh.is_some() {
                directory.write(&own, &entry)?;
            }
            Ok(refresh)
        })
        .await
    }

    async fn save(&self, name: &EntryName, lease: LeaseNumber, update: EntryUpdate) -> Result<bool, Error> {
        let own = name.clone();
        let saved = self
            .with_entry(name, move |shared, directory, mut entry, now| {
                let ttl = update.ttl.min(MAX_TTL);
                if !shared.holds(directory, &own, lease, now)? || !entry.record.save(lease, update) {
                    return Ok(false);
                }
                entry.until = entry.until.max(now + ttl);
                directory.write(&own, &entry)?;
                if directory.is_clean_up_due(now)? {
                    // The save itself has succeeded: a broken file of another entry must not fail it.
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

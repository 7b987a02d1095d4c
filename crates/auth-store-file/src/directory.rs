//! The directory of the entries: checks its permissions, locks it for each call, and replaces its files atomically.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

use auth_core::store::{EntryName, FORMAT_VERSION, LeaseNumber};
use auth_core::{SecretBytes, targets};

use crate::entry::Entry;

/// The longest file that is read, in bytes. An entry has a few thousand bytes.
const MAX_FILE_SIZE: u64 = 1024 * 1024;

/// How long a call waits for the lock. Work under the lock takes about a millisecond, and waiting processes get the
/// lock in turn. If it is not free after this time, its holder was probably stopped.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// A time in a file that is further ahead than this was written while the clock was wrong.
const MAX_CLOCK_ERROR: Duration = Duration::from_secs(24 * 3600);

/// How often expired entries are removed.
const CLEAN_UP_INTERVAL: Duration = Duration::from_secs(3600);

/// The reason why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Unsafe(&'static str),
    #[error("another process has held the lock for 10 s and may be stopped")]
    LockTimeout,
}

impl DirectoryError {
    /// Returns the end of the sentence "the setting `dir` …".
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::Io(_) => "must be a directory that this program can create, read and write",
            Self::Unsafe(_) | Self::LockTimeout => {
                "must be a directory that you own and that nobody else can read (chmod 700)"
            }
        }
    }
}

#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(path: &Path) -> Self {
        // Collecting the components removes a slash at the end. With it, the system would follow a symbolic link.
        Self(path.components().collect())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Creates the directory if it is missing, and checks that only its owner has access.
    pub(crate) fn prepare(&self) -> Result<(), DirectoryError> {
        if !self.0.try_exists()? {
            let mut builder = DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(&self.0)?;
        }
        let metadata = fs::symlink_metadata(&self.0)?;
        if !metadata.is_dir() {
            return Err(DirectoryError::Unsafe("it is a symbolic link, or not a directory"));
        }
        check_owner(&metadata, "the directory belongs to another user, or others have access to it (chmod 700)")
    }

    /// Locks the directory against all other processes, until the result is dropped or the process ends.
    pub(crate) fn lock(&self) -> Result<LockedDirectory<'_>, DirectoryError> {
        self.prepare()?;
        let lock = self.open("lock", OpenOptions::new().read(true).write(true).create(true).truncate(false))?;
        let lock = match lock.try_lock() {
            Ok(()) => lock,
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Err(TryLockError::WouldBlock) => wait_for_lock(lock)?,
        };
        Ok(LockedDirectory { directory: self, lock })
    }

    /// Checks that an entry can be written now.
    pub(crate) fn probe(&self) -> Result<(), DirectoryError> {
        self.prepare()?;
        let name = format!("{}.probe", std::process::id());
        let written = self
            .open(&name, OpenOptions::new().write(true).create(true).truncate(true))
            .and_then(|mut file| Ok(file.write_all(&[b' '; 4096])?));
        let removed = remove_file(&self.0.join(&name));
        written.and(Ok(removed?))
    }

    /// Opens a file of this directory.
    ///
    /// Refuses symbolic links, special files, and files to which other users have access.
    fn open(&self, name: &str, options: &mut OpenOptions) -> Result<File, DirectoryError> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            // Without NONBLOCK, opening a named pipe would wait for its other end.
            let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
            options.mode(0o600).custom_flags(flags.bits().cast_signed());
        }
        let file = options.open(self.0.join(name))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(DirectoryError::Unsafe("one of its files is not a regular file"));
        }
        check_owner(&metadata, "one of its files belongs to another user, or others have access to it (chmod 600)")?;
        Ok(file)
    }
}

/// Waits for the lock in the kernel's queue, which serves processes in turn.
///
/// The wait cannot be interrupted, so it happens on another thread. After a timeout, that thread continues to wait.
/// When it gets the lock, nobody receives the file any more. The file is closed, which releases the lock at once.
fn wait_for_lock(lock: File) -> Result<File, DirectoryError> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let locked = lock.lock().map(|()| lock);
        let _ = sender.send(locked);
    });
    match receiver.recv_timeout(LOCK_TIMEOUT) {
        Ok(locked) => Ok(locked?),
        Err(_) => Err(DirectoryError::LockTimeout),
    }
}

/// The locked directory: no other process can use it.
pub(crate) struct LockedDirectory<'a> {
    directory: &'a Directory,
    lock: File,
}

impl LockedDirectory<'_> {
    /// Reads an entry. Returns an empty one if it is missing, broken or expired.
    pub(crate) fn read(&self, name: &EntryName, now: SystemTime) -> Result<Entry, DirectoryError> {
        let entry = self.parse(&entry_file(name))?;
        // A lease number that was written while the clock was far ahead would be higher than all new numbers until that
        // time.
        let is_current =
            |entry: &Entry| entry.until >= now && system_time(entry.record.lease_number) < now + MAX_CLOCK_ERROR;
        Ok(entry.filter(is_current).unwrap_or_else(Entry::empty))
    }

    /// Replaces an entry atomically. Readers, and the next process after a crash, find either the old or the new entry.
    pub(crate) fn write(&self, name: &EntryName, entry: &Entry) -> Result<(), DirectoryError> {
        let (file, temporary) = (entry_file(name), temporary_file(name));
        let bytes = entry.to_json().map_err(io::Error::other)?;
        // A killed process may have left its temporary file.
        remove_file(&self.directory.0.join(&temporary))?;
        let mut new = self.directory.open(&temporary, OpenOptions::new().write(true).create_new(true))?;
        new.write_all(bytes.as_ref())?;
        new.sync_all()?;
        fs::rename(self.directory.0.join(&temporary), self.directory.0.join(file))?;
        // The rename is durable once the directory is synced. Some systems cannot open a directory as a file.
        if let Ok(directory) = File::open(&self.directory.0) {
            let _ = directory.sync_all();
        }
        Ok(())
    }

    /// Locks the lease file of an entry until the returned file is closed.
    ///
    /// Returns `None` if another process holds the lease and it has not expired.
    pub(crate) fn try_lease(&self, name: &EntryName, now: SystemTime) -> Result<Option<File>, DirectoryError> {
        let file = self.open_lease(name)?;
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Err(TryLockError::WouldBlock) => {}
        }
        let note = LeaseNote::read(file)?;
        if note.until > now && note.until < now + 2 * MAX_CLOCK_ERROR {
            return Ok(None);
        }
        // The holder was stopped (Ctrl-Z), and its lease has expired. It keeps its lock, but only on the file that is
        // removed here. A new file under the same name can be locked. When the holder continues, `Shared::holds`
        // prevents its save.
        remove_file(&self.directory.0.join(lease_file(name)))?;
        let mut file = self.open_lease(name)?;
        file.try_lock().map_err(|_| DirectoryError::LockTimeout)?;
        note.write(&mut file)?;
        Ok(Some(file))
    }

    /// Reads the last lease of an entry. Its number is 0 if it was written while the clock was far ahead.
    pub(crate) fn lease_note(&self, name: &EntryName, now: SystemTime) -> Result<LeaseNote, DirectoryError> {
        let mut note = LeaseNote::read(self.open_lease(name)?)?;
        if system_time(note.lease_number) > now + MAX_CLOCK_ERROR {
            note.lease_number = LeaseNumber(0);
        }
        Ok(note)
    }

    fn open_lease(&self, name: &EntryName) -> Result<File, DirectoryError> {
        let options = &mut OpenOptions::new();
        self.directory.open(&lease_file(name), options.read(true).write(true).create(true).truncate(false))
    }

    /// Returns `true` if a clean-up is due, and starts the next interval.
    pub(crate) fn is_clean_up_due(&self, now: SystemTime) -> Result<bool, DirectoryError> {
        let last = self.lock.metadata()?.modified()?;
        let is_clean_up_due = now.duration_since(last).is_ok_and(|since| since >= CLEAN_UP_INTERVAL);
        if is_clean_up_due {
            self.lock.set_modified(now)?;
        }
        Ok(is_clean_up_due)
    }

    /// Removes expired and broken entries, temporary files of killed processes, and lease files that nobody holds.
    ///
    /// Continues after an error and returns the first one.
    pub(crate) fn clean_up(&self, now: SystemTime) -> Result<(), DirectoryError> {
        self.for_each_file(|file, name| {
            if file.extension().is_some_and(|extension| extension == "new") {
                remove_file(&self.directory.0.join(file))?;
            }
            if self.parse(&entry_file(name))?.is_some_and(|entry| entry.until >= now) {
                return Ok(());
            }
            self.remove(name, now)
        })
    }

    /// Removes all entries, even those that are still valid. Continues after an error and returns the first one.
    pub(crate) fn clear(&self, now: SystemTime) -> Result<(), DirectoryError> {
        self.for_each_file(|_, name| self.remove(name, now))
    }

    fn for_each_file(
        &self,
        act: impl Fn(&Path, &EntryName) -> Result<(), DirectoryError>,
    ) -> Result<(), DirectoryError> {
        let mut first = Ok(());
        for found in fs::read_dir(&self.directory.0)? {
            let file = PathBuf::from(found?.file_name());
            let Some(name) = entry_name(&file) else { continue };
            first = first.and(act(&file, &name));
        }
        first
    }

    /// Removes an entry, its temporary file, and its lease file if nobody holds the lease.
    pub(crate) fn remove(&self, name: &EntryName, now: SystemTime) -> Result<(), DirectoryError> {
        remove_file(&self.directory.0.join(entry_file(name)))?;
        remove_file(&self.directory.0.join(temporary_file(name)))?;
        match self.try_lease(name, now) {
            Ok(None) => Ok(()),
            // A lease file that others can access is never used as a lease, so it can be removed.
            Ok(Some(_)) | Err(DirectoryError::Unsafe(_)) => Ok(remove_file(&self.directory.0.join(lease_file(name)))?),
            Err(error) => Err(error),
        }
    }

    fn parse(&self, file: &str) -> Result<Option<Entry>, DirectoryError> {
        let opened = match self.directory.open(file, OpenOptions::new().read(true)) {
            Err(DirectoryError::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let length = opened.metadata()?.len();
        let entry = if length > MAX_FILE_SIZE {
            None
        } else {
            // The spare room keeps the vector from growing: a smaller buffer would be freed without being wiped.
            let mut bytes = Vec::with_capacity(length as usize + 64);
            let read = opened.take(MAX_FILE_SIZE).read_to_end(&mut bytes);
            let bytes = SecretBytes::from(bytes);
            read?;
            Entry::parse(bytes.as_ref())
        };
        if entry.is_none() {
            tracing::warn!(target: targets::STORE, file, "a file of the store is not a valid entry and is ignored");
        }
        Ok(entry)
    }
}

/// The content of a lease file: the number of the lease, and when it expires.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeaseNote {
    pub(crate) lease_number: LeaseNumber,
    pub(crate) until: SystemTime,
}

impl LeaseNote {
    /// Reads a lease file. A missing or invalid number counts as 0, so that the lease counts as expired.
    fn read(file: File) -> Result<Self, DirectoryError> {
        let mut text = String::new();
        file.take(MAX_FILE_SIZE).read_to_string(&mut text)?;
        let mut numbers = text.split_whitespace().map(|number| number.parse().unwrap_or(0));
        let mut number = || LeaseNumber(numbers.next().unwrap_or(0));
        Ok(Self { lease_number: number(), until: system_time(number()) })
    }

    pub(crate) fn write(&self, file: &mut File) -> Result<(), DirectoryError> {
        let until = self.until.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        file.set_len(0)?;
        file.rewind()?;
        Ok(writeln!(file, "{} {}", self.lease_number.0, until.as_micros())?)
    }
}

/// Converts a number of microseconds since 1970, such as a lease number of `Record`.
fn system_time(number: LeaseNumber) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(number.0)).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn lease_file(name: &EntryName) -> String {
    file_name(name, "lease")
}

fn temporary_file(name: &EntryName) -> String {
    file_name(name, "new")
}

fn entry_file(name: &EntryName) -> String {
    file_name(name, "json")
}

fn file_name(name: &EntryName, extension: &str) -> String {
    format!("{}.v{FORMAT_VERSION}.{extension}", name.as_str())
}

/// Returns the name of the entry that a file belongs to, or `None` if the file has another format version or is not
/// from this store.
fn entry_name(file: &Path) -> Option<EntryName> {
    let stem = file.file_stem().and_then(OsStr::to_str)?;
    EntryName::parse(stem.strip_suffix(&format!(".v{FORMAT_VERSION}"))?)
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(unix)]
fn check_owner(metadata: &fs::Metadata, problem: &'static str) -> Result<(), DirectoryError> {
    use std::os::unix::fs::MetadataExt;
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o077 == 0;
    if is_own { Ok(()) } else { Err(DirectoryError::Unsafe(problem)) }
}

/// On Windows, files inherit the permissions of the user's own directories. They are not checked.
#[cfg(not(unix))]
fn check_owner(_: &fs::Metadata, _: &'static str) -> Result<(), DirectoryError> {
    Ok(())
}

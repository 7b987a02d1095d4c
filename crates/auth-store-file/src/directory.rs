//! The directory: who may read it, one lock for all that is done in it, and files that are whole at any instant.

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

/// An entry is a few thousand bytes; what is larger is none.
const LARGEST: u64 = 1024 * 1024;

/// What is done under the lock takes a millisecond or so, and who waits is served in turn: whoever holds it for so long
/// is not at work, but was stopped.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Nothing that was noted lies this far ahead, but by a clock that was wrong.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// How often what is over is looked for.
const CLEAN_UP: Duration = Duration::from_secs(3600);

/// Says why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Unsafe(&'static str),
    #[error("another process holds the lock and does not go on")]
    Locked,
}

impl Fault {
    /// What completes "the setting `dir` …".
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::Io(_) => "must be a directory that this program can make, read and write",
            Self::Unsafe(_) | Self::Locked => "must be a directory of your own that nobody else can read (chmod 700)",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(path: &Path) -> Self {
        // Without a slash at its end, by which a symbolic link would be followed.
        Self(path.components().collect())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the directory where it is missing, and checks that it is its owner's alone.
    pub(crate) fn ready(&self) -> Result<(), Fault> {
        if !self.0.try_exists()? {
            let mut builder = DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(&self.0)?;
        }
        // Of a link itself, not of what it points to.
        let metadata = fs::symlink_metadata(&self.0)?;
        if !metadata.is_dir() {
            return Err(Fault::Unsafe("it is a symbolic link, or no directory"));
        }
        own(&metadata, "others can read the directory (chmod 700), or it is another user's")
    }

    /// Keeps all other processes out of the directory, until the result is dropped or the process ends.
    pub(crate) fn locked(&self) -> Result<Locked<'_>, Fault> {
        self.ready()?;
        let lock = self.open("lock", OpenOptions::new().read(true).write(true).create(true).truncate(false))?;
        let lock = match lock.try_lock() {
            Ok(()) => lock,
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Err(TryLockError::WouldBlock) => wait_for(lock)?,
        };
        Ok(Locked { directory: self, lock })
    }

    /// Whether an entry could be written now.
    pub(crate) fn probe(&self) -> Result<(), Fault> {
        self.ready()?;
        let name = format!("{}.probe", std::process::id());
        let written = self
            .open(&name, OpenOptions::new().write(true).create(true).truncate(true))
            .and_then(|mut file| Ok(file.write_all(&[b' '; 4096])?));
        let removed = remove_file(&self.0.join(&name));
        written.and(Ok(removed?))
    }

    /// Opens a file of this directory: never through a symbolic link, and only one that is its owner's alone.
    fn open(&self, name: &str, options: &mut OpenOptions) -> Result<File, Fault> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            // Nor does it wait for the other end of what is no file.
            let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
            options.mode(0o600).custom_flags(flags.bits().cast_signed());
        }
        let file = options.open(self.0.join(name))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Fault::Unsafe("a file of it is no file"));
        }
        own(&metadata, "others can read a file of it (chmod 600), or it is another user's")?;
        Ok(file)
    }
}

/// Waits in the kernel's queue, in a thread that is left behind where that takes too long; it then has the lock for no
/// time.
fn wait_for(lock: File) -> Result<File, Fault> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let locked = lock.lock().map(|()| lock);
        let _ = sender.send(locked);
    });
    match receiver.recv_timeout(LONGEST_WAIT) {
        Ok(locked) => Ok(locked?),
        Err(_) => Err(Fault::Locked),
    }
}

/// The directory while no other process is in it.
pub(crate) struct Locked<'a> {
    directory: &'a Directory,
    lock: File,
}

impl Locked<'_> {
    /// Reads an entry; what is broken or over is as if it were not there.
    pub(crate) fn read(&self, name: &EntryName, now: SystemTime) -> Result<Entry, Fault> {
        let entry = self.parse(&file_of(name))?;
        // A number of a clock that was wrong would never be passed.
        let is_real = |entry: &Entry| entry.until >= now && time_of(entry.record.lease_number) < now + FAR;
        Ok(entry.filter(is_real).unwrap_or_else(Entry::empty))
    }

    /// Writes an entry, so that whoever reads it, whenever, finds the old one or the new one, whole.
    pub(crate) fn write(&self, name: &EntryName, entry: &Entry) -> Result<(), Fault> {
        let (file, temporary) = (file_of(name), new_of(name));
        let bytes = entry.write().map_err(io::Error::other)?;
        // One that a killed process has left.
        remove_file(&self.directory.0.join(&temporary))?;
        let mut new = self.directory.open(&temporary, OpenOptions::new().write(true).create_new(true))?;
        new.write_all(bytes.as_ref())?;
        new.sync_all()?;
        fs::rename(self.directory.0.join(&temporary), self.directory.0.join(file))?;
        // The name is a part of the directory. Not every system can open one.
        if let Ok(directory) = File::open(&self.directory.0) {
            let _ = directory.sync_all();
        }
        Ok(())
    }

    /// Locks an entry's lease for as long as the file lives; none where another process has it, and its time is not
    /// over.
    pub(crate) fn try_lease(&self, name: &EntryName, now: SystemTime) -> Result<Option<File>, Fault> {
        let file = self.open_lease(name)?;
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Err(TryLockError::WouldBlock) => {}
        }
        let note = LeaseNote::read(file)?;
        if note.until > now && note.until < now + 2 * FAR {
            return Ok(None);
        }
        // Whoever has it was stopped. It keeps the lock of a file that has no name any more.
        remove_file(&self.directory.0.join(lease_of(name)))?;
        let mut file = self.open_lease(name)?;
        file.try_lock().map_err(|_| Fault::Locked)?;
        note.write(&mut file)?;
        Ok(Some(file))
    }

    /// Whose the lease was last.
    pub(crate) fn lease_note(&self, name: &EntryName, now: SystemTime) -> Result<LeaseNote, Fault> {
        let mut note = LeaseNote::read(self.open_lease(name)?)?;
        if time_of(note.lease_number) > now + FAR {
            note.lease_number = LeaseNumber(0);
        }
        Ok(note)
    }

    fn open_lease(&self, name: &EntryName) -> Result<File, Fault> {
        let options = &mut OpenOptions::new();
        self.directory.open(&lease_of(name), options.read(true).write(true).create(true).truncate(false))
    }

    /// Whether it is time to look for what is over; it counts from then on.
    pub(crate) fn is_due(&self, now: SystemTime) -> Result<bool, Fault> {
        let last = self.lock.metadata()?.modified()?;
        let is_due = now.duration_since(last).is_ok_and(|since| since >= CLEAN_UP);
        if is_due {
            self.lock.set_modified(now)?;
        }
        Ok(is_due)
    }

    /// Removes the entries that are over or broken, what a killed process has left, and the files of leases that nobody
    /// holds. Goes on after a fault, and tells the first.
    pub(crate) fn clean_up(&self, now: SystemTime) -> Result<(), Fault> {
        self.each(|file, name| {
            if file.extension().is_some_and(|extension| extension == "new") {
                remove_file(&self.directory.0.join(file))?;
            }
            if self.parse(&file_of(name))?.is_some_and(|entry| entry.until >= now) {
                return Ok(());
            }
            self.remove(name, now)
        })
    }

    /// Removes all entries, whatever they are. Goes on after a fault, and tells the first.
    pub(crate) fn clear(&self, now: SystemTime) -> Result<(), Fault> {
        self.each(|_, name| self.remove(name, now))
    }

    fn each(&self, act: impl Fn(&Path, &EntryName) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut first = Ok(());
        for found in fs::read_dir(&self.directory.0)? {
            let file = PathBuf::from(found?.file_name());
            let Some(name) = name_of(&file) else { continue };
            first = first.and(act(&file, &name));
        }
        first
    }

    /// Removes an entry, what a killed process has left of it, and the file of its lease where nobody holds that.
    pub(crate) fn remove(&self, name: &EntryName, now: SystemTime) -> Result<(), Fault> {
        remove_file(&self.directory.0.join(file_of(name)))?;
        remove_file(&self.directory.0.join(new_of(name)))?;
        match self.try_lease(name, now) {
            Ok(None) => Ok(()),
            // One that cannot be read is nobody's.
            Ok(Some(_)) | Err(Fault::Unsafe(_)) => Ok(remove_file(&self.directory.0.join(lease_of(name)))?),
            Err(fault) => Err(fault),
        }
    }

    fn parse(&self, file: &str) -> Result<Option<Entry>, Fault> {
        let opened = match self.directory.open(file, OpenOptions::new().read(true)) {
            Err(Fault::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let length = opened.metadata()?.len();
        let entry = if length > LARGEST {
            None
        } else {
            // With room to spare, so that no other buffer is needed: this one is wiped.
            let mut bytes = Vec::with_capacity(length as usize + 64);
            let read = opened.take(LARGEST).read_to_end(&mut bytes);
            let bytes = SecretBytes::from(bytes);
            read?;
            Entry::parse(bytes.as_ref())
        };
        if entry.is_none() {
            tracing::warn!(target: targets::STORE, file, "a file of the store is no entry, and counts as absent");
        }
        Ok(entry)
    }
}

/// What is written in the file of a lease.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeaseNote {
    pub(crate) lease_number: LeaseNumber,
    pub(crate) until: SystemTime,
}

impl LeaseNote {
    /// Nobody's where nothing can be read.
    fn read(file: File) -> Result<Self, Fault> {
        let mut text = String::new();
        file.take(LARGEST).read_to_string(&mut text)?;
        let mut numbers = text.split_whitespace().map(|number| number.parse().unwrap_or(0));
        let mut number = || LeaseNumber(numbers.next().unwrap_or(0));
        Ok(Self { lease_number: number(), until: time_of(number()) })
    }

    pub(crate) fn write(&self, file: &mut File) -> Result<(), Fault> {
        let until = self.until.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        file.set_len(0)?;
        file.rewind()?;
        Ok(writeln!(file, "{} {}", self.lease_number.0, until.as_micros())?)
    }
}

/// Numbers are microseconds, like those of `Record`.
fn time_of(number: LeaseNumber) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(number.0)).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn lease_of(name: &EntryName) -> String {
    versioned(name, "lease")
}

fn new_of(name: &EntryName) -> String {
    versioned(name, "new")
}

fn file_of(name: &EntryName) -> String {
    versioned(name, "json")
}

fn versioned(name: &EntryName, extension: &str) -> String {
    format!("{}.v{FORMAT_VERSION}.{extension}", name.as_str())
}

/// The entry that a file belongs to; `None` for a file of another format or of somebody else.
fn name_of(file: &Path) -> Option<EntryName> {
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
fn own(metadata: &fs::Metadata, problem: &'static str) -> Result<(), Fault> {
    use std::os::unix::fs::MetadataExt;
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o077 == 0;
    if is_own { Ok(()) } else { Err(Fault::Unsafe(problem)) }
}

/// Elsewhere, a user's own directories are his own by inheritance.
#[cfg(not(unix))]
fn own(_: &fs::Metadata, _: &'static str) -> Result<(), Fault> {
    Ok(())
}

//! The directory: who may read it, one lock for all that is done in it, and files that are whole at any instant.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use auth_core::Body;
use auth_core::store::EntryName;

use crate::entry::Entry;

/// An entry is a few thousand bytes; what is larger is none.
const LARGEST: u64 = 1024 * 1024;

/// What is done under the lock takes a millisecond or so: whoever holds it longer is not at work.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Between two tries for the lock.
const PAUSE: Duration = Duration::from_millis(2);

/// Says why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{0}")]
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
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
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
        let start = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Locked { directory: self, _lock: lock }),
                Err(TryLockError::Error(error)) => return Err(error.into()),
                Err(TryLockError::WouldBlock) if start.elapsed() > LONGEST_WAIT => return Err(Fault::Locked),
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            }
        }
    }

    /// Opens a file of this directory: never through a symbolic link, and only one that is its owner's alone.
    fn open(&self, name: &str, options: &mut OpenOptions) -> Result<File, Fault> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
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

/// The directory while no other process is in it.
pub(crate) struct Locked<'a> {
    directory: &'a Directory,
    _lock: File,
}

impl Locked<'_> {
    /// Reads an entry; what is broken or over is as if it were not there.
    pub(crate) fn read(&self, name: &EntryName, now: SystemTime) -> Result<Entry, Fault> {
        let entry = self.parse(&file_of(name))?;
        Ok(entry.filter(|entry| entry.until >= now).unwrap_or_else(Entry::empty))
    }

    /// Writes an entry, so that whoever reads it, whenever, finds the old one or the new one, whole.
    pub(crate) fn write(&self, name: &EntryName, entry: &Entry) -> Result<(), Fault> {
        let (file, temporary) = (file_of(name), format!("{}.new", name.as_str()));
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

    /// Locks an entry's lease for as long as the file lives; none where another process has it.
    pub(crate) fn try_lease(&self, name: &EntryName) -> Result<Option<File>, Fault> {
        let options = &mut OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let lease = self.directory.open(&lease_of(name), options)?;
        match lease.try_lock() {
            Ok(()) => Ok(Some(lease)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Removes the entries that are over or broken, and the files of leases that nobody holds.
    pub(crate) fn remove(&self, is_over: impl Fn(&Entry) -> bool) -> Result<(), Fault> {
        for found in fs::read_dir(&self.directory.0)? {
            let file = PathBuf::from(found?.file_name());
            let Some(name) = file.file_stem().and_then(OsStr::to_str).and_then(EntryName::parse) else { continue };
            // What is not to be touched stays, and is told to those who ask for it.
            if !self.parse(&file_of(&name)).is_ok_and(|entry| entry.is_none_or(|entry| is_over(&entry))) {
                continue;
            }
            remove_file(&self.directory.0.join(file_of(&name)))?;
            if let Some(lease) = self.try_lease(&name)? {
                remove_file(&self.directory.0.join(lease_of(&name)))?;
                drop(lease);
            }
        }
        Ok(())
    }

    fn parse(&self, file: &str) -> Result<Option<Entry>, Fault> {
        let file = match self.directory.open(file, OpenOptions::new().read(true)) {
            Err(Fault::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let length = file.metadata()?.len();
        if length > LARGEST {
            return Ok(None);
        }
        // With room to spare, so that no other buffer is needed: this one is wiped.
        let mut bytes = Vec::with_capacity(length as usize + 64);
        let read = file.take(LARGEST).read_to_end(&mut bytes);
        let bytes = Body::from(bytes);
        read?;
        Ok(Entry::parse(bytes.as_ref()))
    }
}

fn lease_of(name: &EntryName) -> String {
    format!("{}.lease", name.as_str())
}

fn file_of(name: &EntryName) -> String {
    format!("{}.json", name.as_str())
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

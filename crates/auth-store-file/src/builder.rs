use std::fmt;
use std::path::PathBuf;

use auth_core::store::{Sealing, SealingKeys};
use auth_core::{Error, Secret};
use serde::Deserialize;

use crate::{FileStore, INFO};

/// Collects the settings of a [`FileStore`].
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct Builder {
    dir: Option<PathBuf>,
    keys: Option<Secret>,
    keys_file: Option<PathBuf>,
}

impl Builder {
    /// Reads the settings from the environment; see the [table](crate#settings).
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) naming the variable that cannot be read.
    pub fn from_env() -> Result<Self, Error> {
        INFO.read_env()
    }

    /// Sets the directory, which is made where it is missing. RequiredSettings.
    pub fn with_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Sets the keys that entries are sealed with, as [`SealingKeys::parse`] reads them. Default is not to seal them:
    /// the files are their owner's alone.
    pub fn with_keys(mut self, keys: impl Into<Secret>) -> Self {
        self.keys = Some(keys.into());
        self
    }

    /// Sets the file that holds the keys.
    pub fn with_keys_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.keys_file = Some(path.into());
        self
    }

    /// Checks the settings, and makes the directory where it is missing.
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) naming the setting that is missing or wrong: a directory
    /// that others can read, for one.
    pub fn build(self) -> Result<FileStore, Error> {
        let mut required = INFO.required();
        let dir = self.dir.unwrap_or_default();
        if dir.as_os_str().is_empty() {
            required.text("dir", None);
        }
        required.check()?;
        let keys = SealingKeys::from_settings(INFO, self.keys.as_ref(), self.keys_file.as_deref())?;
        FileStore::new(&dir, keys.map_or_else(Sealing::plain, Sealing::with_keys))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("dir", &self.dir).finish_non_exhaustive()
    }
}

//! The builder: reads and checks the settings.

use std::fmt;
use std::path::PathBuf;

use auth_core::store::{Sealing, SealingKeys};
use auth_core::{Error, Secret};
use serde::Deserialize;

use crate::{FileStore, INFO};

/// Collects the settings of a [`FileStore`].
///
/// ```no_run
/// use auth_store_file::FileStore;
///
/// let store = FileStore::builder()
///     .with_dir("/home/me/.cache/auth")
///     .with_keys_file("/home/me/.config/auth/keys")
///     .build()?;
/// # Ok::<(), auth_store_file::core::Error>(())
/// ```
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct Builder {
    dir: Option<PathBuf>,
    keys: Option<Secret>,
    keys_file: Option<PathBuf>,
}

impl Builder {
    /// Reads the settings from the environment variables of the [table](crate#settings).
    ///
    /// ```no_run
    /// use auth_store_file::Builder;
    ///
    /// let store = Builder::from_env()?.with_dir("/var/cache/auth").build()?;
    /// # Ok::<(), auth_store_file::core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) if a variable cannot be read. The error names the
    /// variable.
    pub fn from_env() -> Result<Self, Error> {
        INFO.read_env()
    }

    /// Sets the directory. [`build`](Self::build) creates it if it is missing. Required.
    ///
    /// ```no_run
    /// let store = auth_store_file::FileStore::builder().with_dir("/home/me/.cache/auth").build()?;
    /// # Ok::<(), auth_store_file::core::Error>(())
    /// ```
    pub fn with_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Sets the keys that seal the entries, in the format of [`SealingKeys::parse`].
    ///
    /// Without keys, entries are stored as plain text. Only the owner can read the files.
    ///
    /// ```
    /// let builder = auth_store_file::FileStore::builder()
    ///     .with_keys("1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    /// ```
    pub fn with_keys(mut self, keys: impl Into<Secret>) -> Self {
        self.keys = Some(keys.into());
        self
    }

    /// Sets a file with the keys, in place of [`with_keys`](Self::with_keys).
    ///
    /// ```
    /// let builder = auth_store_file::FileStore::builder().with_keys_file("/run/secrets/auth-keys");
    /// ```
    pub fn with_keys_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.keys_file = Some(path.into());
        self
    }

    /// Checks the settings and opens the store. Creates the directory if it is missing.
    ///
    /// ```no_run
    /// let builder = auth_store_file::FileStore::builder().with_dir("/home/me/.cache/auth");
    /// match builder.build() {
    ///     Ok(store) => println!("tokens are kept in {}", store.dir().display()),
    ///     Err(error) => eprintln!("{error}; look at {:?}", error.setting()),
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) if a setting is missing or wrong, for example if other
    /// users can read the directory. The error names the setting.
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

//! Sources that read a file before each login.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::{CredentialSource, from_fn};
use crate::error::{Error, ErrorKind};
use crate::provider::Provider;
use crate::secret::Secret;

/// The longest file, in bytes. A longer one is not a file of credentials.
const LONGEST: usize = 64 * 1024;

/// Returns a source that reads a file before each login and passes its text to `parse`.
///
/// The path is opened each time, so a symbolic link that is swapped, as in a mounted Kubernetes secret, has effect. A
/// byte order mark in front of the text and line breaks at its end are removed. A file that is missing, empty, not UTF-8
/// or longer than 64 KiB is an error of the source: it displaces no usable token.
///
/// ```no_run
/// # fn example<P: auth_core::Provider>(with_password: fn(&auth_core::Secret) -> Result<P, auth_core::Error>)
/// #     -> Result<(), auth_core::Error> {
/// # #[cfg(feature = "reqwest")] {
/// use auth_core::{TokenManager, credentials};
///
/// let source = credentials::from_file("/run/secrets/password", move |password| with_password(password));
/// let tokens = TokenManager::new(source)?;
/// # }
/// # Ok(())
/// # }
/// ```
pub fn from_file<P: Provider>(
    path: impl Into<PathBuf>,
    parse: impl Fn(&Secret) -> Result<P, Error> + Send + Sync + 'static,
) -> impl CredentialSource {
    let path = path.into();
    from_fn(move || parse(&read(&path)?))
}

/// Returns a source that reads a JSON file before each login and passes its settings to `build`.
///
/// It is [`from_file`] for the settings of a provider's builder. An error names the line and the column, never the
/// text.
///
/// ```no_run
/// # fn example<B: serde::de::DeserializeOwned + 'static, P: auth_core::Provider>(
/// #     build: fn(B) -> Result<P, auth_core::Error>,
/// # ) -> Result<(), auth_core::Error> {
/// # #[cfg(feature = "reqwest")] {
/// use auth_core::{TokenManager, credentials};
///
/// let source = credentials::from_json_file("/run/secrets/api.json", build); // such as `VoipexBuilder::build`
/// let tokens = TokenManager::new(source)?;
/// # }
/// # Ok(())
/// # }
/// ```
pub fn from_json_file<B: DeserializeOwned, P: Provider>(
    path: impl Into<PathBuf>,
    build: impl Fn(B) -> Result<P, Error> + Send + Sync + 'static,
) -> impl CredentialSource {
    let path = path.into();
    from_fn(move || {
        let text = read(&path)?;
        let settings = serde_json::from_str(text.expose()).map_err(|error| {
            // The text of serde's error is left out, because it may repeat a secret.
            let place = format!("is not valid: check line {}, column {}", error.line(), error.column());
            unusable(&path, &place)
        })?;
        build(settings)
    })
}

fn read(path: &Path) -> Result<Secret, Error> {
    let bytes = read_bytes(path).map_err(|error| unusable(path, "cannot be read").with_cause(&error))?;
    if bytes.len() > LONGEST {
        return Err(unusable(path, "is longer than 64 KiB"));
    }
    let text = str::from_utf8(&bytes).map_err(|_| unusable(path, "is not UTF-8 text"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(unusable(path, "is empty"));
    }
    Ok(text.into())
}

fn read_bytes(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    // With this capacity, the buffer never moves and leaves no copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * LONGEST));
    File::open(path)?.take(LONGEST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unusable(path: &Path, problem: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the file of the credentials, `{}`, {problem}", path.display()))
}

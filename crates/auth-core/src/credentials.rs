//! Where a manager gets its credentials from: a fixed provider, or a source that is asked before each login.
//!
//! A [`Provider`] is the constant source: `TokenManager::builder(provider)` always logs in with the same credentials.
//! If the credentials change while the program runs, pass a [`CredentialSource`] instead. This module has sources for
//! [a file](from_file), [a JSON file](from_json_file), [a closure](from_fn) and [an async closure](from_async_fn). For
//! environment variables, use `from_fn(Voipex::from_env)`, with your provider in place of `Voipex`.
//!
//! # When a source is asked
//!
//! - It is asked before each login and each refresh, never for a token in memory.
//! - If the server refuses the credentials, the source is asked again at once, because they may just have been rotated.
//!   Changed credentials are tried at once.
//! - While a refusal pauses logins, the source is asked at most once a second, and only if somebody needs a token.
//!   Changed credentials end the pause, unless they are among the last eight that were refused.
//! - A source that fails never displaces a usable token. It is asked again after the backoff of an outage.
//!
//! ```no_run
//! # fn example<P: auth_core::Provider>(read: fn(&auth_core::Secret) -> Result<P, auth_core::Error>)
//! #     -> Result<(), auth_core::Error> {
//! # #[cfg(feature = "reqwest")] {
//! use auth_core::{TokenManager, credentials};
//!
//! // A Kubernetes secret that is mounted as a file. `read` builds the provider from its text.
//! let tokens = TokenManager::new(credentials::from_file("/run/secrets/api-password", read))?;
//! # }
//! # Ok(())
//! # }
//! ```

mod file;
mod fingerprint;
mod functions;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Error;
use crate::provider::Provider;

pub use file::{from_file, from_json_file};
pub(crate) use fingerprint::{Fingerprint, RefusedCredentials};
pub use functions::{from_async_fn, from_fn};

/// Returns the credentials for the next login.
///
/// The [module page](self) lists when a source is asked.
///
/// ```
/// use std::sync::Arc;
///
/// use auth_core::{CredentialSource, Error, Provider, async_trait};
///
/// #[derive(Debug)]
/// struct FromVault<P>(fn() -> Result<P, std::io::Error>);
///
/// #[async_trait]
/// impl<P: Provider> CredentialSource for FromVault<P> {
///     async fn provider(&self, _refused: Option<&Error>) -> Result<Arc<dyn Provider>, Error> {
///         match (self.0)() {
///             Ok(provider) => Ok(Arc::new(provider)),
///             Err(error) => Err(Error::source_failed(error)),
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait CredentialSource: fmt::Debug + Send + Sync + 'static {
    /// Returns a provider with the current credentials.
    ///
    /// `refused` is the error with which the server has refused the last credentials of this source. Each refusal is
    /// passed once. A source that caches should then read its credentials anew.
    ///
    /// The call runs on a thread of the logins, within the deadline of the login. It must not block its thread.
    ///
    /// # Errors
    /// [`Error::source_failed`] if the credentials cannot be read. A panic counts as such an error too.
    async fn provider(&self, refused: Option<&Error>) -> Result<Arc<dyn Provider>, Error>;
}

#[async_trait]
impl<S: CredentialSource + ?Sized> CredentialSource for Arc<S> {
    async fn provider(&self, refused: Option<&Error>) -> Result<Arc<dyn Provider>, Error> {
        (**self).provider(refused).await
    }
}

#[async_trait]
impl<S: CredentialSource + ?Sized> CredentialSource for Box<S> {
    async fn provider(&self, refused: Option<&Error>) -> Result<Arc<dyn Provider>, Error> {
        (**self).provider(refused).await
    }
}

/// What a manager logs in with: a [`Provider`], or a [`CredentialSource`].
///
/// It is implemented for both. You need not name it or `Kind`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a `Provider` nor a `CredentialSource`",
    note = "if it is a `Result`, return the provider itself, or use `credentials::from_fn`"
)]
pub trait IntoCredentials<Kind>: sealed::Sealed<Kind> {
    /// Converts this value into credentials.
    fn into_credentials(self) -> Credentials;
}

/// The credentials of one account, fixed or from a source.
#[derive(Debug, Clone)]
pub struct Credentials(pub(crate) Origin);

#[derive(Debug, Clone)]
pub(crate) enum Origin {
    Constant(Arc<dyn Provider>),
    Source(Arc<dyn CredentialSource>),
}

impl<P: Provider> IntoCredentials<sealed::ByProvider> for P {
    fn into_credentials(self) -> Credentials {
        Credentials(Origin::Constant(Arc::new(self)))
    }
}

impl<S: CredentialSource> IntoCredentials<sealed::BySource> for S {
    fn into_credentials(self) -> Credentials {
        Credentials(Origin::Source(Arc::new(self)))
    }
}

mod sealed {
    use super::CredentialSource;
    use crate::provider::Provider;

    /// Distinguishes the two implementations for the compiler.
    #[derive(Debug)]
    pub struct ByProvider;

    #[derive(Debug)]
    pub struct BySource;

    pub trait Sealed<Kind> {}

    impl<P: Provider> Sealed<ByProvider> for P {}

    impl<S: CredentialSource> Sealed<BySource> for S {}
}

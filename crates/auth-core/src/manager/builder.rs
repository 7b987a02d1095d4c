//! The settings of a manager.

use std::fmt;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::TokenManager;
use super::options::Options;
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::policy::Policy;
#[cfg(feature = "store")]
use crate::store::TokenStore;
use crate::transport::Transport;

/// Collects the settings of a [`TokenManager`].
///
/// ```no_run
/// # fn example(provider: impl auth_core::Provider, transport: impl auth_core::Transport) -> Result<(), auth_core::Error> {
/// use std::time::Duration;
///
/// use auth_core::{Policy, TokenManager};
///
/// let tokens = TokenManager::builder(provider)
///     .with_transport(transport)
///     .with_policy(Policy::default().with_deadline(Duration::from_secs(10)))
///     .with_label("tenant 4711")
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct TokenManagerBuilder {
    credentials: Credentials,
    label: Option<Arc<str>>,
    options: Options,
}

impl TokenManagerBuilder {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self { credentials, label: None, options: Options::default() }
    }

    /// Sets the transport. The default is one HTTPS client that all managers of the process share.
    ///
    /// Without the feature `reqwest` there is no default.
    ///
    /// ```
    /// # use auth_core::{Error, Provider, TokenManager, Transport};
    /// # fn example(provider: impl Provider, transport: impl Transport) -> Result<(), Error> {
    /// let tokens = TokenManager::builder(provider).with_transport(transport).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_transport(mut self, transport: impl Transport) -> Self {
        self.options.transport = Some(Arc::new(transport));
        self
    }

    /// Sets when tokens are refreshed, and when failed logins are tried again. The default is [`Policy::default`].
    ///
    /// ```
    /// # use auth_core::{Error, Provider, TokenManager, Transport};
    /// # fn example(provider: impl Provider, transport: impl Transport) -> Result<(), Error> {
    /// use auth_core::Policy;
    ///
    /// let policy = Policy::default().with_attempts(2);
    /// let tokens = TokenManager::builder(provider).with_transport(transport).with_policy(policy).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.options.policy = Arc::new(policy);
        self
    }

    /// Sets the store through which processes share the token. The default is none.
    ///
    /// Of all processes with the same credentials and the same store, one logs in, and the others take the token that
    /// it saves.
    ///
    /// The store is called before and after a login, never for a fresh token in memory. If the store is unreachable,
    /// callers are not affected: each process logs in for itself, and a login waits at most once for the store's
    /// [`timeout`](crate::store::TokenStore::timeout). Credentials without a [`Provider::identity`](crate::Provider::identity) are not shared. See
    /// [`store`](crate::store) for the protocol.
    ///
    /// ```
    /// # use auth_core::{Error, Provider, TokenManager, Transport, store::TokenStore};
    /// # use std::sync::Arc;
    /// # fn example(provider: impl Provider, transport: impl Transport, store: Arc<dyn TokenStore>) -> Result<(), Error> {
    /// let tokens = TokenManager::builder(provider).with_transport(transport).with_store(store).build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "store")]
    pub fn with_store(mut self, store: Arc<dyn TokenStore>) -> Self {
        self.options.store = Some(store);
        self
    }

    /// Sets a label that tells this manager from others, such as the name of a tenant. The default is none.
    ///
    /// Every `tracing` event of the manager carries it, and so does its [`Status`](crate::Status). It is no secret:
    /// logs show it.
    ///
    /// ```
    /// # use auth_core::{Error, Provider, TokenManager, Transport};
    /// # fn example(provider: impl Provider, transport: impl Transport) -> Result<(), Error> {
    /// let tokens = TokenManager::builder(provider).with_transport(transport).with_label("tenant 4711").build()?;
    /// assert_eq!(tokens.status().label.as_deref(), Some("tenant 4711"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_label(mut self, label: impl Into<Arc<str>>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Sets the clock by which the age of tokens is measured. The default is [`SystemClock`](crate::SystemClock).
    ///
    /// ```
    /// # use auth_core::{Error, Provider, TokenManager, Transport};
    /// # fn example(provider: impl Provider, transport: impl Transport) -> Result<(), Error> {
    /// use auth_core::SystemClock;
    ///
    /// let tokens = TokenManager::builder(provider).with_transport(transport).with_clock(SystemClock).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.options.clock = Arc::new(clock);
        self
    }

    /// Sets the runtime on which logins run. The default is the library's own.
    ///
    /// Use it if the connections of the transport or of the store live on a runtime of the program, or for a test with
    /// paused time. The runtime needs timers and I/O. If it shuts down, calls that need a login get an error.
    ///
    /// ```
    /// # use auth_core::{Error, Provider, TokenManager, Transport};
    /// # async fn example(provider: impl Provider, transport: impl Transport) -> Result<(), Error> {
    /// use tokio::runtime::Handle;
    ///
    /// let builder = TokenManager::builder(provider).with_transport(transport);
    /// let tokens = builder.with_runtime(Handle::current()).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_runtime(mut self, runtime: Handle) -> Self {
        self.options.runtime = crate::runtime::LoginRuntime::Given(runtime);
        self
    }

    /// Builds the manager. It sends nothing, and needs no runtime.
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) if there is no transport, or if the default one cannot be
    /// built because the system has no root certificates.
    ///
    /// # Example
    /// ```
    /// # use auth_core::{Error, Provider, TokenManager, Transport};
    /// # fn example(provider: impl Provider, transport: impl Transport) -> Result<(), Error> {
    /// let tokens = TokenManager::builder(provider).with_transport(transport).build()?;
    /// assert!(tokens.cached().is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn build(self) -> Result<TokenManager, Error> {
        Arc::new(self.options).manager(self.credentials, self.label)
    }
}

impl fmt::Debug for TokenManagerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenManagerBuilder").field("label", &self.label).finish_non_exhaustive()
    }
}

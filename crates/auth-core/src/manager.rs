//! The manager: the current token of one account, and its renewal.

mod blocking;
mod builder;
mod flight;
mod future;
mod look;
pub(crate) mod options;
#[cfg(feature = "store")]
mod recall;
mod rejection;
mod renewal;
mod state;
mod status;
mod task;
mod waits;
mod warm;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Moment;
use crate::cooldown::Cooldown;
use crate::credentials::{Credentials, Fingerprint, IntoCredentials, Origin};
use crate::error::Error;
use crate::freshness::{Freshness, Term};
use crate::login::provider_calls::ProviderCalls;
use crate::need::{Need, Reason};
use crate::provider::Provider;
use crate::runtime::is_library_thread;
use crate::token::AccessToken;

use future::Wait;
use look::Looks;
use state::{Shared, is_usable};

pub use builder::TokenManagerBuilder;
pub use future::TokenFuture;
pub use status::Status;

/// Keeps the access token of one account fresh, for any number of callers.
///
/// - A fresh token costs two clock reads and a count of references: no lock, no allocation, no task.
/// - One login serves every caller that waits. It runs on threads of the library, with its own deadline. So it does not
///   depend on a caller's runtime, and a caller that is dropped or has a shorter timeout ends only its own wait.
/// - A token past its refresh point is returned at once while the next one is fetched. An error never displaces a
///   usable token, and neither does a server that rejects every token.
/// - A failure starts a cooldown, shared by all callers. Until it ends, calls without a usable token fail immediately
///   with the same error. After refused credentials, or a setting that the provider does not accept, it lasts 60, 120,
///   240 s and so on, 15 minutes at most. After an outage it is a backoff. After throttling it is the time that the
///   provider states. The numbers are settings of a [`Policy`](crate::Policy).
/// - If nobody asks for a token, no task and no timer runs, unless [`keep_warm`](Self::keep_warm) was called.
///
/// Cloning is cheap, and clones share everything. Building a manager needs no runtime and sends nothing.
///
/// ```no_run
/// # async fn example(provider: impl auth_core::Provider) -> Result<(), auth_core::Error> {
/// # #[cfg(feature = "reqwest")] {
/// use auth_core::TokenManager;
///
/// let tokens = TokenManager::new(provider)?;
/// let token = tokens.token().await?; // logs in
/// let token = tokens.token().await?; // the same token, from memory
/// # }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenManager(Arc<Shared>);

/// A token that was issued within this time before the call counts as new for [`TokenManager::renew`].
const NEW: Duration = Duration::from_secs(5);

impl TokenManager {
    /// Creates a manager that logs in by HTTPS, with the default settings. It sends nothing.
    ///
    /// All managers of the process that are built in this way share one HTTPS client, with the system's root
    /// certificates and proxy settings. For everything else, there is a [builder](Self::builder).
    ///
    /// `credentials` is a [`Provider`], or a [source](crate::credentials) whose credentials may change.
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) if the system has no root certificates. A login by plain http
    /// to a loopback address needs none.
    ///
    /// # Example
    /// ```no_run
    /// # fn example(provider: impl auth_core::Provider) -> Result<(), auth_core::Error> {
    /// let tokens = auth_core::TokenManager::new(provider)?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "reqwest")]
    pub fn new<Kind>(credentials: impl IntoCredentials<Kind>) -> Result<Self, Error> {
        Self::builder(credentials).build()
    }

    /// Returns a builder with the default settings.
    ///
    /// `credentials` is a [`Provider`], or a [source](crate::credentials) whose credentials may change.
    ///
    /// ```no_run
    /// # use auth_core::{Error, Provider, TokenManager, Transport};
    /// # fn example(provider: impl Provider, transport: impl Transport) -> Result<(), Error> {
    /// let tokens = TokenManager::builder(provider).with_transport(transport).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder<Kind>(credentials: impl IntoCredentials<Kind>) -> TokenManagerBuilder {
        TokenManagerBuilder::new(credentials.into_credentials())
    }

    /// Returns a usable token. If there is none, waits for a login or a refresh.
    ///
    /// The future decides when it is first polled, and works on every executor.
    ///
    /// # Errors
    /// The reason why there is no token. While the current token is usable, a failed refresh is not an error.
    ///
    /// # Cancel safety
    /// Dropping the future ends only this wait. A login that has started continues for the other callers.
    ///
    /// # Example
    /// ```no_run
    /// # async fn example(tokens: auth_core::TokenManager) -> Result<(), auth_core::Error> {
    /// let token = tokens.token().await?;
    /// let request = http::Request::get("https://api.example.com/v1/calls")
    ///     .header(http::header::AUTHORIZATION, token.authorization());
    /// # let _ = request;
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn token(&self) -> TokenFuture<'_> {
        TokenFuture::undecided(self)
    }

    /// Returns a usable token. If there is none, blocks this thread until the end of a login or a refresh.
    ///
    /// It needs no runtime. Inside async code it works too, but it blocks the thread there.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) in code that a login runs, such as a transport: the login would wait for
    /// itself, or stop others. Otherwise the errors of [`token`](Self::token).
    ///
    /// # Example
    /// ```no_run
    /// # fn example(tokens: auth_core::TokenManager) -> Result<(), auth_core::Error> {
    /// let token = tokens.blocking_token()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn blocking_token(&self) -> Result<AccessToken, Error> {
        if is_library_thread() || waits::is_in_flight() {
            return Err(self.0.misuse("`blocking_token` was called by code that a login runs; call `token` instead"));
        }
        blocking::block_on(self.token())
    }

    /// Returns the current token if it has at least a second left, without waiting and without a request.
    ///
    /// ```no_run
    /// # fn example(tokens: auth_core::TokenManager) {
    /// if let Some(token) = tokens.cached() {
    ///     println!("usable until {:?}", token.expires_at());
    /// }
    /// # }
    /// ```
    #[must_use]
    #[inline]
    pub fn cached(&self) -> Option<AccessToken> {
        self.cached_at(&self.0.clock.now())
    }

    /// Reports that a server rejected `token` with a 401, so that the next call gets a new one.
    ///
    /// If the manager already has a newer token, the call does nothing. The same holds if `token` has itself replaced a
    /// rejected one within the last [minute](crate::Policy::with_rejection_interval): then the server that rejects is the
    /// cause, and other callers keep the token. During a cooldown they keep it too, because no login could replace it.
    ///
    /// ```no_run
    /// # async fn example(tokens: auth_core::TokenManager, status: u16) -> Result<(), auth_core::Error> {
    /// let token = tokens.token().await?;
    /// // … a request with this token returns `status`.
    /// if status == 401 {
    ///     tokens.reject(&token);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn reject(&self, token: &AccessToken) {
        self.0.reject(token);
    }

    /// Returns a token that is valid for at least `min_validity`, and waits for a new one if the current token has less
    /// left.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) if `min_validity` is more than the lifetime of a token, or more than the last
    /// new token had left when it arrived; otherwise the errors of [`token`](Self::token).
    ///
    /// ```no_run
    /// # use auth_core::{Error, TokenManager};
    /// # async fn example(tokens: TokenManager) -> Result<(), Error> {
    /// use std::time::Duration;
    ///
    /// let token = tokens.token_valid_for(Duration::from_secs(300)).await?; // for a job of five minutes
    /// # Ok(())
    /// # }
    /// ```
    pub async fn token_valid_for(&self, min_validity: Duration) -> Result<AccessToken, Error> {
        let need = Need::Left(min_validity);
        let now = self.0.clock.now();
        if let Some((token, freshness)) = self.0.look_at(&now) {
            if need.is_met(&token, &now) {
                self.0.served(&token, freshness, &now);
                return Ok(token);
            }
            if is_usable(freshness) && token.lifetime() < min_validity {
                return Err(self.0.too_long(token.lifetime()));
            }
        }
        let token = self.0.clone().renewed(need, Reason::Manual).await?;
        let left = token.remaining_at(&self.0.clock.now());
        if left >= min_validity {
            return Ok(token);
        }
        // Remembered, so that the next call with the same requirement fails at once and makes no login.
        let mut state = self.0.lock();
        state.arrived_with = Some(state.arrived_with.map_or(left, |known| known.min(left)));
        Err(self.0.too_long(left))
    }

    /// Gets a new token even if the current one is fresh. If that fails, the current token is kept.
    ///
    /// A token that was issued within the 5 seconds before the call, or later, counts as new, so that many concurrent
    /// calls, or a loop, make one login. If a server has rejected the current token, call [`reject`](Self::reject) instead.
    ///
    /// # Errors
    /// The errors of [`token`](Self::token). During a cooldown the call fails immediately, even if the current
    /// token is usable.
    ///
    /// ```no_run
    /// # use auth_core::{Error, TokenManager};
    /// # async fn example(tokens: TokenManager) -> Result<(), Error> {
    /// let token = tokens.renew().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn renew(&self) -> Result<AccessToken, Error> {
        let now = self.0.clock.now();
        let start = Moment {
            monotonic: now.monotonic.checked_sub(NEW).unwrap_or(now.monotonic),
            wall: now.wall.checked_sub(NEW).unwrap_or(now.wall),
        };
        self.0.clone().renewed(Need::IssuedAfter(start), Reason::Manual).await
    }

    /// Replaces the credentials, for example after a rotation of the account's secret.
    ///
    /// This clears the cooldown. The next call starts a login with the new credentials. Until that login succeeds, the
    /// current token is still returned while it is usable. A login that is under way with the old credentials is
    /// repeated with the new ones. The same credentials again change nothing, and end no cooldown.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) if the credentials come from a [source](crate::credentials), which replaces
    /// them by itself.
    ///
    /// ```no_run
    /// # use auth_core::{Error, Provider, TokenManager};
    /// # fn example(tokens: TokenManager, provider: impl Provider) -> Result<(), Error> {
    /// tokens.replace_credentials(provider)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn replace_credentials(&self, provider: impl Provider) -> Result<(), Error> {
        let Some(old) = self.0.lock().constant_provider() else {
            return Err(self.0.misuse("the credentials come from a source; let the source return the new ones"));
        };
        let provider: Arc<dyn Provider> = Arc::new(provider);
        let new = ProviderCalls::new(provider.clone());
        // Code of a provider may panic or be slow, so it runs without the lock. An error means that it cannot be compared.
        let fingerprints = Fingerprint::of(&new).and_then(|new| Ok((new, Fingerprint::of(&ProviderCalls::new(old))?)));
        if fingerprints.is_ok_and(|(new, old)| new == old) {
            return Ok(());
        }
        let name = self.0.name.of(new.name());
        let renewer = self.0.options.renewer(new, name)?;
        let mut state = self.0.lock();
        state.credentials = Credentials(Origin::Constant(provider));
        state.renewer = Some(renewer);
        state.epoch += 1;
        state.refresh = None;
        state.cooldown = Cooldown::default();
        state.looks = Looks::default();
        state.arrived_with = None;
        if let Some(token) = self.0.current.load() {
            // Stale from now on, so that the next call starts a login.
            let term = Term { refresh: token.issued(), ..*token.term() };
            self.0.current.store(Some(&token.with_term(term)));
        }
        Ok(())
    }

    /// Returns a channel that yields each new token, or `None` after a rejection.
    ///
    /// A slow receiver sees only the newest value. The channel closes when the last clone of this manager is dropped.
    ///
    /// ```no_run
    /// # use auth_core::{Error, TokenManager};
    /// # async fn example(tokens: TokenManager) -> Result<(), Error> {
    /// let mut changes = tokens.subscribe();
    /// while changes.changed().await.is_ok() {
    ///     println!("a token: {}", changes.borrow_and_update().is_some());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Option<AccessToken>> {
        self.0.subscribe()
    }

    /// Starts a task that logs in now and renews the token at each refresh point, even if nobody asks for it.
    ///
    /// The task ends when the last clone of this manager is dropped. After
    /// [`replace_credentials`](Self::replace_credentials), it uses the new credentials within a minute.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the system has no thread for logins.
    ///
    /// ```no_run
    /// # use auth_core::{Error, TokenManager};
    /// # async fn example(tokens: TokenManager) -> Result<(), Error> {
    /// tokens.keep_warm()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn keep_warm(&self) -> Result<(), Error> {
        warm::keep_warm(&self.0)
    }

    /// Waits for the renewal under way, if there is one, at most for `timeout`. Returns `true` if none is left.
    ///
    /// Call it before the program ends: a renewal that a call has started in the background would end with the program,
    /// and its new token would be lost.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the system has no thread for logins.
    ///
    /// # Example
    /// ```no_run
    /// # async fn example(tokens: auth_core::TokenManager) -> Result<(), auth_core::Error> {
    /// use std::time::Duration;
    ///
    /// let token = tokens.token().await?;
    /// tokens.wait_idle(Duration::from_secs(2)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn wait_idle(&self, timeout: Duration) -> Result<bool, Error> {
        self.0.wait_idle(timeout).await
    }

    /// Returns a snapshot of the token and of the last failure, without a request.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.status()
    }

    /// Reads the store, without a request to the provider.
    ///
    /// If there is no usable token in memory, the token in the store becomes the current one, so that
    /// [`cached`](Self::cached) returns it. A cooldown in the store becomes visible in
    /// [`status`](Self::status). Without a store, this does nothing. You need not call it before
    /// [`token`](Self::token), which reads the store itself.
    ///
    /// # Errors
    /// The errors of the store, or [`Unavailable`](crate::ErrorKind::Unavailable) if it does not respond within its
    /// timeout.
    ///
    /// ```no_run
    /// # use auth_core::{Error, TokenManager};
    /// # async fn example(tokens: TokenManager) -> Result<(), Error> {
    /// tokens.recall().await?;
    /// println!("{:?}", tokens.cached());
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "store")]
    pub async fn recall(&self) -> Result<(), Error> {
        self.0.recall().await
    }
}

impl TokenManager {
    #[inline]
    pub(crate) fn cached_at(&self, now: &Moment) -> Option<AccessToken> {
        let (token, freshness) = self.0.look_at(now).filter(|(_, freshness)| is_usable(*freshness))?;
        self.0.served(&token, freshness, now);
        Some(token)
    }

    /// Returns a usable token, or the reason for a flight that the caller must wait for.
    #[inline]
    fn decide(&self) -> Result<AccessToken, Reason> {
        let now = self.0.clock.now();
        match self.0.look_at(&now) {
            Some((token, freshness)) if matches!(freshness, Freshness::Fresh | Freshness::Stale) => {
                self.0.served(&token, freshness, &now);
                if freshness == Freshness::Stale {
                    self.0.renew_behind(&now);
                }
                Ok(token)
            }
            Some(_) => Err(Reason::Expired),
            None => Err(Reason::Cold),
        }
    }

    /// Apart from the hit, which would otherwise make room on the stack for this future.
    #[cold]
    fn wait_for(&self, reason: Reason) -> Wait<'static> {
        Box::pin(self.0.clone().renewed(Need::Usable, reason))
    }

    /// Returns what a pool must know before it drops this manager.
    pub(crate) fn usage(&self, now: &Moment) -> Usage {
        let state = self.0.lock();
        let memory = self.0.options.policy.refusal_backoff.end();
        Usage {
            is_unused: state.generation == 0 && state.flight.is_none() && state.cooldown.last_error().is_none(),
            is_renewing: state.flight.is_some(),
            has_failed: state.cooldown.is_remembered(now, *memory),
            has_token: self.0.look_at(now).is_some_and(|(_, freshness)| is_usable(freshness)),
        }
    }
}

/// What would be lost if a pool dropped a manager.
pub(crate) struct Usage {
    /// Whether there was no login yet.
    pub(crate) is_unused: bool,
    pub(crate) is_renewing: bool,
    /// Whether a cooldown, or the count of refusals, would be lost. A new manager would log in at once.
    pub(crate) has_failed: bool,
    pub(crate) has_token: bool,
}

impl fmt::Debug for TokenManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenManager").field("status", &self.status()).finish_non_exhaustive()
    }
}

//! The manager: the current token of one account, and its renewal.

mod cursor;
mod flight;
#[cfg(feature = "metrics")]
mod meter;
#[cfg(not(feature = "metrics"))]
#[path = "manager/meter/absent.rs"]
mod meter;
mod need;
#[cfg(feature = "store")]
mod recall;
mod renewal;
#[cfg(feature = "store")]
mod share;
#[cfg(not(feature = "store"))]
#[path = "manager/share/absent.rs"]
mod share;
mod state;
mod status;
mod warm;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

#[cfg(shuttle)]
use shuttle::sync::Mutex;
#[cfg(not(shuttle))]
use std::sync::Mutex;
use tokio::sync::watch;

use crate::clock::Moment;
use crate::cooldown::Cooldown;
use crate::error::Error;
use crate::freshness::{Freshness, Term};
use crate::login::Login;
use crate::provider::Provider;
use crate::source::{TokenFuture, TokenSource};
#[cfg(feature = "store")]
use crate::store::TokenStore;
use crate::token::{AccessToken, Slot};
use crate::transport::Transport;

use cursor::StoreCursor;
use meter::Meter;
use need::{Need, Reason};
use share::Share;
use state::{Shared, State, is_usable};

pub use status::Status;

/// Keeps the token of one [`Login`] fresh, for any number of callers.
///
/// - A fresh token costs two clock reads and a pointer load: no lock, no allocation, no task.
/// - One login serves every caller that waits. It runs in a task of its own with its own deadline, so a caller that is
///   dropped or has a shorter timeout ends only its own wait.
/// - A token past its refresh point is returned at once while the next one is fetched. An error never displaces a
///   usable token.
/// - A failure starts a cooldown, shared by all callers. Until it ends, calls without a usable token fail immediately
///   with the same error. After refused credentials, or a setting that the provider does not accept, it lasts 60, 120,
///   240 s and so on, 15 minutes at most. After an outage it is a backoff. After throttling it is the time that the
///   provider states. The numbers are settings of a [`Policy`](crate::Policy).
/// - If nobody asks for a token, no task and no timer runs, unless [`keep_warm`](Self::keep_warm) was called.
///
/// Cloning is cheap, and clones share everything. Building a manager needs no runtime and sends nothing. Waiting for a
/// token needs tokio.
///
/// ```no_run
/// use auth_core::{Login, Provider, TokenManager, TokenSource, Transport};
///
/// # async fn example(provider: impl Provider, transport: impl Transport) -> Result<(), auth_core::Error> {
/// let tokens = TokenManager::new(Login::new(provider, transport));
/// let token = tokens.token().await?; // logs in
/// let token = tokens.token().await?; // the same token, from memory
/// # Ok(())
/// # }
/// ```
pub struct TokenManager<P, T>(Arc<Shared<P, T>>);

/// A token that was issued within this time counts as new for [`TokenManager::renew`].
const NEW: Duration = Duration::from_secs(5);

impl<P: Provider, T: Transport> TokenManager<P, T> {
    /// Creates a manager without a token. It sends nothing.
    #[must_use]
    pub fn new(login: Login<P, T>) -> Self {
        Self::sharing(login, Share::none())
    }

    /// Creates a manager that shares its token with other processes through a store.
    ///
    /// Of all processes with the same credentials and the same store, one logs in, and the others take the token that
    /// it saves.
    ///
    /// The store is called before and after a login, never for a fresh token in memory. If the store is unreachable,
    /// callers are not affected: each process logs in for itself, and a login waits at most once for the store's
    /// [`timeout`](crate::store::TokenStore::timeout). Credentials without a [`Provider::identity`] are not shared. See
    /// [`store`](crate::store) for the protocol.
    ///
    /// ```no_run
    /// use std::sync::Arc;
    ///
    /// use auth_core::store::TokenStore;
    /// use auth_core::{Login, Provider, TokenManager, Transport};
    ///
    /// # fn example(provider: impl Provider, transport: impl Transport, store: Arc<dyn TokenStore>) {
    /// let tokens = TokenManager::with_store(Login::new(provider, transport), store);
    /// # }
    /// ```
    #[cfg(feature = "store")]
    #[must_use]
    pub fn with_store(login: Login<P, T>, store: Arc<dyn TokenStore>) -> Self {
        Self::sharing(login, Share::with(store))
    }

    fn sharing(login: Login<P, T>, share: Share) -> Self {
        Self(Arc::new(Shared {
            clock: login.clock(),
            current: Slot::default(),
            changes: OnceLock::new(),
            meter: Meter::new(login.name()),
            share,
            state: Mutex::new(State {
                login: Arc::new(login),
                epoch: 0,
                generation: 0,
                refresh: None,
                cooldown: Cooldown::default(),
                flight: None,
                rejected: None,
                cursor: StoreCursor::default(),
            }),
        }))
    }

    /// Returns a token that is valid for at least `min_validity`, and waits for a new one if the current token has less
    /// left.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) if a token of this provider has a shorter lifetime than `min_validity`;
    /// otherwise the errors of [`token`](TokenSource::token).
    ///
    /// ```no_run
    /// # use auth_core::{Error, Login, Provider, TokenManager, TokenSource, Transport};
    /// # async fn example(tokens: TokenManager<impl Provider, impl Transport>) -> Result<(), Error> {
    /// use std::time::Duration;
    ///
    /// let token = tokens.token_valid_for(Duration::from_secs(300)).await?; // for a job of five minutes
    /// # Ok(())
    /// # }
    /// ```
    pub async fn token_valid_for(&self, min_validity: Duration) -> Result<AccessToken, Error> {
        let check = |token: AccessToken| {
            if token.lifetime() < min_validity {
                let lifetime = token.lifetime().as_secs();
                let what = format!("`min_validity` is more than the lifetime of a token, which is {lifetime} s");
                return Err(Error::misuse(what).with_provider(self.0.lock().login.name()));
            }
            Ok(Some(token).filter(|token| token.remaining_at(&self.0.clock.now()) >= min_validity))
        };
        let now = self.0.clock.now();
        if let Some((token, freshness)) = self.0.look_at(&now).filter(|(_, freshness)| is_usable(*freshness))
            && let Some(token) = check(token)?
        {
            self.0.meter.served(&token, freshness, &now);
            return Ok(token);
        }
        let renewed = self.0.clone().renewed(Need::Left(min_validity), Reason::Manual).await?;
        let too_slow = || {
            Error::unavailable("the new token took too long to arrive to be valid for `min_validity`")
                .with_provider(self.0.lock().login.name())
                .with_setting("min_validity")
        };
        check(renewed)?.ok_or_else(too_slow)
    }

    /// Gets a new token even if the current one is fresh. If that fails, the current token is kept.
    ///
    /// A token that was issued within the last 5 seconds counts as new, so that many concurrent calls, or a loop, make
    /// one login. If a server has rejected the current token, call [`reject`](TokenSource::reject) instead.
    ///
    /// # Errors
    /// The errors of [`token`](TokenSource::token). During a cooldown the call fails immediately, even if the current
    /// token is usable.
    ///
    /// ```no_run
    /// # use auth_core::{Error, Login, Provider, TokenManager, TokenSource, Transport};
    /// # async fn example(tokens: TokenManager<impl Provider, impl Transport>) -> Result<(), Error> {
    /// let token = tokens.renew().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn renew(&self) -> Result<AccessToken, Error> {
        self.0.clone().renewed(Need::Newer(NEW), Reason::Manual).await
    }

    /// Replaces the credentials, for example after a rotation of the account's secret.
    ///
    /// This clears the cooldown. The next call starts a login with the new credentials. Until that login succeeds, the
    /// current token is still returned while it is usable. A login that is under way with the old credentials is
    /// repeated with the new ones.
    ///
    /// ```no_run
    /// # use auth_core::{Error, Login, Provider, TokenManager, TokenSource, Transport};
    /// # fn example<P: Provider>(tokens: TokenManager<P, impl Transport>, provider: P) -> Result<(), Error> {
    /// tokens.replace_credentials(provider);
    /// # Ok(())
    /// # }
    /// ```
    pub fn replace_credentials(&self, provider: P) {
        let mut state = self.0.lock();
        state.login = Arc::new(state.login.with_provider(provider));
        state.epoch += 1;
        state.refresh = None;
        state.cooldown = Cooldown::default();
        if let Some(token) = self.0.current.load() {
            // Stale from now on, so that the next call starts a login.
            let term = Term { refresh: token.issued(), ..token.term() };
            self.0.current.store(Some(token.with(token.generation(), term)));
        }
    }

    /// Returns a channel that yields each new token, or `None` after a rejection.
    ///
    /// A slow receiver sees only the newest value. The channel closes when the last clone of this manager is dropped.
    ///
    /// ```no_run
    /// # use auth_core::{Error, Login, Provider, TokenManager, TokenSource, Transport};
    /// # async fn example(tokens: TokenManager<impl Provider, impl Transport>) -> Result<(), Error> {
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
    /// [`Misuse`](crate::ErrorKind::Misuse) outside a tokio runtime.
    ///
    /// ```no_run
    /// # use auth_core::{Error, Login, Provider, TokenManager, TokenSource, Transport};
    /// # async fn example(tokens: TokenManager<impl Provider, impl Transport>) -> Result<(), Error> {
    /// tokens.keep_warm()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn keep_warm(&self) -> Result<(), Error> {
        warm::keep_warm(&self.0)
    }

    /// Returns a snapshot of the token and of the last failure, without a request.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.status()
    }

    /// Reads the store, without a request to the provider.
    ///
    /// If there is no usable token in memory, the token in the store becomes the current one, so that
    /// [`cached`](crate::TokenSource::cached) returns it. A cooldown in the store becomes visible in
    /// [`status`](Self::status). Without a store, this does nothing. You need not call it before
    /// [`token`](crate::TokenSource::token), which reads the store itself.
    ///
    /// # Errors
    /// The errors of the store, or [`Unavailable`](crate::ErrorKind::Unavailable) if it does not respond within its
    /// timeout.
    ///
    /// ```no_run
    /// # use auth_core::{Error, Login, Provider, TokenManager, TokenSource, Transport};
    /// # async fn example(tokens: TokenManager<impl Provider, impl Transport>) -> Result<(), Error> {
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

impl<P: Provider, T: Transport> TokenManager<P, T> {
    pub(crate) fn cached_at(&self, now: &Moment) -> Option<AccessToken> {
        let (token, freshness) = self.0.look_at(now).filter(|(_, freshness)| is_usable(*freshness))?;
        self.0.meter.served(&token, freshness, now);
        Some(token)
    }

    /// Returns `true` if a cooldown prevents logins now.
    pub(crate) fn has_cooldown(&self) -> bool {
        self.0.lock().cooldown.remaining_at(&self.0.clock.now()).is_some()
    }
}

impl<P: Provider, T: Transport> TokenSource for TokenManager<P, T> {
    fn cached(&self) -> Option<AccessToken> {
        self.cached_at(&self.0.clock.now())
    }

    fn token(&self) -> TokenFuture<'_> {
        let now = self.0.clock.now();
        match self.0.look_at(&now) {
            Some((_, Freshness::Expired)) => TokenFuture::wait(self.0.clone().renewed(Need::Usable, Reason::Expired)),
            Some((token, freshness)) => {
                self.0.meter.served(&token, freshness, &now);
                if freshness == Freshness::Stale {
                    self.0.renew_behind(&now);
                }
                TokenFuture::ready(Ok(token))
            }
            None => TokenFuture::wait(self.0.clone().renewed(Need::Usable, Reason::Cold)),
        }
    }

    fn reject(&self, token: &AccessToken) {
        let mut state = self.0.lock();
        // Many requests may have been sent with one token. Only the first rejection counts. A later one must not remove
        // the token that has replaced it.
        if !self.0.current.load().is_some_and(|current| current.ptr_eq(token)) {
            return;
        }
        self.0.replace(None);
        let now = self.0.clock.now();
        let login = state.login.clone();
        state.cooldown.record_rejection(now.since(&token.issued()), now, login.name(), login.policy());
        state.rejected = Some(token.clone());
        self.0.share.forget(&state.cursor);
    }
}

impl<P, T> Clone for TokenManager<P, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: Provider, T: Transport> fmt::Debug for TokenManager<P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenManager").field("status", &self.status()).finish_non_exhaustive()
    }
}

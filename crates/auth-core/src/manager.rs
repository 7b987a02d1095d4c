//! Keeps one credential's token fresh.

mod flight;
#[cfg(feature = "metrics")]
mod meter;
#[cfg(not(feature = "metrics"))]
#[path = "manager/meter/absent.rs"]
mod meter;
#[cfg(feature = "store")]
mod recall;
mod renewal;
#[cfg(feature = "store")]
mod share;
#[cfg(not(feature = "store"))]
#[path = "manager/share/absent.rs"]
mod share;
mod status;
#[cfg(test)]
mod tests;
mod warm;

use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError};
#[cfg(not(shuttle))]
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

#[cfg(shuttle)]
use shuttle::sync::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::clock::{Clock, Moment};
use crate::cooldown::Cooldown;
use crate::error::Error;
use crate::freshness::{Freshness, Term};
use crate::login::Login;
use crate::provider::Provider;
use crate::source::{TokenFuture, TokenSource};
#[cfg(feature = "store")]
use crate::store::TokenStore;
use crate::token::{AccessToken, RefreshToken, Slot};
use crate::transport::Transport;

use flight::{Flight, Reason};
use meter::Meter;
use renewal::Need;
use share::{Share, StoreCursor};

pub use status::Status;

/// Keeps the token of one [`Login`] fresh, for any number of callers.
///
/// - A fresh token costs two clock reads and a pointer load: no lock, no allocation, no task.
/// - One login serves everybody who waits for it. It has a deadline of its own and ends on its own: a caller that is
///   dropped, or runs out of timeout, ends its own wait alone.
/// - A token past its refresh point is handed out while the next is fetched; an error never displaces a usable token.
/// - A failure is remembered: refused credentials, and settings that the provider does not accept, are tried again after
///   60, 120, 240 … seconds (15 minutes at most), an unavailable provider after a back-off, a throttling one when it
///   says. Until then callers get the error at once. The numbers are those of a [`Policy`](crate::Policy).
/// - Nothing runs while nobody asks.
///
/// Cheap to clone; clones share everything. Building one needs no runtime, and sends nothing; waiting for a token needs
/// tokio.
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

/// A token of this age need not be renewed, whoever asks.
const NEW: Duration = Duration::from_secs(5);

struct Shared<P, T> {
    clock: Arc<dyn Clock>,
    /// The one thing that a hit reads.
    current: Slot,
    state: Mutex<State<P, T>>,
    /// None before the first subscriber: a channel is nearly half of what an account takes. Written under the lock.
    changes: OnceLock<watch::Sender<Option<AccessToken>>>,
    meter: Meter,
    share: Share,
}

/// What only a miss reads. Never locked across an await.
struct State<P, T> {
    login: Arc<Login<P, T>>,
    /// Counts the credentials, so that a login with older ones is told apart.
    epoch: u64,
    /// Counts the tokens.
    generation: u64,
    refresh: Option<RefreshToken>,
    cooldown: Cooldown,
    flight: Option<Flight>,
    /// What was rejected since a flight last succeeded: one under way may not bring it back, and none may take it from a
    /// store.
    rejected: Option<AccessToken>,
    cursor: StoreCursor,
}

impl<P: Provider, T: Transport> TokenManager<P, T> {
    /// Starts without a token; needs no runtime and sends nothing.
    #[must_use]
    pub fn new(login: Login<P, T>) -> Self {
        Self::sharing(login, Share::none())
    }

    /// Starts without a token, and shares one with all processes that have the same credentials and the same store: one
    /// of them logs in, the others take what it saved.
    ///
    /// The store is asked before a login and told after it, never on a hit. Where it is out of reach, no caller hears
    /// of it: each process logs in for itself, and a login waits for a store that does not answer once, as long as its
    /// [`timeout`](crate::store::TokenStore::timeout) lasts. Credentials without a [`Provider::identity`] are not
    /// shared. See [`store`](crate::store).
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

    /// Gives a token with at least `min_validity` left, and waits for a new one where the current has less.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse), at once, if no token of this provider has that lifetime;
    /// else as [`token`](TokenSource::token).
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

    /// Gets a new token, whatever the current one is worth; that one stays where this fails. A token that was issued
    /// within the last 5 seconds counts as new, so that many who ask at once, or one who asks in a loop, are one login.
    ///
    /// Where a server has rejected the current token, [`reject`](TokenSource::reject) is the call.
    ///
    /// # Errors
    /// As [`token`](TokenSource::token), at once where a failure stops logins for now.
    pub async fn renew(&self) -> Result<AccessToken, Error> {
        self.0.clone().renewed(Need::Newer(NEW), Reason::Manual).await
    }

    /// Replaces the credentials, as after a rotation of the secret of the same account.
    ///
    /// What was remembered of refusals is forgotten. The current token serves on until the next call has fetched one
    /// with the new credentials; a login under way with the old ones is repeated with the new.
    pub fn replace_credentials(&self, provider: P) {
        let mut state = self.0.lock();
        state.login = Arc::new(state.login.with_provider(provider));
        state.epoch += 1;
        state.refresh = None;
        state.cooldown = Cooldown::default();
        if let Some(token) = self.0.current.load() {
            // Stale at once.
            let term = Term { refresh: token.issued(), ..token.term() };
            self.0.current.store(Some(token.with(token.generation(), term)));
        }
    }

    /// Tells each change of the token: a new one, or none where it was rejected. The receiver ends with the last clone
    /// of this manager.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Option<AccessToken>> {
        let _state = self.0.lock();
        self.0.changes.get_or_init(|| watch::channel(self.0.current.load()).0).subscribe()
    }
}

impl<P: Provider, T: Transport> TokenManager<P, T> {
    pub(crate) fn cached_at(&self, now: &Moment) -> Option<AccessToken> {
        let (token, freshness) = self.0.look_at(now).filter(|(_, freshness)| is_usable(*freshness))?;
        self.0.meter.served(&token, freshness, now);
        Some(token)
    }

    /// Whether a failure stops logins for now.
    pub(crate) fn is_paused(&self) -> bool {
        self.0.lock().cooldown.remaining_at(&self.0.clock.now()).is_some()
    }
}

impl<P: Provider, T: Transport> Shared<P, T> {
    fn lock(&self) -> MutexGuard<'_, State<P, T>> {
        // Each change under the lock is whole, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts another token in place, or none, and tells the subscribers. Called under the lock, so that they hear of it
    /// in order.
    fn replace(&self, token: Option<AccessToken>) {
        self.current.store(token.clone());
        if let Some(changes) = self.changes.get() {
            changes.send_replace(token);
        }
    }

    fn look_at(&self, now: &Moment) -> Option<(AccessToken, Freshness)> {
        let token = self.current.load()?;
        let freshness = token.term().at(now);
        Some((token, freshness))
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

fn is_usable(freshness: Freshness) -> bool {
    freshness != Freshness::Expired
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

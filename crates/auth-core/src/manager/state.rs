//! The state that all clones of a manager share.

use std::sync::{Arc, OnceLock, PoisonError};
#[cfg(not(shuttle))]
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

#[cfg(shuttle)]
use shuttle::sync::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::look::Looks;
use super::options::Options;
use super::waits::FlightId;
use crate::clock::{Clock, Moment};
use crate::cooldown::Cooldown;
use crate::credentials::{CredentialSource, Credentials, Fingerprint, Origin, RefusedCredentials};
use crate::error::Error;
use crate::freshness::Freshness;
use crate::meter::Meter;
use crate::name::ManagerName;
use crate::need::{Need, Outcome};
use crate::provider::Provider;
use crate::renew::Renew;
#[cfg(feature = "store")]
use crate::renew::StoreCursor;
use crate::slot::Slot;
use crate::token::{AccessToken, RefreshToken};

/// A flight under way.
#[derive(Clone)]
pub(super) struct Flight {
    pub(super) id: FlightId,
    /// Whether it runs during a cooldown, and only looks for other credentials or for another process's token.
    pub(super) is_look: bool,
    pub(super) progress: watch::Receiver<Progress>,
}

/// How far a flight is.
#[derive(Debug, Clone)]
pub(super) enum Progress {
    Running,
    /// It takes so long that callers with an expiring token no longer wait.
    Slow,
    Ended(Outcome),
}

impl Progress {
    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Self::Ended(_))
    }
}

pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    /// The only field that a hit reads, apart from the clock.
    pub(super) current: Slot,
    pub(super) state: Mutex<State>,
    /// Created for the first subscriber, because a channel would be nearly half of an account's memory. Written under
    /// the lock.
    pub(super) changes: OnceLock<watch::Sender<Option<AccessToken>>>,
    /// Created when the provider's name is known.
    pub(super) meter: OnceLock<Meter>,
    pub(super) name: ManagerName,
    pub(super) options: Arc<Options>,
}

/// The state that only a miss reads. The lock is never held across an await.
pub(super) struct State {
    pub(super) credentials: Credentials,
    /// Logs in with the credentials that the source has returned last, if it has returned any.
    pub(super) renewer: Option<Arc<dyn Renew>>,
    /// Identifies the credentials that the source has returned last.
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) refused: RefusedCredentials,
    /// A refusal of which the source has not been told yet.
    pub(super) refusal: Option<Error>,
    /// When to look for other credentials or another process's token during a cooldown.
    pub(super) looks: Looks,
    /// Counts the replacements of the credentials, so that `commit` recognises the result of a login with old ones.
    pub(super) epoch: u64,
    /// Counts the tokens.
    pub(super) generation: u64,
    /// The epoch of the current token.
    pub(super) token_epoch: u64,
    /// How long the token of the last login was still valid when it arrived.
    pub(super) arrived_with: Option<Duration>,
    /// The generation of the last token that was kept although a server rejected it.
    pub(super) kept: u64,
    pub(super) refresh: Option<RefreshToken>,
    pub(super) cooldown: Cooldown,
    pub(super) flight: Option<Flight>,
    /// A renewal that was ended at its deadline, but whose code blocks its thread.
    pub(super) blocked: Option<AbortHandle>,
    /// The token that a server rejected since the last successful flight. A flight that was already under way must not
    /// bring it back, and no flight may take it from a store.
    pub(super) rejected: Option<AccessToken>,
    #[cfg(feature = "store")]
    pub(super) cursor: Option<StoreCursor>,
    /// The process in which the flight and the refresh token belong.
    pub(super) process: u32,
}

impl State {
    pub(super) fn new(credentials: Credentials, renewer: Option<Arc<dyn Renew>>) -> Self {
        Self {
            credentials,
            renewer,
            fingerprint: None,
            refused: RefusedCredentials::default(),
            refusal: None,
            looks: Looks::default(),
            epoch: 0,
            generation: 0,
            token_epoch: 0,
            arrived_with: None,
            kept: 0,
            refresh: None,
            cooldown: Cooldown::default(),
            flight: None,
            blocked: None,
            rejected: None,
            #[cfg(feature = "store")]
            cursor: None,
            process: std::process::id(),
        }
    }

    /// Returns the source of the credentials, unless they are fixed.
    pub(super) fn source(&self) -> Option<&Arc<dyn CredentialSource>> {
        match &self.credentials.0 {
            Origin::Source(source) => Some(source),
            Origin::Constant(_) => None,
        }
    }

    /// Returns the provider, unless the credentials come from a source.
    pub(super) fn constant_provider(&self) -> Option<Arc<dyn Provider>> {
        match &self.credentials.0 {
            Origin::Constant(provider) => Some(provider.clone()),
            Origin::Source(_) => None,
        }
    }

    /// Returns `true` if this token, the current one, meets the need.
    pub(super) fn meets(&self, need: Need, token: &AccessToken, now: &Moment) -> bool {
        // A token of the old credentials says nothing about the new ones, however new it is.
        let is_of_old_credentials = self.token_epoch != self.epoch;
        need.is_met(token, now) && !(is_of_old_credentials && matches!(need, Need::IssuedAfter(_)))
    }

    /// Forgets what belongs to the parent process, in a forked child.
    ///
    /// The flight runs in the parent only. Both processes have the refresh token, and the second use of one ends the
    /// session (RFC 9700 4.14.2), so the child leaves it to the parent.
    pub(super) fn leave_parent(&mut self) {
        let process = std::process::id();
        if self.process != process {
            self.process = process;
            self.flight = None;
            self.blocked = None;
            self.refresh = None;
        }
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Ignores poisoning: every change under the lock is complete before code outside this crate runs, so a panic in
        // that code leaves the state consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the current token and notifies the subscribers. The caller holds the lock, so that they see the changes
    /// in order.
    pub(super) fn replace(&self, token: Option<AccessToken>) {
        self.current.store(token.as_ref());
        if let Some(changes) = self.changes.get() {
            changes.send_replace(token);
        }
    }

    /// Returns a receiver of all later changes. The lock is held, so that no change is lost between reading the token
    /// and creating the channel.
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<AccessToken>> {
        let _state = self.lock();
        self.changes.get_or_init(|| watch::channel(self.current.load()).0).subscribe()
    }

    /// Counts a token that is returned at once. Without the feature `metrics`, a hit does not even look for the counters.
    #[inline]
    pub(super) fn served(&self, token: &AccessToken, freshness: Freshness, now: &Moment) {
        if cfg!(feature = "metrics") {
            self.meter().served(token, freshness, now);
        }
    }

    pub(super) fn meter(&self) -> &Meter {
        if let Some(meter) = self.meter.get() {
            return meter;
        }
        static UNKNOWN: OnceLock<Meter> = OnceLock::new();
        match self.name.known_provider() {
            Some(provider) => self.meter.get_or_init(|| Meter::new(provider)),
            None => UNKNOWN.get_or_init(|| Meter::new(self.name.provider())),
        }
    }

    /// Adds the provider's name to an error, if it is known.
    pub(super) fn named(&self, error: Error) -> Error {
        match self.name.known_provider() {
            Some(provider) => error.with_provider(provider),
            None => error,
        }
    }

    #[inline]
    pub(super) fn look_at(&self, now: &Moment) -> Option<(AccessToken, Freshness)> {
        let token = self.current.load()?;
        let freshness = token.term().at(now);
        Some((token, freshness))
    }

    /// Makes a token the current one and clears the cooldown.
    pub(super) fn keep(&self, state: &mut State, token: AccessToken) -> AccessToken {
        state.cooldown = Cooldown::default();
        state.generation += 1;
        state.token_epoch = state.epoch;
        state.looks = Looks::default();
        let mut token = token.with_generation(state.generation);
        // The mark of a token from the store may be missing: the process that logged in did not know of the rejection.
        if let Some(rejected) = state.rejected.take() {
            token = token.with_rejections(token.rejections().max(rejected.rejections().saturating_add(1)));
        }
        self.replace(Some(token.clone()));
        token
    }
}

/// Returns `true` if a token may be handed out when there is no better one.
pub(super) fn is_usable(freshness: Freshness) -> bool {
    freshness != Freshness::Expired
}

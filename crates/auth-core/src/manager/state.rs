//! The state that all clones of a manager share.

use std::sync::{Arc, OnceLock, PoisonError};
#[cfg(not(shuttle))]
use std::sync::{Mutex, MutexGuard};

#[cfg(shuttle)]
use shuttle::sync::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::waits::FlightId;
use crate::clock::{Clock, Moment};
use crate::cooldown::Cooldown;
use crate::freshness::Freshness;
use crate::meter::Meter;
use crate::name::Name;
use crate::need::Outcome;
use crate::policy::Policy;
use crate::renew::Renew;
#[cfg(feature = "store")]
use crate::renew::StoreCursor;
use crate::runtime::LoginRuntime;
use crate::slot::Slot;
use crate::token::{AccessToken, RefreshToken};

/// A flight under way.
#[derive(Clone)]
pub(super) struct Flight {
    pub(super) id: FlightId,
    /// Receives the result.
    pub(super) outcome: watch::Receiver<Option<Outcome>>,
}

pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    /// The only field that a hit reads, apart from the clock.
    pub(super) current: Slot,
    pub(super) state: Mutex<State>,
    /// Created for the first subscriber, because a channel would be nearly half of an account's memory. Written under
    /// the lock.
    pub(super) changes: OnceLock<watch::Sender<Option<AccessToken>>>,
    pub(super) meter: Meter,
    pub(super) name: Name,
    pub(super) policy: Arc<Policy>,
    pub(super) runtime: LoginRuntime,
}

/// The state that only a miss reads. The lock is never held across an await.
pub(super) struct State {
    pub(super) renewer: Arc<dyn Renew>,
    /// Counts the replacements of the credentials, so that `commit` recognises the result of a login with old ones.
    pub(super) epoch: u64,
    /// Counts the tokens.
    pub(super) generation: u64,
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
    pub(super) fn new(renewer: Arc<dyn Renew>) -> Self {
        Self {
            renewer,
            epoch: 0,
            generation: 0,
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

    #[inline]
    pub(super) fn look_at(&self, now: &Moment) -> Option<(AccessToken, Freshness)> {
        let token = self.current.load()?;
        let freshness = token.term().at(now);
        Some((token, freshness))
    }

    /// Makes a token the current one and clears the cooldown.
    pub(super) fn keep(&self, state: &mut State, token: AccessToken) -> AccessToken {
        state.cooldown.record_success(self.current.load().is_none());
        state.generation += 1;
        let token = token.with(state.generation, *token.term());
        state.rejected = None;
        self.replace(Some(token.clone()));
        token
    }
}

pub(super) fn is_usable(freshness: Freshness) -> bool {
    freshness != Freshness::Expired
}

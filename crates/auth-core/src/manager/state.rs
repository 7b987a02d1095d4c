//! The state that all clones of a manager share.

use std::sync::{Arc, OnceLock, PoisonError};
#[cfg(not(shuttle))]
use std::sync::{Mutex, MutexGuard};

#[cfg(shuttle)]
use shuttle::sync::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::cursor::StoreCursor;
use super::meter::Meter;
use super::need::Outcome;
use super::share::Share;
use crate::clock::{Clock, Moment};
use crate::cooldown::Cooldown;
use crate::freshness::Freshness;
use crate::login::Login;
use crate::provider::Provider;
use crate::token::{AccessToken, RefreshToken, Slot};
use crate::transport::Transport;

/// Receives the result of a flight. The channel closes without a result if the flight's runtime shuts down.
pub(super) type Flight = watch::Receiver<Option<Outcome>>;

pub(super) struct Shared<P, T> {
    pub(super) clock: Arc<dyn Clock>,
    /// The only field that a hit reads, apart from the clock.
    pub(super) current: Slot,
    pub(super) state: Mutex<State<P, T>>,
    /// Created for the first subscriber, because a channel would be nearly half of an account's memory. Written under
    /// the lock.
    pub(super) changes: OnceLock<watch::Sender<Option<AccessToken>>>,
    pub(super) meter: Meter,
    pub(super) share: Share,
}

/// The state that only a miss reads. The lock is never held across an await.
pub(super) struct State<P, T> {
    pub(super) login: Arc<Login<P, T>>,
    /// Counts the replacements of the credentials, so that `commit` recognises the result of a login with old ones.
    pub(super) epoch: u64,
    /// Counts the tokens.
    pub(super) generation: u64,
    pub(super) refresh: Option<RefreshToken>,
    pub(super) cooldown: Cooldown,
    pub(super) flight: Option<Flight>,
    /// The token that a server rejected since the last successful flight. A flight that was already under way must not
    /// bring it back, and no flight may take it from a store.
    pub(super) rejected: Option<AccessToken>,
    pub(super) cursor: StoreCursor,
}

impl<P: Provider, T: Transport> Shared<P, T> {
    pub(super) fn lock(&self) -> MutexGuard<'_, State<P, T>> {
        // Ignores poisoning: every change under the lock is complete before code outside this crate runs, so a panic in
        // that code leaves the state consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the current token and notifies the subscribers. The caller holds the lock, so that they see the changes
    /// in order.
    pub(super) fn replace(&self, token: Option<AccessToken>) {
        self.current.store(token.clone());
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

    pub(super) fn look_at(&self, now: &Moment) -> Option<(AccessToken, Freshness)> {
        let token = self.current.load()?;
        let freshness = token.term().at(now);
        Some((token, freshness))
    }

    /// Makes a token the current one and clears the cooldown.
    pub(super) fn keep(&self, state: &mut State<P, T>, token: AccessToken) -> AccessToken {
        state.cooldown.record_success(self.current.load().is_none());
        state.generation += 1;
        let token = token.with(state.generation, token.term());
        state.rejected = None;
        self.replace(Some(token.clone()));
        token
    }
}

pub(super) fn is_usable(freshness: Freshness) -> bool {
    freshness != Freshness::Expired
}

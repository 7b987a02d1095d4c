//! Single flight: one renewal serves all callers that need a token, and depends on none of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::look::Look;
use super::state::{Flight, Progress, Shared, State, is_usable};
use super::task::RenewalTask;
use super::waits::{self, FlightId};
use crate::clock::Moment;
use crate::error::Error;
use crate::need::{Need, Outcome, Reason};
use crate::token::AccessToken;

impl Shared {
    /// Returns the current token if it meets the need. Otherwise waits for the flight under way, or for a new one.
    pub(super) async fn renewed(self: Arc<Self>, need: Need, reason: Reason) -> Outcome {
        let start = Instant::now();
        let outcome = self.joined(need, reason).await;
        self.meter().waited(&outcome, start.elapsed());
        outcome
    }

    async fn joined(self: &Arc<Self>, need: Need, reason: Reason) -> Outcome {
        loop {
            let (mut flight, is_own) = match self.join_or_start(need, reason) {
                Ok(Joined::Current(token)) => return Ok(token),
                Ok(Joined::Flight { flight, is_own }) => (flight, is_own),
                Err(error) => return self.expiring(need).ok_or(error),
            };
            let _wait = waits::wait_for(flight.id).map_err(|waits::Circle| self.misuse(CIRCLE))?;
            // A look may find a token, but during a cooldown it rarely does.
            if flight.is_look
                && let Some(token) = self.expiring(need)
            {
                return Ok(token);
            }
            let progress = flight.progress.wait_for(|progress| !matches!(progress, Progress::Running)).await;
            if progress.is_ok_and(|progress| !progress.has_ended())
                && let Some(token) = self.expiring(need)
            {
                return Ok(token);
            }
            let ended = flight.progress.wait_for(Progress::has_ended).await.map(|progress| progress.clone());
            match ended {
                // Another caller started the flight, and its token may not meet this caller's need. Look again.
                Ok(Progress::Ended(Ok(token))) if !is_own && !need.is_met(&token, &self.clock.now()) => {}
                Ok(Progress::Ended(Err(error))) => return self.expiring(need).ok_or(error),
                Ok(Progress::Ended(Ok(token))) => return Ok(token),
                _ => return Err(self.shut_down()),
            }
        }
    }

    /// Returns the current token for a caller that does not need a new one, although the token is in its margin.
    ///
    /// An outage must not take the last seconds of a token from anybody.
    fn expiring(&self, need: Need) -> Option<AccessToken> {
        let now = self.clock.now();
        let (token, freshness) = self.look_at(&now)?;
        let is_enough = match need {
            Need::Usable => true,
            Need::Left(min_validity) => token.remaining_at(&now) >= min_validity,
            Need::Fresh | Need::IssuedAfter(_) => false,
        };
        (is_enough && is_usable(freshness)).then_some(token)
    }

    /// Starts a flight in the background, unless one is under way or a cooldown prevents it.
    pub(super) fn renew_behind(self: &Arc<Self>, now: &Moment) {
        // Checked first, because during an outage every call with a stale token gets here.
        let state = self.lock();
        if state.cooldown.remaining_at(now).is_some() && self.due_look(&state, now).is_none() {
            drop(state);
            self.meter().suppressed();
            return;
        }
        drop(state);
        // The result does not matter: the caller has a usable token.
        let _ = self.join_or_start(Need::Fresh, Reason::Stale);
    }

    /// Returns where to look for news now, although a cooldown prevents logins.
    fn due_look(&self, state: &State, now: &Moment) -> Option<Look> {
        let possible = Look {
            at_source: state.source().is_some() && state.cooldown.is_refusal(),
            in_store: self.options.has_store() && state.renewer.is_some(),
        };
        state.looks.due(possible, now)
    }

    pub(super) fn join_or_start(self: &Arc<Self>, need: Need, reason: Reason) -> Result<Joined, Error> {
        let mut state = self.lock();
        state.leave_parent();
        // Look again: a flight may have ended since the caller looked, without the lock.
        let now = self.clock.now();
        if let Some((token, freshness)) = self.look_at(&now) {
            if state.meets(need, &token, &now) {
                return Ok(Joined::Current(token));
            }
            // The last login has shown how long a new token is valid. Another one would not be valid for longer.
            if let (Need::Left(min_validity), Some(left)) = (need, state.arrived_with)
                && is_usable(freshness)
                && left < min_validity
            {
                return Err(self.too_long(left));
            }
        }
        if let Some(flight) = &state.flight {
            return Ok(Joined::Flight { flight: flight.clone(), is_own: false });
        }
        let mut look = None;
        if state.cooldown.remaining_at(&now).is_some() {
            look = self.due_look(&state, &now);
            match look {
                Some(look) => state.looks.record(look, &now),
                None => {
                    self.meter().suppressed();
                    return Err(state.cooldown.error_at(&now).unwrap_or_else(|| self.shut_down()));
                }
            }
        }
        if state.blocked.as_ref().is_some_and(|task| !task.is_finished()) {
            return Err(self.unavailable("the last login still blocks its thread, long after its deadline"));
        }
        let (sender, progress) = watch::channel(Progress::Running);
        let flight = Flight { id: FlightId::new(), is_look: look.is_some(), progress };
        state.flight = Some(flight.clone());
        let reason = if reason == Reason::Cold && state.generation > 0 { Reason::Rejected } else { reason };
        // Unlock first: a subscriber may call this manager when the span is made, and a runtime that is shutting down
        // drops the task inside `spawn`.
        drop(state);
        let task = RenewalTask {
            shared: self.clone(),
            id: flight.id,
            sender,
            #[cfg(feature = "store")]
            need,
            reason,
            look,
        };
        task.start();
        Ok(Joined::Flight { flight, is_own: true })
    }

    /// Returns the error for a caller that needs more validity than a new token has, which is `left`.
    pub(super) fn too_long(&self, left: Duration) -> Error {
        let left = left.as_secs_f64();
        let what = format!("`min_validity` is more than a new token has, which is {left:.1} s on its arrival");
        self.named(Error::misuse(what))
    }

    /// Waits for the flight under way. Returns `true` if none is left at the end of `timeout`.
    pub(super) async fn wait_idle(self: &Arc<Self>, timeout: Duration) -> Result<bool, Error> {
        let Some(flight) = self.lock().flight.clone() else { return Ok(true) };
        let mut progress = flight.progress;
        // On the runtime of the logins, because the caller's may have no timers.
        let wait = async move { tokio::time::timeout(timeout, progress.wait_for(Progress::has_ended)).await.is_ok() };
        self.options.runtime.handle()?.spawn(wait).await.map_err(|_| self.shut_down())
    }

    pub(super) fn unavailable(&self, message: &'static str) -> Error {
        self.named(Error::unavailable(message))
    }

    pub(super) fn shut_down(&self) -> Error {
        self.unavailable("the runtime that `with_runtime` has set shut down during the login")
    }

    pub(super) fn misuse(&self, message: &'static str) -> Error {
        self.named(Error::misuse(message))
    }
}

const CIRCLE: &str = "this login waits for itself: managers that get tokens from each other form a circle";

pub(super) enum Joined {
    /// The current token meets the need.
    Current(AccessToken),
    Flight {
        flight: Flight,
        is_own: bool,
    },
}

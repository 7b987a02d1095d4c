//! Single flight: one login serves all callers that need a token, and runs in its own task.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Instrument;

use super::need::{Need, Outcome, Reason};
use super::renewal::{RenewalContext, Superseded};
use super::state::{Flight, Shared};
use crate::clock::Moment;
use crate::error::Error;
use crate::provider::Provider;
use crate::targets;
use crate::token::AccessToken;
use crate::transport::Transport;

impl<P: Provider, T: Transport> Shared<P, T> {
    /// Returns the current token if it meets the need. Otherwise waits for the flight under way, or for a new one.
    pub(super) async fn renewed(self: Arc<Self>, need: Need, reason: Reason) -> Outcome {
        let start = Instant::now();
        let outcome = self.joined(need, reason).await;
        self.meter.waited(&outcome, start.elapsed());
        outcome
    }

    async fn joined(self: &Arc<Self>, need: Need, reason: Reason) -> Outcome {
        let mut lost = 0;
        while lost < MOST_LOST {
            let (mut flight, is_own) = match self.join_or_start(need, reason)? {
                Joined::Current(token) => return Ok(token),
                Joined::Flight { flight, is_own } => (flight, is_own),
            };
            let result = flight.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
            match result {
                // Another caller started the flight, and its token may not meet this caller's need. Look again.
                Some(Ok(token)) if !is_own && !need.is_met(&token, &self.clock.now()) => {}
                Some(outcome) => return outcome,
                None => lost += 1,
            }
        }
        Err(Error::unavailable("the runtime of the login shut down").with_provider(self.lock().login.name()))
    }

    /// Starts a flight in the background, unless one is under way or a cooldown prevents it.
    pub(super) fn renew_behind(self: &Arc<Self>, now: &Moment) {
        // Checked first, because during an outage every call with a stale token gets here.
        if self.lock().cooldown.remaining_at(now).is_some() {
            self.meter.suppressed();
            return;
        }
        // The result does not matter: the caller has a usable token.
        let _ = self.join_or_start(Need::Fresh, Reason::Stale);
    }

    fn join_or_start(self: &Arc<Self>, need: Need, reason: Reason) -> Result<Joined, Error> {
        let mut state = self.lock();
        // Look again: a flight may have ended since the caller looked, without the lock.
        let now = self.clock.now();
        if let Some(token) = self.current.load()
            && need.is_met(&token, &now)
        {
            return Ok(Joined::Current(token));
        }
        if let Some(flight) = &state.flight {
            return Ok(Joined::Flight { flight: flight.clone(), is_own: false });
        }
        if let Some(error) = state.cooldown.error_at(&now) {
            self.meter.suppressed();
            return Err(error);
        }
        let runtime = Handle::try_current().map_err(|_| no_runtime(state.login.name()))?;
        let (sender, flight) = watch::channel(None);
        state.flight = Some(flight.clone());
        let reason = if reason == Reason::Cold && state.generation > 0 { Reason::Rejected } else { reason };
        let span = tracing::debug_span!(
            target: targets::FLIGHT, "flight",
            provider = state.login.name(), reason = reason.name()
        );
        // Unlock first: a runtime that is shutting down drops the task inside `spawn`, and the task's `Drop` takes this
        // lock.
        drop(state);
        runtime.spawn(RenewalTask { shared: self.clone(), sender, need, reason }.run().instrument(span));
        Ok(Joined::Flight { flight, is_own: true })
    }
}

/// A caller gives up after this many flights ended because their runtime shut down. One of them may be its own.
const MOST_LOST: u32 = 3;

enum Joined {
    /// The current token meets the need.
    Current(AccessToken),
    Flight {
        flight: Flight,
        is_own: bool,
    },
}

/// Builds the error of a call that needs tokio and runs outside of it.
pub(super) fn no_runtime(provider: &'static str) -> Error {
    Error::misuse("there is no tokio runtime here: call this inside one").with_provider(provider)
}

/// The task of one flight. However it ends, its `Drop` lets the next caller start another flight.
struct RenewalTask<P: Provider, T: Transport> {
    shared: Arc<Shared<P, T>>,
    sender: watch::Sender<Option<Outcome>>,
    need: Need,
    reason: Reason,
}

impl<P: Provider, T: Transport> RenewalTask<P, T> {
    async fn run(self) {
        tracing::debug!(target: targets::FLIGHT, "flight started");
        let start = Instant::now();
        loop {
            let mut context = self.context();
            let (attempts, result) = self.shared.share.run(&mut context, self.need, &self.shared.meter).await;
            if let Some(outcome) = self.commit(context, result) {
                self.sender.send_replace(Some(outcome.clone()));
                self.report(&outcome, attempts, start.elapsed());
                return;
            }
        }
    }

    fn context(&self) -> RenewalContext<P, T> {
        let mut state = self.shared.lock();
        RenewalContext {
            login: state.login.clone(),
            epoch: state.epoch,
            // Taken, not cloned: if the runtime drops this task, the server may already have processed the refresh
            // token, and the next flight must not send it again (RFC 9700 4.14.2).
            refresh: state.refresh.take(),
            cooldown: state.cooldown.clone(),
            // Also taken, so that `commit` can recognise a token that is rejected while this flight runs.
            superseded: Superseded { current: self.shared.current.load(), rejected: state.rejected.take() },
            cursor: state.cursor.clone(),
        }
    }

    fn report(&self, outcome: &Outcome, attempts: u32, took: Duration) {
        self.shared.meter.finished(
            self.reason,
            outcome.as_ref().map_or_else(|error| error.kind().name(), |_| "ok"),
            took,
        );
        let duration_ms = took.as_millis() as u64;
        match outcome {
            Ok(token) => {
                let lifetime_s = token.lifetime().as_secs();
                tracing::debug!(
                    target: targets::FLIGHT,
                    outcome = "ok", attempts, duration_ms, lifetime_s,
                    "flight ended"
                );
            }
            Err(error) => {
                let left = self.shared.lock().cooldown.remaining_at(&self.shared.clock.now());
                let next_attempt_ms = left.unwrap_or_default().as_millis() as u64;
                let outcome = error.kind().name();
                tracing::warn!(
                    target: targets::FLIGHT,
                    outcome, attempts, duration_ms, next_attempt_ms, %error,
                    "flight ended"
                );
            }
        }
    }

    /// Stores the result in the manager. Returns `None` if the login must be repeated: while it ran, the credentials
    /// were replaced, or an API rejected a token and the login returned the same token again.
    ///
    /// The flight stays registered then, so that new callers join it and do not start another.
    fn commit(&self, context: RenewalContext<P, T>, result: Result<AccessToken, Error>) -> Option<Outcome> {
        let mut state = self.shared.lock();
        // The result, its refresh token and its failure belong to the old credentials.
        if state.epoch != context.epoch {
            return None;
        }
        state.refresh = context.refresh;
        state.cursor = context.cursor;
        if let (Ok(token), Some(rejected)) = (&result, &state.rejected)
            && token.expose() == rejected.expose()
        {
            return None;
        }
        let outcome = result.map(|token| self.shared.keep(&mut state, token));
        if outcome.is_err() {
            // No new token replaces the rejected one, so the next flight must still not return it.
            state.rejected = state.rejected.take().or(context.superseded.rejected);
            state.cooldown.merge(&context.cooldown, &self.shared.clock.now());
        }
        state.flight = None;
        Some(outcome)
    }
}

impl<P: Provider, T: Transport> Drop for RenewalTask<P, T> {
    /// After a panic, the waiting callers get an error. After a shutdown of the runtime, the channel closes, and they
    /// start another flight.
    fn drop(&mut self) {
        if self.sender.borrow().is_some() {
            return;
        }
        let mut state = self.shared.lock();
        state.flight = None;
        if std::thread::panicking() {
            // Without the provider's name: `name` is code of the provider, which may have just panicked.
            self.sender.send_replace(Some(Err(Error::internal("the provider or the transport panicked"))));
        }
    }
}

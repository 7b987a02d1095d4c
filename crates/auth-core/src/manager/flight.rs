//! Single flight: one renewal serves all callers that need a token, and depends on none of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::instrument::WithSubscriber;
use tracing::{Dispatch, Instrument, Span};

use super::state::{Flight, Shared};
use super::waits::{self, FlightId};
use crate::clock::Moment;
use crate::cooldown::Cooldown;
use crate::error::Error;
use crate::meter::Meter;
use crate::need::{Need, Outcome, Reason};
use crate::renew::{Renew, Renewal, RenewalContext};
#[cfg(feature = "store")]
use crate::renew::{SharedContext, Superseded};
use crate::targets;
use crate::token::AccessToken;

/// How long after its deadline a renewal is ended from outside. A renewal that keeps its own deadline ends before.
const GRACE: Duration = Duration::from_millis(500);

impl Shared {
    /// Returns the current token if it meets the need. Otherwise waits for the flight under way, or for a new one.
    pub(super) async fn renewed(self: Arc<Self>, need: Need, reason: Reason) -> Outcome {
        let start = Instant::now();
        let outcome = self.joined(need, reason).await;
        self.meter.waited(&outcome, start.elapsed());
        outcome
    }

    async fn joined(self: &Arc<Self>, need: Need, reason: Reason) -> Outcome {
        loop {
            let (mut flight, is_own) = match self.join_or_start(need, reason)? {
                Joined::Current(token) => return Ok(token),
                Joined::Flight { flight, is_own } => (flight, is_own),
            };
            let _wait = waits::wait_for(flight.id).map_err(|waits::Circle| self.misuse(CIRCLE))?;
            let ended = flight.outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
            match ended {
                // Another caller started the flight, and its token may not meet this caller's need. Look again.
                Some(Ok(token)) if !is_own && !need.is_met(&token, &self.clock.now()) => {}
                Some(outcome) => return outcome,
                None => return Err(self.shut_down()),
            }
        }
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

    pub(super) fn join_or_start(self: &Arc<Self>, need: Need, reason: Reason) -> Result<Joined, Error> {
        let mut state = self.lock();
        state.leave_parent();
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
        if state.blocked.as_ref().is_some_and(|task| !task.is_finished()) {
            return Err(self.unavailable("the last login still blocks its thread, long after its deadline"));
        }
        let (sender, outcome) = watch::channel(None);
        let flight = Flight { id: FlightId::new(), outcome };
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
        };
        task.start();
        Ok(Joined::Flight { flight, is_own: true })
    }

    /// Waits for the flight under way. Returns `true` if none is left at the end of `timeout`.
    pub(super) async fn wait_idle(self: &Arc<Self>, timeout: Duration) -> Result<bool, Error> {
        let Some(flight) = self.lock().flight.clone() else { return Ok(true) };
        let mut outcome = flight.outcome;
        // On the runtime of the logins, because the caller's may have no timers.
        let wait = async move { tokio::time::timeout(timeout, outcome.wait_for(Option::is_some)).await.is_ok() };
        self.runtime.handle()?.spawn(wait).await.map_err(|_| self.shut_down())
    }

    fn unavailable(&self, message: &'static str) -> Error {
        Error::unavailable(message).with_provider(self.name.provider)
    }

    fn shut_down(&self) -> Error {
        self.unavailable("the runtime that `with_runtime` has set shut down during the login")
    }

    pub(super) fn misuse(&self, message: &'static str) -> Error {
        Error::misuse(message).with_provider(self.name.provider)
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

/// The task of one flight. However it ends, its `Drop` lets the next caller start another flight.
struct RenewalTask {
    shared: Arc<Shared>,
    id: FlightId,
    sender: watch::Sender<Option<Outcome>>,
    #[cfg(feature = "store")]
    need: Need,
    reason: Reason,
}

/// What a flight has started from, to be compared with the manager's state at its end.
struct Start {
    epoch: u64,
    rejected: Option<AccessToken>,
}

impl RenewalTask {
    /// Spawns the task, with the caller's subscriber and as a consequence of the caller's span.
    fn start(self) {
        let span = tracing::debug_span!(
            target: targets::FLIGHT, parent: None, "flight",
            provider = self.shared.name.provider, label = self.shared.name.label(), reason = self.reason.name()
        );
        span.follows_from(Span::current());
        match self.shared.runtime.handle() {
            Ok(runtime) => {
                let subscriber = tracing::dispatcher::get_default(Dispatch::clone);
                runtime.spawn(self.run().instrument(span).with_subscriber(subscriber));
            }
            Err(error) => span.in_scope(|| self.fail(error)),
        }
    }

    async fn run(self) {
        tracing::debug!(target: targets::FLIGHT, label = self.shared.name.label(), "flight started");
        let start = Instant::now();
        let deadline = start + self.shared.policy.deadline;
        loop {
            let (renewer, context, origin) = self.context(deadline);
            let renewal = self.renew(renewer, context, start).await;
            let attempts = renewal.attempts;
            if let Some(outcome) = self.commit(renewal, &origin) {
                self.end(outcome, attempts, start.elapsed());
                return;
            }
        }
    }

    /// Ends a flight whose task cannot be started.
    fn fail(self, error: Error) {
        let (_, context, origin) = self.context(Instant::now());
        let renewal = Renewal { refresh: context.refresh, ..self.failed(error, context.cooldown) };
        if let Some(outcome) = self.commit(renewal, &origin) {
            self.end(outcome, 0, Duration::ZERO);
        }
    }

    fn end(&self, outcome: Outcome, attempts: u32, took: Duration) {
        // First the report, because a program may end as soon as it has the outcome.
        self.report(&outcome, attempts, took);
        self.sender.send_replace(Some(outcome));
    }

    fn context(&self, deadline: Instant) -> (Arc<dyn Renew>, RenewalContext, Start) {
        let mut state = self.shared.lock();
        let origin = Start { epoch: state.epoch, rejected: state.rejected.clone() };
        let context = RenewalContext {
            deadline,
            // Taken, not cloned: if the runtime drops this task, the server may already have processed the refresh
            // token, and the next flight must not send it again (RFC 9700 4.14.2).
            refresh: state.refresh.take(),
            cooldown: state.cooldown.clone(),
            #[cfg(feature = "store")]
            shared: SharedContext {
                need: self.need,
                superseded: Superseded { current: self.shared.current.load(), rejected: state.rejected.clone() },
                cursor: state.cursor.clone(),
            },
        };
        (state.renewer.clone(), context, origin)
    }

    /// Runs the renewal in a task of its own, so that a panic, or code that blocks its thread, does not stop this one.
    async fn renew(&self, renewer: Arc<dyn Renew>, context: RenewalContext, start: Instant) -> Renewal {
        let cooldown = context.cooldown.clone();
        let limit = start.checked_add(renewer.longest() + GRACE).unwrap_or(context.deadline);
        let renewal = waits::run_as(self.id, async move { renewer.renew(context).await });
        let task = Handle::current().spawn(renewal.in_current_span().with_current_subscriber());
        let abort = task.abort_handle();
        match timeout_at(limit, task).await {
            Ok(Ok(renewal)) => renewal,
            Ok(Err(ended)) if ended.is_panic() => {
                self.failed(self.shared.unavailable("the transport panicked"), cooldown)
            }
            Ok(Err(_)) => self.failed(self.shared.shut_down(), cooldown),
            Err(_) => {
                abort.abort();
                self.shared.lock().blocked = Some(abort);
                let error = self.shared.unavailable("the login blocked its thread until after its deadline");
                self.failed(error, cooldown)
            }
        }
    }

    fn failed(&self, error: Error, mut cooldown: Cooldown) -> Renewal {
        let error = cooldown.fail(
            error.with_provider(self.shared.name.provider),
            1,
            self.shared.clock.now(),
            &self.shared.policy,
        );
        Renewal::failed(error, cooldown)
    }

    fn report(&self, outcome: &Outcome, attempts: u32, took: Duration) {
        let (provider, label) = (self.shared.name.provider, self.shared.name.label());
        let name = outcome.as_ref().map_or_else(|error| error.kind().name(), |_| "ok");
        Meter::finished(provider, self.reason, name, took);
        let duration_ms = took.as_millis() as u64;
        match outcome {
            Ok(token) => {
                let lifetime_s = token.lifetime().as_secs();
                tracing::debug!(
                    target: targets::FLIGHT,
                    label, outcome = name, attempts, duration_ms, lifetime_s,
                    "flight ended"
                );
            }
            Err(error) => {
                let left = self.shared.lock().cooldown.remaining_at(&self.shared.clock.now());
                let next_attempt_ms = left.unwrap_or_default().as_millis() as u64;
                tracing::warn!(
                    target: targets::FLIGHT,
                    provider, label, outcome = name, attempts, duration_ms, next_attempt_ms, %error,
                    "flight ended"
                );
            }
        }
    }

    /// Stores the result in the manager. Returns `None` if the login must be repeated: while it ran, the credentials
    /// were replaced, or an API rejected a token and the login returned the same token again.
    ///
    /// The flight stays registered then, so that new callers join it and do not start another.
    fn commit(&self, renewal: Renewal, origin: &Start) -> Option<Outcome> {
        let mut state = self.shared.lock();
        // The result, its refresh token and its failure belong to the old credentials.
        if state.epoch != origin.epoch {
            return None;
        }
        state.refresh = renewal.refresh;
        #[cfg(feature = "store")]
        if renewal.cursor.is_some() {
            state.cursor = renewal.cursor;
        }
        if let (Ok(token), Some(rejected)) = (&renewal.outcome, &state.rejected) {
            let was_known = origin.rejected.as_ref().is_some_and(|known| known.ptr_eq(rejected));
            if !was_known && token.expose() == rejected.expose() {
                return None;
            }
        }
        let outcome = renewal.outcome.map(|token| self.shared.keep(&mut state, token));
        if outcome.is_err() {
            state.cooldown.merge(&renewal.cooldown, &self.shared.clock.now());
        }
        state.flight = None;
        Some(outcome)
    }
}

impl Drop for RenewalTask {
    /// If the program's runtime shuts down, the waiting callers get an error.
    fn drop(&mut self) {
        if self.sender.borrow().is_some() {
            return;
        }
        self.shared.lock().flight = None;
        self.sender.send_replace(Some(Err(self.shared.shut_down())));
    }
}

//! Single flight: one renewal serves all callers that need a token, and depends on none of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::instrument::WithSubscriber;
use tracing::{Dispatch, Instrument, Span};

use super::renewal::Renewing;
use super::state::{Flight, Progress, Shared, State, is_usable};
use super::waits::{self, FlightId};
use crate::clock::Moment;
use crate::error::Error;
use crate::meter::Meter;
use crate::need::{Need, Outcome, Reason};
use crate::renew::Renewal;
use crate::targets;
use crate::token::AccessToken;

use super::look::Look;

/// How long callers with an expiring token wait for the next one.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long after its deadline a renewal is ended from outside. A renewal that keeps its own deadline ends before.
const GRACE: Duration = Duration::from_millis(500);

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

    /// Returns the current token for a caller that needs any usable one, although it is in its margin.
    ///
    /// An outage must not take the last seconds of a token from anybody.
    fn expiring(&self, need: Need) -> Option<AccessToken> {
        let (token, freshness) = self.look_at(&self.clock.now())?;
        (matches!(need, Need::Usable) && is_usable(freshness)).then_some(token)
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

/// The task of one flight. However it ends, its `Drop` lets the next caller start another flight.
struct RenewalTask {
    shared: Arc<Shared>,
    id: FlightId,
    sender: watch::Sender<Progress>,
    #[cfg(feature = "store")]
    need: Need,
    reason: Reason,
    look: Option<Look>,
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
            provider = self.shared.name.provider(), label = self.shared.name.label(), reason = self.reason.name()
        );
        span.follows_from(Span::current());
        match self.shared.options.runtime.handle() {
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
        loop {
            let origin = self.origin();
            let renewal = self.renew(start).await;
            if let Some(outcome) = self.end_if_current(renewal, &origin, start.elapsed()) {
                self.sender.send_replace(Progress::Ended(outcome));
                return;
            }
        }
    }

    /// Ends a flight whose task cannot be started.
    fn fail(self, error: Error) {
        let origin = self.origin();
        if let Some(outcome) = self.end_if_current(self.failed(error), &origin, Duration::ZERO) {
            self.sender.send_replace(Progress::Ended(outcome));
        }
    }

    fn origin(&self) -> Start {
        let state = self.shared.lock();
        Start { epoch: state.epoch, rejected: state.rejected.clone() }
    }

    /// Stores and reports the result. Returns `None` if the login must be repeated.
    fn end_if_current(&self, renewal: Renewal, origin: &Start, took: Duration) -> Option<Outcome> {
        let (attempts, is_news) = (renewal.attempts, renewal.is_news);
        let outcome = self.commit(renewal, origin)?;
        // First the report, because a program may end as soon as it has the outcome.
        if is_news {
            self.report(&outcome, attempts, took);
        } else {
            tracing::debug!(target: targets::FLIGHT, label = self.shared.name.label(), "no news during a cooldown");
        }
        Some(outcome)
    }

    /// Runs the renewal in a task of its own, so that a panic, or code that blocks its thread, does not stop this one.
    async fn renew(&self, start: Instant) -> Renewal {
        let renewing = Renewing {
            shared: self.shared.clone(),
            #[cfg(feature = "store")]
            need: self.need,
            look: self.look,
            deadline: start + self.shared.options.policy.deadline,
            is_asking: Arc::default(),
        };
        let is_asking = renewing.is_asking.clone();
        let limit = start.checked_add(self.shared.longest() + GRACE).unwrap_or(renewing.deadline);
        let renewal = waits::run_as(self.id, renewing.run());
        let mut task = Handle::current().spawn(renewal.in_current_span().with_current_subscriber());
        let mut ended = timeout_at(limit.min(start + PATIENCE), &mut task).await;
        if ended.is_err() {
            self.sender.send_replace(Progress::Slow);
            ended = timeout_at(limit, &mut task).await;
        }
        match ended {
            Ok(Ok(renewal)) => renewal,
            Ok(Err(ended)) if ended.is_panic() => {
                let is_asking = is_asking.load(Ordering::Acquire);
                let who = if is_asking { "the source of the credentials panicked" } else { "the transport panicked" };
                self.failed(self.shared.unavailable(who))
            }
            Ok(Err(_)) => self.failed(self.shared.shut_down()),
            Err(_) => {
                let abort = task.abort_handle();
                abort.abort();
                self.shared.lock().blocked = Some(abort);
                self.failed(self.shared.unavailable("the login blocked its thread until after its deadline"))
            }
        }
    }

    /// Returns the result of a renewal that ended without a value of its own.
    fn failed(&self, error: Error) -> Renewal {
        let mut cooldown = self.shared.lock().cooldown.clone();
        let now = self.shared.clock.now();
        let error = cooldown.fail(self.shared.named(error), 1, now, &self.shared.options.policy);
        Renewal::failed(error, cooldown)
    }

    fn report(&self, outcome: &Outcome, attempts: u32, took: Duration) {
        let (provider, label) = (self.shared.name.provider(), self.shared.name.label());
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
        let now = self.shared.clock.now();
        let outcome = renewal.outcome.map(|token| {
            if renewal.attempts > 0 {
                state.arrived_with = Some(token.remaining_at(&now));
            }
            self.shared.keep(&mut state, token)
        });
        if outcome.is_err() {
            state.cooldown.merge(&renewal.cooldown, &now);
            if renewal.is_news {
                state.looks.start(&now);
            }
        }
        state.flight = None;
        Some(outcome)
    }
}

impl Drop for RenewalTask {
    /// If the program's runtime shuts down, the waiting callers get an error.
    fn drop(&mut self) {
        if self.sender.borrow().has_ended() {
            return;
        }
        self.shared.lock().flight = None;
        self.sender.send_replace(Progress::Ended(Err(self.shared.shut_down())));
    }
}

//! The task of a flight: it supervises one renewal, and stores and reports the result.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::instrument::WithSubscriber;
use tracing::{Dispatch, Instrument, Span};

use super::look::Look;
use super::renewal::{Facts, Renewing};
use super::state::{Progress, Shared};
#[cfg(feature = "store")]
use super::state::{State, is_usable};
use super::waits::{self, FlightId};
#[cfg(feature = "store")]
use crate::clock::Moment;
use crate::error::Error;
use crate::freshness::Freshness;
use crate::meter::Meter;
#[cfg(feature = "store")]
use crate::need::Need;
use crate::need::{Outcome, Reason};
use crate::renew::Renewal;
#[cfg(feature = "store")]
use crate::renew::Spare;
use crate::targets;
use crate::token::AccessToken;

/// How long callers with an expiring token wait for the next one.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long before the end of their token they stop waiting, so that they still have it when they are woken.
const HAND_OVER: Duration = Duration::from_millis(100);

/// How long after its deadline a renewal is ended from outside. A renewal that keeps its own deadline ends before.
const GRACE: Duration = Duration::from_millis(500);

/// The task of one flight. However it ends, its `Drop` lets the next caller start another flight.
pub(super) struct RenewalTask {
    pub(super) shared: Arc<Shared>,
    pub(super) id: FlightId,
    pub(super) sender: watch::Sender<Progress>,
    #[cfg(feature = "store")]
    pub(super) need: Need,
    pub(super) reason: Reason,
    pub(super) look: Option<Look>,
}

/// What a flight has started from, to be compared with the manager's state at its end.
struct Start {
    epoch: u64,
    rejected: Option<AccessToken>,
}

impl RenewalTask {
    /// Spawns the task, with the caller's subscriber and as a consequence of the caller's span.
    pub(super) fn start(self) {
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
            let mut origin = self.origin();
            let renewal = self.renew(start, &mut origin).await;
            if self.end_if_current(renewal, &origin, start.elapsed()) {
                return;
            }
        }
    }

    /// Ends a flight whose task cannot be started.
    fn fail(self, error: Error) {
        let origin = self.origin();
        self.end_if_current(self.failed(error), &origin, Duration::ZERO);
    }

    fn origin(&self) -> Start {
        let state = self.shared.lock();
        Start { epoch: state.epoch, rejected: state.rejected.clone() }
    }

    /// Stores and reports the result. Returns `false` if the login must be repeated.
    fn end_if_current(&self, renewal: Renewal, origin: &Start, took: Duration) -> bool {
        let (attempts, is_news) = (renewal.attempts, renewal.is_news);
        let Some(outcome) = self.commit(renewal, origin) else { return false };
        let ended = Ended { sender: &self.sender, outcome };
        // First the report, because a program may end as soon as it has the outcome.
        if is_news {
            self.report(&ended.outcome, attempts, took);
        } else {
            tracing::debug!(target: targets::FLIGHT, label = self.shared.name.label(), "no news during a cooldown");
        }
        true
    }

    /// Runs the renewal in a task of its own, so that a panic, or code that blocks its thread, does not stop this one.
    async fn renew(&self, start: Instant, origin: &mut Start) -> Renewal {
        let renewing = Renewing {
            shared: self.shared.clone(),
            #[cfg(feature = "store")]
            need: self.need,
            look: self.look,
            deadline: start + self.shared.options.policy.deadline,
            facts: Arc::new(Facts { is_asking: AtomicBool::new(false), epoch: AtomicU64::new(origin.epoch) }),
        };
        let facts = renewing.facts.clone();
        let limit = start.checked_add(self.shared.options.longest() + GRACE).unwrap_or(renewing.deadline);
        let renewal = waits::run_as(self.id, renewing.run());
        let mut task = Handle::current().spawn(renewal.in_current_span().with_current_subscriber());
        let mut ended = timeout_at(limit.min(start + self.patience()), &mut task).await;
        if ended.is_err() {
            self.sender.send_replace(Progress::Slow);
            ended = timeout_at(limit, &mut task).await;
        }
        // The credentials may have been replaced after this flight was registered and before it took them.
        origin.epoch = facts.epoch.load(Ordering::Acquire);
        match ended {
            Ok(Ok(renewal)) => renewal,
            Ok(Err(ended)) if ended.is_panic() => {
                let is_asking = facts.is_asking.load(Ordering::Acquire);
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

    /// Returns how long callers with an expiring token wait: not until it has expired, because then they would have none.
    fn patience(&self) -> Duration {
        let now = self.shared.clock.now();
        match self.shared.look_at(&now) {
            Some((token, Freshness::Expiring)) => {
                let end = token.term().end;
                let by_wall = end.wall.duration_since(now.wall).unwrap_or_default();
                let left = end.monotonic.saturating_duration_since(now.monotonic).min(by_wall);
                PATIENCE.min(left.saturating_sub(HAND_OVER))
            }
            _ => PATIENCE,
        }
    }

    /// Returns the result of a renewal that ended without a value of its own.
    fn failed(&self, error: Error) -> Renewal {
        let mut state = self.shared.lock();
        let (mut cooldown, now) = (state.cooldown.clone(), self.shared.clock.now());
        let error = cooldown.fail(self.shared.named(error), 1, now, &self.shared.options.policy);
        // A refresh token that may have been sent is no longer there.
        Renewal { refresh: state.refresh.take(), ..Renewal::failed(error, cooldown) }
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
            let token = self.shared.keep(&mut state, token);
            // A login has just succeeded, or the token comes from a store, whose entry may also have a cooldown.
            if renewal.attempts == 0 {
                state.cooldown.clone_from(&renewal.cooldown);
            }
            token
        });
        #[cfg(feature = "store")]
        if let (Err(_), Some(spare)) = (&outcome, renewal.spare) {
            self.keep_spare(&mut state, spare, &now);
        }
        if outcome.is_err() {
            state.cooldown.merge(&renewal.cooldown, &now);
            if renewal.is_news {
                state.looks.start(&now);
            }
        }
        state.flight.take_if(|flight| flight.id == self.id);
        Some(outcome)
    }

    /// Keeps a token of the store after a failed login, if there is no usable one. It was too short for the caller that
    /// began the flight, but not for all callers.
    #[cfg(feature = "store")]
    fn keep_spare(&self, state: &mut State, spare: Spare, now: &Moment) {
        let has_token = self.shared.look_at(now).is_some_and(|(_, freshness)| is_usable(freshness));
        if !has_token && is_usable(spare.token.term().at(now)) {
            self.shared.keep(state, spare.token);
            if let Some(cursor) = &mut state.cursor {
                cursor.saved = Some(spare.saved);
            }
        }
    }
}

/// Sends the outcome when it is dropped, even if the subscriber of the program panics in the report.
struct Ended<'a> {
    sender: &'a watch::Sender<Progress>,
    outcome: Outcome,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.sender.send_replace(Progress::Ended(self.outcome.clone()));
    }
}

impl Drop for RenewalTask {
    /// If the program's runtime shuts down, the waiting callers get an error.
    fn drop(&mut self) {
        if self.sender.borrow().has_ended() {
            return;
        }
        self.shared.lock().flight.take_if(|flight| flight.id == self.id);
        self.sender.send_replace(Progress::Ended(Err(self.shared.shut_down())));
    }
}

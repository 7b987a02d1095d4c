//! One login under way, on its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Instrument;

use super::renewal::{Need, RenewalContext, Superseded};
use super::{Shared, State};
use crate::clock::Moment;
use crate::error::Error;
use crate::provider::Provider;
use crate::targets;
use crate::token::AccessToken;
use crate::transport::Transport;

/// Says why a login was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// There was no token yet.
    Cold,
    /// The token was rejected.
    Rejected,
    /// The token is past its refresh point.
    Stale,
    /// The token's end is too near.
    Expired,
    /// A caller wants more validity than is left.
    Manual,
}

impl Reason {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Rejected => "rejected",
            Self::Stale => "stale",
            Self::Expired => "expired",
            Self::Manual => "manual",
        }
    }
}

pub(super) type Outcome = Result<AccessToken, Error>;

/// Where the result of a flight will be; nothing ever comes where its runtime is gone.
pub(super) type Flight = watch::Receiver<Option<Outcome>>;

impl<P: Provider, T: Transport> Shared<P, T> {
    /// Waits for a token, by the flight that is under way or a new one, unless the current token meets the need.
    pub(super) async fn renewed(self: Arc<Self>, need: Need, reason: Reason) -> Outcome {
        let start = Instant::now();
        let outcome = self.finished(need, reason).await;
        self.meter.waited(&outcome, start.elapsed());
        outcome
    }

    async fn finished(self: &Arc<Self>, need: Need, reason: Reason) -> Outcome {
        let mut lost = 0;
        while lost < MOST_LOST {
            let (mut flight, is_own) = match self.join_or_start(need, reason)? {
                Joined::Needless(token) => return Ok(token),
                Joined::Flight { flight, is_own } => (flight, is_own),
            };
            let landed = flight.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
            match landed {
                // A flight for another need may come back with a token of the store that is not enough for this one.
                Some(Ok(token)) if !is_own && !need.is_met(&token, &self.clock.now()) => {}
                Some(outcome) => return outcome,
                None => lost += 1,
            }
        }
        Err(Error::unavailable("the runtime of the login went down").with_provider(self.lock().login.name()))
    }

    /// Begins a flight that nobody waits for, where none is under way and nothing stops it.
    pub(super) fn renew_behind(self: &Arc<Self>, now: &Moment) {
        // Asked first, because every caller comes here while an outage lasts.
        if self.lock().cooldown.remaining_at(now).is_some() {
            self.meter.suppressed();
            return;
        }
        // Whatever stops it, the caller has a usable token.
        let _ = self.join_or_start(Need::Fresh, Reason::Stale);
    }

    /// Takes a token for the current one.
    pub(super) fn keep(&self, state: &mut State<P, T>, token: AccessToken) -> AccessToken {
        state.cooldown.record_success(self.current.load().is_none());
        state.generation += 1;
        let token = token.with(state.generation, token.term());
        state.rejected = None;
        self.replace(Some(token.clone()));
        token
    }

    fn join_or_start(self: &Arc<Self>, need: Need, reason: Reason) -> Result<Joined, Error> {
        let mut state = self.lock();
        // Another flight may have landed since the caller looked.
        let now = self.clock.now();
        if let Some(token) = self.current.load()
            && need.is_met(&token, &now)
        {
            return Ok(Joined::Needless(token));
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
        let span = tracing::debug_span!(target: targets::FLIGHT, "flight", provider = state.login.name(), reason = reason.name());
        // A runtime that is going down drops at once what it is given, and the end of a pilot takes the lock.
        drop(state);
        runtime.spawn(RenewalTask { shared: self.clone(), sender, need, reason }.run().instrument(span));
        Ok(Joined::Flight { flight, is_own: true })
    }
}

/// How many runtimes may go down under a caller before it gives up; its own may be one of them.
const MOST_LOST: u32 = 3;

enum Joined {
    /// The current token is enough.
    Needless(AccessToken),
    Flight {
        flight: Flight,
        is_own: bool,
    },
}

/// Waits and timers need tokio.
pub(super) fn no_runtime(provider: &'static str) -> Error {
    Error::misuse("there is no tokio runtime here: call this inside one").with_provider(provider)
}

/// Flies one flight; whatever ends it, the next caller can begin another.
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
            refresh: state.refresh.take(),
            cooldown: state.cooldown.clone(),
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
                tracing::debug!(target: targets::FLIGHT, outcome = "ok", attempts, duration_ms, lifetime_s, "flight ended");
            }
            Err(error) => {
                let left = self.shared.lock().cooldown.remaining_at(&self.shared.clock.now());
                let next_attempt_ms = left.unwrap_or_default().as_millis() as u64;
                let outcome = error.kind().name();
                tracing::warn!(target: targets::FLIGHT, outcome, attempts, duration_ms, next_attempt_ms, %error, "flight ended");
            }
        }
    }

    /// Keeps what the login gave; nothing where it must be done again.
    fn commit(&self, context: RenewalContext<P, T>, result: Result<AccessToken, Error>) -> Option<Outcome> {
        let mut state = self.shared.lock();
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
            state.rejected = state.rejected.take().or(context.superseded.rejected);
            state.cooldown.merge(&context.cooldown, &self.shared.clock.now());
        }
        state.flight = None;
        Some(outcome)
    }
}

impl<P: Provider, T: Transport> Drop for RenewalTask<P, T> {
    /// A panic is an error to those who wait; a runtime that is gone lets them begin anew.
    fn drop(&mut self) {
        if self.sender.borrow().is_some() {
            return;
        }
        let mut state = self.shared.lock();
        state.flight = None;
        if std::thread::panicking() {
            // Its name is not asked for: that is the provider's code, too.
            self.sender.send_replace(Some(Err(Error::internal("the provider or the transport panicked"))));
        }
    }
}

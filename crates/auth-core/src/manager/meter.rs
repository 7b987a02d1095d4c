//! The metrics of a manager, through the `metrics` facade.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::need::{Outcome, Reason};
use crate::clock::Moment;
use crate::freshness::Freshness;
use crate::token::AccessToken;

/// The metrics that change often. They are looked up once, so a hit costs two atomic writes and no lookup by name.
pub(super) struct Meter {
    provider: &'static str,
    hit: Counter,
    stale: Counter,
    wait: Counter,
    error: Counter,
    suppressed: Counter,
    waited: Histogram,
    to_expiry: Gauge,
}

impl Meter {
    pub(super) fn new(provider: &'static str) -> Self {
        let requests = |result| counter!("auth_token_requests_total", "provider" => provider, "result" => result);
        Self {
            provider,
            hit: requests("hit"),
            stale: requests("stale"),
            wait: requests("wait"),
            error: requests("error"),
            suppressed: counter!("auth_suppressed_attempts_total", "provider" => provider),
            waited: histogram!("auth_token_wait_seconds", "provider" => provider),
            to_expiry: gauge!("auth_token_seconds_to_expiry", "provider" => provider),
        }
    }

    /// Records that a caller got a token at once.
    pub(super) fn served(&self, token: &AccessToken, freshness: Freshness, now: &Moment) {
        let counter = if freshness == Freshness::Fresh { &self.hit } else { &self.stale };
        counter.increment(1);
        self.to_expiry.set(token.remaining_at(now).as_secs_f64());
    }

    /// Records that a caller waited for a token, or got an error.
    pub(super) fn waited(&self, outcome: &Outcome, took: Duration) {
        let counter = if outcome.is_ok() { &self.wait } else { &self.error };
        counter.increment(1);
        self.waited.record(took);
    }

    /// Records that a cooldown prevented an attempt.
    pub(super) fn suppressed(&self) {
        self.suppressed.increment(1);
    }

    /// Records a call of a store.
    #[cfg(feature = "store")]
    pub(super) fn stored(&self, call: &'static str, result: &'static str) {
        counter!("auth_store_calls_total", "provider" => self.provider, "call" => call, "result" => result)
            .increment(1);
    }

    /// Records the end of a flight.
    pub(super) fn finished(&self, reason: Reason, outcome: &'static str, took: Duration) {
        let (provider, reason) = (self.provider, reason.name());
        counter!("auth_flights_total", "provider" => provider, "reason" => reason, "outcome" => outcome).increment(1);
        histogram!("auth_flight_seconds", "provider" => provider, "outcome" => outcome).record(took);
    }
}

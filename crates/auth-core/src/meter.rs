//! The metrics of a manager, through the `metrics` facade.

use std::time::Duration;

#[cfg(feature = "metrics")]
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
#[cfg(not(feature = "metrics"))]
use off::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::clock::Moment;
use crate::freshness::Freshness;
use crate::need::{Outcome, Reason};
use crate::token::AccessToken;

/// The metrics that change often. They are looked up once, so a hit costs two atomic writes and no lookup by name.
pub(crate) struct Meter {
    hit: Counter,
    stale: Counter,
    wait: Counter,
    error: Counter,
    suppressed: Counter,
    waited: Histogram,
    to_expiry: Gauge,
}

impl Meter {
    pub(crate) fn new(provider: &'static str) -> Self {
        let requests = |result| counter!("auth_token_requests_total", "provider" => provider, "result" => result);
        Self {
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
    #[inline]
    pub(crate) fn served(&self, token: &AccessToken, freshness: Freshness, now: &Moment) {
        let counter = if freshness == Freshness::Fresh { &self.hit } else { &self.stale };
        counter.increment(1);
        self.to_expiry.set(token.remaining_at(now).as_secs_f64());
    }

    /// Records that a caller waited for a token, or got an error.
    pub(crate) fn waited(&self, outcome: &Outcome, took: Duration) {
        let counter = if outcome.is_ok() { &self.wait } else { &self.error };
        counter.increment(1);
        self.waited.record(took);
    }

    /// Records that a cooldown prevented an attempt.
    pub(crate) fn suppressed(&self) {
        self.suppressed.increment(1);
    }

    /// Records the end of a flight.
    pub(crate) fn finished(provider: &'static str, reason: Reason, outcome: &'static str, took: Duration) {
        let reason = reason.name();
        counter!("auth_flights_total", "provider" => provider, "reason" => reason, "outcome" => outcome).increment(1);
        histogram!("auth_flight_seconds", "provider" => provider, "outcome" => outcome).record(took);
    }
}

/// Records a call of a store.
#[cfg(feature = "store")]
pub(crate) fn stored(provider: &'static str, call: &'static str, result: &'static str) {
    counter!("auth_store_calls_total", "provider" => provider, "call" => call, "result" => result).increment(1);
}

/// What takes the place of the facade without the feature `metrics`: it counts nothing.
#[cfg(not(feature = "metrics"))]
mod off {
    pub(super) struct Counter;

    impl Counter {
        pub(super) fn increment(&self, _: u64) {}
    }

    pub(super) struct Gauge;

    impl Gauge {
        pub(super) fn set(&self, _: f64) {}
    }

    pub(super) struct Histogram;

    impl Histogram {
        pub(super) fn record(&self, _: std::time::Duration) {}
    }

    macro_rules! counter {
        ($name:literal $(, $label:literal => $value:expr)*) => {{
            $(let _ = $value;)*
            Counter
        }};
    }
    macro_rules! gauge {
        ($name:literal $(, $label:literal => $value:expr)*) => {{
            $(let _ = $value;)*
            Gauge
        }};
    }
    macro_rules! histogram {
        ($name:literal $(, $label:literal => $value:expr)*) => {{
            $(let _ = $value;)*
            Histogram
        }};
    }
    pub(super) use {counter, gauge, histogram};
}

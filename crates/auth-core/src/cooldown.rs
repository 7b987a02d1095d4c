//! The memory of failed logins: when the next attempt is, and the error until then.

use std::time::Duration;

use crate::backoff;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::policy::Policy;

/// The failures since the last success, and the cooldown that they caused.
///
/// A success or new credentials clear it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cooldown {
    pub(crate) last: Option<LastFailure>,
    /// Failed flights whose cause was the credentials, a setting or a panic of the provider.
    pub(crate) refusals: u32,
    /// Failed attempts of any kind.
    pub(crate) failures: u32,
    /// Tokens in a row that an API rejected soon after their issue.
    early_rejections: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct LastFailure {
    pub(crate) error: Error,
    pub(crate) failed_at: Moment,
    /// Counted from `failed_at`.
    pub(crate) cooldown: Duration,
}

impl Cooldown {
    /// Returns what another process has saved in the store.
    #[cfg(feature = "store")]
    pub(crate) fn from_store(last: LastFailure, refusals: u32, failures: u32) -> Self {
        Self { last: Some(last), refusals, failures, early_rejections: 0 }
    }

    /// Merges the state of a flight or of another process: keeps the higher counts, and the cooldown that ends later.
    pub(crate) fn merge(&mut self, other: &Self, now: &Moment) {
        self.refusals = self.refusals.max(other.refusals);
        self.failures = self.failures.max(other.failures);
        if other.remaining_at(now) >= self.remaining_at(now) {
            self.last.clone_from(&other.last);
        }
    }

    /// Returns the error that stops an attempt at `now`, with the time of the next one.
    pub(crate) fn error_at(&self, now: &Moment) -> Option<Error> {
        let remaining = self.remaining_at(now)?;
        self.last_error().map(|error| error.clone().with_retry(remaining, now.wall + remaining))
    }

    /// Returns the time from `now` to the end of the cooldown, or `None` if an attempt may be made.
    pub(crate) fn remaining_at(&self, now: &Moment) -> Option<Duration> {
        let last = self.last.as_ref()?;
        last.cooldown.checked_sub(now.since(&last.failed_at)).filter(|remaining| !remaining.is_zero())
    }

    /// Returns the number of failed attempts since the last success.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns the last error, even if its cooldown is over.
    pub(crate) fn last_error(&self) -> Option<&Error> {
        self.last.as_ref().map(|last| &last.error)
    }

    /// Records that a flight failed, and returns the error with the time of the next attempt.
    pub(crate) fn fail(&mut self, error: Error, attempts: u32, now: Moment, policy: &Policy) -> Error {
        self.record_failure(&error, attempts, now, fastrand::f64(), policy);
        self.error_at(&now).unwrap_or(error)
    }

    /// Records that a flight failed at `now` after this number of attempts. `random` is in 0..1.
    fn record_failure(&mut self, error: &Error, attempts: u32, now: Moment, random: f64, policy: &Policy) {
        self.failures = self.failures.saturating_add(attempts);
        let is_refusal = matches!(error.kind(), ErrorKind::Refused | ErrorKind::Misconfigured | ErrorKind::Internal);
        let cooldown = if is_refusal {
            self.refusals = self.refusals.saturating_add(1);
            backoff::after_refusal(policy, self.refusals)
        } else {
            backoff::after_failure(policy, self.failures, random)
        };
        let cooldown = cooldown.max(error.retry_after().unwrap_or_default());
        self.last = Some(LastFailure { error: error.clone(), failed_at: now, cooldown });
    }

    /// Records that a login succeeded.
    ///
    /// If the new token replaces a rejected one, the count of rejections is kept. The login succeeded, but the API may
    /// reject the new token as well.
    pub(crate) fn record_success(&mut self, was_rejected: bool) {
        let early_rejections = if was_rejected { self.early_rejections } else { 0 };
        *self = Self { early_rejections, ..Self::default() };
    }

    /// Records that a server rejected a token of this age.
    ///
    /// The second token in a row that is rejected early starts a cooldown. Otherwise an API that rejects every token
    /// would cause one login for each of its calls.
    pub(crate) fn record_rejection(&mut self, age: Duration, now: Moment, provider: &'static str, policy: &Policy) {
        let cooldown = policy.rejection_cooldown;
        self.early_rejections = if age < cooldown { self.early_rejections + 1 } else { 0 };
        if self.early_rejections >= 2 && self.remaining_at(&now) < Some(cooldown) {
            let error = Error::throttled("two new tokens in a row were rejected by the API").with_provider(provider);
            self.last = Some(LastFailure { error, failed_at: now, cooldown });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};
    use proptest::prelude::*;

    fn after(start: Moment, seconds: u64) -> Moment {
        let wait = Duration::from_secs(seconds);
        Moment { monotonic: start.monotonic + wait, wall: start.wall + wait }
    }

    /// Returns the seconds, out of the first `seconds`, at which refused credentials are tried.
    fn attempt_times(policy: &Policy, seconds: u64) -> Vec<u64> {
        let start = SystemClock.now();
        let mut cooldown = Cooldown::default();
        let mut times = Vec::new();
        for second in 0..seconds {
            let now = after(start, second);
            if cooldown.error_at(&now).is_none() {
                cooldown.record_failure(&Error::refused("no"), 1, now, 1.0, policy);
                times.push(second);
            }
        }
        times
    }

    #[test]
    fn r4_refusals_are_tried_at_0_60_180_420_seconds() {
        assert_eq!(attempt_times(&Policy::default(), 3000), [0, 60, 180, 420, 900, 1800, 2700]);
    }

    #[test]
    fn r4_the_refusal_backoff_is_a_setting_and_never_below_1100_ms() {
        let second = Duration::from_secs(1);
        let policy = Policy::default().with_refusal_backoff(4 * second, 8 * second);
        assert_eq!(attempt_times(&policy, 20), [0, 4, 12]);
        let policy = Policy::default().with_refusal_backoff(Duration::ZERO, Duration::ZERO);
        assert_eq!(attempt_times(&policy, 20), [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]);
    }

    #[test]
    fn r10_the_rejection_cooldown_is_a_setting() {
        let policy = Policy::default().with_rejection_cooldown(Duration::from_secs(10));
        let (start, mut cooldown) = (SystemClock.now(), Cooldown::default());
        cooldown.record_rejection(Duration::from_secs(9), start, "test", &policy);
        cooldown.record_rejection(Duration::from_secs(10), start, "test", &policy);
        cooldown.record_rejection(Duration::from_secs(9), start, "test", &policy);
        assert!(cooldown.error_at(&start).is_none());
        cooldown.record_rejection(Duration::from_secs(9), start, "test", &policy);
        assert_eq!(cooldown.remaining_at(&start), Some(Duration::from_secs(10)));
    }

    #[test]
    fn r5_a_retry_after_is_kept() {
        let (start, mut cooldown) = (SystemClock.now(), Cooldown::default());
        let error = Error::throttled("slow down").with_retry(Duration::from_secs(600), start.wall);
        cooldown.record_failure(&error, 1, start, 0.0, &Policy::default());
        let stopped = cooldown.error_at(&after(start, 100)).unwrap();
        assert_eq!(stopped.retry_after(), Some(Duration::from_secs(500)));
        assert!(cooldown.error_at(&after(start, 600)).is_none());
    }

    #[test]
    fn r10_two_early_rejections_start_a_cooldown() {
        let (start, mut cooldown) = (SystemClock.now(), Cooldown::default());
        cooldown.record_rejection(Duration::from_secs(59), start, "test", &Policy::default());
        cooldown.record_success(true);
        assert!(cooldown.error_at(&start).is_none());
        cooldown.record_rejection(Duration::from_secs(1), start, "test", &Policy::default());
        assert!(cooldown.error_at(&after(start, 59)).is_some());
        assert!(cooldown.error_at(&after(start, 60)).is_none());

        cooldown.record_failure(&Error::refused("no"), 1, start, 1.0, &Policy::default());
        cooldown.record_failure(&Error::refused("no"), 1, start, 1.0, &Policy::default());
        cooldown.record_rejection(Duration::from_secs(1), start, "test", &Policy::default());
        assert!(cooldown.error_at(&after(start, 119)).is_some(), "the longer cooldown of a refusal is kept");

        let mut old = Cooldown::default();
        for _ in 0..10 {
            old.record_rejection(Duration::from_secs(60), start, "test", &Policy::default());
            assert!(old.error_at(&start).is_none());
        }
    }

    proptest! {
        #[test]
        fn a_cooldown_never_exceeds_its_maximum(failures in 1_u32..50, random in 0.0..1.0) {
            let (start, mut cooldown) = (SystemClock.now(), Cooldown::default());
            for _ in 0..failures {
                cooldown.record_failure(&Error::unavailable("down"), 1, start, random, &Policy::default());
            }
            prop_assert!(cooldown.error_at(&after(start, 30)).is_none());
            for _ in 0..failures {
                cooldown.record_failure(&Error::refused("no"), 1, start, random, &Policy::default());
            }
            prop_assert!(cooldown.error_at(&after(start, 59)).is_some());
            prop_assert!(cooldown.error_at(&after(start, 900)).is_none());
        }
    }
}

//! The memory of failed logins: when the next attempt is, and the error until then.

use std::time::Duration;

use crate::backoff;
use crate::clock::Moment;
use crate::error::Error;
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
        Self { last: Some(last), refusals, failures }
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
    ///
    /// Only the monotonic clock counts: a wall clock that is set forward must not end the cooldown of refused
    /// credentials.
    pub(crate) fn remaining_at(&self, now: &Moment) -> Option<Duration> {
        let last = self.last.as_ref()?;
        let passed = now.monotonic.saturating_duration_since(last.failed_at.monotonic);
        last.cooldown.checked_sub(passed).filter(|remaining| !remaining.is_zero())
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

    /// Records that the source of the credentials failed. The backoff is that of an outage, whatever the error's kind:
    /// nothing was sent, so no account can be locked.
    pub(crate) fn fail_source(&mut self, error: Error, now: Moment, policy: &Policy) -> Error {
        self.failures = self.failures.saturating_add(1);
        let cooldown = backoff::after_failure(policy, self.failures, fastrand::f64());
        self.last = Some(LastFailure { error: error.clone(), failed_at: now, cooldown });
        self.error_at(&now).unwrap_or(error)
    }

    /// Returns `true` during the cooldown, and after a refusal until this time after it. Until then, the count of refusals
    /// is needed: the next one gets a longer cooldown.
    pub(crate) fn is_remembered(&self, now: &Moment, time: Duration) -> bool {
        let Some(last) = &self.last else { return false };
        let time = if self.refusals > 0 { time } else { Duration::ZERO };
        now.monotonic.saturating_duration_since(last.failed_at.monotonic) < last.cooldown.saturating_add(time)
    }

    /// Returns `true` if the last failure was a refusal. The failure of a source is none, whatever its kind.
    pub(crate) fn is_refusal(&self) -> bool {
        self.refusals > 0 && self.last_error().is_some_and(Error::is_refusal)
    }

    /// Records that a flight failed at `now` after this number of attempts. `random` is in 0..1.
    fn record_failure(&mut self, error: &Error, attempts: u32, now: Moment, random: f64, policy: &Policy) {
        self.failures = self.failures.saturating_add(attempts);
        let cooldown = if error.is_refusal() {
            self.refusals = self.refusals.saturating_add(1);
            backoff::after_refusal(policy, self.refusals, random)
        } else {
            backoff::after_failure(policy, self.failures, random)
        };
        let cooldown = cooldown.max(backoff::with_jitter(error.retry_after().unwrap_or_default(), random));
        self.last = Some(LastFailure { error: error.clone(), failed_at: now, cooldown });
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
                cooldown.record_failure(&Error::refused("no"), 1, now, 0.0, policy);
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
    fn r5_a_retry_after_is_kept() {
        let (start, mut cooldown) = (SystemClock.now(), Cooldown::default());
        let error = Error::throttled("slow down").with_retry(Duration::from_secs(600), start.wall);
        cooldown.record_failure(&error, 1, start, 0.0, &Policy::default());
        let stopped = cooldown.error_at(&after(start, 100)).unwrap();
        assert_eq!(stopped.retry_after(), Some(Duration::from_secs(500)));
        assert!(cooldown.error_at(&after(start, 600)).is_none());
    }

    #[test]
    fn r4_a_step_of_the_wall_clock_shortens_no_cooldown() {
        let (start, mut cooldown) = (SystemClock.now(), Cooldown::default());
        cooldown.record_failure(&Error::refused("no"), 1, start, 0.0, &Policy::default());
        let hour = Duration::from_secs(3600);
        for wall in [start.wall - hour, start.wall + hour] {
            assert_eq!(cooldown.remaining_at(&Moment { wall, ..start }), Some(Duration::from_secs(60)));
        }
        assert_eq!(cooldown.remaining_at(&after(start, 60)), None);
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
            prop_assert!(cooldown.error_at(&after(start, 990)).is_none());
        }
    }
}

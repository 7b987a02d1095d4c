//! The memory of what went wrong: what may be tried again, and when.

use std::time::Duration;

use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::policy::Policy;
use crate::retry::{backoff, doubled};

/// What a manager remembers of failures, until a success or new credentials clear it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cooldown {
    pub(crate) last: Option<Last>,
    pub(crate) refusals: u32,
    pub(crate) failures: u32,
    young_rejections: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Last {
    pub(crate) error: Error,
    pub(crate) at: Moment,
    pub(crate) pause: Duration,
}

impl Cooldown {
    /// What another process remembers.
    #[cfg(feature = "store")]
    pub(crate) fn remembered(last: Last, refusals: u32, failures: u32) -> Self {
        Self { last: Some(last), refusals, failures, young_rejections: 0 }
    }

    /// Joins what a flight, or another process, remembers: the higher counts, the later end of a pause.
    pub(crate) fn learn(&mut self, other: &Self, now: &Moment) {
        self.refusals = self.refusals.max(other.refusals);
        self.failures = self.failures.max(other.failures);
        if other.left(now) >= self.left(now) {
            self.last.clone_from(&other.last);
        }
    }

    /// What stops an attempt at `now`: the error, with the time that is left in it.
    pub(crate) fn stops(&self, now: &Moment) -> Option<Error> {
        let left = self.left(now)?;
        self.last_error().map(|error| error.clone().with_retry(left, now.wall + left))
    }

    /// How long no attempt is made from `now` on.
    pub(crate) fn left(&self, now: &Moment) -> Option<Duration> {
        let last = self.last.as_ref()?;
        last.pause.checked_sub(now.since(&last.at)).filter(|left| !left.is_zero())
    }

    /// How many attempts have failed since the last success, for the next one's back-off.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// The last error, whether or not its pause is over.
    pub(crate) fn last_error(&self) -> Option<&Error> {
        self.last.as_ref().map(|last| &last.error)
    }

    /// Remembers that a flight failed after so many attempts. `random` is in 0..1.
    pub(crate) fn failed(&mut self, error: &Error, attempts: u32, now: Moment, random: f64, policy: &Policy) {
        self.failures = self.failures.saturating_add(attempts);
        let asked = error.retry_after().unwrap_or_default();
        let pause = if matches!(error.kind(), ErrorKind::Refused | ErrorKind::Misconfigured) {
            self.refusals = self.refusals.saturating_add(1);
            // A wrong password must not lock its account.
            doubled(&policy.refusal_backoff, self.refusals)
        } else {
            backoff(policy, self.failures, random)
        };
        self.last = Some(Last { error: error.clone(), at: now, pause: pause.max(asked) });
    }

    /// Remembers that a login succeeded. Where it replaces a token that was rejected, what is known of rejections stays:
    /// the server that takes a login may not be the one that takes the token.
    pub(crate) fn succeeded(&mut self, was_rejected: bool) {
        let young_rejections = if was_rejected { self.young_rejections } else { 0 };
        *self = Self { young_rejections, ..Self::default() };
    }

    /// Remembers that a server rejected a token of this age: the second young one in a row stops logins for a while.
    pub(crate) fn rejected(&mut self, age: Duration, now: Moment, provider: &'static str, policy: &Policy) {
        let pause = policy.rejection_cooldown;
        // One so young did not die of age.
        self.young_rejections = if age < pause { self.young_rejections + 1 } else { 0 };
        if self.young_rejections >= 2 && self.left(&now) < Some(pause) {
            let error = Error::throttled("two new tokens in a row were rejected by the API, so logins pause")
                .with_provider(provider);
            self.last = Some(Last { error, at: now, pause });
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

    /// The seconds, of so many, at which refused credentials are tried.
    fn tries(policy: &Policy, seconds: u64) -> Vec<u64> {
        let (start, mut cooldown) = (SystemClock.now(), Cooldown::default());
        let is_tried = |second: &u64| {
            let now = after(start, *second);
            let is_tried = cooldown.stops(&now).is_none();
            if is_tried {
                cooldown.failed(&Error::refused("no"), 1, now, 1.0, policy);
            }
            is_tried
        };
        (0..seconds).filter(is_tried).collect()
    }

    #[test]
    fn r4_refusals_are_tried_at_0_60_180_420_seconds() {
        assert_eq!(tries(&Policy::default(), 3000), [0, 60, 180, 420, 900, 1800, 2700]);
    }

    #[test]
    fn r4_the_pauses_are_settings_and_never_below_1100_ms() {
        let pauses = |first, longest| {
            tries(&Policy::default().with_refusal_backoff(Duration::from_secs(first), Duration::from_secs(longest)), 20)
        };
        assert_eq!(pauses(4, 8), [0, 4, 12]);
        assert_eq!(pauses(0, 0), [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]);
    }

    #[test]
    fn r10_the_pause_is_a_setting() {
        let policy = Policy::default().with_rejection_cooldown(Duration::from_secs(10));
        let (start, mut cooldown) = (SystemClock.now(), Cooldown::default());
        cooldown.rejected(Duration::from_secs(9), start, "test", &policy);
        cooldown.rejected(Duration::from_secs(10), start, "test", &policy);
        cooldown.rejected(Duration::from_secs(9), start, "test", &policy);
        assert!(cooldown.stops(&start).is_none());
        cooldown.rejected(Duration::from_secs(9), start, "test", &policy);
        assert_eq!(cooldown.left(&start), Some(Duration::from_secs(10)));
    }

    #[test]
    fn r5_a_servers_wish_is_kept() {
        let (start, mut cooldown) = (SystemClock.now(), Cooldown::default());
        let error = Error::throttled("slow down").with_retry(Duration::from_secs(600), start.wall);
        cooldown.failed(&error, 1, start, 0.0, &Policy::default());
        let stopped = cooldown.stops(&after(start, 100)).unwrap();
        assert_eq!(stopped.retry_after(), Some(Duration::from_secs(500)));
        assert!(cooldown.stops(&after(start, 600)).is_none());
    }

    #[test]
    fn r10_two_young_rejections_pause_logins() {
        let (start, mut cooldown) = (SystemClock.now(), Cooldown::default());
        cooldown.rejected(Duration::from_secs(59), start, "test", &Policy::default());
        cooldown.succeeded(true);
        assert!(cooldown.stops(&start).is_none());
        cooldown.rejected(Duration::from_secs(1), start, "test", &Policy::default());
        assert!(cooldown.stops(&after(start, 59)).is_some());
        assert!(cooldown.stops(&after(start, 60)).is_none());

        cooldown.failed(&Error::refused("no"), 1, start, 1.0, &Policy::default());
        cooldown.failed(&Error::refused("no"), 1, start, 1.0, &Policy::default());
        cooldown.rejected(Duration::from_secs(1), start, "test", &Policy::default());
        assert!(cooldown.stops(&after(start, 119)).is_some(), "the longer pause of a refusal stays");

        let mut old = Cooldown::default();
        for _ in 0..10 {
            old.rejected(Duration::from_secs(60), start, "test", &Policy::default());
            assert!(old.stops(&start).is_none());
        }
    }

    proptest! {
        #[test]
        fn a_pause_never_exceeds_its_cap(failures in 1_u32..50, random in 0.0..1.0) {
            let (start, mut cooldown) = (SystemClock.now(), Cooldown::default());
            for _ in 0..failures {
                cooldown.failed(&Error::unavailable("down"), 1, start, random, &Policy::default());
            }
            prop_assert!(cooldown.stops(&after(start, 30)).is_none());
            for _ in 0..failures {
                cooldown.failed(&Error::refused("no"), 1, start, random, &Policy::default());
            }
            prop_assert!(cooldown.stops(&after(start, 59)).is_some());
            prop_assert!(cooldown.stops(&after(start, 900)).is_none());
        }
    }
}

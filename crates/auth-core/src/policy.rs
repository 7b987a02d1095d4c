//! The numbers that a program may set.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Longer is as good as never, and no clock overflows on it.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// However short the pauses are set, no two logins with refused credentials are closer.
const SHORTEST_REFUSAL: Duration = Duration::from_millis(1100);

/// In percent: a token that is stale from its first moment would be one login for each call.
const EARLIEST_REFRESH: u8 = 50;

/// Holds the numbers of the promises: when a token is replaced, and when a failure is tried again.
///
/// The defaults are good for most. An account that is locked after a few wrong passwords wants longer pauses:
///
/// ```
/// use std::time::Duration;
///
/// use auth_core::Policy;
///
/// let hour = Duration::from_secs(3600);
/// let policy = Policy::default().with_refusal_backoff(hour, 24 * hour);
/// ```
///
/// A time of more than a year counts as a year.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub(crate) deadline: Duration,
    pub(crate) attempts: u32,
    pub(crate) refresh_window: RangeInclusive<u8>,
    pub(crate) margin: Duration,
    pub(crate) backoff: RangeInclusive<Duration>,
    pub(crate) longest_retry_after: Duration,
    pub(crate) refusal_backoff: RangeInclusive<Duration>,
    pub(crate) rejection_cooldown: Duration,
    pub(crate) ending_session: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            deadline: seconds(30),
            attempts: 3,
            refresh_window: 70..=80,
            margin: seconds(30),
            backoff: seconds(1)..=seconds(30),
            longest_retry_after: seconds(3600),
            refusal_backoff: seconds(60)..=seconds(15 * 60),
            rejection_cooldown: seconds(60),
            ending_session: seconds(60),
        }
    }
}

impl Policy {
    /// Sets how long one login may take, all attempts and waits together (S6). Default is 30 seconds.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline.min(LONGEST);
        self
    }

    /// Sets how many requests one login may make (R7), from 2, since after a refresh that fails comes a login by the
    /// credentials, to 10. Default is 3.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.clamp(2, 10);
        self
    }

    /// Sets from when on a token is replaced while it is still handed out: a point of this window, in percent of its life,
    /// drawn for each token (F2). Less than 50 counts as 50, and what lies within the margin as the margin's beginning.
    /// Default is 70 to 80.
    #[must_use]
    pub fn with_refresh_window(mut self, percent: RangeInclusive<u8>) -> Self {
        self.refresh_window = within(EARLIEST_REFRESH..=100, percent);
        self
    }

    /// Sets how much of its life a token must have left to be handed out; never more than a tenth of it (F3). Default is
    /// 30 seconds.
    ///
    /// A call that needs more asks for it: [`token_valid_for`](crate::TokenManager::token_valid_for).
    #[must_use]
    pub fn with_margin(mut self, margin: Duration) -> Self {
        self.margin = margin.min(LONGEST);
        self
    }

    /// Sets the first and the longest wait after a failure that passes; each is twice the one before, of which a random
    /// part is waited (R1). Zero is no wait at all, which only a test should want. Default is 1 to 30 seconds.
    #[must_use]
    pub fn with_backoff(mut self, initial: Duration, max: Duration) -> Self {
        self.backoff = within(Duration::ZERO..=LONGEST, initial..=max);
        self
    }

    /// Sets how long a server's `Retry-After` is obeyed at most (R5). Default is an hour.
    #[must_use]
    pub fn with_longest_retry_after(mut self, longest: Duration) -> Self {
        self.longest_retry_after = longest.min(LONGEST);
        self
    }

    /// Sets the first and the longest pause after a refusal of the credentials, or a setting that the provider does not
    /// accept; each is twice the one before, and none is below 1.1 seconds (R4). Default is 60 seconds to 15 minutes.
    ///
    /// A manager remembers them as long as it lives. Where processes come and go, a store remembers them for all
    /// (`TokenManager::with_store`); else each begins anew.
    #[must_use]
    pub fn with_refusal_backoff(mut self, initial: Duration, max: Duration) -> Self {
        self.refusal_backoff = within(SHORTEST_REFUSAL..=LONGEST, initial..=max);
        self
    }

    /// Sets how soon after their issue two tokens in a row must be rejected for logins to pause, and for how long (R10).
    /// Zero is no pause. Default is 60 seconds.
    #[must_use]
    pub fn with_rejection_cooldown(mut self, pause: Duration) -> Self {
        self.rejection_cooldown = pause.min(LONGEST);
        self
    }

    /// Sets the life below which a refreshed token, where the login gave more, means that its session is ending, and the
    /// credentials are used instead (R8). Default is 60 seconds.
    #[must_use]
    pub fn with_ending_session(mut self, life: Duration) -> Self {
        self.ending_session = life.min(LONGEST);
        self
    }
}

/// The range with its ends in order, and both within the bounds.
fn within<V: Ord + Copy>(bounds: RangeInclusive<V>, range: RangeInclusive<V>) -> RangeInclusive<V> {
    let ((least, most), (one, other)) = (bounds.into_inner(), range.into_inner());
    one.min(other).clamp(least, most)..=one.max(other).clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_taken_for_the_nearest_that_does() {
        let (second, year) = (Duration::from_secs(1), LONGEST);
        let policy = Policy::default()
            .with_deadline(Duration::MAX)
            .with_attempts(0)
            .with_refresh_window(RangeInclusive::new(200, 0))
            .with_margin(Duration::MAX)
            .with_backoff(Duration::MAX, second)
            .with_longest_retry_after(Duration::MAX)
            .with_refusal_backoff(Duration::ZERO, Duration::ZERO)
            .with_rejection_cooldown(Duration::MAX)
            .with_ending_session(Duration::MAX);
        assert_eq!(
            policy,
            Policy {
                deadline: year,
                attempts: 2,
                refresh_window: 50..=100,
                margin: year,
                backoff: second..=year,
                longest_retry_after: year,
                refusal_backoff: SHORTEST_REFUSAL..=SHORTEST_REFUSAL,
                rejection_cooldown: year,
                ending_session: year,
            }
        );
    }
}

//! The numbers that a program may set.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Longer is as good as never, and no clock overflows on it.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// However short the pauses are set: an account must not be locked by one slip.
const SHORTEST_REFUSAL: Duration = Duration::from_millis(1100);

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
/// let policy = Policy::default().with_refusal_pauses(hour..=24 * hour);
/// ```
///
/// A time of more than a year counts as a year.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub(crate) deadline: Duration,
    pub(crate) attempts: u32,
    pub(crate) refresh_window: RangeInclusive<u8>,
    pub(crate) margin: Duration,
    pub(crate) back_off: RangeInclusive<Duration>,
    pub(crate) longest_retry_after: Duration,
    pub(crate) refusal_pauses: RangeInclusive<Duration>,
    pub(crate) rejection_pause: Duration,
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
            back_off: seconds(1)..=seconds(30),
            longest_retry_after: seconds(3600),
            refusal_pauses: seconds(60)..=seconds(15 * 60),
            rejection_pause: seconds(60),
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

    /// Sets how many requests one login may make (R7), at least two: after a refresh that fails comes a login by the
    /// credentials. Default is 3.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(2);
        self
    }

    /// Sets from when on a token is replaced while it is still handed out: a point of this window, in percent of its life,
    /// that is drawn for each token (F2). More than 100 counts as 100. Default is 70 to 80.
    #[must_use]
    pub fn with_refresh_window(mut self, percent: RangeInclusive<u8>) -> Self {
        self.refresh_window = ordered(percent, 100);
        self
    }

    /// Sets how much of its life a token must have left to be handed out; never more than a tenth of it (F3). Default is
    /// 30 seconds.
    ///
    /// A call that needs more asks for it: [`token_with`](crate::TokenManager::token_with).
    #[must_use]
    pub fn with_margin(mut self, margin: Duration) -> Self {
        self.margin = margin.min(LONGEST);
        self
    }

    /// Sets the first and the longest wait after a failure that passes; each is twice the one before, of which a random
    /// part is waited (R1). Default is 1 to 30 seconds.
    #[must_use]
    pub fn with_back_off(mut self, waits: RangeInclusive<Duration>) -> Self {
        self.back_off = ordered(waits, LONGEST);
        self
    }

    /// Sets how long a server's `Retry-After` is obeyed at most (R5). Default is an hour.
    #[must_use]
    pub fn with_longest_retry_after(mut self, longest: Duration) -> Self {
        self.longest_retry_after = longest.min(LONGEST);
        self
    }

    /// Sets the first and the longest pause after a refusal of the credentials; each is twice the one before, and none is
    /// below 1.1 seconds (R4). Default is 60 seconds to 15 minutes.
    #[must_use]
    pub fn with_refusal_pauses(mut self, pauses: RangeInclusive<Duration>) -> Self {
        let (first, longest) = ordered(pauses, LONGEST).into_inner();
        self.refusal_pauses = first.max(SHORTEST_REFUSAL)..=longest.max(SHORTEST_REFUSAL);
        self
    }

    /// Sets how long logins pause after two tokens in a row that were rejected so soon after they were issued (R10).
    /// Default is 60 seconds.
    #[must_use]
    pub fn with_rejection_pause(mut self, pause: Duration) -> Self {
        self.rejection_pause = pause.min(LONGEST);
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

/// Neither end is above `most`, nor the first above the last.
fn ordered<V: Copy + Ord>(range: RangeInclusive<V>, most: V) -> RangeInclusive<V> {
    let (first, last) = range.into_inner();
    first.min(last).min(most)..=first.max(last).min(most)
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
            .with_refresh_window(RangeInclusive::new(200, 50))
            .with_margin(Duration::MAX)
            .with_back_off(RangeInclusive::new(Duration::MAX, second))
            .with_longest_retry_after(Duration::MAX)
            .with_refusal_pauses(Duration::ZERO..=Duration::ZERO)
            .with_rejection_pause(Duration::MAX)
            .with_ending_session(Duration::MAX);
        assert_eq!(
            policy,
            Policy {
                deadline: year,
                attempts: 2,
                refresh_window: 50..=100,
                margin: year,
                back_off: second..=year,
                longest_retry_after: year,
                refusal_pauses: SHORTEST_REFUSAL..=SHORTEST_REFUSAL,
                rejection_pause: year,
                ending_session: year,
            }
        );
    }
}

//! The settings for refreshes and retries.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The longest duration of a policy: adding a year to a clock never overflows.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The shortest cooldown after a refusal, so that even a wrong policy does not lock an account at once.
const SHORTEST_REFUSAL: Duration = Duration::from_millis(1100);

/// The earliest refresh point, in percent of the lifetime. A token that is stale from the start would cause one login
/// for each call.
const EARLIEST_REFRESH: u8 = 50;

/// Holds the settings that decide when a token is refreshed and when a failed login is tried again.
///
/// The defaults fit most programs. An account that is locked after a few wrong passwords needs a longer backoff:
///
/// ```
/// use std::time::Duration;
///
/// use auth_core::Policy;
///
/// let hour = Duration::from_secs(3600);
/// let policy = Policy::default().with_refusal_backoff(hour, 24 * hour);
/// # let _ = policy;
/// ```
///
/// A duration of more than a year counts as a year. The numbers in parentheses, such as S6, refer to the
/// crate's `PROMISES.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub(crate) deadline: Duration,
    pub(crate) attempts: u32,
    pub(crate) refresh_window: RangeInclusive<u8>,
    pub(crate) margin: Duration,
    pub(crate) backoff: RangeInclusive<Duration>,
    pub(crate) longest_retry_after: Duration,
    pub(crate) refusal_backoff: RangeInclusive<Duration>,
    pub(crate) rejection_interval: Duration,
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
            rejection_interval: seconds(60),
            ending_session: seconds(60),
        }
    }
}

impl Policy {
    /// Sets the deadline of one login: all its attempts and the waits between them (S6). The default is 30 seconds.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use auth_core::Policy;
    ///
    /// let policy = Policy::default().with_deadline(Duration::from_secs(10));
    /// # let _ = policy;
    /// ```
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline.min(LONGEST);
        self
    }

    /// Sets the maximum number of requests in one login, 2 to 10 (R7). The default is 3.
    ///
    /// The minimum is 2, because a failed refresh is followed by a login with the credentials.
    ///
    /// ```
    /// use auth_core::Policy;
    ///
    /// let policy = Policy::default().with_attempts(5);
    /// # let _ = policy;
    /// ```
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.clamp(2, 10);
        self
    }

    /// Sets when a token becomes stale, in percent of its lifetime, 50 to 100 (F2). The default is 70 to 80.
    ///
    /// Each token gets a random point in this window, so that processes that started together do not refresh together.
    /// From that point on it is refreshed in the background and is still returned. The point is never later than the
    /// start of the [margin](Self::with_margin).
    ///
    /// ```
    /// use auth_core::Policy;
    ///
    /// let policy = Policy::default().with_refresh_window(50..=60);
    /// # let _ = policy;
    /// ```
    #[must_use]
    pub fn with_refresh_window(mut self, percent: RangeInclusive<u8>) -> Self {
        self.refresh_window = within(EARLIEST_REFRESH..=100, percent);
        self
    }

    /// Sets the margin before the end of a token (F3). The default is 30 seconds.
    ///
    /// In the margin, callers wait for the next token. The old token is returned only if there is no next one within two
    /// seconds (F11). The margin is never more than a tenth of the token's lifetime. If a caller needs more validity,
    /// use [`token_valid_for`](crate::TokenManager::token_valid_for).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use auth_core::Policy;
    ///
    /// let policy = Policy::default().with_margin(Duration::from_secs(60));
    /// # let _ = policy;
    /// ```
    #[must_use]
    pub fn with_margin(mut self, margin: Duration) -> Self {
        self.margin = margin.min(LONGEST);
        self
    }

    /// Sets the first and the longest step of the backoff after a transient failure (R1). The defaults are 1 and 30
    /// seconds.
    ///
    /// Each step is twice the previous one, and the wait is a random part of the step ("full jitter"). A step of zero
    /// means no wait. Use that only in tests.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use auth_core::Policy;
    ///
    /// let policy = Policy::default().with_backoff(Duration::from_secs(2), Duration::from_secs(60));
    /// # let _ = policy;
    /// ```
    #[must_use]
    pub fn with_backoff(mut self, initial: Duration, max: Duration) -> Self {
        self.backoff = within(Duration::ZERO..=LONGEST, initial..=max);
        self
    }

    /// Sets the longest `Retry-After` (RFC 9110 10.2.3) that is followed (R5). The default is one hour.
    ///
    /// A longer `Retry-After` counts as this duration. See also
    /// [Retry-After on MDN](https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Retry-After).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use auth_core::Policy;
    ///
    /// let policy = Policy::default().with_longest_retry_after(Duration::from_secs(600));
    /// # let _ = policy;
    /// ```
    #[must_use]
    pub fn with_longest_retry_after(mut self, longest: Duration) -> Self {
        self.longest_retry_after = longest.min(LONGEST);
        self
    }

    /// Sets the first and the longest step of the backoff after refused credentials (R4). The defaults are 60 seconds
    /// and 15 minutes.
    ///
    /// It also applies to a setting that the provider does not accept. Each step is twice the previous one, at least
    /// 1.1 seconds, and up to a tenth longer, so that processes do not return in the same instant. A manager counts
    /// the refusals until it is dropped. If your processes exit soon after a login, share the count through a store ([`with_store`](crate::TokenManagerBuilder::with_store)); otherwise each process starts at
    /// the first step.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use auth_core::Policy;
    ///
    /// let policy = Policy::default().with_refusal_backoff(Duration::from_secs(600), Duration::from_secs(3600));
    /// # let _ = policy;
    /// ```
    #[must_use]
    pub fn with_refusal_backoff(mut self, initial: Duration, max: Duration) -> Self {
        self.refusal_backoff = within(SHORTEST_REFUSAL..=LONGEST, initial..=max);
        self
    }

    /// Sets how long a token that has replaced a rejected one is kept, even if it is rejected as well (R10). The default
    /// is 60 seconds.
    ///
    /// If a server rejects the new token too, then that server is the cause, and other callers keep the token. So a
    /// server that rejects every token causes one login in this time, at most. Half of the token's lifetime counts if
    /// that is less. Zero means that each rejected token is replaced.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use auth_core::Policy;
    ///
    /// let policy = Policy::default().with_rejection_interval(Duration::from_secs(30));
    /// # let _ = policy;
    /// ```
    #[must_use]
    pub fn with_rejection_interval(mut self, interval: Duration) -> Self {
        self.rejection_interval = interval.min(LONGEST);
        self
    }

    /// Sets the lifetime below which a refreshed token shows that its session is ending (R8). The default is 60
    /// seconds.
    ///
    /// Such a token is discarded, and the next attempt logs in with the credentials.
    ///
    /// If the token of the last login did not live longer either, the lifetime is normal for this server, and the
    /// refreshed token is kept.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use auth_core::Policy;
    ///
    /// let policy = Policy::default().with_ending_session(Duration::from_secs(120));
    /// # let _ = policy;
    /// ```
    #[must_use]
    pub fn with_ending_session(mut self, lifetime: Duration) -> Self {
        self.ending_session = lifetime.min(LONGEST);
        self
    }
}

/// Returns `range` with its ends in order, and both limited to `bounds`.
fn within<V: Ord + Copy>(bounds: RangeInclusive<V>, range: RangeInclusive<V>) -> RangeInclusive<V> {
    let (least, most) = bounds.into_inner();
    let (one, other) = range.into_inner();
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
            .with_rejection_interval(Duration::MAX)
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
                rejection_interval: year,
                ending_session: year,
            }
        );
    }
}

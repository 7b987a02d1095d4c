//! How long the manager and a login wait after failures: pure functions of a policy.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::policy::Policy;

/// Returns the wait after failed attempt number `attempt`, from 1, with full jitter: `random` is in 0..1.
pub(crate) fn after_failure(policy: &Policy, attempt: u32, random: f64) -> Duration {
    step(&policy.backoff, attempt).mul_f64(random)
}

/// Returns the wait after refusal number `refusal` in a row, from 1.
///
/// It is never less than the full step, because many providers lock an account after a few wrong passwords.
pub(crate) fn after_refusal(policy: &Policy, refusal: u32, random: f64) -> Duration {
    with_jitter(step(&policy.refusal_backoff, refusal), random)
}

/// Returns a wait that is up to a tenth longer, so that clients which were told the same time do not return in the same
/// instant. `random` is in 0..1.
pub(crate) fn with_jitter(wait: Duration, random: f64) -> Duration {
    wait + (wait / 10).mul_f64(random)
}

/// Returns step `number`, from 1, of a backoff that starts and ends as `steps` does and doubles each time.
fn step(steps: &RangeInclusive<Duration>, number: u32) -> Duration {
    let factor = 2_u32.saturating_pow(number.saturating_sub(1));
    steps.start().saturating_mul(factor).min(*steps.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest_backoffs(policy: &Policy) -> [u64; 8] {
        [1, 2, 3, 4, 5, 6, 7, 100].map(|attempt| after_failure(policy, attempt, 1.0).as_secs())
    }

    #[test]
    fn r1_the_backoff_doubles_up_to_its_cap() {
        let policy = Policy::default();
        assert_eq!(longest_backoffs(&policy), [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(after_failure(&policy, 3, 0.0), Duration::ZERO);
        let policy = policy.with_backoff(Duration::from_secs(5), Duration::from_secs(60));
        assert_eq!(longest_backoffs(&policy), [5, 10, 20, 40, 60, 60, 60, 60]);
    }

    #[test]
    fn r4_the_backoff_after_refusals_is_never_shorter_and_up_to_a_tenth_longer() {
        let policy = Policy::default();
        let steps = |random| [1, 2, 3, 4, 5, 6, 100].map(|refusal| after_refusal(&policy, refusal, random).as_secs());
        assert_eq!(steps(0.0), [60, 120, 240, 480, 900, 900, 900]);
        assert_eq!(steps(1.0), [66, 132, 264, 528, 990, 990, 990]);
    }
}

//! Which rejected tokens are replaced.

use std::sync::Arc;
use std::time::Duration;

use super::state::Shared;
use crate::clock::Moment;
use crate::need::{Need, Reason};
use crate::policy::Policy;
use crate::targets;
use crate::token::AccessToken;

impl Shared {
    pub(super) fn reject(self: &Arc<Self>, token: &AccessToken) {
        let mut state = self.lock();
        // Many requests may have been sent with one token. Only the first rejection counts. A later one must not remove
        // the token that has replaced it.
        let Some(current) = self.current.load().filter(|current| current.ptr_eq(token)) else { return };
        if is_kept(&current, &self.clock.now(), &self.options.policy) {
            let is_first = state.kept != current.generation();
            state.kept = current.generation();
            drop(state);
            if is_first {
                tracing::warn!(
                    target: targets::FLIGHT,
                    provider = self.name.provider(), label = self.name.label(),
                    "token kept although an API rejects it: it has just replaced a rejected one, so that API is the cause"
                );
            }
            return;
        }
        if state.cooldown.remaining_at(&self.clock.now()).is_some() {
            // No login can replace the token now, and without it all callers would get an error. Another process may
            // have a newer one, so look for that.
            let start = current.issued().plus(Duration::from_millis(1));
            drop(state);
            let _ = self.join_or_start(Need::IssuedAfter(start), Reason::Rejected);
            return;
        }
        self.replace(None);
        state.rejected = Some(current);
        #[cfg(feature = "store")]
        if let (Some(cursor), Some(renewer), Ok(runtime)) =
            (state.cursor.clone(), state.renewer.clone(), self.options.runtime.handle())
        {
            // Unlock first: a runtime that has shut down drops the task inside `spawn`.
            drop(state);
            runtime.spawn(async move { renewer.forget(cursor).await });
        }
    }
}

/// Returns `true` if a rejected token stays the current one, because it has itself just replaced a rejected one.
///
/// The mark belongs to the token and travels through the store with it. So one server that rejects every token causes
/// one login a minute in a whole fleet. From the second replacement in a row on, the time is a tenth longer: then an
/// hour has at most 60 logins, the first two included.
fn is_kept(token: &AccessToken, now: &Moment, policy: &Policy) -> bool {
    let interval = policy.rejection_interval.min(token.lifetime() / 2);
    let interval = match token.rejections() {
        0 => Duration::ZERO,
        1 => interval,
        _ => interval + interval / 10,
    };
    // By the monotonic clock alone: a step of the wall clock must not cause a login.
    now.monotonic.saturating_duration_since(token.issued().monotonic) < interval
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    fn kept_for(lifetime: u64, rejections: u32, policy: &Policy) -> u64 {
        let token = AccessToken::new("t".into(), Duration::from_secs(lifetime)).unwrap().with_rejections(rejections);
        let issued = token.issued();
        (0..1000).take_while(|second| is_kept(&token, &issued.plus(Duration::from_secs(*second)), policy)).count()
            as u64
    }

    #[test]
    fn r10_a_token_that_replaced_a_rejected_one_is_kept_for_a_minute_or_half_its_lifetime() {
        let policy = Policy::default();
        let cases = [(3000, 0, 0), (3000, 1, 60), (3000, 2, 66), (3000, 9, 66), (40, 1, 20), (40, 2, 22)];
        for (lifetime, rejections, expected) in cases {
            assert_eq!(kept_for(lifetime, rejections, &policy), expected, "{lifetime} {rejections}");
        }
        let policy = policy.with_rejection_interval(Duration::from_secs(10));
        assert_eq!(kept_for(3000, 1, &policy), 10);
        assert_eq!(kept_for(3000, 1, &policy.with_rejection_interval(Duration::ZERO)), 0);
    }

    #[test]
    fn r10_a_step_of_the_wall_clock_shortens_no_interval() {
        let token = AccessToken::new("t".into(), Duration::from_secs(3000)).unwrap().with_rejections(1);
        let wall = SystemClock.now().wall + Duration::from_secs(3600);
        assert!(is_kept(&token, &Moment { wall, ..token.issued() }, &Policy::default()));
    }
}

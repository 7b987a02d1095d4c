//! Whether a token is fresh, stale, expiring or expired: pure functions of its age and its lifetime.

use std::time::Duration;

use crate::clock::Moment;
use crate::policy::Policy;

/// The state of a token: whether it can be used, and whether it must be refreshed.
///
/// ```
/// use auth_core::{Freshness, TokenManager};
///
/// fn is_healthy(tokens: &TokenManager) -> bool {
///     matches!(tokens.status().freshness, Some(Freshness::Fresh | Freshness::Stale))
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Freshness {
    /// The token is before its refresh point.
    Fresh,
    /// The token is past its refresh point. It can still be used while the next one is fetched.
    Stale,
    /// The token is within the [margin](crate::Policy::with_margin) before its end.
    ///
    /// Callers wait up to two seconds for the next token, and not at all during a cooldown. If there is no next token
    /// by then, they get this one.
    Expiring,
    /// The token must not be sent any more: less than a second of its lifetime is left.
    Expired,
}

/// A token with less than this left is not handed out, because it would expire on its way to the server.
const LEAST: Duration = Duration::from_secs(1);

/// The moments at which a token becomes stale, expiring and expired. They are computed once for each token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term {
    /// The token is stale from this moment on.
    pub(crate) refresh: Moment,
    /// The token is within the margin from this moment on.
    pub(crate) margin: Moment,
    /// The token is expired from this moment on. It is never before the margin.
    pub(crate) end: Moment,
}

impl Term {
    /// Computes the moments of a token issued at `issued`.
    ///
    /// `random`, in 0..1, places the refresh point in the policy's window, so that processes that started together do
    /// not refresh together. The margin is the policy's, or a tenth of the lifetime if that is less.
    pub(crate) fn new(issued: Moment, lifetime: Duration, random: f64, policy: &Policy) -> Self {
        let (first, last) = (f64::from(*policy.refresh_window.start()), f64::from(*policy.refresh_window.end()));
        let percent = first + (last - first) * random;
        let usable = lifetime - policy.margin.min(lifetime / 10);
        Self {
            refresh: issued.plus(lifetime.mul_f64(percent / 100.0).min(usable)),
            margin: issued.plus(usable),
            end: issued.plus(lifetime.saturating_sub(LEAST).max(usable)),
        }
    }

    /// Returns the freshness at `now`. A moment has passed as soon as one of the two clocks has reached it.
    #[inline]
    pub(crate) fn at(&self, now: &Moment) -> Freshness {
        if now.is_before(&self.refresh) {
            Freshness::Fresh
        } else if now.is_before(&self.margin) {
            Freshness::Stale
        } else if now.is_before(&self.end) {
            Freshness::Expiring
        } else {
            Freshness::Expired
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};
    use proptest::prelude::*;

    fn term(lifetime: Duration, random: f64) -> (Moment, Term) {
        let issued = SystemClock.now();
        (issued, Term::new(issued, lifetime, random, &Policy::default()))
    }

    #[test]
    fn f3_the_margin_is_30_s_or_a_tenth() {
        let cases = [(5_000, 500), (60_000, 6_000), (300_000, 30_000), (1_800_000, 30_000), (86_400_000, 30_000)];
        for (lifetime, margin) in cases {
            let (issued, term) = term(Duration::from_millis(lifetime), 0.5);
            assert_eq!(term.margin, issued.plus(Duration::from_millis(lifetime - margin)));
        }
    }

    #[test]
    fn f11_a_token_in_its_margin_is_usable_until_its_last_second() {
        for (lifetime, end) in [(5_000, 4_500), (10_000, 9_000), (60_000, 59_000), (1_800_000, 1_799_000)] {
            let (issued, term) = term(Duration::from_millis(lifetime), 0.5);
            assert_eq!(term.end, issued.plus(Duration::from_millis(end)));
        }
    }

    #[test]
    fn f2_the_refresh_point_is_spread_over_a_tenth_of_the_lifetime() {
        let mut points = Vec::new();
        for _ in 0..1000 {
            let (issued, term) = term(Duration::from_secs(1000), fastrand::f64());
            points.push(term.refresh.since(&issued));
        }
        points.sort_unstable();
        assert!(points[0] >= Duration::from_secs(700) && points[999] <= Duration::from_secs(800));
        let gap = points.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(gap < Some(Duration::from_secs(10)), "a gap in the spread: {gap:?}");
        assert!(points[999] - points[0] > Duration::from_secs(90));
    }

    #[test]
    fn f2_f3_the_window_and_the_margin_are_settings() {
        let policy = Policy::default().with_refresh_window(50..=60).with_margin(Duration::from_secs(90));
        for (lifetime, margin) in [(100, 10), (900, 90), (3600, 90)] {
            let (issued, lifetime) = (SystemClock.now(), Duration::from_secs(lifetime));
            let points = [0.0, 1.0].map(|random| Term::new(issued, lifetime, random, &policy).refresh);
            assert_eq!(points, [issued.plus(lifetime / 2), issued.plus(lifetime * 3 / 5)]);
            let term = Term::new(issued, lifetime, 0.5, &policy);
            assert_eq!(term.margin, issued.plus(lifetime - Duration::from_secs(margin)));

            let late = Term::new(issued, lifetime, 0.5, &policy.clone().with_refresh_window(95..=100));
            assert_eq!(late.refresh, late.margin, "the refresh point is never within the margin");
        }
    }

    #[test]
    fn f6_the_first_clock_to_reach_a_moment_decides() {
        let (issued, term) = term(Duration::from_secs(1000), 0.5);
        let at = |monotonic: u64, wall: i64| {
            let by = Duration::from_secs(wall.unsigned_abs());
            let wall = if wall < 0 { issued.wall - by } else { issued.wall + by };
            term.at(&Moment { monotonic: issued.monotonic + Duration::from_secs(monotonic), wall })
        };
        let cases = [
            (0, 0, Freshness::Fresh),
            (749, 749, Freshness::Fresh),
            (750, 749, Freshness::Stale),
            (749, 750, Freshness::Stale),
            (969, 969, Freshness::Stale),
            (970, 969, Freshness::Expiring),
            (969, 970, Freshness::Expiring),
            (998, 998, Freshness::Expiring),
            (999, 998, Freshness::Expired),
            (998, 999, Freshness::Expired),
            (0, 7200, Freshness::Expired),
            (0, -7200, Freshness::Fresh),
            (970, -7200, Freshness::Expiring),
            (999, -7200, Freshness::Expired),
        ];
        for (monotonic, wall, expected) in cases {
            assert_eq!(at(monotonic, wall), expected, "{monotonic} {wall}");
        }
    }

    fn rank(freshness: Freshness) -> u8 {
        match freshness {
            Freshness::Fresh => 3,
            Freshness::Stale => 2,
            Freshness::Expiring => 1,
            Freshness::Expired => 0,
        }
    }

    proptest! {
        #[test]
        fn freshness_never_rises(seconds in 1_u64..31_536_000, random in 0.0..1.0, age in 0.0..2.0, later in 0.0..2.0) {
            let lifetime = Duration::from_secs(seconds);
            let (issued, term) = term(lifetime, random);
            let at = |part: f64| term.at(&issued.plus(lifetime.mul_f64(part)));
            prop_assert!(rank(at(age + later)) <= rank(at(age)));
            prop_assert_eq!([at(0.0), at(0.69)], [Freshness::Fresh; 2]);
            prop_assert_eq!(at(0.81), Freshness::Stale);
            prop_assert_eq!(at(1.0), Freshness::Expired);
        }
    }
}

//! What a token is worth at an instant: pure functions of its age and its lifetime.

use std::time::Duration;

/// Below this much left, a token may end on its way to the server.
const MARGIN: Duration = Duration::from_secs(30);

/// Says what a token is worth at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Freshness {
    /// Not yet worth replacing.
    Fresh,
    /// Worth replacing, and still good.
    Stale,
    /// Not to be sent any more: its end is too near, or past.
    Expired,
}

/// The ages at which one token changes its worth; drawn once, and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ages {
    /// From here on it is stale.
    pub(crate) refresh: Duration,
    /// From here on it is expired.
    pub(crate) end: Duration,
}

impl Ages {
    /// Draws the refresh point at 70 to 80 % of the life, by `random` in 0..1, so that the tokens of many processes do
    /// not end together; the end is 30 s before the lifetime's, or a tenth of a short life.
    pub(crate) fn draw(lifetime: Duration, random: f64) -> Self {
        Self { refresh: lifetime.mul_f64(0.7 + 0.1 * random), end: lifetime - MARGIN.min(lifetime / 10) }
    }

    /// Makes a token stale at once.
    pub(crate) fn hurried(self) -> Self {
        Self { refresh: Duration::ZERO, ..self }
    }

    /// What the token is worth at this age.
    pub(crate) fn at(&self, age: Duration) -> Freshness {
        if age < self.refresh {
            Freshness::Fresh
        } else if age < self.end {
            Freshness::Stale
        } else {
            Freshness::Expired
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn f3_the_margin_is_30_s_or_a_tenth() {
        let cases = [(5_000, 500), (60_000, 6_000), (300_000, 30_000), (1_800_000, 30_000), (86_400_000, 30_000)];
        for (lifetime, margin) in cases {
            let lifetime = Duration::from_millis(lifetime);
            assert_eq!(Ages::draw(lifetime, 0.5).end, lifetime - Duration::from_millis(margin));
        }
    }

    #[test]
    fn f2_the_refresh_point_is_spread_over_a_tenth_of_the_life() {
        let lifetime = Duration::from_secs(1000);
        let mut points: Vec<_> = (0..1000).map(|_| Ages::draw(lifetime, fastrand::f64()).refresh).collect();
        points.sort_unstable();
        assert!(points[0] >= Duration::from_secs(700) && points[999] <= Duration::from_secs(800));
        let spread = points.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(spread < Some(Duration::from_secs(10)), "a gap in the spread: {spread:?}");
        assert!(points[999] - points[0] > Duration::from_secs(90));
    }

    proptest! {
        #[test]
        fn worth_only_falls(seconds in 1_u64..31_536_000, random in 0.0..1.0, age in 0.0..2.0, later in 0.0..2.0) {
            let lifetime = Duration::from_secs(seconds);
            let ages = Ages::draw(lifetime, random);
            let worth = |freshness| match freshness { Freshness::Fresh => 2, Freshness::Stale => 1, Freshness::Expired => 0 };
            let [age, later] = [age, age + later].map(|part| lifetime.mul_f64(part));
            prop_assert!(worth(ages.at(later)) <= worth(ages.at(age)));
            prop_assert_eq!(ages.at(Duration::ZERO), Freshness::Fresh);
            prop_assert_eq!(ages.at(lifetime.mul_f64(0.69)), Freshness::Fresh);
            prop_assert_eq!(ages.at(lifetime.mul_f64(0.81)), Freshness::Stale);
            prop_assert_eq!(ages.at(lifetime), Freshness::Expired);
        }
    }
}

//! What a token is worth at an instant: pure functions of its age and its lifetime.

use std::time::Duration;

/// Below this much left, a token may end on its way to the server.
const MARGIN: Duration = Duration::from_secs(30);

/// The end of a token's life that is not used: 30 s, or a tenth of a short life.
pub(crate) fn margin(lifetime: Duration) -> Duration {
    MARGIN.min(lifetime / 10)
}

/// Tells whether a token of this age may still be sent.
pub(crate) fn is_usable(age: Duration, lifetime: Duration) -> bool {
    age + margin(lifetime) < lifetime
}

/// The age at which to ask for the next token: 70 to 80 % of the life, by `random` in 0..1, so that the tokens of many
/// processes do not end together.
pub(crate) fn refresh_point(lifetime: Duration, random: f64) -> Duration {
    lifetime.mul_f64(0.7 + 0.1 * random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn f3_the_margin_is_30_s_or_a_tenth() {
        let cases = [(5_000, 500), (60_000, 6_000), (300_000, 30_000), (1_800_000, 30_000), (86_400_000, 30_000)];
        for (lifetime, expected) in cases {
            assert_eq!(margin(Duration::from_millis(lifetime)), Duration::from_millis(expected));
        }
    }

    #[test]
    fn f4_a_slow_answer_shortens_the_life() {
        let lifetime = Duration::from_secs(60);
        assert!(is_usable(Duration::from_secs(53), lifetime));
        assert!(!is_usable(Duration::from_secs(54), lifetime));
        // Answered after 8 s: usable for 46 s from then on, which is less than 52 s.
    }

    proptest! {
        #[test]
        fn a_token_at_its_refresh_point_is_usable(seconds in 1_u64..31_536_000, random in 0.0..1.0) {
            let lifetime = Duration::from_secs(seconds);
            let point = refresh_point(lifetime, random);
            prop_assert!(point >= lifetime.mul_f64(0.7) && point <= lifetime.mul_f64(0.8));
            prop_assert!(is_usable(point, lifetime));
        }
    }
}

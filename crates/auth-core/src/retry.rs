//! When to try again.

use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;

use crate::message::Response;
use crate::policy::Policy;

/// Reads `Retry-After` (RFC 9110 10.2.3): seconds, or a date measured by the server's own clock where it states one. It is
/// obeyed so long at most: a slip of the pen must not silence a program for a year.
pub(crate) fn retry_after(response: &Response, now: SystemTime, policy: &Policy) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = || text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().unwrap_or(u64::MAX));
    let wait = match httpdate::parse_http_date(text) {
        Ok(date) => date.duration_since(response.date().unwrap_or(now)).unwrap_or_default(),
        Err(_) => Duration::from_secs(seconds().filter(|_| !text.is_empty())?),
    };
    Some(wait.min(policy.longest_retry_after))
}

/// The wait after failed attempt number `attempt` (from 1), by full jitter: `random`, in 0..1, of an exponential step.
pub(crate) fn backoff(policy: &Policy, attempt: u32, random: f64) -> Duration {
    doubled(&policy.backoff, attempt).mul_f64(random)
}

/// Step `number` (from 1) of those that begin and end as `steps` do, each twice the one before.
pub(crate) fn doubled(steps: &RangeInclusive<Duration>, number: u32) -> Duration {
    let factor = 2_u32.saturating_pow(number.saturating_sub(1));
    steps.start().saturating_mul(factor).min(*steps.end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SecretBytes;
    use http::header::DATE;
    use http::{HeaderMap, HeaderName, StatusCode};
    use proptest::prelude::*;

    fn waits(headers: &[(HeaderName, &str)]) -> Option<u64> {
        waits_by(&Policy::default(), headers)
    }

    fn waits_by(policy: &Policy, headers: &[(HeaderName, &str)]) -> Option<u64> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        let response =
            Response::new(StatusCode::TOO_MANY_REQUESTS, HeaderMap::from_iter(headers), SecretBytes::default());
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:00:00 GMT").unwrap();
        retry_after(&response, now, policy).map(|wait| wait.as_secs())
    }

    #[test]
    fn r5_retry_after_as_seconds_or_date() {
        let cases = [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("3600", Some(3600)),
            ("3601", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("Sun, 06 Nov 1994 08:01:00 GMT", Some(60)),
            ("Sun, 06 Nov 1994 07:00:00 GMT", Some(0)),
            ("Sat, 06 Nov 2094 08:00:00 GMT", Some(3600)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ];
        for (text, expected) in cases {
            assert_eq!(waits(&[(RETRY_AFTER, text)]), expected, "{text}");
        }
    }

    #[test]
    fn r5_how_long_a_server_is_obeyed_is_a_setting() {
        let policy = Policy::default().with_longest_retry_after(Duration::from_secs(600));
        assert_eq!(waits_by(&policy, &[(RETRY_AFTER, "3600")]), Some(600));
    }

    #[test]
    fn r5_a_date_is_measured_by_the_servers_clock() {
        let headers = [(RETRY_AFTER, "Sun, 06 Nov 1994 10:01:00 GMT"), (DATE, "Sun, 06 Nov 1994 10:00:00 GMT")];
        assert_eq!(waits(&headers), Some(60));
    }

    #[test]
    fn r1_the_backoff_doubles_up_to_its_cap() {
        let steps = |policy: &Policy| [1, 2, 3, 4, 5, 6, 7, 100].map(|attempt| backoff(policy, attempt, 1.0).as_secs());
        let policy = Policy::default();
        assert_eq!(steps(&policy), [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(backoff(&policy, 3, 0.0), Duration::ZERO);
        let policy = policy.with_backoff(Duration::from_secs(5), Duration::from_secs(60));
        assert_eq!(steps(&policy), [5, 10, 20, 40, 60, 60, 60, 60]);
    }

    proptest! {
        #[test]
        fn no_retry_after_panics(text in "[ -~]*") {
            let _ = waits(&[(RETRY_AFTER, &text)]);
        }
    }
}

//! The wait that a server asks for.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;

use crate::message::Response;
use crate::policy::Policy;

/// Returns the wait that a `Retry-After` header states (RFC 9110 10.2.3), at most the policy's longest.
///
/// The limit guards against a mistake of the server: a date in a wrong year must not stop a program's logins until
/// then. If the header has a date, the wait is counted from the response's own `Date`, so that a wrong local clock does
/// not matter. Without a `Date`, it is counted from `now`.
pub(crate) fn retry_after(response: &Response, now: SystemTime, policy: &Policy) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match httpdate::parse_http_date(text) {
        Ok(date) => date.duration_since(response.date().unwrap_or(now)).unwrap_or_default(),
        Err(_) => delay_seconds(text)?,
    };
    Some(wait.min(policy.longest_retry_after))
}

fn delay_seconds(text: &str) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A text of only digits fails to parse only if the number is too large.
    is_number.then(|| Duration::from_secs(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SecretBytes;
    use http::header::DATE;
    use http::{HeaderMap, HeaderName, StatusCode};
    use proptest::prelude::*;

    fn retry_after_seconds(headers: &[(HeaderName, &str)]) -> Option<u64> {
        retry_after_seconds_with(&Policy::default(), headers)
    }

    fn retry_after_seconds_with(policy: &Policy, headers: &[(HeaderName, &str)]) -> Option<u64> {
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
            assert_eq!(retry_after_seconds(&[(RETRY_AFTER, text)]), expected, "{text}");
        }
    }

    #[test]
    fn r5_the_longest_retry_after_is_a_setting() {
        let policy = Policy::default().with_longest_retry_after(Duration::from_secs(600));
        assert_eq!(retry_after_seconds_with(&policy, &[(RETRY_AFTER, "3600")]), Some(600));
    }

    #[test]
    fn r5_a_date_is_measured_by_the_servers_clock() {
        let headers = [(RETRY_AFTER, "Sun, 06 Nov 1994 10:01:00 GMT"), (DATE, "Sun, 06 Nov 1994 10:00:00 GMT")];
        assert_eq!(retry_after_seconds(&headers), Some(60));
    }

    proptest! {
        #[test]
        fn reading_any_retry_after_does_not_panic(text in "[ -~]*") {
            let _ = retry_after_seconds(&[(RETRY_AFTER, &text)]);
        }
    }
}

//! A token's lifetime, from the expiry that a server states.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;

use crate::error_response::ErrorResponse;

/// The longest lifetime that an `expires_in` may state: one year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
/// The lifetimes that an absolute expiry may result in. Any other lifetime means that a clock is wrong.
const PLAUSIBLE: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
/// If the server's clock and the local clock are further apart, one of them is wrong.
const CLOCKS_DISAGREE: Duration = Duration::from_secs(3600);
/// An epoch time above this is in milliseconds. In seconds it would be after the year 5000.
const MILLISECONDS: f64 = 1e11;

/// Holds a token's expiry, in the form that its server stated it.
///
/// ```
/// use std::time::Duration;
///
/// use auth_core::{Expiry, NumberOrString};
///
/// let fallback = Duration::from_secs(600); // the lifetime that the API documents
/// let expiry = Expiry::from_expires_in(Some(&NumberOrString::Number(3600.0)), fallback);
/// assert_eq!(expiry, Ok(Expiry::After(Duration::from_secs(3600))));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expiry {
    /// The token expires this long after it was issued (`expires_in`, RFC 6749 5.1).
    After(Duration),
    /// The token expires at this time by the server's clock.
    At(SystemTime),
    /// The server stated no expiry. If the token is a JWT, its `exp - iat` is used, otherwise this documented lifetime.
    Unstated(Duration),
}

impl Expiry {
    /// Reads an `expires_in`: a lifetime in seconds, as a number or as a string with a number.
    ///
    /// If the value is missing or blank, returns [`Unstated`](Self::Unstated) with `fallback`.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use auth_core::{Expiry, NumberOrString};
    ///
    /// let fallback = Duration::from_secs(600);
    /// let text = NumberOrString::Text("3600".into());
    /// let expiry = Expiry::from_expires_in(Some(&text), fallback);
    /// assert_eq!(expiry, Ok(Expiry::After(Duration::from_secs(3600))));
    /// assert_eq!(Expiry::from_expires_in(None, fallback), Ok(Expiry::Unstated(fallback)));
    /// ```
    ///
    /// # Errors
    /// [`ErrorResponse::malformed`] if the value is not a number between one second and one year.
    pub fn from_expires_in(seconds: Option<&NumberOrString>, fallback: Duration) -> Result<Self, ErrorResponse> {
        let Some(seconds) = seconds.filter(|value| !value.is_blank()) else {
            return Ok(Self::Unstated(fallback));
        };
        seconds
            .number()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .filter(|lifetime| (Duration::from_secs(1)..=LONGEST).contains(lifetime))
            .map(Self::After)
            .ok_or(ErrorResponse::malformed("the token's lifetime is not between one second and one year"))
    }

    /// Reads an `expires_at`: an ISO 8601 string, or a number of seconds or milliseconds since the Unix epoch.
    ///
    /// The zone may be written as `+0000`, `+00:00` or `Z`. A time without a zone is UTC. If the value is missing or
    /// unreadable, returns [`Unstated`](Self::Unstated) with `fallback`, because the token itself may be usable.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    ///
    /// use auth_core::{Expiry, NumberOrString};
    ///
    /// let text = NumberOrString::Text("2025-04-25T07:27:04+0000".into());
    /// let expiry = Expiry::from_expires_at(Some(&text), Duration::from_secs(600));
    /// assert_eq!(expiry, Expiry::At(SystemTime::UNIX_EPOCH + Duration::from_secs(1_745_566_024)));
    /// ```
    #[must_use]
    pub fn from_expires_at(instant: Option<&NumberOrString>, fallback: Duration) -> Self {
        let parsed = match instant {
            None => None,
            Some(value) => value.number().map(from_epoch).or_else(|| value.text().and_then(from_iso8601)),
        };
        parsed.map_or(Self::Unstated(fallback), Self::At)
    }

    /// Returns the token's lifetime, counted from `sent`: the wall clock just before the request was sent.
    ///
    /// For an absolute expiry, the first plausible one of these lifetimes is used: the JWT's `exp - iat`, the expiry
    /// minus the response's `Date`, the expiry minus the local clock. If the last two are more than an hour apart, one
    /// of the clocks is wrong. Then the shorter lifetime is used, because a token that is refreshed too early costs
    /// less than one that is sent after its end.
    pub(crate) fn lifetime(
        self,
        jwt: impl FnOnce() -> Option<Duration>,
        date: Option<SystemTime>,
        sent: SystemTime,
    ) -> Result<Duration, &'static str> {
        let expires_at = match self {
            Self::After(lifetime) => return capped(lifetime),
            Self::Unstated(fallback) => return capped(jwt().filter(is_plausible).unwrap_or(fallback)),
            Self::At(expires_at) => expires_at,
        };
        if let Some(lifetime) = jwt().filter(is_plausible) {
            return Ok(lifetime);
        }
        let by_server = date.and_then(|date| plausible_remainder(expires_at, date));
        let by_local = plausible_remainder(expires_at, sent);
        let lifetime = match (by_server, by_local) {
            (Some(server), Some(local)) if server.abs_diff(local) > CLOCKS_DISAGREE => Some(server.min(local)),
            (server, local) => server.or(local),
        };
        lifetime.ok_or(
            "the token's expiry is in the past, or more than 24 hours ahead, by the server's and the local clock",
        )
    }
}

fn capped(lifetime: Duration) -> Result<Duration, &'static str> {
    if lifetime.is_zero() { Err("the token's lifetime is zero") } else { Ok(lifetime.min(LONGEST)) }
}

fn plausible_remainder(expires_at: SystemTime, now: SystemTime) -> Option<Duration> {
    expires_at.duration_since(now).ok().filter(is_plausible)
}

fn is_plausible(lifetime: &Duration) -> bool {
    PLAUSIBLE.contains(lifetime)
}

/// Holds a JSON value that some servers send as a number and others as a string.
///
/// ```
/// use auth_core::NumberOrString;
///
/// #[derive(serde::Deserialize)]
/// struct Body {
///     expires_in: NumberOrString,
/// }
///
/// # fn example() -> Result<(), serde_json::Error> {
/// let body: Body = serde_json::from_str(r#"{"expires_in": "3600"}"#)?;
/// assert_eq!(body.expires_in.number(), Some(3600.0));
/// # Ok(())
/// # }
/// # assert!(example().is_ok());
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum NumberOrString {
    /// A JSON number.
    Number(f64),
    /// A JSON string.
    Text(String),
    /// Any other JSON value.
    Other,
}

impl fmt::Debug for NumberOrString {
    /// Leaves out the value, which the server wrote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number(_) => "Number",
            Self::Text(_) => "Text",
            Self::Other => "Other",
        })
    }
}

impl<'de> Deserialize<'de> for NumberOrString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // `Value` reads every number, even if another crate has enabled serde_json's `arbitrary_precision`.
        Ok(match Value::deserialize(deserializer)? {
            Value::Number(number) => number.as_f64().map_or(Self::Other, Self::Number),
            Value::String(text) => Self::Text(text),
            _ => Self::Other,
        })
    }
}

impl NumberOrString {
    /// Returns the number, even if it is written as a string, or `None` if it is not a finite number.
    ///
    /// ```
    /// use auth_core::NumberOrString;
    ///
    /// assert_eq!(NumberOrString::Text(" 60 ".into()).number(), Some(60.0));
    /// assert_eq!(NumberOrString::Text("soon".into()).number(), None);
    /// ```
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Other => None,
        }
        .filter(|number| number.is_finite())
    }

    /// Returns the string, or `None` if the value is not a string.
    ///
    /// ```
    /// use auth_core::NumberOrString;
    ///
    /// assert_eq!(NumberOrString::Text("unauthorized".into()).text(), Some("unauthorized"));
    /// assert_eq!(NumberOrString::Number(401.0).text(), None);
    /// ```
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn is_blank(&self) -> bool {
        self.text().is_some_and(|text| text.trim().is_empty())
    }
}

fn from_epoch(number: f64) -> SystemTime {
    let seconds = if number > MILLISECONDS { number / 1000.0 } else { number };
    // A `SystemTime` cannot hold every number. A clamped one is still implausible, so it is rejected later.
    SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds.clamp(0.0, MILLISECONDS))
}

fn from_iso8601(text: &str) -> Option<SystemTime> {
    // RFC 3339 5.6 allows a space in place of the "T". The parser does not.
    let text = text.trim().replacen(' ', "T", 1);
    let instant = parse_iso8601(&text).or_else(|| parse_iso8601(&format!("{text}Z")))?;
    let since_epoch = Duration::try_from(instant - OffsetDateTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH.checked_add(since_epoch)
}

fn parse_iso8601(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Iso8601::DEFAULT).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Duration = Duration::from_secs(1_745_564_224);
    const FALLBACK: Duration = Duration::from_secs(1800);

    fn value(json: &str) -> Option<NumberOrString> {
        serde_json::from_str(json).unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn hours(count: i64) -> SystemTime {
        at((NOW.as_secs() as i64 + count * 3600) as u64)
    }

    #[test]
    fn f7_expires_in_is_read_in_every_form() {
        let cases = [
            ("3000", Some(Expiry::After(Duration::from_secs(3000)))),
            ("3000.0", Some(Expiry::After(Duration::from_secs(3000)))),
            (r#""3000""#, Some(Expiry::After(Duration::from_secs(3000)))),
            (r#"" 86400 ""#, Some(Expiry::After(Duration::from_secs(86400)))),
            ("31536000", Some(Expiry::After(LONGEST))),
            ("null", Some(Expiry::Unstated(FALLBACK))),
            (r#""""#, Some(Expiry::Unstated(FALLBACK))),
            ("0", None),
            ("0.5", None),
            ("-1", None),
            ("31536001", None),
            ("1e300", None),
            ("99999999999999999999999999", None),
            (r#""soon""#, None),
            (r#""NaN""#, None),
            (r#""inf""#, None),
            ("true", None),
            ("[3000]", None),
            ("{}", None),
        ];
        for (json, expected) in cases {
            assert_eq!(Expiry::from_expires_in(value(json).as_ref(), FALLBACK).ok(), expected, "{json}");
        }
    }

    #[test]
    fn f5_expires_at_is_read_in_every_form() {
        let expiry = Expiry::At(at(1_745_566_024));
        for json in [
            r#""2025-04-25T07:27:04+0000""#,
            r#""2025-04-25T07:27:04Z""#,
            r#""2025-04-25T07:27:04+00:00""#,
            r#""2025-04-25T07:27:04""#,
            r#""2025-04-25 07:27:04+0000""#,
            r#""2025-04-25T15:27:04+0800""#,
            r#""2025-04-25T07:27:04.000+0000""#,
            "1745566024",
            r#""1745566024""#,
            "1745566024000",
        ] {
            assert_eq!(Expiry::from_expires_at(value(json).as_ref(), FALLBACK), expiry, "{json}");
        }
        for json in ["null", r#""tomorrow""#, r#""""#, "true", r#""0000-00-00T00:00:00Z""#] {
            assert_eq!(Expiry::from_expires_at(value(json).as_ref(), FALLBACK), Expiry::Unstated(FALLBACK), "{json}");
        }
    }

    #[test]
    fn f5_a_time_out_of_range_is_malformed() {
        for json in ["-1", "0", "-62135596800", "1e300", r#""0001-01-01T00:00:00Z""#, r#""9999-12-31T23:59:59Z""#] {
            let expiry = Expiry::from_expires_at(value(json).as_ref(), FALLBACK);
            assert!(expiry.lifetime(|| None, Some(hours(0)), hours(0)).is_err(), "{json}: {expiry:?}");
        }
    }

    #[test]
    fn f7_a_providers_own_expiry_is_bounded_too() {
        assert!(Expiry::After(Duration::ZERO).lifetime(|| None, None, hours(0)).is_err());
        assert!(Expiry::Unstated(Duration::ZERO).lifetime(|| None, None, hours(0)).is_err());
        assert_eq!(Expiry::After(Duration::MAX).lifetime(|| None, None, hours(0)), Ok(LONGEST));
    }

    #[test]
    fn f5_a_clock_two_hours_off_changes_nothing() {
        let lifetime = Duration::from_secs(1800);
        let expiry = Expiry::At(hours(0) + lifetime);
        let longer = Some(Duration::from_secs(3600));
        for off in [-2, 0, 2] {
            assert_eq!(expiry.lifetime(|| None, Some(hours(0)), hours(off)), Ok(lifetime), "local clock {off} h off");
            assert_eq!(expiry.lifetime(|| None, Some(hours(off)), hours(0)), Ok(lifetime), "Date {off} h off");
            assert_eq!(expiry.lifetime(|| longer, Some(hours(off)), hours(off)), Ok(Duration::from_secs(3600)));
        }
        assert_eq!(expiry.lifetime(|| None, None, hours(0)), Ok(lifetime));
    }

    #[test]
    fn f5_the_date_is_trusted_over_a_local_clock_minutes_off() {
        let expiry = Expiry::At(hours(0) + Duration::from_secs(1800));
        for off in [-1500, -60, 60, 1500] {
            let local = SystemTime::UNIX_EPOCH + Duration::from_secs((NOW.as_secs() as i64 + off) as u64);
            assert_eq!(expiry.lifetime(|| None, Some(hours(0)), local), Ok(Duration::from_secs(1800)), "{off}");
        }
    }

    #[test]
    fn f5_a_missing_expiry_is_the_fallback_and_an_implausible_one_is_malformed() {
        assert_eq!(Expiry::Unstated(FALLBACK).lifetime(|| None, None, hours(0)), Ok(FALLBACK));
        let jwt = Some(Duration::from_secs(60));
        assert_eq!(Expiry::Unstated(FALLBACK).lifetime(|| jwt, None, hours(0)), Ok(Duration::from_secs(60)));
        let absurd = Some(Duration::from_secs(25 * 3600));
        assert_eq!(Expiry::Unstated(FALLBACK).lifetime(|| absurd, None, hours(0)), Ok(FALLBACK));

        for end in [hours(-1), hours(0), hours(25), at(0)] {
            assert!(Expiry::At(end).lifetime(|| None, Some(hours(0)), hours(0)).is_err());
        }
        assert_eq!(Expiry::At(hours(-1)).lifetime(|| jwt, Some(hours(0)), hours(0)), Ok(Duration::from_secs(60)));
    }

    proptest! {
        #[test]
        fn reading_any_text_does_not_panic(text in ".*") {
            let text = NumberOrString::Text(text);
            let _ = Expiry::from_expires_at(Some(&text), FALLBACK);
            let _ = Expiry::from_expires_in(Some(&text), FALLBACK);
        }

        #[test]
        fn reading_any_number_does_not_panic(number in any::<f64>(), now in any::<u32>()) {
            let number = NumberOrString::Number(number);
            let expiry = Expiry::from_expires_at(Some(&number), FALLBACK);
            let _ = Expiry::from_expires_in(Some(&number), FALLBACK);
            if let Ok(lifetime) = expiry.lifetime(|| None, Some(at(now.into())), at(now.into())) {
                prop_assert!(PLAUSIBLE.contains(&lifetime));
            }
        }
    }
}

//! How long a token lives, from what a server said about it.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;

use crate::error_response::ErrorResponse;

/// The longest life that an `expires_in` may state: one year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
/// What an absolute expiry must come to before it is believed.
const PLAUSIBLE: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
/// Server and local clock this far apart cannot both be right.
const CLOCKS_DISAGREE: Duration = Duration::from_secs(3600);
/// Epoch times above this are milliseconds: as seconds they would lie after the year 5000.
const MILLISECONDS: f64 = 1e11;

/// Says when a token ends, in the way its server said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expiry {
    /// So long after it was issued (`expires_in`, RFC 6749 5.1).
    After(Duration),
    /// At an instant on the server's clock.
    At(SystemTime),
    /// Not said: the JWT's own `exp - iat`, else this documented life.
    Unstated(Duration),
}

impl Expiry {
    /// Reads a life in seconds: a number, a float or numeric text; `fallback` where there is none.
    ///
    /// # Errors
    /// A malformed answer where it is no number, below one second or above one year.
    pub fn from_expires_in(seconds: Option<&NumberOrString>, fallback: Duration) -> Result<Self, ErrorResponse> {
        let Some(seconds) = seconds.filter(|value| !value.is_blank()) else {
            return Ok(Self::Unstated(fallback));
        };
        seconds
            .number()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .filter(|life| (Duration::from_secs(1)..=LONGEST).contains(life))
            .map(Self::After)
            .ok_or(ErrorResponse::malformed("the token's life is not between a second and a year"))
    }

    /// Reads an instant: ISO 8601 text (`+0000`, `+00:00`, `Z`, or no zone, which means UTC) or epoch seconds or
    /// milliseconds; `fallback` as the life where there is none, or none that can be read, since the token may be good all
    /// the same.
    #[must_use]
    pub fn from_expires_at(instant: Option<&NumberOrString>, fallback: Duration) -> Self {
        let read = match instant {
            None => None,
            Some(value) => value.number().map(epoch).or_else(|| value.text().and_then(iso8601)),
        };
        read.map_or(Self::Unstated(fallback), Self::At)
    }

    /// Decides the token's life, counted from `sent`, the wall clock just before the request left.
    ///
    /// An absolute expiry is measured by the server's own clocks, in this order of trust: the JWT's `exp - iat`, the
    /// answer's `Date`, the local clock. Where the last two are both plausible yet over an hour apart, one of them is
    /// wrong, and the shorter life cannot hand out a dead token.
    pub(crate) fn lifetime(
        self,
        jwt: impl FnOnce() -> Option<Duration>,
        date: Option<SystemTime>,
        sent: SystemTime,
    ) -> Result<Duration, &'static str> {
        let check = |life: Duration| match life {
            Duration::ZERO => Err("the token has no life"),
            life => Ok(life.min(LONGEST)),
        };
        let plausible = |life: &Duration| PLAUSIBLE.contains(life);
        let until = match self {
            Self::After(life) => return check(life),
            Self::Unstated(fallback) => return check(jwt().filter(plausible).unwrap_or(fallback)),
            Self::At(until) => until,
        };
        if let Some(life) = jwt().filter(plausible) {
            return Ok(life);
        }
        let by = |clock: SystemTime| until.duration_since(clock).ok().filter(plausible);
        let by_server_or_local = match (date.and_then(by), by(sent)) {
            (Some(server), Some(local)) if server.abs_diff(local) > CLOCKS_DISAGREE => Some(server.min(local)),
            (server, local) => server.or(local),
        };
        by_server_or_local.ok_or("the token's expiry lies in the past or over a day ahead by every clock")
    }
}

/// Reads a JSON value that servers send as a number or as text.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum NumberOrString {
    /// A JSON number.
    Number(f64),
    /// JSON text.
    Text(String),
    /// Anything else.
    Other,
}

impl fmt::Debug for NumberOrString {
    /// Without what the server wrote.
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
        // By way of `Value`, which reads numbers whatever features of serde_json another crate has switched on.
        Ok(match Value::deserialize(deserializer)? {
            Value::Number(number) => number.as_f64().map_or(Self::Other, Self::Number),
            Value::String(text) => Self::Text(text),
            _ => Self::Other,
        })
    }
}

impl NumberOrString {
    /// The number, also where it came as text; infinities are none.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Other => None,
        }
        .filter(|number| number.is_finite())
    }

    /// The text, where it came as text.
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

/// An instant that is out of reach is moved to where it is still implausible.
fn epoch(number: f64) -> SystemTime {
    let seconds = if number > MILLISECONDS { number / 1000.0 } else { number };
    SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds.clamp(0.0, MILLISECONDS))
}

fn iso8601(text: &str) -> Option<SystemTime> {
    // RFC 3339 5.6 lets a space stand for the "T"; the parser does not.
    let text = text.trim().replacen(' ', "T", 1);
    let parse = |text: &str| OffsetDateTime::parse(text, &Iso8601::DEFAULT).ok();
    let instant = parse(&text).or_else(|| parse(&format!("{text}Z")))?;
    let since_epoch = Duration::try_from(instant - OffsetDateTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH.checked_add(since_epoch)
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
    fn f7_expires_in_in_every_spelling() {
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
    fn f5_expires_at_in_every_spelling() {
        let end = Expiry::At(at(1_745_566_024));
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
            assert_eq!(Expiry::from_expires_at(value(json).as_ref(), FALLBACK), end, "{json}");
        }
        for json in ["null", r#""tomorrow""#, r#""""#, "true", r#""0000-00-00T00:00:00Z""#] {
            assert_eq!(Expiry::from_expires_at(value(json).as_ref(), FALLBACK), Expiry::Unstated(FALLBACK), "{json}");
        }
    }

    #[test]
    fn f5_an_instant_out_of_reach_is_malformed() {
        for json in ["-1", "0", "-62135596800", "1e300", r#""0001-01-01T00:00:00Z""#, r#""9999-12-31T23:59:59Z""#] {
            let end = Expiry::from_expires_at(value(json).as_ref(), FALLBACK);
            assert!(end.lifetime(|| None, Some(hours(0)), hours(0)).is_err(), "{json}: {end:?}");
        }
    }

    #[test]
    fn f7_a_providers_own_mistake_is_bounded_too() {
        assert!(Expiry::After(Duration::ZERO).lifetime(|| None, None, hours(0)).is_err());
        assert!(Expiry::Unstated(Duration::ZERO).lifetime(|| None, None, hours(0)).is_err());
        assert_eq!(Expiry::After(Duration::MAX).lifetime(|| None, None, hours(0)), Ok(LONGEST));
    }

    #[test]
    fn f5_a_clock_two_hours_off_changes_nothing() {
        let life = Duration::from_secs(1800);
        let end = Expiry::At(hours(0) + life);
        let longer = Some(Duration::from_secs(3600));
        for off in [-2, 0, 2] {
            assert_eq!(end.lifetime(|| None, Some(hours(0)), hours(off)), Ok(life), "local clock {off} h off");
            assert_eq!(end.lifetime(|| None, Some(hours(off)), hours(0)), Ok(life), "Date {off} h off");
            assert_eq!(end.lifetime(|| longer, Some(hours(off)), hours(off)), Ok(Duration::from_secs(3600)));
        }
        assert_eq!(end.lifetime(|| None, None, hours(0)), Ok(life));
    }

    #[test]
    fn f5_the_date_is_trusted_over_a_local_clock_minutes_off() {
        let end = Expiry::At(hours(0) + Duration::from_secs(1800));
        for off in [-1500, -60, 60, 1500] {
            let local = SystemTime::UNIX_EPOCH + Duration::from_secs((NOW.as_secs() as i64 + off) as u64);
            assert_eq!(end.lifetime(|| None, Some(hours(0)), local), Ok(Duration::from_secs(1800)), "{off}");
        }
    }

    #[test]
    fn f5_missing_is_the_fallback_and_implausible_is_malformed() {
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
        fn no_text_panics(text in ".*") {
            let text = NumberOrString::Text(text);
            let _ = Expiry::from_expires_at(Some(&text), FALLBACK);
            let _ = Expiry::from_expires_in(Some(&text), FALLBACK);
        }

        #[test]
        fn no_number_panics(number in any::<f64>(), now in any::<u32>()) {
            let number = NumberOrString::Number(number);
            let end = Expiry::from_expires_at(Some(&number), FALLBACK);
            let _ = Expiry::from_expires_in(Some(&number), FALLBACK);
            if let Ok(life) = end.lifetime(|| None, Some(at(now.into())), at(now.into())) {
                prop_assert!(PLAUSIBLE.contains(&life));
            }
        }
    }
}

//! Timestamps for people and programs.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Formats a time by RFC 3339 in UTC, cut to whole seconds: `2026-11-22T08:30:00Z`.
pub(crate) fn rfc3339(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    let whole = at.replace_nanosecond(0).unwrap_or(at);
    // RFC 3339 covers the years 0 to 9999 only; no token is outside them.
    whole.format(&Rfc3339).unwrap_or_else(|_| whole.unix_timestamp().to_string())
}

/// Returns the seconds since 1970-01-01T00:00:00Z.
pub(crate) fn unix_seconds(at: SystemTime) -> i64 {
    OffsetDateTime::from(at).unix_timestamp()
}

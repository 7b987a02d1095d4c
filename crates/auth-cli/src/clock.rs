//! Instants as people and programs read them.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// In RFC 3339, in whole seconds of UTC: `2026-11-22T08:30:00Z`.
pub(crate) fn stamp(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    let whole = at.replace_nanosecond(0).unwrap_or(at);
    // It has no form before the year 0 and after 9999, where no token is.
    whole.format(&Rfc3339).unwrap_or_else(|_| whole.unix_timestamp().to_string())
}

/// In seconds since 1970.
pub(crate) fn unix(at: SystemTime) -> i64 {
    OffsetDateTime::from(at).unix_timestamp()
}

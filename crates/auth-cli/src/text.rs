//! Text for people: printable strings, errors with their causes, and the time of the next attempt.

use std::time::{Duration, SystemTime};

/// Replaces control characters, which a terminal would act upon.
pub(crate) fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// Returns the end of an error message that says when the next attempt is, worded like the library's errors.
pub(crate) fn next_attempt(at: SystemTime) -> String {
    let wait = at.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO);
    format!("; next attempt in {} s", wait.as_secs_f64().ceil())
}

/// Returns an error and its underlying causes in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

//! Answers, and the clock they carry.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, DATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::state::State;

pub(crate) fn json(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

pub(crate) fn text(status: StatusCode, body: impl Into<Body>) -> Response {
    (status, [(CONTENT_TYPE, "text/html")], body.into()).into_response()
}

const LAST_DATE: Duration = Duration::from_secs(253_402_300_799);

/// Sets `Date` on every answer; the server adds its own only where there is none.
pub(crate) async fn date(
    axum::extract::State(state): axum::extract::State<Arc<State>>,
    mut response: Response,
) -> Response {
    let skew = state.with(|inner| inner.date_skew);
    let shift = Duration::from_secs(skew.unsigned_abs());
    let now = SystemTime::now();
    let now = if skew < 0 { now.checked_sub(shift) } else { now.checked_add(shift) };
    // The header has room for the years 1970 to 9999.
    let now = now.unwrap_or(UNIX_EPOCH).clamp(UNIX_EPOCH, UNIX_EPOCH + LAST_DATE);
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(now)) {
        response.headers_mut().insert(DATE, date);
    }
    response
}

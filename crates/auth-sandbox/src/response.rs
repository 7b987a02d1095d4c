//! Responses and their `Date` header.

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

pub(crate) fn html(status: StatusCode, body: impl Into<Body>) -> Response {
    (status, [(CONTENT_TYPE, "text/html")], body.into()).into_response()
}

/// 9999-12-31T23:59:59Z, the last time that an HTTP date can express.
const LAST_DATE: Duration = Duration::from_secs(253_402_300_799);

/// Sets `Date` on every response. The server adds its own `Date` only if a response has none.
pub(crate) async fn set_date(
    axum::extract::State(state): axum::extract::State<Arc<State>>,
    mut response: Response,
) -> Response {
    let skew = state.with(|inner| inner.date_skew);
    let shift = Duration::from_secs(skew.unsigned_abs());
    let now = SystemTime::now();
    let now = if skew < 0 { now.checked_sub(shift) } else { now.checked_add(shift) };
    let now = now.unwrap_or(UNIX_EPOCH).clamp(UNIX_EPOCH, UNIX_EPOCH + LAST_DATE);
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(now)) {
        response.headers_mut().insert(DATE, date);
    }
    response
}

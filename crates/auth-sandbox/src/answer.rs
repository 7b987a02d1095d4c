//! Answers, and the clock they carry.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

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

/// Sets `Date` on every answer; the server adds its own only where there is none.
pub(crate) async fn date(
    axum::extract::State(state): axum::extract::State<Arc<State>>,
    mut response: Response,
) -> Response {
    let skew = state.with(|inner| inner.date_skew);
    let shift = Duration::from_secs(skew.unsigned_abs());
    let now = SystemTime::now();
    let now = if skew < 0 { now - shift } else { now + shift };
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(now)) {
        response.headers_mut().insert(DATE, date);
    }
    response
}

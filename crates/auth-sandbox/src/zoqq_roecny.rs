//! The login of Zoqq and Roecny: `POST /api/v1/authentication/login`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::response;
use crate::state::State;
use crate::{API_KEY, Api, CLIENT_ID, CLIENT_SECRET};

pub(crate) async fn zoqq(Shared(state): Shared<Arc<State>>, headers: HeaderMap, body: Bytes) -> Response {
    state.login(Api::Zoqq, async { login(&state, Api::Zoqq, &headers, &body) }).await
}

pub(crate) async fn roecny(Shared(state): Shared<Arc<State>>, headers: HeaderMap, body: Bytes) -> Response {
    state.login(Api::Roecny, async { login(&state, Api::Roecny, &headers, &body) }).await
}

fn login(state: &State, api: Api, headers: &HeaderMap, body: &[u8]) -> Response {
    let result = if body.is_empty() { check_headers(api, headers) } else { check_body(headers, body) };
    state.with(|inner| match result {
        Ok(format) => {
            inner.api(api).counters.logins += 1;
            let (token, expires_at) = inner.issue_jwt(api);
            response::json(StatusCode::OK, &format(token, expires_at))
        }
        Err((status, body)) => {
            inner.api(api).counters.refusals += 1;
            response::json(status, &body)
        }
    })
}

/// Formats the body of a successful response from the token and its `exp`.
type BodyFormat = fn(String, u64) -> Value;

/// The status and the body of a refusal.
type Refusal = (StatusCode, Value);

/// Checks a login of the documented revision: credentials in headers, empty body. Zoqq requires a scope.
fn check_headers(api: Api, headers: &HeaderMap) -> Result<BodyFormat, Refusal> {
    let client_id = required(headers, "x-client-id")?;
    let api_key = required(headers, "x-api-key")?;
    if api == Api::Zoqq {
        required(headers, "scope")?;
    }
    if (client_id, api_key) != (CLIENT_ID, API_KEY) {
        return Err(denied());
    }
    Ok(header_login_body)
}

/// Checks a login of the later revision: a JSON body, the key in a header, and `x-client-id` or an e-mail address.
fn check_body(headers: &HeaderMap, body: &[u8]) -> Result<BodyFormat, Refusal> {
    let api_key = required(headers, "x-api-key")?;
    let body: Value = serde_json::from_slice(body).map_err(|_| bad_request("the body is not JSON"))?;
    let client_key = member(&body, "client_key")?;
    let client_secret = member(&body, "client_secret")?;
    match headers.get("x-client-id") {
        Some(client_id) if client_id != CLIENT_ID => return Err(denied()),
        Some(_) => {}
        None => {
            member(&body, "email")?;
        }
    }
    if (client_key, client_secret, api_key) != (CLIENT_ID, CLIENT_SECRET, API_KEY) {
        return Err(denied());
    }
    Ok(body_login_body)
}

fn header_login_body(token: String, expires_at: u64) -> Value {
    json!({ "expires_at": timestamp(expires_at), "token": token })
}

fn body_login_body(token: String, expires_at: u64) -> Value {
    json!({
        "code": 200,
        "status": "success",
        "message": "Access token generated successfully",
        "data": [{ "access_token": token, "expiry_time": expires_at }],
    })
}

fn member<'a>(body: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    body.get(name).and_then(Value::as_str).ok_or_else(|| bad_request(&format!("{name} is required")))
}

fn required<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Refusal> {
    let value = headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty());
    value.ok_or_else(|| bad_request(&format!("{name} is a required header and is missing")))
}

fn bad_request(message: &str) -> Refusal {
    (StatusCode::BAD_REQUEST, json!({ "code": 400, "status": "Error", "message": message }))
}

fn denied() -> Refusal {
    (StatusCode::UNAUTHORIZED, json!({ "code": "unauthorized", "message": "Access denied, authentication failed" }))
}

/// Formats a time as the documents do: ISO 8601 with an offset without a colon.
fn timestamp(epoch: u64) -> String {
    let at = OffsetDateTime::from(SystemTime::UNIX_EPOCH + Duration::from_secs(epoch));
    let (date, time) = (at.date(), at.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}+0000",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

//! The login of Voipex: `POST /token` and `POST /token-exchange`, with the responses of Keycloak.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use crate::protected_resource::token_api;
use crate::response;
use crate::state::{Inner, State, random};
use crate::{Api, PASSWORD, USERNAME};

const VOIPEX_CLIENT_ID: &str = "api";
/// The lifetime of refresh tokens that responses state, in seconds. Here, they never expire.
const REFRESH_LIFETIME: u64 = 7200;
const DEFAULT_SCOPE: &str = "profile email";

/// Two failures within this time lock the user, as Keycloak's "quick login check" does.
const QUICK_LOGIN_CHECK: Duration = Duration::from_secs(1);

pub(crate) async fn token(Shared(state): Shared<Arc<State>>, headers: HeaderMap, body: Bytes) -> Response {
    state
        .login(Api::Voipex, async {
            let form = form(&headers, &body);
            state.with(|inner| {
                let result = select_grant(&form).and_then(|grant| grant(inner, &form));
                respond(inner, result)
            })
        })
        .await
}

pub(crate) async fn exchange(Shared(state): Shared<Arc<State>>, headers: HeaderMap, body: Bytes) -> Response {
    state
        .login(Api::Voipex, async {
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            state.with(|inner| {
                let result = match (token_api(inner, &headers), body.get("email").and_then(Value::as_str)) {
                    (Some(Api::Voipex), Some(_)) => {
                        let lifetime = inner.api(Api::Voipex).lifetime.as_secs();
                        let (token, _) = inner.issue_jwt(Api::Voipex);
                        inner.api(Api::Voipex).counters.exchanges += 1;
                        Ok(json!({ "access_token": token, "expires_in": lifetime, "token_type": "Bearer" }))
                    }
                    (Some(Api::Voipex), None) => Err(refusal(400, "invalid_request", "email is required")),
                    _ => Err(refusal(401, "invalid_token", "Invalid token")),
                };
                respond(inner, result)
            })
        })
        .await
}

type Form = HashMap<String, String>;
type Refusal = (u16, Value);
/// Processes one grant type (RFC 6749 section 1.3).
type Grant = fn(&mut Inner, &Form) -> Result<Value, Refusal>;

fn respond(inner: &mut Inner, result: Result<Value, Refusal>) -> Response {
    match result {
        Ok(body) => response::json(StatusCode::OK, &body),
        Err((status, body)) => {
            inner.api(Api::Voipex).counters.refusals += 1;
            response::json(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), &body)
        }
    }
}

/// Returns the fields of a form. As on the real server, a body of any other type has no fields.
fn form(headers: &HeaderMap, body: &[u8]) -> Form {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_form = content_type.split(';').next().unwrap_or_default().trim() == "application/x-www-form-urlencoded";
    if is_form { form_urlencoded::parse(body).into_owned().collect() } else { Form::new() }
}

fn refusal(status: u16, error: &str, description: &str) -> Refusal {
    (status, json!({ "error": error, "error_description": description }))
}

fn select_grant(form: &Form) -> Result<Grant, Refusal> {
    let field = |name: &str| form.get(name).map(String::as_str);
    let Some(grant_type) = field("grant_type") else {
        return Err(refusal(400, "invalid_request", "Missing form parameter: grant_type"));
    };
    if field("client_id") != Some(VOIPEX_CLIENT_ID) {
        return Err(refusal(401, "invalid_client", "Invalid client or Invalid client credentials"));
    }
    match grant_type {
        "password" => Ok(password),
        "refresh_token" => Ok(refresh),
        _ => Err(refusal(400, "unsupported_grant_type", "Unsupported grant_type")),
    }
}

fn password(inner: &mut Inner, form: &Form) -> Result<Value, Refusal> {
    if !form.contains_key("username") {
        return Err(refusal(401, "invalid_request", "Missing parameter: username"));
    }
    let now = Instant::now();
    let matches = |name: &str, expected: &str| form.get(name).is_some_and(|value| value == expected);
    let voipex = &mut inner.voipex;
    let is_locked = voipex.locked_until.is_some_and(|until| now < until);
    if is_locked || !matches("username", USERNAME) || !matches("password", PASSWORD) {
        let is_quick = voipex.last_failure.is_some_and(|last| now - last < QUICK_LOGIN_CHECK);
        if let Some(wait) = voipex.lockout.filter(|_| is_quick && !is_locked) {
            voipex.locked_until = Some(now + wait);
        }
        voipex.last_failure = Some(now);
        return Err(refusal(401, "invalid_grant", "Invalid user credentials"));
    }
    inner.api(Api::Voipex).counters.logins += 1;
    Ok(token_response(inner, random(32), form.get("scope").map_or(DEFAULT_SCOPE, String::as_str)))
}

fn refresh(inner: &mut Inner, form: &Form) -> Result<Value, Refusal> {
    let Some(token) = form.get("refresh_token") else {
        return Err(refusal(400, "invalid_request", "No refresh token"));
    };
    let voipex = &mut inner.voipex;
    let Some(session) = voipex.refresh_tokens.get(token).cloned() else {
        return Err(refusal(400, "invalid_grant", "Invalid refresh token"));
    };
    let Some(newest) = voipex.sessions.get(&session) else {
        return Err(refusal(400, "invalid_grant", "Session not active"));
    };
    if voipex.is_rotating && newest != token {
        voipex.sessions.remove(&session);
        return Err(refusal(400, "invalid_grant", "Maximum allowed refresh token reuse exceeded"));
    }
    inner.api(Api::Voipex).counters.refreshes += 1;
    Ok(token_response(inner, session, DEFAULT_SCOPE))
}

fn token_response(inner: &mut Inner, session: String, scope: &str) -> Value {
    let lifetime = inner.api(Api::Voipex).lifetime.as_secs();
    let (access_token, _) = inner.issue_jwt(Api::Voipex);
    let refresh_token = format!("sandbox-refresh-{}", random(32));
    inner.voipex.refresh_tokens.insert(refresh_token.clone(), session.clone());
    inner.voipex.sessions.insert(session.clone(), refresh_token.clone());
    json!({
        "access_token": access_token,
        "expires_in": lifetime,
        "refresh_expires_in": REFRESH_LIFETIME,
        "refresh_token": refresh_token,
        "token_type": "Bearer",
        "not-before-policy": 0,
        "session_state": session,
        "scope": scope,
    })
}

//! Voipex: `POST /token` and `POST /token-exchange`, with Keycloak's answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use crate::answer;
use crate::protected::bearer;
use crate::state::{Inner, State, random};
use crate::{Api, PASSWORD, USERNAME};

const CLIENT: &str = "api";
const REFRESH_LIFE: u64 = 7200;
const DEFAULT_SCOPE: &str = "profile email";

/// Keycloak's "quick login check".
const QUICK: Duration = Duration::from_secs(1);

pub(crate) async fn token(Shared(state): Shared<Arc<State>>, headers: HeaderMap, body: Bytes) -> Response {
    state
        .login(Api::Voipex, async {
            let form = form(&headers, &body);
            state.with(|inner| {
                let result = grant(&form).and_then(|grant| grant(inner, &form));
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
                let result = match (bearer(inner, &headers), body.get("email").and_then(Value::as_str)) {
                    (Some(Api::Voipex), Some(_)) => {
                        let life = inner.api(Api::Voipex).lifetime.as_secs();
                        let (token, _) = inner.issue_jwt(Api::Voipex);
                        inner.api(Api::Voipex).counters.exchanges += 1;
                        Ok(json!({ "access_token": token, "expires_in": life, "token_type": "Bearer" }))
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
type Granting = fn(&mut Inner, &Form) -> Result<Value, Refusal>;

fn respond(inner: &mut Inner, result: Result<Value, Refusal>) -> Response {
    match result {
        Ok(body) => answer::json(StatusCode::OK, &body),
        Err((status, body)) => {
            inner.api(Api::Voipex).counters.refusals += 1;
            answer::json(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), &body)
        }
    }
}

/// Anything but a form has no fields, as for the real server.
fn form(headers: &HeaderMap, body: &[u8]) -> Form {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_form = kind.split(';').next().unwrap_or_default().trim() == "application/x-www-form-urlencoded";
    if is_form { form_urlencoded::parse(body).into_owned().collect() } else { Form::new() }
}

fn refusal(status: u16, error: &str, description: &str) -> Refusal {
    (status, json!({ "error": error, "error_description": description }))
}

fn grant(form: &Form) -> Result<Granting, Refusal> {
    let field = |name: &str| form.get(name).map(String::as_str);
    let Some(grant_type) = field("grant_type") else {
        return Err(refusal(400, "invalid_request", "Missing form parameter: grant_type"));
    };
    if field("client_id") != Some(CLIENT) {
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
    let is_right = |name: &str, value: &str| form.get(name).is_some_and(|given| given == value);
    let voipex = &mut inner.voipex;
    let is_locked = voipex.locked_until.is_some_and(|until| now < until);
    if is_locked || !is_right("username", USERNAME) || !is_right("password", PASSWORD) {
        let is_quick = voipex.last_failure.is_some_and(|last| now - last < QUICK);
        if let Some(wait) = voipex.lockout.filter(|_| is_quick && !is_locked) {
            voipex.locked_until = Some(now + wait);
        }
        voipex.last_failure = Some(now);
        return Err(refusal(401, "invalid_grant", "Invalid user credentials"));
    }
    inner.api(Api::Voipex).counters.logins += 1;
    Ok(tokens(inner, random(32), form.get("scope").map_or(DEFAULT_SCOPE, String::as_str)))
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
    Ok(tokens(inner, session, DEFAULT_SCOPE))
}

fn tokens(inner: &mut Inner, session: String, scope: &str) -> Value {
    let life = inner.api(Api::Voipex).lifetime.as_secs();
    let (access_token, _) = inner.issue_jwt(Api::Voipex);
    let refresh_token = format!("sandbox-refresh-{}", random(32));
    inner.voipex.refresh_tokens.insert(refresh_token.clone(), session.clone());
    inner.voipex.sessions.insert(session.clone(), refresh_token.clone());
    json!({
        "access_token": access_token,
        "expires_in": life,
        "refresh_expires_in": REFRESH_LIFE,
        "refresh_token": refresh_token,
        "token_type": "Bearer",
        "not-before-policy": 0,
        "session_state": session,
        "scope": scope,
    })
}

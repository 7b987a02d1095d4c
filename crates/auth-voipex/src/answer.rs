use std::time::Duration;

use auth_core::http::StatusCode;
use auth_core::{ErrorResponse, Expiry, NumberOrString, Response, Secret, TokenResponse};
use serde::Deserialize;

/// The documented life of an access token, for an answer that states none.
const DOCUMENTED_LIFE: Duration = Duration::from_secs(3000);

/// Keycloak's answer: RFC 6749 5.1 and some names of its own.
#[derive(Deserialize)]
struct Answer {
    access_token: Option<Secret>,
    token_type: Option<String>,
    expires_in: Option<NumberOrString>,
    refresh_token: Option<Secret>,
    refresh_expires_in: Option<NumberOrString>,
    scope: Option<NumberOrString>,
    session_state: Option<NumberOrString>,
    #[serde(rename = "not-before-policy")]
    not_before_policy: Option<NumberOrString>,
}

pub(crate) fn read(response: &Response) -> Result<TokenResponse, ErrorResponse> {
    check(response)?;
    let answer: Answer = response.json()?;
    let token = answer.access_token.ok_or(ErrorResponse::malformed("the answer holds no `access_token`"))?;
    let text = |value: Option<NumberOrString>| value.and_then(|value| value.text().map(str::to_owned));
    let mut grant = TokenResponse::new(token, Expiry::from_expires_in(answer.expires_in.as_ref(), DOCUMENTED_LIFE)?)
        .with_token_type(answer.token_type)
        .with_scope(text(answer.scope));
    if let Some(refresh_token) = answer.refresh_token {
        grant = grant.with_refresh_token(refresh_token, stated_end(answer.refresh_expires_in.as_ref()));
    }
    if let Some(session) = text(answer.session_state) {
        grant = grant.with_extra("session_state", session);
    }
    if let Some(not_before) = answer.not_before_policy.and_then(|value| value.number()) {
        grant = grant.with_extra("not-before-policy", not_before.to_string());
    }
    Ok(grant)
}

/// Zero, as offline tokens have it, means that no end is stated: neither "over" nor "for ever".
fn stated_end(seconds: Option<&NumberOrString>) -> Option<Duration> {
    let seconds = seconds?.number().filter(|seconds| *seconds > 0.0)?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Tells whether the body of an API's answer says that the token is rejected, whatever the HTTP status: `{"statusCode":
/// 401}`, by which Voipex's own app knows it.
#[must_use]
pub fn is_rejection(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Said {
        #[serde(rename = "statusCode")]
        status_code: NumberOrString,
    }

    serde_json::from_slice(body).is_ok_and(|said: Said| said.status_code.number() == Some(401.0))
}

/// Keycloak's error body, or that of the proxy before it: `{statusCode, error, message}`.
#[derive(Deserialize)]
struct Refusal {
    error: Option<NumberOrString>,
    #[serde(rename = "statusCode")]
    status_code: Option<NumberOrString>,
}

/// Gives the failure that an answer speaks of.
///
/// By `error`, never by 400 against 401: a wrong password was 401 before Keycloak 26.6 and is 400 since. Descriptions
/// are for people and change.
pub(crate) fn check(response: &Response) -> Result<(), ErrorResponse> {
    let refusal: Refusal = response.json()?;
    let http = response.status();
    let own = refusal.status_code.and_then(|code| code.number()).filter(|code| *code >= 400.0);
    let by_status = match own {
        _ if !http.is_success() => ErrorResponse::status(http),
        Some(code) => StatusCode::from_u16(code as u16).map_or(ErrorResponse::refused(), ErrorResponse::status),
        None => ErrorResponse::refused(),
    };
    let Some(error) = refusal.error else {
        return own.map_or(Ok(()), |_| Err(by_status));
    };
    let code = error.text().unwrap_or_default();
    let failure = match code {
        "invalid_grant" => ErrorResponse::refused(),
        "invalid_client" | "unauthorized_client" => ErrorResponse::misconfigured("client_id"),
        "invalid_scope" => ErrorResponse::misconfigured("scope"),
        _ => by_status,
    };
    Err(failure.with_code(code))
}

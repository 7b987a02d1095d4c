//! The response to a login and to a refresh, and the error bodies.

use std::time::Duration;

use auth_core::http::StatusCode;
use auth_core::{ErrorResponse, Expiry, NumberOrString, Response, Secret, TokenResponse};
use serde::Deserialize;

/// The documented lifetime, for a response that states none.
const DOCUMENTED_LIFETIME: Duration = Duration::from_secs(3000);

/// Keycloak's response: the fields of RFC 6749 5.1, and some fields of its own.
#[derive(Deserialize)]
struct Body {
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
    let body: Body = response.json()?;
    let token = body.access_token.ok_or(ErrorResponse::malformed("the response has no `access_token`"))?;
    let expiry = Expiry::from_expires_in(body.expires_in.as_ref(), DOCUMENTED_LIFETIME)?;
    let mut tokens =
        TokenResponse::new(token, expiry).with_token_type(body.token_type).with_scope(text(body.scope.as_ref()));
    if let Some(refresh_token) = body.refresh_token {
        tokens = tokens.with_refresh_token(refresh_token, refresh_lifetime(body.refresh_expires_in.as_ref()));
    }
    if let Some(session) = text(body.session_state.as_ref()) {
        tokens = tokens.with_extra("session_state", session);
    }
    if let Some(not_before) = body.not_before_policy.and_then(|value| value.number()) {
        tokens = tokens.with_extra("not-before-policy", not_before.to_string());
    }
    Ok(tokens)
}

/// Returns the text of an optional field, or `None` if the field is missing or not a string.
pub(crate) fn text(value: Option<&NumberOrString>) -> Option<String> {
    value?.text().map(str::to_owned)
}

/// Returns the lifetime of the refresh token, or `None` if it is not stated. Keycloak sends 0 for offline tokens. That
/// means that no lifetime is stated, not that the token has expired or lives for ever.
fn refresh_lifetime(seconds: Option<&NumberOrString>) -> Option<Duration> {
    let seconds = seconds?.number().filter(|seconds| *seconds > 0.0)?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Returns `true` if the body of an API response rejects the token, whatever the HTTP status is.
///
/// Such a body has the `statusCode` 401.
///
/// ```
/// assert!(auth_voipex::is_rejection(br#"{"statusCode":401,"error":"Unauthorized","message":"expired"}"#));
/// assert!(!auth_voipex::is_rejection(br#"{"calls":[]}"#));
/// ```
#[must_use]
pub fn is_rejection(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "statusCode")]
        status_code: NumberOrString,
    }

    serde_json::from_slice(body).is_ok_and(|body: Body| body.status_code.number() == Some(401.0))
}

/// Keycloak's error body (RFC 6749 5.2), or the one of the proxy in front of it: `{statusCode, error, message}`.
#[derive(Deserialize)]
struct ErrorBody {
    error: Option<NumberOrString>,
    #[serde(rename = "statusCode")]
    status_code: Option<NumberOrString>,
}

/// Returns the error that a response reports.
///
/// The field `error` decides, not the HTTP status: a wrong password is a 401 before Keycloak 26.6, and a 400 since
/// then. Descriptions are not read, because they are for people and may change.
pub(crate) fn check(response: &Response) -> Result<(), ErrorResponse> {
    let body: ErrorBody = response.json()?;
    let http = response.status();
    let status_code = body.status_code.and_then(|code| code.number()).filter(|code| *code >= 400.0);
    let by_status = match status_code {
        // The body may turn a success into an error, but an HTTP error keeps its own meaning.
        _ if !http.is_success() => ErrorResponse::status(http),
        Some(code) => StatusCode::from_u16(code as u16).map_or(ErrorResponse::refused(), ErrorResponse::status),
        None => ErrorResponse::refused(),
    };
    let Some(error) = body.error else {
        return status_code.map_or(Ok(()), |_| Err(by_status));
    };
    let code = error.text().unwrap_or_default();
    let error = match code {
        "invalid_grant" => ErrorResponse::refused(),
        "invalid_client" | "unauthorized_client" => ErrorResponse::misconfigured("client_id"),
        "invalid_scope" => ErrorResponse::misconfigured("scope"),
        _ => by_status,
    };
    Err(error.with_code(code))
}

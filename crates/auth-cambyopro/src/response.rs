//! The response.

use std::time::Duration;

use auth_core::{ErrorResponse, Expiry, NumberOrString, Response, Secret, TokenResponse};
use serde::Deserialize;

/// The lifetime if the response states none: far below the documented 24 hours, so that a token is never used too long.
const FALLBACK_LIFETIME: Duration = Duration::from_secs(3600);

/// Each field in the three spellings that are possible: the upper case of the documented names is lost.
#[derive(Deserialize)]
struct Body {
    success: Option<bool>,
    #[serde(rename = "accessToken")]
    token: Option<Secret>,
    #[serde(rename = "accesstoken")]
    token_lower: Option<Secret>,
    #[serde(rename = "access_token")]
    token_snake: Option<Secret>,
    #[serde(rename = "tokenType")]
    token_type: Option<String>,
    #[serde(rename = "tokentype")]
    token_type_lower: Option<String>,
    #[serde(rename = "token_type")]
    token_type_snake: Option<String>,
    #[serde(rename = "expiresIn")]
    expires_in: Option<NumberOrString>,
    #[serde(rename = "expiresin")]
    expires_in_lower: Option<NumberOrString>,
    #[serde(rename = "expires_in")]
    expires_in_snake: Option<NumberOrString>,
}

pub(crate) fn read(response: &Response) -> Result<TokenResponse, ErrorResponse> {
    let body: Body = response.json()?;
    if body.success == Some(false) {
        return Err(ErrorResponse::refused());
    }
    let token = body.token.or(body.token_lower).or(body.token_snake);
    let token = token.ok_or(ErrorResponse::malformed("the response has no `accessToken`"))?;
    let expires_in = body.expires_in.or(body.expires_in_lower).or(body.expires_in_snake);
    let expiry = Expiry::from_expires_in(expires_in.as_ref(), FALLBACK_LIFETIME)?;
    let token_type = body.token_type.or(body.token_type_lower).or(body.token_type_snake);
    Ok(TokenResponse::new(token, expiry).with_token_type(token_type))
}

use std::time::Duration;

use auth_core::{ErrorResponse, Expiry, NumberOrString, Response, Secret, TokenResponse};
use serde::Deserialize;

/// Where no life is stated: far below the documented 24 hours, and never "for ever".
const FALLBACK_LIFE: Duration = Duration::from_secs(3600);

/// Each field in the three spellings that are possible; the document's own spelling is lost.
#[derive(Deserialize)]
struct Answer {
    success: Option<bool>,
    #[serde(rename = "accessToken")]
    token: Option<Secret>,
    #[serde(rename = "accesstoken")]
    token_lower: Option<Secret>,
    #[serde(rename = "access_token")]
    token_snake: Option<Secret>,
    #[serde(rename = "tokenType")]
    kind: Option<String>,
    #[serde(rename = "tokentype")]
    kind_lower: Option<String>,
    #[serde(rename = "token_type")]
    kind_snake: Option<String>,
    #[serde(rename = "expiresIn")]
    life: Option<NumberOrString>,
    #[serde(rename = "expiresin")]
    life_lower: Option<NumberOrString>,
    #[serde(rename = "expires_in")]
    life_snake: Option<NumberOrString>,
}

pub(crate) fn read(response: &Response) -> Result<TokenResponse, ErrorResponse> {
    let answer: Answer = response.json()?;
    if answer.success == Some(false) {
        return Err(ErrorResponse::refused());
    }
    let token = answer.token.or(answer.token_lower).or(answer.token_snake);
    let token = token.ok_or(ErrorResponse::malformed("the answer holds no `accessToken`"))?;
    let life = answer.life.or(answer.life_lower).or(answer.life_snake);
    let grant = TokenResponse::new(token, Expiry::from_expires_in(life.as_ref(), FALLBACK_LIFE)?);
    Ok(grant.with_token_type(answer.kind.or(answer.kind_lower).or(answer.kind_snake)))
}

use std::time::Duration;

use serde::Deserialize;

use crate::error_response::ErrorResponse;
use crate::expiry::{Expiry, NumberOrString};
use crate::message::{Request, Response};
use crate::provider::Provider;
use crate::secret::Secret;
use crate::settings::ProviderInfo;
use crate::token::RefreshToken;
use crate::token_response::TokenResponse;

/// A provider as plain as can be, with refresh tokens.
///
/// It sends `by=` its password, or the refresh token, to `https://login.example/token`, and reads
/// `{"token": "…", "life": 60, "refresh": "…", "refresh_life": 600}` or `{"error": "…"}`.
#[derive(Debug, Clone)]
pub struct TestProvider {
    password: Secret,
}

impl TestProvider {
    /// Starts with a password.
    #[must_use]
    pub fn new(password: &str) -> Self {
        Self { password: password.into() }
    }
}

impl Provider for TestProvider {
    fn name(&self) -> &'static str {
        "test"
    }

    fn login_request(&self) -> Request {
        post(self.password.expose())
    }

    fn refresh_request(&self, token: &RefreshToken) -> Option<Request> {
        Some(post(token.expose()))
    }

    fn read_response(&self, response: &Response) -> Result<TokenResponse, ErrorResponse> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<Secret>,
            life: Option<NumberOrString>,
            refresh: Option<Secret>,
            refresh_life: Option<u64>,
            error: Option<String>,
        }

        let answer: Answer = response.json()?;
        if let Some(code) = answer.error {
            return Err(ErrorResponse::refused().with_code(code));
        }
        let token = answer.token.ok_or(ErrorResponse::malformed("the answer holds no `token`"))?;
        let grant =
            TokenResponse::new(token, Expiry::from_expires_in(answer.life.as_ref(), Duration::from_secs(1800))?);
        let refresh_life = answer.refresh_life.map(Duration::from_secs);
        Ok(match answer.refresh {
            Some(refresh) => grant.with_refresh_token(refresh, refresh_life),
            None => grant,
        })
    }
}

fn post(by: &str) -> Request {
    let endpoint = ProviderInfo::new("test", "TEST").endpoint("https://login.example", "login_path", "/token");
    Request::post(&endpoint.unwrap_or_else(|error| panic!("a good URL: {error}"))).with_form(&[("by", by)])
}

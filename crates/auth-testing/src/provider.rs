use std::time::Duration;

use auth_core::{
    ErrorResponse, Expiry, NumberOrString, Provider, ProviderInfo, RefreshToken, Request, Response, Secret,
    TokenResponse,
};
use serde::Deserialize;

/// A provider as plain as can be, with refresh tokens.
///
/// It sends `by=` its password, or the refresh token, to `https://login.example/token`, and reads
/// `{"token": "…", "expires_in": 60, "refresh": "…", "refresh_expires_in": 600}` or `{"error": "…"}`.
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
        struct Body {
            token: Option<Secret>,
            expires_in: Option<NumberOrString>,
            refresh: Option<Secret>,
            refresh_expires_in: Option<u64>,
            error: Option<String>,
        }

        let body: Body = response.json()?;
        if let Some(code) = body.error {
            return Err(ErrorResponse::refused().with_code(code));
        }
        let token = body.token.ok_or(ErrorResponse::malformed("the response holds no `token`"))?;
        let grant =
            TokenResponse::new(token, Expiry::from_expires_in(body.expires_in.as_ref(), Duration::from_secs(1800))?);
        let refresh_expires_in = body.refresh_expires_in.map(Duration::from_secs);
        Ok(match body.refresh {
            Some(refresh) => grant.with_refresh_token(refresh, refresh_expires_in),
            None => grant,
        })
    }
}

fn post(by: &str) -> Request {
    let endpoint = ProviderInfo::new("test", "TEST").endpoint("https://login.example", "login_path", "/token");
    Request::post(&endpoint.unwrap_or_else(|error| panic!("a good URL: {error}"))).with_form(&[("by", by)])
}

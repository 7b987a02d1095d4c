use std::time::Duration;

use auth_core::{
    ErrorResponse, Expiry, NumberOrString, Provider, ProviderInfo, RefreshToken, Request, Response, Secret,
    TokenResponse,
};
use serde::Deserialize;

/// A simple provider for tests. It logs in with one password and supports refresh tokens.
///
/// It posts the form `by=PASSWORD`, or `by=REFRESH_TOKEN` for a refresh, to `https://login.example/token`. It reads two
/// kinds of response:
///
/// - a token: `{"token": "…", "expires_in": 60, "refresh": "…", "refresh_expires_in": 600}`, in which only `token` is
///   required. Times are in seconds. The default lifetime is 1800 s.
/// - a refusal: `{"error": "…"}`.
///
/// # Example
/// ```
/// use auth_testing::{Script, ScriptedResponse, TestProvider};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
/// let body = r#"{"token":"first","expires_in":60,"refresh":"r1","refresh_expires_in":600}"#;
/// let script = Script::new([ScriptedResponse::json(200, body)]);
/// let tokens = script.builder_for(TestProvider::new("password")).build()?;
/// assert_eq!(tokens.token().await?.expose(), "first");
/// assert_eq!(script.requests()[0].body(), b"by=password");
/// # Ok::<(), auth_core::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct TestProvider {
    password: Secret,
}

impl TestProvider {
    /// Creates a provider that logs in with this password.
    ///
    /// # Example
    /// ```
    /// use auth_core::Provider;
    /// use auth_testing::TestProvider;
    ///
    /// assert_eq!(TestProvider::new("one").login_request().body(), b"by=one");
    /// ```
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
        let token = body.token.ok_or(ErrorResponse::malformed("the response has no `token`"))?;
        let expiry = Expiry::from_expires_in(body.expires_in.as_ref(), Duration::from_secs(1800))?;
        let granted = TokenResponse::new(token, expiry);
        let refresh_expires_in = body.refresh_expires_in.map(Duration::from_secs);
        Ok(match body.refresh {
            Some(refresh) => granted.with_refresh_token(refresh, refresh_expires_in),
            None => granted,
        })
    }
}

/// Returns the request that sends this password or refresh token.
fn post(credential: &str) -> Request {
    let endpoint = ProviderInfo::new("test", "TEST").endpoint("https://login.example", "login_path", "/token");
    let endpoint = endpoint.unwrap_or_else(|error| panic!("the test provider's URL must be valid: {error}"));
    Request::post(&endpoint).with_form(&[("by", credential)])
}

use std::time::Duration;

use async_trait::async_trait;
use auth_core::http::{HeaderMap, StatusCode};
use auth_core::{Error, Request, Response, SecretBytes, TokenManager, Transport};

use crate::TestProvider;

/// The lifetime of the token, longer than any test.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Returns a manager that always has this token, for the tests of a program that takes a [`TokenManager`].
///
/// It needs no runtime and no network. After a rejection, it gets the same token again.
///
/// # Panics
/// If `token` contains characters that are not allowed in a header.
///
/// # Example
/// ```
/// let tokens = auth_testing::fixed("not-a-real-token");
/// assert_eq!(tokens.blocking_token()?.expose(), "not-a-real-token");
/// # Ok::<(), auth_core::Error>(())
/// ```
#[must_use]
pub fn fixed(token: &str) -> TokenManager {
    let transport = SameToken(token.to_owned());
    let manager = TokenManager::builder(TestProvider::new("password")).with_transport(transport).build();
    let first = manager.and_then(|manager| manager.blocking_token().map(|_| manager));
    first.unwrap_or_else(|error| panic!("`token` must be allowed in a header: {error}"))
}

/// Answers each login with the same token.
#[derive(Debug)]
struct SameToken(String);

#[async_trait]
impl Transport for SameToken {
    async fn send(&self, _: Request) -> Result<Response, Error> {
        let body = serde_json::json!({ "token": self.0, "expires_in": LIFETIME.as_secs() }).to_string();
        Ok(Response::new(StatusCode::OK, HeaderMap::new(), SecretBytes::from(body.into_bytes())))
    }
}

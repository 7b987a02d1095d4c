//! The token response that a provider reads from a successful response.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::expiry::Expiry;
use crate::secret::Secret;

/// Holds a successful token response (RFC 6749 5.1), before it is checked.
///
/// [`Provider::read_response`](crate::Provider::read_response) returns it. The login checks it and
/// builds the [`AccessToken`](crate::AccessToken).
///
/// ```
/// use std::time::Duration;
///
/// use auth_core::{Expiry, TokenResponse};
///
/// let hour = Duration::from_secs(3600);
/// let response = TokenResponse::new("not-a-real-token".into(), Expiry::After(hour))
///     .with_token_type(Some("Bearer".into()))
///     .with_refresh_token("not-a-real-refresh-token".into(), Some(24 * hour));
/// # let _ = response;
/// ```
#[derive(Clone)]
pub struct TokenResponse {
    pub(crate) access_token: Secret,
    pub(crate) token_type: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) expiry: Expiry,
    /// The token, and its lifetime if it was stated.
    pub(crate) refresh: Option<(Secret, Option<Duration>)>,
    pub(crate) extras: Vec<(Cow<'static, str>, String)>,
}

impl TokenResponse {
    /// Creates a token response with an access token and its expiry.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use auth_core::{Expiry, TokenResponse};
    ///
    /// let expiry = Expiry::Unstated(Duration::from_secs(1800)); // the lifetime that the API documents
    /// let response = TokenResponse::new("not-a-real-token".into(), expiry);
    /// # let _ = response;
    /// ```
    #[must_use]
    pub fn new(access_token: Secret, expiry: Expiry) -> Self {
        Self { access_token, token_type: None, scope: None, expiry, refresh: None, extras: Vec::new() }
    }

    /// Sets the token's type (RFC 6749 7.1). The default is `None`, which means `Bearer`. A login that returns another
    /// type fails.
    ///
    /// ```
    /// # fn example(response: auth_core::TokenResponse) -> auth_core::TokenResponse {
    /// response.with_token_type(Some("bearer".into()))
    /// # }
    /// ```
    #[must_use]
    pub fn with_token_type(mut self, token_type: Option<String>) -> Self {
        self.token_type = token_type;
        self
    }

    /// Sets the granted scope, space-separated (RFC 6749 3.3). The default is `None`.
    ///
    /// ```
    /// # fn example(response: auth_core::TokenResponse) -> auth_core::TokenResponse {
    /// response.with_scope(Some("calls:read calls:write".into()))
    /// # }
    /// ```
    #[must_use]
    pub fn with_scope(mut self, scope: Option<String>) -> Self {
        self.scope = scope;
        self
    }

    /// Sets the refresh token (RFC 6749 1.5) and, if the server states one, its lifetime.
    ///
    /// ```
    /// # fn example(response: auth_core::TokenResponse) -> auth_core::TokenResponse {
    /// use std::time::Duration;
    ///
    /// response.with_refresh_token("not-a-real-token".into(), Some(Duration::from_secs(1800)))
    /// # }
    /// ```
    #[must_use]
    pub fn with_refresh_token(mut self, token: Secret, lifetime: Option<Duration>) -> Self {
        self.refresh = Some((token, lifetime));
        self
    }

    /// Adds an additional value of the response. The value must not be secret.
    ///
    /// [`AccessToken::extra`](crate::AccessToken::extra) returns it.
    ///
    /// ```
    /// # fn example(response: auth_core::TokenResponse) -> auth_core::TokenResponse {
    /// response.with_extra("session_state", "c0ffee")
    /// # }
    /// ```
    #[must_use]
    pub fn with_extra(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.extras.push((name.into(), value.into()));
        self
    }
}

impl fmt::Debug for TokenResponse {
    /// Leaves out everything that the server wrote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse").field("expiry", &self.expiry).finish_non_exhaustive()
    }
}

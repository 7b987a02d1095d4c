//! What a provider is: three functions over values, without I/O.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::error_response::ErrorResponse;
use crate::expiry::Expiry;
use crate::message::{Request, Response};
use crate::secret::Secret;
use crate::token::RefreshToken;

/// Builds one API's login requests and reads its answers.
///
/// An implementation touches no socket, no clock and no cache, so each rule of its wire is a plain unit test. Statuses
/// that mean the same everywhere (429, 5xx, redirects, 404) are judged by [`Login`](crate::Login); a provider knows only
/// what is its own.
pub trait Provider: fmt::Debug + Send + Sync + 'static {
    /// The provider's name in errors, lower case.
    fn name(&self) -> &'static str;

    /// Builds the request that logs in with the credentials.
    fn login_request(&self) -> Request;

    /// Builds the request that renews a token with `token`, where the API has one.
    fn refresh_request(&self, token: &RefreshToken) -> Option<Request> {
        let _ = token;
        None
    }

    /// The headers that the API's later calls need beside `Authorization`: they go with each token, marked sensitive.
    fn api_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        Vec::new()
    }

    /// The request whose every byte tells these credentials from all others: what a store keeps their token under. None
    /// where the credentials are not in it, and a token is never shared.
    ///
    /// Default is [`login_request`](Self::login_request): override it where that holds a time or a random value.
    fn identity(&self) -> Option<Request> {
        Some(self.login_request())
    }

    /// Reads the answer to either request.
    ///
    /// Called for every status but the passing ones (408, 425, 429, 5xx); a grant is taken from a 2xx only.
    ///
    /// # Errors
    /// [`ErrorResponse`] says what the answer held instead of a token.
    fn read_response(&self, response: &Response) -> Result<TokenResponse, ErrorResponse>;
}

impl<P: Provider + ?Sized> Provider for Arc<P> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn login_request(&self) -> Request {
        (**self).login_request()
    }

    fn refresh_request(&self, token: &RefreshToken) -> Option<Request> {
        (**self).refresh_request(token)
    }

    fn api_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        (**self).api_headers()
    }

    fn identity(&self) -> Option<Request> {
        (**self).identity()
    }

    fn read_response(&self, response: &Response) -> Result<TokenResponse, ErrorResponse> {
        (**self).read_response(response)
    }
}

/// Holds what a server granted, as it said it (RFC 6749 5.1).
#[derive(Clone)]
pub struct TokenResponse {
    pub(crate) access_token: Secret,
    pub(crate) token_type: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) expiry: Expiry,
    pub(crate) refresh: Option<(Secret, Option<Duration>)>,
    pub(crate) extras: Vec<(Cow<'static, str>, String)>,
}

impl TokenResponse {
    /// Starts from the two things that every login gives.
    #[must_use]
    pub fn new(access_token: Secret, expiry: Expiry) -> Self {
        Self { access_token, token_type: None, scope: None, expiry, refresh: None, extras: Vec::new() }
    }

    /// Adds the token's type; none means `Bearer`.
    #[must_use]
    pub fn with_token_type(mut self, token_type: Option<String>) -> Self {
        self.token_type = token_type;
        self
    }

    /// Adds the granted scope.
    #[must_use]
    pub fn with_scope(mut self, scope: Option<String>) -> Self {
        self.scope = scope;
        self
    }

    /// Adds a refresh token and, where the server states one, its life.
    #[must_use]
    pub fn with_refresh_token(mut self, token: Secret, lifetime: Option<Duration>) -> Self {
        self.refresh = Some((token, lifetime));
        self
    }

    /// Adds a value of the provider's own, which must not be secret.
    #[must_use]
    pub fn with_extra(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.extras.push((name.into(), value.into()));
        self
    }
}

impl fmt::Debug for TokenResponse {
    /// Without what the server wrote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse").field("expiry", &self.expiry).finish_non_exhaustive()
    }
}

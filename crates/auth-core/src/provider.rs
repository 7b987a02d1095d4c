//! What a provider is: three functions over values, without I/O.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::error_response::ErrorResponse;
use crate::message::{Request, Response};
use crate::token::RefreshToken;
use crate::token_response::TokenResponse;

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

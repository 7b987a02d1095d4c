//! The trait of providers: pure functions that build requests and read responses.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::error_response::ErrorResponse;
use crate::message::{Request, Response};
use crate::token::RefreshToken;
use crate::token_response::TokenResponse;

/// Builds the login requests of one API and reads its responses.
///
/// An implementation uses no socket, no clock and no cache, so plain unit tests can cover its wire format.
/// The login classifies the statuses that mean the same everywhere: 404, 408, 425, 429, 5xx and
/// redirects. A provider handles only what is specific to its API.
///
/// ```
/// use std::time::Duration;
///
/// use auth_core::{ErrorResponse, Expiry, Provider, Request, Response, Secret, TokenResponse};
///
/// #[derive(Debug)]
/// struct Acme {
///     login: Request,
/// }
///
/// #[derive(serde::Deserialize)]
/// struct Body {
///     token: Secret,
/// }
///
/// impl Provider for Acme {
///     fn name(&self) -> &'static str {
///         "acme"
///     }
///
///     fn login_request(&self) -> Request {
///         self.login.clone()
///     }
///
///     fn read_response(&self, response: &Response) -> Result<TokenResponse, ErrorResponse> {
///         let body: Body = response.json()?;
///         Ok(TokenResponse::new(body.token, Expiry::Unstated(Duration::from_secs(600))))
///     }
/// }
/// ```
pub trait Provider: fmt::Debug + Send + Sync + 'static {
    /// Returns the provider's name for errors, logs and metrics, in lower case.
    fn name(&self) -> &'static str;

    /// Returns the request that logs in with the credentials.
    fn login_request(&self) -> Request;

    /// Returns the request that uses the refresh token `token` (RFC 6749 6), or `None` if the API has no refresh.
    ///
    /// The default is `None`.
    fn refresh_request(&self, token: &RefreshToken) -> Option<Request> {
        let _ = token;
        None
    }

    /// Returns the headers that the API's later calls need in addition to `Authorization`.
    ///
    /// They are kept with each token and marked sensitive. The default is none.
    fn api_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        Vec::new()
    }

    /// Returns a request that uniquely identifies these credentials, or `None` if their token must not be shared.
    ///
    /// A store derives the key of the token's entry from it. The default is [`login_request`](Self::login_request).
    /// Override it if the login request contains a time or a random value.
    fn identity(&self) -> Option<Request> {
        Some(self.login_request())
    }

    /// Reads the response to a login or a refresh.
    ///
    /// It is called for every status except 408, 425, 429 and 5xx. A [`TokenResponse`] is used only if the status is
    /// 2xx.
    ///
    /// # Errors
    /// An [`ErrorResponse`] if the response holds no token.
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

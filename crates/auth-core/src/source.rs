//! The trait that an application uses to get tokens.

use std::fmt;
use std::sync::Arc;

use crate::manager::{TokenFuture, TokenManager};
use crate::token::AccessToken;

/// Returns usable access tokens, for an application that wants to substitute them.
///
/// Most programs call the methods of [`TokenManager`](crate::TokenManager) and do not need this trait. A test can use an
/// implementation such as this one:
///
/// ```
/// use auth_core::{AccessToken, TokenFuture, TokenSource};
///
/// #[derive(Debug)]
/// struct FixedToken(AccessToken);
///
/// impl TokenSource for FixedToken {
///     fn cached(&self) -> Option<AccessToken> {
///         Some(self.0.clone())
///     }
///
///     fn token(&self) -> TokenFuture<'_> {
///         TokenFuture::ready(Ok(self.0.clone()))
///     }
///
///     fn reject(&self, _token: &AccessToken) {}
/// }
/// ```
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// Returns the current token if it is usable, without waiting and without a request.
    ///
    /// ```
    /// # fn example(tokens: &impl auth_core::TokenSource) {
    /// if let Some(token) = tokens.cached() {
    ///     println!("usable until {:?}", token.expires_at());
    /// }
    /// # }
    /// ```
    fn cached(&self) -> Option<AccessToken>;

    /// Returns a usable token. If there is none, waits for a login or a refresh.
    ///
    /// # Errors
    /// The reason why there is no token. While the current token is usable, a failed refresh is not an error.
    ///
    /// # Cancel safety
    /// Dropping the future ends only this wait. A login that has started continues for the other callers.
    ///
    /// # Example
    /// ```
    /// # async fn example(tokens: &impl auth_core::TokenSource) -> Result<(), auth_core::Error> {
    /// let token = tokens.token().await?;
    /// let request = http::Request::get("https://api.example.com/v1/calls")
    ///     .header(http::header::AUTHORIZATION, token.authorization());
    /// # let _ = request;
    /// # Ok(())
    /// # }
    /// ```
    fn token(&self) -> TokenFuture<'_>;

    /// Reports that a server rejected `token` with a 401, so that the next call gets a new one.
    ///
    /// If the source already has a newer token, the call does nothing.
    ///
    /// ```
    /// # async fn example(tokens: &impl auth_core::TokenSource, status: u16) -> Result<(), auth_core::Error> {
    /// let token = tokens.token().await?;
    /// // … a request with this token returns `status`.
    /// if status == 401 {
    ///     tokens.reject(&token);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    fn reject(&self, token: &AccessToken);
}

impl<S: TokenSource + ?Sized> TokenSource for Arc<S> {
    fn cached(&self) -> Option<AccessToken> {
        (**self).cached()
    }

    fn token(&self) -> TokenFuture<'_> {
        (**self).token()
    }

    fn reject(&self, token: &AccessToken) {
        (**self).reject(token);
    }
}

impl<S: TokenSource + ?Sized> TokenSource for Box<S> {
    fn cached(&self) -> Option<AccessToken> {
        (**self).cached()
    }

    fn token(&self) -> TokenFuture<'_> {
        (**self).token()
    }

    fn reject(&self, token: &AccessToken) {
        (**self).reject(token);
    }
}

impl TokenSource for TokenManager {
    fn cached(&self) -> Option<AccessToken> {
        self.cached()
    }

    fn token(&self) -> TokenFuture<'_> {
        self.token()
    }

    fn reject(&self, token: &AccessToken) {
        self.reject(token);
    }
}

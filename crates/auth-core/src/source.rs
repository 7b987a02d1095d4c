//! What an application holds.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Error;
use crate::token::AccessToken;

/// Hands out an access token that is valid; the type that an application stores, as `Arc<dyn TokenSource>`.
#[async_trait]
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// Gives the current token where it is still usable, without waiting or asking anybody.
    fn cached(&self) -> Option<AccessToken>;

    /// Gives a usable token, and logs in or refreshes where that is needed.
    ///
    /// # Errors
    /// Why there is none, once no usable token is left.
    async fn token(&self) -> Result<AccessToken, Error>;

    /// Says that a server has rejected `token` (401), so that the next call gets another. A newer token stays.
    fn reject(&self, token: &AccessToken);
}

#[async_trait]
impl<S: TokenSource + ?Sized> TokenSource for Arc<S> {
    fn cached(&self) -> Option<AccessToken> {
        (**self).cached()
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        (**self).token().await
    }

    fn reject(&self, token: &AccessToken) {
        (**self).reject(token);
    }
}

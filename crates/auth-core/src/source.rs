//! What an application holds.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::error::Error;
use crate::token::AccessToken;

/// Hands out an access token that is valid; the type that an application stores, as `Arc<dyn TokenSource>`.
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// Gives the current token where it is still usable, without waiting or asking anybody.
    fn cached(&self) -> Option<AccessToken>;

    /// Gives a usable token, and logs in or refreshes where that is needed.
    ///
    /// # Errors
    /// Why there is none, once no usable token is left.
    ///
    /// # Cancel safety
    /// Dropping the future ends this wait alone.
    fn token(&self) -> TokenFuture<'_>;

    /// Says that a server has rejected `token` (401), so that the next call gets another. A newer token stays.
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

/// What [`TokenSource::token`] gives: a token that was at hand, without an allocation, or a wait for one.
#[must_use = "a future does nothing until it is awaited"]
pub struct TokenFuture<'a>(State<'a>);

type Wait<'a> = Pin<Box<dyn Future<Output = Result<AccessToken, Error>> + Send + 'a>>;

enum State<'a> {
    Ready(Option<Result<AccessToken, Error>>),
    Waiting(Wait<'a>),
}

impl<'a> TokenFuture<'a> {
    /// A token or an error that is at hand.
    pub fn ready(result: Result<AccessToken, Error>) -> Self {
        Self(State::Ready(Some(result)))
    }

    /// A wait.
    pub fn wait(future: impl Future<Output = Result<AccessToken, Error>> + Send + 'a) -> Self {
        Self(State::Waiting(Box::pin(future)))
    }
}

impl Future for TokenFuture<'_> {
    type Output = Result<AccessToken, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Waiting(wait) => wait.as_mut().poll(context),
            State::Ready(result) => match result.take() {
                Some(result) => Poll::Ready(result),
                // As an `async` block does that is polled after its end.
                None => panic!("`TokenFuture` polled after completion"),
            },
        }
    }
}

impl fmt::Debug for TokenFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_ready = matches!(self.0, State::Ready(_));
        f.debug_struct("TokenFuture").field("is_ready", &is_ready).finish()
    }
}

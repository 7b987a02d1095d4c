//! The trait that an application uses to get tokens.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::error::Error;
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

/// The future that [`TokenSource::token`] returns. It resolves to a token or an error.
///
/// If the token is already known, the future costs no allocation.
#[must_use = "a future does nothing until it is awaited"]
pub struct TokenFuture<'a>(State<'a>);

pub(crate) type Wait<'a> = Pin<Box<dyn Future<Output = Result<AccessToken, Error>> + Send + 'a>>;

enum State<'a> {
    /// Decides when it is polled: until then, a token may end.
    OnPoll(&'a dyn OnPoll),
    Ready(Option<Result<AccessToken, Error>>),
    Waiting(Wait<'a>),
}

/// A source that decides what a call gets when its future is first polled.
pub(crate) trait OnPoll: Send + Sync {
    fn decide(&self) -> Decision;
}

/// What a call gets.
pub(crate) enum Decision {
    Ready(AccessToken),
    Wait(Wait<'static>),
}

impl<'a> TokenFuture<'a> {
    pub(crate) fn on_poll(source: &'a dyn OnPoll) -> Self {
        Self(State::OnPoll(source))
    }

    /// Returns a future that is ready at once.
    ///
    /// ```
    /// # fn example(token: auth_core::AccessToken) {
    /// let future = auth_core::TokenFuture::ready(Ok(token));
    /// # let _ = future;
    /// # }
    /// ```
    pub fn ready(result: Result<AccessToken, Error>) -> Self {
        Self(State::Ready(Some(result)))
    }

    /// Returns a future that waits for `future`, which is boxed.
    ///
    /// ```
    /// # fn example(token: auth_core::AccessToken) {
    /// let future = auth_core::TokenFuture::wait(async move { Ok(token) });
    /// # let _ = future;
    /// # }
    /// ```
    pub fn wait(future: impl Future<Output = Result<AccessToken, Error>> + Send + 'a) -> Self {
        Self(State::Waiting(Box::pin(future)))
    }
}

impl Future for TokenFuture<'_> {
    type Output = Result<AccessToken, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.0 {
                State::OnPoll(source) => match source.decide() {
                    Decision::Ready(token) => {
                        self.0 = State::Ready(None);
                        return Poll::Ready(Ok(token));
                    }
                    Decision::Wait(wait) => self.0 = State::Waiting(wait),
                },
                State::Waiting(wait) => return wait.as_mut().poll(context),
                State::Ready(result) => match result.take() {
                    Some(result) => return Poll::Ready(result),
                    // An `async` block panics as well if it is polled after completion.
                    None => panic!("`TokenFuture` polled after completion"),
                },
            }
        }
    }
}

impl fmt::Debug for TokenFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_ready = matches!(self.0, State::Ready(_));
        f.debug_struct("TokenFuture").field("is_ready", &is_ready).finish()
    }
}

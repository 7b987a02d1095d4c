//! The future of a token.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::TokenManager;
use crate::error::Error;
use crate::token::AccessToken;

/// The future that [`TokenManager::token`] returns. It resolves to a token or an error.
///
/// If the token is already known, the future costs no allocation.
#[must_use = "a future does nothing until it is awaited"]
pub struct TokenFuture<'a>(State<'a>);

pub(super) type Wait<'a> = Pin<Box<dyn Future<Output = Result<AccessToken, Error>> + Send + 'a>>;

/// Each state has at most one pointer, so that a future is returned in registers. Through memory, it would add a tenth to
/// the time of a hit.
enum State<'a> {
    /// Decides when it is polled: until then, a token may end.
    Undecided(&'a TokenManager),
    Token(AccessToken),
    Error(Error),
    Waiting(Box<Wait<'a>>),
    Done,
}

impl<'a> TokenFuture<'a> {
    #[inline]
    pub(super) fn undecided(manager: &'a TokenManager) -> Self {
        Self(State::Undecided(manager))
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
        Self(match result {
            Ok(token) => State::Token(token),
            Err(error) => State::Error(error),
        })
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
        Self(State::Waiting(Box::new(Box::pin(future))))
    }
}

impl Future for TokenFuture<'_> {
    type Output = Result<AccessToken, Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match mem::replace(&mut self.0, State::Done) {
                State::Undecided(manager) => match manager.decide() {
                    Ok(token) => return Poll::Ready(Ok(token)),
                    Err(reason) => self.0 = State::Waiting(Box::new(manager.wait_for(reason))),
                },
                State::Token(token) => return Poll::Ready(Ok(token)),
                State::Error(error) => return Poll::Ready(Err(error)),
                State::Waiting(mut wait) => {
                    let polled = Pin::new(&mut *wait).poll(context);
                    if polled.is_pending() {
                        self.0 = State::Waiting(wait);
                    }
                    return polled;
                }
                // An `async` block panics as well if it is polled after completion.
                State::Done => panic!("`TokenFuture` polled after completion"),
            }
        }
    }
}

impl fmt::Debug for TokenFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_ready = matches!(self.0, State::Token(_) | State::Error(_));
        f.debug_struct("TokenFuture").field("is_ready", &is_ready).finish()
    }
}

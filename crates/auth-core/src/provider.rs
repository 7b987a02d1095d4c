//! What a provider is: three functions over values, without I/O.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

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
    fn login(&self) -> Request;

    /// Builds the request that renews a token with `token`, where the API has one.
    fn refresh(&self, token: &RefreshToken) -> Option<Request> {
        let _ = token;
        None
    }

    /// Reads the answer to either request.
    ///
    /// Called for every status but the passing ones (408, 425, 429, 5xx); a grant is taken from a 2xx only.
    ///
    /// # Errors
    /// [`Failure`] says what the answer held instead of a token.
    fn read(&self, response: &Response) -> Result<Grant, Failure>;
}

impl<P: Provider + ?Sized> Provider for Arc<P> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn login(&self) -> Request {
        (**self).login()
    }

    fn refresh(&self, token: &RefreshToken) -> Option<Request> {
        (**self).refresh(token)
    }

    fn read(&self, response: &Response) -> Result<Grant, Failure> {
        (**self).read(response)
    }
}

/// Holds what a server granted, as it said it (RFC 6749 5.1).
#[derive(Debug, Clone)]
pub struct Grant {
    pub(crate) access_token: Secret,
    pub(crate) token_type: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) expiry: Expiry,
    pub(crate) refresh: Option<(Secret, Option<Duration>)>,
    pub(crate) extras: Vec<(&'static str, String)>,
}

impl Grant {
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
        self.extras.push((name, value.into()));
        self
    }
}

/// Says what an answer held instead of a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure {
    pub(crate) class: FailureClass,
    /// As the server wrote it: shown only after it was checked against the request.
    pub(crate) code: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureClass {
    Refused,
    Misconfigured(&'static str),
    Status(StatusCode),
    Unreadable,
    Malformed(&'static str),
}

impl Failure {
    /// The provider says in its own words that the credentials are refused.
    #[must_use]
    pub fn refused() -> Self {
        FailureClass::Refused.into()
    }

    /// The provider says in its own words that the request is wrong; `setting` is the one to look at.
    #[must_use]
    pub fn misconfigured(setting: &'static str) -> Self {
        FailureClass::Misconfigured(setting).into()
    }

    /// The answer holds a status of its own, to be judged as if HTTP had said it.
    #[must_use]
    pub fn status(status: StatusCode) -> Self {
        FailureClass::Status(status).into()
    }

    /// The answer cannot be read at all: empty, cut off, or another language. Another attempt may give a better one.
    #[must_use]
    pub fn unreadable() -> Self {
        FailureClass::Unreadable.into()
    }

    /// The answer can be read but not used; `what` says why and holds nothing of the answer.
    #[must_use]
    pub fn malformed(what: &'static str) -> Self {
        FailureClass::Malformed(what).into()
    }

    /// Adds the provider's own code for what went wrong.
    ///
    /// It is shown only if it looks like a code and repeats nothing that was sent.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Takes the code away.
    #[must_use]
    pub fn without_code(mut self) -> Self {
        self.code = None;
        self
    }
}

impl From<FailureClass> for Failure {
    fn from(class: FailureClass) -> Self {
        Self { class, code: None }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.class, f)
    }
}

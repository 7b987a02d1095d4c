//! What an answer held instead of a token.

use std::fmt;

use http::StatusCode;

/// Says what an answer held instead of a token.
#[derive(Clone, PartialEq, Eq)]
pub struct ErrorResponse {
    pub(crate) class: ErrorClass,
    /// As the server wrote it: shown only after it was checked against the request.
    pub(crate) code: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorClass {
    Refused,
    Misconfigured(&'static str),
    Status(StatusCode),
    Unreadable,
    Malformed(&'static str),
}

impl ErrorResponse {
    /// The provider says in its own words that the credentials are refused.
    #[must_use]
    pub fn refused() -> Self {
        ErrorClass::Refused.into()
    }

    /// The provider says in its own words that the request is wrong; `setting` is the one to look at.
    #[must_use]
    pub fn misconfigured(setting: &'static str) -> Self {
        ErrorClass::Misconfigured(setting).into()
    }

    /// The answer holds a status of its own, to be judged as if HTTP had said it.
    #[must_use]
    pub fn status(status: StatusCode) -> Self {
        ErrorClass::Status(status).into()
    }

    /// The answer cannot be read at all: empty, cut off, or another language. Another attempt may give a better one.
    #[must_use]
    pub fn unreadable() -> Self {
        ErrorClass::Unreadable.into()
    }

    /// The answer can be read but not used; `what` says why and holds nothing of the answer.
    #[must_use]
    pub fn malformed(what: &'static str) -> Self {
        ErrorClass::Malformed(what).into()
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

impl From<ErrorClass> for ErrorResponse {
    fn from(class: ErrorClass) -> Self {
        Self { class, code: None }
    }
}

impl fmt::Debug for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.class, f)
    }
}

//! The error that a provider reads from a response without a token.

use std::fmt;

use http::StatusCode;

/// Holds the error of a response without a token (RFC 6749 5.2).
///
/// [`Provider::read_response`](crate::Provider::read_response) returns it. The login turns it into an
/// [`Error`](crate::Error) and adds the status of the response.
///
/// ```
/// use auth_core::ErrorResponse;
///
/// fn read_error(code: &str) -> ErrorResponse {
///     match code {
///         "invalid_grant" => ErrorResponse::refused().with_code(code),
///         "invalid_scope" => ErrorResponse::misconfigured("scope").with_code(code),
///         "busy" => ErrorResponse::status(http::StatusCode::SERVICE_UNAVAILABLE),
///         _ => ErrorResponse::malformed("the response has neither a token nor a known error"),
///     }
/// }
/// # read_error("invalid_grant");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ErrorResponse {
    pub(crate) class: ErrorClass,
    /// The code as the server wrote it. It is shown only after it was checked against the request.
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
    /// Builds the error for a body that refuses the credentials.
    ///
    /// The credentials are not tried again in this login, whatever the status is.
    ///
    /// ```
    /// use auth_core::ErrorResponse;
    ///
    /// let error = ErrorResponse::refused().with_code("invalid_grant"); // RFC 6749 5.2
    /// # let _ = error;
    /// ```
    #[must_use]
    pub fn refused() -> Self {
        ErrorClass::Refused.into()
    }

    /// Builds the error for a body that rejects the request because of a wrong setting. `setting` is its name.
    ///
    /// ```
    /// use auth_core::ErrorResponse;
    ///
    /// let error = ErrorResponse::misconfigured("scope").with_code("invalid_scope");
    /// # let _ = error;
    /// ```
    #[must_use]
    pub fn misconfigured(setting: &'static str) -> Self {
        ErrorClass::Misconfigured(setting).into()
    }

    /// Builds the error for a body that states a status. It is classified like an HTTP status.
    ///
    /// Some APIs respond with HTTP 200 and a body such as `{"statusCode": 429}`.
    ///
    /// ```
    /// use auth_core::ErrorResponse;
    ///
    /// let error = ErrorResponse::status(http::StatusCode::TOO_MANY_REQUESTS);
    /// # let _ = error;
    /// ```
    #[must_use]
    pub fn status(status: StatusCode) -> Self {
        ErrorClass::Status(status).into()
    }

    /// Builds the error for a body that cannot be read: empty, cut off, or in another format.
    ///
    /// A login tries once more after such a response.
    ///
    /// ```
    /// use auth_core::{ErrorResponse, Response, SecretBytes};
    ///
    /// fn check(response: &Response) -> Result<(), ErrorResponse> {
    ///     if response.body().is_empty() { Err(ErrorResponse::unreadable()) } else { Ok(()) }
    /// }
    /// # let empty = Response::new(http::StatusCode::OK, http::HeaderMap::new(), SecretBytes::default());
    /// # assert!(check(&empty).is_err());
    /// ```
    #[must_use]
    pub fn unreadable() -> Self {
        ErrorClass::Unreadable.into()
    }

    /// Builds the error for a body that can be read but holds no usable token.
    ///
    /// `problem` is the error message. It must not contain any part of the response.
    ///
    /// ```
    /// use auth_core::ErrorResponse;
    ///
    /// let error = ErrorResponse::malformed("the response has no `access_token`");
    /// # let _ = error;
    /// ```
    #[must_use]
    pub fn malformed(problem: &'static str) -> Self {
        ErrorClass::Malformed(problem).into()
    }

    /// Sets the provider's own error code.
    ///
    /// It is shown only if it looks like a code and repeats no secret of the request.
    ///
    /// ```
    /// use auth_core::ErrorResponse;
    ///
    /// let error = ErrorResponse::refused().with_code("account_locked");
    /// # let _ = error;
    /// ```
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }
}

impl From<ErrorClass> for ErrorResponse {
    fn from(class: ErrorClass) -> Self {
        Self { class, code: None }
    }
}

impl fmt::Debug for ErrorResponse {
    /// Leaves out the code, which has not been checked yet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.class, f)
    }
}

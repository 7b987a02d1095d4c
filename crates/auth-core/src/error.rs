//! The error type: what went wrong, and what to do about it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::StatusCode;

/// The reason why there is no token, and the time of the next attempt.
///
/// It is cheap to clone, because all callers that wait for one login get the same error. It never contains a secret, a
/// body or a query. From the server's response it keeps only the error code, and only if the code repeats no secret of
/// the request.
///
/// ```
/// # fn example(error: auth_core::Error) {
/// use auth_core::ErrorKind;
///
/// match error.kind() {
///     ErrorKind::Refused => eprintln!("correct the credentials: {error}"),
///     _ if error.is_transient() => eprintln!("{error}; next attempt at {:?}", error.retry_at()),
///     _ => eprintln!("{error}; check the setting {:?}", error.setting()),
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

/// Classifies errors by what the caller should do.
///
/// ```
/// use auth_core::{Error, ErrorKind};
///
/// let error = Error::misconfigured("base_url", "is not a URL");
/// assert_eq!(error.kind(), ErrorKind::Misconfigured);
/// assert_eq!(error.kind().to_string(), "misconfigured");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The provider refused the login: the credentials are wrong, locked or not permitted.
    ///
    /// Correct them before the next attempt. Repeated refusals can lock an account.
    Refused,
    /// The server limits logins. Wait until [`Error::retry_at`].
    Throttled,
    /// The provider could not be reached or did not respond. A later attempt may succeed with nothing changed.
    Unavailable,
    /// The provider's response holds no usable token.
    Malformed,
    /// A setting is missing or wrong. [`Error::setting`] names it.
    Misconfigured,
    /// The login was redirected, and redirects are never followed. Set the base URL to the final address.
    Redirected,
    /// The server's certificate is expired, for another host or from an unknown issuer, or TLS failed.
    Untrusted,
    /// A provider panicked, which is a bug. It is remembered like a refusal, because the response may have been one.
    Internal,
    /// The call can never succeed. Correct the program.
    ///
    /// For example, `blocking_token` is called by code that a login runs, or `min_validity` is more than the lifetime of a
    /// token.
    Misuse,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ErrorKind {
    /// Returns the kind with this name.
    #[cfg(feature = "store")]
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::Refused,
            Self::Throttled,
            Self::Unavailable,
            Self::Malformed,
            Self::Misconfigured,
            Self::Redirected,
            Self::Untrusted,
            Self::Internal,
            Self::Misuse,
        ];
        all.into_iter().find(|kind| kind.name() == name)
    }

    /// Returns the name that is used in logs, metrics and stores, such as `refused`.
    ///
    /// ```
    /// assert_eq!(auth_core::ErrorKind::Refused.name(), "refused");
    /// ```
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Malformed => "malformed",
            Self::Misconfigured => "misconfigured",
            Self::Redirected => "redirected",
            Self::Untrusted => "untrusted",
            Self::Internal => "internal",
            Self::Misuse => "misuse",
        }
    }
}

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    provider: Option<&'static str>,
    status: Option<StatusCode>,
    code: Option<String>,
    setting: Option<Cow<'static, str>>,
    retry: Option<(Duration, SystemTime)>,
    is_transient: bool,
    is_unsent: bool,
    /// Whether the provider's own words say so, and not only the status.
    is_recognised: bool,
    cause: Option<Cause>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            provider: None,
            status: None,
            code: None,
            setting: None,
            retry: None,
            is_transient: matches!(kind, ErrorKind::Throttled | ErrorKind::Unavailable),
            is_unsent: false,
            is_recognised: false,
            cause: None,
        }))
    }

    /// Builds the error for a setting that is missing or wrong.
    ///
    /// `problem` completes the sentence "the setting X …". State what is expected, and never include the value.
    ///
    /// ```
    /// use auth_core::Error;
    ///
    /// let error = Error::misconfigured("tenant", "is unknown; expected a number");
    /// assert_eq!(error.to_string(), "the setting `tenant` is unknown; expected a number");
    /// ```
    #[must_use]
    pub fn misconfigured(setting: impl Into<Cow<'static, str>>, problem: &str) -> Self {
        let setting = setting.into();
        let message = format!("the setting `{setting}` {problem}");
        Self::new(ErrorKind::Misconfigured, message).with_setting(setting)
    }

    pub(crate) fn missing(first: &'static str, list: &str) -> Self {
        let message = format!("missing: {list}");
        Self::new(ErrorKind::Misconfigured, message).with_setting(first)
    }

    /// Builds a transport's error for a server that could not be reached: no part of the request was sent.
    ///
    /// Such a request is safe to repeat, even a refresh.
    ///
    /// ```
    /// use auth_core::{Error, ErrorKind};
    ///
    /// let error = Error::unreachable("could not connect to the server");
    /// assert_eq!(error.kind(), ErrorKind::Unavailable);
    /// ```
    #[must_use]
    pub fn unreachable(message: &'static str) -> Self {
        Self::new(ErrorKind::Unavailable, message).with(|inner| inner.is_unsent = true)
    }

    /// Builds a transport's error for a response that did not arrive, or not in full.
    ///
    /// The server may have processed the request, so a refresh is not repeated.
    ///
    /// ```
    /// assert!(auth_core::Error::unavailable("the response was cut off").is_transient());
    /// ```
    #[must_use]
    pub fn unavailable(message: &'static str) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// Builds a transport's error for a server whose TLS certificate is not trusted.
    ///
    /// ```
    /// use auth_core::{Error, ErrorKind};
    ///
    /// let error = Error::untrusted("the server's certificate has expired");
    /// assert_eq!(error.kind(), ErrorKind::Untrusted);
    /// ```
    #[must_use]
    pub fn untrusted(message: &'static str) -> Self {
        Self::new(ErrorKind::Untrusted, message)
    }

    /// Builds the error of a [`CredentialSource`](crate::CredentialSource) that cannot read its credentials.
    ///
    /// At most 300 characters of the cause are kept. Pass no error whose text may repeat a secret, such as one of a
    /// parser.
    ///
    /// ```
    /// use auth_core::{Error, ErrorKind};
    ///
    /// let error = Error::source_failed(std::io::Error::other("the vault is sealed"));
    /// assert_eq!(error.kind(), ErrorKind::Unavailable);
    /// ```
    #[must_use]
    pub fn source_failed(cause: impl StdError + 'static) -> Self {
        Self::new(ErrorKind::Unavailable, "the source of the credentials failed").with_cause(&cause)
    }

    /// Builds a transport's error for a response that holds no usable token.
    ///
    /// `message` must not contain any part of the response.
    ///
    /// ```
    /// assert!(!auth_core::Error::malformed("the response is longer than 1 MiB").is_transient());
    /// ```
    #[must_use]
    pub fn malformed(message: &'static str) -> Self {
        Self::new(ErrorKind::Malformed, message)
    }

    pub(crate) fn refused(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Refused, message)
    }

    pub(crate) fn misuse(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Misuse, message)
    }

    pub(crate) fn internal(message: &'static str) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    pub(crate) fn throttled(message: &'static str) -> Self {
        Self::new(ErrorKind::Throttled, message)
    }

    pub(crate) fn redirected(target: &str) -> Self {
        let message = format!(
            "the login was redirected to {target}; redirects are never followed, set `base_url` to the final URL"
        );
        Self::new(ErrorKind::Redirected, message).with_setting("base_url")
    }

    /// Sets the underlying cause. At most 300 characters of its text are kept, without control characters.
    ///
    /// It is shown by `Debug` and by [`source`](std::error::Error::source), not by `Display`.
    ///
    /// ```
    /// use auth_core::Error;
    ///
    /// let cause = std::io::Error::other("connection reset");
    /// let error = Error::unavailable("the response was cut off").with_cause(&cause);
    /// assert!(format!("{error:?}").contains("connection reset"));
    /// ```
    #[must_use]
    pub fn with_cause(self, cause: &(dyn StdError + 'static)) -> Self {
        let cause = Cause::of(cause);
        self.with(|inner| inner.cause = Some(cause))
    }

    pub(crate) fn with_provider(self, provider: &'static str) -> Self {
        self.with(|inner| inner.provider = inner.provider.or(Some(provider)))
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        self.with(|inner| inner.status = Some(status))
    }

    pub(crate) fn with_code(self, code: Option<String>) -> Self {
        self.with(|inner| inner.code = code)
    }

    pub(crate) fn with_setting(self, setting: impl Into<Cow<'static, str>>) -> Self {
        let setting = setting.into();
        self.with(|inner| inner.setting = Some(setting))
    }

    pub(crate) fn with_retry(self, wait: Duration, at: SystemTime) -> Self {
        self.with(|inner| inner.retry = Some((wait, at)))
    }

    pub(crate) fn into_transient(self) -> Self {
        self.with(|inner| inner.is_transient = true)
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Returns the message without provider, status, code and time.
    #[cfg(feature = "store")]
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the class of the error.
    ///
    /// ```
    /// use auth_core::{Error, ErrorKind};
    ///
    /// assert_eq!(Error::unavailable("no response").kind(), ErrorKind::Unavailable);
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns `true` if a later attempt may succeed with nothing changed.
    ///
    /// ```
    /// use auth_core::Error;
    ///
    /// assert!(Error::unavailable("no response").is_transient());
    /// assert!(!Error::misconfigured("base_url", "is not a URL").is_transient());
    /// ```
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.0.is_transient
    }

    /// Returns the provider's name, as in [`Provider::name`](crate::Provider::name).
    ///
    /// ```
    /// # fn example(error: auth_core::Error) {
    /// eprintln!("login at {} failed", error.provider().unwrap_or("unknown"));
    /// # }
    /// ```
    #[must_use]
    pub fn provider(&self) -> Option<&'static str> {
        self.0.provider
    }

    /// Returns the HTTP status of the response, or `None` if there was no response.
    ///
    /// ```
    /// # fn example(error: auth_core::Error) {
    /// let is_outage = error.status().is_some_and(|status| status.is_server_error());
    /// # let _ = is_outage;
    /// # }
    /// ```
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// Returns the provider's own error code, such as `invalid_grant` (RFC 6749 5.2).
    ///
    /// A code that repeats a secret of the request is left out.
    ///
    /// ```
    /// # fn example(error: auth_core::Error) {
    /// let is_wrong_password = error.code() == Some("invalid_grant");
    /// # let _ = is_wrong_password;
    /// # }
    /// ```
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Returns the name of the setting to check, such as `base_url`.
    ///
    /// ```
    /// let error = auth_core::Error::misconfigured("base_url", "is not a URL");
    /// assert_eq!(error.setting(), Some("base_url"));
    /// ```
    #[must_use]
    pub fn setting(&self) -> Option<&str> {
        self.0.setting.as_deref()
    }

    /// Returns the time to wait before the next attempt, counted from this error.
    ///
    /// If the error is from a [`TokenManager`](crate::TokenManager), that is the rest of its cooldown, and `None` means
    /// that the next call tries again at once. The cooldown is at least the response's `Retry-After`
    /// (RFC 9110 10.2.3), up to the [policy's longest](crate::Policy::with_longest_retry_after).
    ///
    /// ```
    /// # async fn example(error: auth_core::Error) {
    /// if let Some(wait) = error.retry_after() {
    ///     tokio::time::sleep(wait).await;
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry.map(|(wait, _)| wait)
    }

    /// Returns the time of the next attempt by the local wall clock; see [`retry_after`](Self::retry_after).
    ///
    /// ```
    /// # fn example(error: auth_core::Error) {
    /// if let Some(at) = error.retry_at() {
    ///     eprintln!("next attempt at {at:?}");
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn retry_at(&self) -> Option<SystemTime> {
        self.0.retry.map(|(_, at)| at)
    }

    /// Marks the error as one that the provider has stated in its own words, in the body of a response.
    pub(crate) fn recognised(self) -> Self {
        self.with(|inner| inner.is_recognised = true)
    }

    /// Returns `true` if the failure is final, and its cause may be local to this machine: a proxy or a filter may have
    /// responded in place of the provider. Other processes must not pause because of it.
    #[cfg(feature = "store")]
    pub(crate) fn may_be_local(&self) -> bool {
        !self.is_transient() && !self.0.is_recognised
    }

    /// Returns `true` if the error pauses logins like refused credentials: a person has to correct something.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.kind(), ErrorKind::Refused | ErrorKind::Misconfigured | ErrorKind::Internal)
    }

    /// Returns `true` if no part of the request was sent, as in an error from [`unreachable`](Self::unreachable).
    ///
    /// ```
    /// assert!(auth_core::Error::unreachable("could not connect to the server").is_unsent());
    /// assert!(!auth_core::Error::unavailable("the response was cut off").is_unsent());
    /// ```
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        self.0.is_unsent
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A `main` that returns this error prints `Debug`, so the cause is included here.
        match &self.0.cause {
            Some(cause) => write!(f, "Error({:?}: {self}: {cause})", self.kind()),
            None => write!(f, "Error({:?}: {self})", self.kind()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.cause.as_ref().map(|cause| cause as _)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(provider) = self.0.provider {
            write!(f, "{provider}: ")?;
        }
        f.write_str(&self.0.message)?;
        match (self.0.status, &self.0.code) {
            (Some(status), Some(code)) => write!(f, " (HTTP {}, {code})", status.as_u16())?,
            (Some(status), None) => write!(f, " (HTTP {})", status.as_u16())?,
            (None, _) => {}
        }
        if let Some((wait, _)) = self.0.retry {
            write!(f, "; next attempt in {} s", wait.as_secs_f64().ceil())?;
        }
        Ok(())
    }
}

/// The text of another crate's error and of all its sources.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
struct Cause(String);

/// The longest text of a cause, in characters.
const LONGEST_CAUSE: usize = 300;

impl Cause {
    fn of(error: &(dyn StdError + 'static)) -> Self {
        let mut text = error.to_string();
        let mut next = error.source();
        while let Some(error) = next {
            text = format!("{text}: {error}");
            next = error.source();
        }
        let printable = text.chars().filter(|character| !character.is_control());
        Self(printable.take(LONGEST_CAUSE).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer\r\n\u{1b}[31m")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("{}", "x".repeat(5000))]
    struct Inner;

    #[test]
    fn k4_a_cause_is_capped_and_printable() {
        let error = Error::unavailable("the response was cut off").with_cause(&Outer(Inner));
        let cause = error.source().unwrap().to_string();
        assert!(cause.starts_with("outer[31m: xxx"), "{cause}");
        assert_eq!(cause.chars().count(), LONGEST_CAUSE);
        assert!(!error.to_string().contains("outer"), "the cause is shown by `source` and by `Debug` only");
        assert!(format!("{error:?}").starts_with("Error(Unavailable: the response was cut off: outer"));
    }

    #[test]
    fn the_message_is_one_line_with_status_code_and_next_attempt() {
        let error = Error::throttled("too many logins")
            .with_provider("acme")
            .with_status(StatusCode::TOO_MANY_REQUESTS)
            .with_code(Some("slow_down".into()))
            .with_retry(Duration::from_secs(30), SystemTime::UNIX_EPOCH);
        let text = "acme: too many logins (HTTP 429, slow_down); next attempt in 30 s";
        assert_eq!(error.to_string(), text);
        assert_eq!(format!("{error:?}"), format!("Error(Throttled: {text})"));
        assert!(error.is_transient());
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}

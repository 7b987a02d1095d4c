//! The one error type: what went wrong, and what to do about it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::StatusCode;

/// Says why there is no token.
///
/// Cheap to clone, so that one failed login answers everybody who waited for it. It never holds a secret, a body or a
/// query: of what a server wrote, only a code that repeats nothing of the request is kept.
///
/// ```
/// # fn example(error: auth_core::Error) {
/// use auth_core::ErrorKind;
///
/// match error.kind() {
///     ErrorKind::Refused => eprintln!("{error}"), // trying again unchanged cannot help
///     _ if error.is_transient() => eprintln!("again at {:?}", error.retry_at()),
///     _ => eprintln!("{error}; look at {:?}", error.setting()),
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

/// Sorts errors by what the caller should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The provider refused the login: the credentials are wrong, locked or not permitted. Correct them before another
    /// try; repeated refusals can lock an account.
    Refused,
    /// Too many logins, or new tokens that the API rejects. Wait until [`Error::retry_at`].
    Throttled,
    /// The provider could not be reached or could not answer. A later try can succeed unchanged.
    Unavailable,
    /// The provider answered with something that holds no usable token.
    Malformed,
    /// A setting is missing or wrong: [`Error::setting`] names it.
    Misconfigured,
    /// The login answered with a redirect, which is never followed: the base URL is not the final one.
    Redirected,
    /// The server could not prove who it is: an expired, foreign or unknown certificate, or no TLS at all.
    Untrusted,
    /// A provider or a transport has a bug: it panicked. The next call starts afresh.
    Internal,
    /// A call that can never succeed: outside a tokio runtime where one is needed, or for more validity than any token of
    /// this provider has. Correct the program.
    Misuse,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ErrorKind {
    /// The kind of this name.
    #[cfg(feature = "store")]
    pub(crate) fn named(name: &str) -> Option<Self> {
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

    /// Returns the name that stands in logs, metrics and stores, such as `refused`.
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
    what: Cow<'static, str>,
    provider: Option<&'static str>,
    status: Option<StatusCode>,
    code: Option<String>,
    setting: Option<Cow<'static, str>>,
    retry: Option<(Duration, SystemTime)>,
    is_transient: bool,
    is_unsent: bool,
    is_settled: bool,
    cause: Option<Cause>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, what: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner {
            kind,
            what: what.into(),
            provider: None,
            status: None,
            code: None,
            setting: None,
            retry: None,
            is_transient: matches!(kind, ErrorKind::Throttled | ErrorKind::Unavailable),
            is_unsent: false,
            is_settled: false,
            cause: None,
        }))
    }

    /// A setting is missing or wrong. `problem` completes "the setting X …" and says what is expected, never the value.
    #[must_use]
    pub fn misconfigured(setting: impl Into<Cow<'static, str>>, problem: &str) -> Self {
        let setting = setting.into();
        let what = format!("the setting `{setting}` {problem}");
        Self::new(ErrorKind::Misconfigured, what).with_setting(setting)
    }

    pub(crate) fn missing(first: &'static str, list: &str) -> Self {
        let what = format!("missing: {list}");
        Self::new(ErrorKind::Misconfigured, what).with_setting(first)
    }

    /// The server could not be reached: nothing of the request has left. For transports.
    #[must_use]
    pub fn unreachable(what: &'static str) -> Self {
        Self::new(ErrorKind::Unavailable, what).with(|inner| inner.is_unsent = true)
    }

    /// The answer did not come, or not in full; the server may have acted on the request. For transports.
    #[must_use]
    pub fn unavailable(what: &'static str) -> Self {
        Self::new(ErrorKind::Unavailable, what)
    }

    /// The server could not prove who it is. For transports.
    #[must_use]
    pub fn untrusted(what: &'static str) -> Self {
        Self::new(ErrorKind::Untrusted, what)
    }

    /// The answer holds no usable token; `what` holds nothing of the answer. For transports.
    #[must_use]
    pub fn malformed(what: &'static str) -> Self {
        Self::new(ErrorKind::Malformed, what)
    }

    pub(crate) fn refused(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Refused, what)
    }

    pub(crate) fn misuse(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Misuse, what)
    }

    pub(crate) fn internal(what: &'static str) -> Self {
        Self::new(ErrorKind::Internal, what)
    }

    pub(crate) fn throttled(what: &'static str) -> Self {
        Self::new(ErrorKind::Throttled, what)
    }

    pub(crate) fn redirected(target: &str) -> Self {
        let what = format!("redirected to {target}, which is never followed; set `base_url` to the final address");
        Self::new(ErrorKind::Redirected, what).with_setting("base_url")
    }

    /// Marks what has been tried often enough already: no other attempt is made in this login. For transports that need
    /// a login of their own.
    #[must_use]
    pub fn settled(self) -> Self {
        self.with(|inner| inner.is_settled = true)
    }

    /// Adds what lies beneath, as text without control characters and of 300 characters at most.
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

    /// What went wrong, without provider, status and wait.
    #[cfg(feature = "store")]
    pub(crate) fn what(&self) -> &str {
        &self.0.what
    }

    /// The class of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Tells whether a later try can succeed with nothing changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.0.is_transient
    }

    /// The provider's name, as in [`Provider::name`](crate::Provider::name).
    #[must_use]
    pub fn provider(&self) -> Option<&'static str> {
        self.0.provider
    }

    /// The HTTP status of the answer, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// The provider's own code, such as `invalid_grant` (RFC 6749 5.2); none where it repeats a part of the request.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The setting to look at.
    #[must_use]
    pub fn setting(&self) -> Option<&str> {
        self.0.setting.as_deref()
    }

    /// How long no other attempt is made, from this error on: from a [`TokenManager`](crate::TokenManager), what is left
    /// until its next attempt, none where that may be at once; from a [`Login`](crate::Login), what the server asked for
    /// (`Retry-After`, RFC 9110 10.2.3), as far as the [`Policy`](crate::Policy::with_longest_retry_after) obeys.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry.map(|(wait, _)| wait)
    }

    /// The end of [`retry_after`](Self::retry_after), by the local wall clock.
    #[must_use]
    pub fn retry_at(&self) -> Option<SystemTime> {
        self.0.retry.map(|(_, at)| at)
    }

    /// No other attempt in this login.
    pub(crate) fn is_settled(&self) -> bool {
        self.0.is_settled
    }

    /// Nothing of the request has left this machine.
    pub(crate) fn is_unsent(&self) -> bool {
        self.0.is_unsent
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // With the cause, which `Display` leaves to the chain: this is what a `main` that fails prints.
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
        f.write_str(&self.0.what)?;
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

/// The text of a foreign error and all beneath it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
struct Cause(String);

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
    struct Outer(#[source] Inside);

    #[derive(Debug, thiserror::Error)]
    #[error("{}", "x".repeat(5000))]
    struct Inside;

    #[test]
    fn k4_a_cause_is_capped_and_printable() {
        let error = Error::unavailable("the answer broke off").with_cause(&Outer(Inside));
        let cause = error.source().unwrap().to_string();
        assert!(cause.starts_with("outer[31m: xxx"), "{cause}");
        assert_eq!(cause.chars().count(), LONGEST_CAUSE);
        assert!(!error.to_string().contains("outer"), "a cause stands in the chain, and in `Debug`");
        assert!(format!("{error:?}").starts_with("Error(Unavailable: the answer broke off: outer"));
    }

    #[test]
    fn it_reads_as_one_line_of_advice() {
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

//! The result of a login: the access token and the refresh token.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::clock::{Clock, Moment, SystemClock};
use crate::error::Error;
use crate::expiry::Expiry;
use crate::freshness::Term;
use crate::jwt;
use crate::policy::Policy;
use crate::secret::{Secret, header_value};
use crate::token_response::TokenResponse;

const SCHEME: &str = "Bearer ";

/// Holds an access token (RFC 6749 1.4) with its `Authorization` header value already built.
///
/// It is cheap to clone. `Debug` prints neither the token nor any text that the server wrote.
///
/// ```
/// # fn example(token: auth_core::AccessToken) {
/// let request = http::Request::get("https://api.example.com/v1/calls")
///     .header(http::header::AUTHORIZATION, token.authorization())
///     .body(());
/// # let _ = request;
/// # }
/// ```
#[derive(Clone)]
pub struct AccessToken(pub(crate) Arc<Inner>);

/// What a hit reads. The rest is apart, because a manager has several copies of this.
#[derive(Clone)]
// Its counter of references has a cache line of its own, which only the threads that use this copy write to.
#[repr(align(64))]
pub(crate) struct Inner {
    /// `Bearer ` and the token, in one buffer that is wiped when the last clone is dropped.
    authorization: HeaderValue,
    term: Term,
    generation: u64,
    /// How many tokens in a row were rejected before this one replaced them.
    rejections: u32,
    details: Arc<Details>,
}

struct Details {
    scope: Option<String>,
    issued: Moment,
    lifetime: Duration,
    extras: Vec<(Cow<'static, str>, String)>,
    api_headers: Vec<(HeaderName, HeaderValue)>,
}

impl AccessToken {
    /// Creates a token that was issued just now, for an implementation of [`TokenSource`](crate::TokenSource).
    ///
    /// # Errors
    /// [`Malformed`](crate::ErrorKind::Malformed) if the token is empty, if it contains characters that are not allowed
    /// in a header, or if the lifetime is zero.
    ///
    /// # Example
    /// ```
    /// # use auth_core::AccessToken;
    /// # use std::time::Duration;
    /// let token = AccessToken::new("not-a-real-token".into(), Duration::from_secs(3600))?;
    /// assert_eq!(token.expose(), "not-a-real-token");
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    pub fn new(token: Secret, lifetime: Duration) -> Result<Self, Error> {
        let response = TokenResponse::new(token, Expiry::After(lifetime));
        let tokens = TokenSet::new(response, Vec::new(), SystemClock.now(), None, None, &Policy::default());
        tokens.map(|tokens| tokens.access).map_err(Error::malformed)
    }

    /// Returns the value of the `Authorization` header (RFC 6750 2.1), marked sensitive.
    ///
    /// ```
    /// # use auth_core::AccessToken;
    /// # use std::time::Duration;
    /// let token = AccessToken::new("not-a-real-token".into(), Duration::from_secs(3600))?;
    /// let mut headers = http::HeaderMap::new();
    /// headers.insert(http::header::AUTHORIZATION, token.authorization().clone());
    /// assert_eq!(headers["authorization"], "Bearer not-a-real-token");
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn authorization(&self) -> &HeaderValue {
        &self.0.authorization
    }

    /// Returns the headers that calls of the API need in addition to `Authorization`, such as an API key.
    ///
    /// They are marked sensitive.
    ///
    /// ```
    /// # use auth_core::AccessToken;
    /// # use std::time::Duration;
    /// let token = AccessToken::new("not-a-real-token".into(), Duration::from_secs(3600))?;
    /// let mut headers = http::HeaderMap::new();
    /// headers.extend(token.api_headers().iter().cloned());
    /// assert!(headers.is_empty()); // the provider sets them
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn api_headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.details.api_headers
    }

    /// Returns the token's text.
    ///
    /// ```
    /// # use auth_core::AccessToken;
    /// # use std::time::Duration;
    /// let token = AccessToken::new("not-a-real-token".into(), Duration::from_secs(3600))?;
    /// assert_eq!(token.expose(), "not-a-real-token");
    /// assert!(!format!("{token:?}").contains(token.expose()));
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn expose(&self) -> &str {
        // The value was checked to be visible ASCII when it was built, so `to_str` does not fail.
        let value = self.0.authorization.to_str().unwrap_or_default();
        value.strip_prefix(SCHEME).unwrap_or_default()
    }

    /// Returns the token's type (RFC 6749 7.1): always `Bearer`. A login that returns another type fails.
    ///
    /// ```
    /// # use auth_core::AccessToken;
    /// # use std::time::Duration;
    /// let token = AccessToken::new("not-a-real-token".into(), Duration::from_secs(3600))?;
    /// assert_eq!(token.token_type(), "Bearer");
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn token_type(&self) -> &'static str {
        SCHEME.trim_end()
    }

    /// Returns the granted scope, space-separated (RFC 6749 3.3), or `None` if the server did not state it.
    ///
    /// ```
    /// # use auth_core::AccessToken;
    /// # use std::time::Duration;
    /// let token = AccessToken::new("not-a-real-token".into(), Duration::from_secs(3600))?;
    /// let can_write = token.scope().is_some_and(|scope| scope.split(' ').any(|word| word == "write"));
    /// assert!(!can_write);
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.0.details.scope.as_deref()
    }

    /// Returns the moment just before the login request was sent. The lifetime is counted from this moment.
    ///
    /// ```
    /// # use auth_core::AccessToken;
    /// # use std::time::Duration;
    /// let token = AccessToken::new("not-a-real-token".into(), Duration::from_secs(3600))?;
    /// use auth_core::{Clock, SystemClock};
    ///
    /// let age = SystemClock.now().since(&token.issued());
    /// assert!(age < Duration::from_secs(60));
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn issued(&self) -> Moment {
        self.0.details.issued
    }

    /// Returns the lifetime, counted from [`issued`](Self::issued).
    ///
    /// ```
    /// # use auth_core::AccessToken;
    /// # use std::time::Duration;
    /// let token = AccessToken::new("not-a-real-token".into(), Duration::from_secs(3600))?;
    /// assert_eq!(token.lifetime(), Duration::from_secs(3600));
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.0.details.lifetime
    }

    /// Returns the end of the lifetime by the wall clock.
    ///
    /// Use it only for display, because the wall clock can be set. To check a token, use
    /// [`remaining_at`](Self::remaining_at).
    ///
    /// ```
    /// # use auth_core::AccessToken;
    /// # use std::time::Duration;
    /// let token = AccessToken::new("not-a-real-token".into(), Duration::from_secs(3600))?;
    /// println!("expires at {:?}", token.expires_at());
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.issued().wall + self.lifetime()
    }

    /// Returns the time that is left at `now`, or zero if the lifetime is over.
    ///
    /// If the monotonic clock and the wall clock differ, the smaller value is returned.
    ///
    /// ```
    /// # use auth_core::AccessToken;
    /// # use std::time::Duration;
    /// let token = AccessToken::new("not-a-real-token".into(), Duration::from_secs(3600))?;
    /// use auth_core::{Clock, SystemClock};
    ///
    /// assert!(token.remaining_at(&SystemClock.now()) > Duration::from_secs(3000));
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn remaining_at(&self, now: &Moment) -> Duration {
        self.lifetime().saturating_sub(now.since(&self.issued()))
    }

    /// Returns an additional value of the login's response by its name, or `None` if there is none.
    ///
    /// Each provider documents the names of its values.
    ///
    /// ```
    /// # use auth_core::AccessToken;
    /// # use std::time::Duration;
    /// let token = AccessToken::new("not-a-real-token".into(), Duration::from_secs(3600))?;
    /// assert_eq!(token.extra("session_state"), None);
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn extra(&self, name: &str) -> Option<&str> {
        let mut extras = self.0.details.extras.iter();
        extras.find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Reads the claims of the token if it is a JWT (RFC 7519 4). The signature is **not** checked.
    ///
    /// It returns `None` if the token is not a JWT, or if the claims do not fit `T`. Claims may contain secrets.
    ///
    /// ```
    /// # fn example(token: auth_core::AccessToken) {
    /// #[derive(serde::Deserialize)]
    /// struct Claims {
    ///     account_id: String,
    /// }
    ///
    /// let account = token.claims::<Claims>().map(|claims| claims.account_id);
    /// # let _ = account;
    /// # }
    /// ```
    #[must_use]
    pub fn claims<T: DeserializeOwned>(&self) -> Option<T> {
        jwt::claims(self.expose())
    }

    #[cfg(feature = "store")]
    pub(crate) fn extras(&self) -> &[(Cow<'static, str>, String)] {
        &self.0.details.extras
    }

    /// Returns the number of this token: its manager counts its tokens from 1.
    ///
    /// The number is 0 if the token does not come from a manager.
    ///
    /// ```
    /// # use auth_core::AccessToken;
    /// # use std::time::Duration;
    /// let token = AccessToken::new("not-a-real-token".into(), Duration::from_secs(3600))?;
    /// assert_eq!(token.generation(), 0);
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// Returns the moments at which the token becomes stale, expiring and expired.
    #[inline]
    pub(crate) fn term(&self) -> &Term {
        &self.0.term
    }

    /// Returns the number of tokens in a row that were rejected before this one replaced them.
    pub(crate) fn rejections(&self) -> u32 {
        self.0.rejections
    }

    /// Returns the same token with another number.
    pub(crate) fn with_generation(&self, generation: u64) -> Self {
        Self(Arc::new(Inner { generation, ..(*self.0).clone() }))
    }

    /// Returns the same token with another term.
    pub(crate) fn with_term(&self, term: Term) -> Self {
        Self(Arc::new(Inner { term, ..(*self.0).clone() }))
    }

    /// Returns the same token as the replacement of rejected ones.
    pub(crate) fn with_rejections(&self, rejections: u32) -> Self {
        Self(Arc::new(Inner { rejections, ..(*self.0).clone() }))
    }

    /// Returns a copy with a counter of references of its own. It shares the text.
    pub(crate) fn copied(&self) -> Arc<Inner> {
        Arc::new((*self.0).clone())
    }

    /// Returns `true` if both are clones of the same token. Tokens of two logins differ, even if their text is equal.
    ///
    /// ```
    /// # use auth_core::AccessToken;
    /// # use std::time::Duration;
    /// let token = AccessToken::new("not-a-real-token".into(), Duration::from_secs(3600))?;
    /// assert!(token.ptr_eq(&token.clone()));
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn ptr_eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.authorization().as_bytes(), other.authorization().as_bytes())
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("authorization", self.authorization())
            .field("issued", &self.issued().wall)
            .field("lifetime", &self.lifetime())
            .finish_non_exhaustive()
    }
}

/// Holds a refresh token (RFC 6749 1.5), its lifetime, and the lifetime of the login's first access token.
///
/// ```
/// use auth_core::{Clock, RefreshToken, SystemClock};
///
/// let refresh = RefreshToken::new("not-a-real-token".into());
/// assert!(!refresh.is_expired(&SystemClock.now()), "no lifetime is stated");
/// ```
#[derive(Debug, Clone)]
pub struct RefreshToken {
    secret: Secret,
    issued: Moment,
    lifetime: Option<Duration>,
    login_lifetime: Duration,
}

impl RefreshToken {
    /// Creates a refresh token that was issued just now and has no stated lifetime.
    ///
    /// Use it in tests of a [`Provider`](crate::Provider).
    #[must_use]
    pub fn new(token: Secret) -> Self {
        Self::of_session(token, SystemClock.now(), None, Duration::MAX)
    }

    pub(crate) fn of_session(
        secret: Secret,
        issued: Moment,
        lifetime: Option<Duration>,
        login_lifetime: Duration,
    ) -> Self {
        Self { secret, issued, lifetime, login_lifetime }
    }

    /// Returns the token's text.
    ///
    /// ```
    /// # fn example(token: auth_core::RefreshToken) {
    /// let form = [("grant_type", "refresh_token"), ("refresh_token", token.expose())]; // RFC 6749 6
    /// # let _ = form;
    /// # }
    /// ```
    #[must_use]
    pub fn expose(&self) -> &str {
        self.secret.expose()
    }

    /// Returns `true` if the lifetime that the server stated is over at `now`.
    ///
    /// If the server stated no lifetime, it returns `false`.
    ///
    /// ```
    /// # fn example(token: auth_core::RefreshToken) {
    /// use auth_core::{Clock, SystemClock};
    ///
    /// let is_usable = !token.is_expired(&SystemClock.now());
    /// # let _ = is_usable;
    /// # }
    /// ```
    #[must_use]
    pub fn is_expired(&self, now: &Moment) -> bool {
        self.lifetime.is_some_and(|lifetime| now.since(&self.issued) >= lifetime)
    }

    #[cfg(feature = "store")]
    pub(crate) fn issued(&self) -> Moment {
        self.issued
    }

    /// Returns the lifetime that the server stated.
    #[cfg(feature = "store")]
    pub(crate) fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// Returns the lifetime of the access token of the last login with the credentials.
    pub(crate) fn login_lifetime(&self) -> Duration {
        self.login_lifetime
    }
}

/// The tokens of one login or refresh.
#[derive(Debug, Clone)]
pub(crate) struct TokenSet {
    pub(crate) access: AccessToken,
    pub(crate) refresh: Option<RefreshToken>,
}

impl TokenSet {
    /// Builds the tokens from a response, or returns why the response cannot be used.
    ///
    /// `used` is the refresh token of this request. It is kept if the response has no new one (RFC 6749 6).
    pub(crate) fn new(
        response: TokenResponse,
        mut api_headers: Vec<(HeaderName, HeaderValue)>,
        issued: Moment,
        date: Option<SystemTime>,
        used: Option<RefreshToken>,
        policy: &Policy,
    ) -> Result<Self, &'static str> {
        let token = response.access_token.expose();
        if token.is_empty() {
            return Err("the access token is empty");
        }
        if let Some(token_type) = &response.token_type
            && !token_type.eq_ignore_ascii_case(SCHEME.trim_end())
        {
            return Err("the token type is not Bearer");
        }
        if token.contains(' ') {
            return Err("the access token contains a space");
        }
        let mut authorization = Zeroizing::new(String::with_capacity(SCHEME.len() + token.len()));
        authorization.push_str(SCHEME);
        authorization.push_str(token);
        let authorization = header_value(&authorization)
            .map_err(|_| "the access token contains characters that are not allowed in a header")?;

        for (_, value) in &mut api_headers {
            value.set_sensitive(true);
        }

        let lifetime = response.expiry.lifetime(|| jwt::lifetime(token), date, issued.wall)?;
        let login_lifetime = used.as_ref().map_or(lifetime, RefreshToken::login_lifetime);
        let refresh = response.refresh.filter(|(secret, _)| !secret.is_empty());
        let refresh = refresh.map(|(secret, stated)| RefreshToken::of_session(secret, issued, stated, login_lifetime));
        let term = Term::new(issued, lifetime, fastrand::f64(), policy);
        let details = Details { scope: response.scope, issued, lifetime, extras: response.extras, api_headers };
        let inner = Inner { authorization, term, generation: 0, rejections: 0, details: Arc::new(details) };
        Ok(Self { access: AccessToken(Arc::new(inner)), refresh: refresh.or(used) })
    }
}

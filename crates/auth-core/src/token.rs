//! What a login gives: the access token, and the refresh token where there is one.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwapOption, Guard};
use http::{HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::clock::{Clock, Moment, SystemClock};
use crate::error::Error;
use crate::expiry::Expiry;
use crate::freshness::Term;
use crate::jwt;
use crate::policy::Policy;
use crate::provider::TokenResponse;
use crate::secret::{Secret, header_value};

const SCHEME: &str = "Bearer ";

/// Holds an access token (RFC 6749 1.4) with its `Authorization` header value already built.
///
/// Cheap to clone. Printing it shows neither the token nor anything that the server wrote.
///
/// ```
/// # fn example(token: auth_core::AccessToken) {
/// let request = http::Request::get("https://api.example.com/v1/calls")
///     .header(http::header::AUTHORIZATION, token.authorization())
///     .body(());
/// # }
/// ```
pub struct AccessToken(
    /// Never empty. A guard, because taking one out of a [`Slot`] writes to nothing that other threads read.
    Guard<Option<Arc<Inner>>>,
);

#[derive(Clone)]
// One cache line holds all that a hit reads: among many accounts, each line more is one that comes from far away.
#[repr(C, align(64))]
struct Inner {
    /// `Bearer ` and the token, in one buffer that is wiped with the last clone.
    authorization: HeaderValue,
    term: Term,
    scope: Option<String>,
    issued: Moment,
    lifetime: Duration,
    extras: Vec<(Cow<'static, str>, String)>,
    api_headers: Vec<(HeaderName, HeaderValue)>,
    generation: u64,
}

impl AccessToken {
    /// Makes a token of a text that was got elsewhere, issued now; for a [`TokenSource`](crate::TokenSource) of your own.
    ///
    /// # Errors
    /// [`Malformed`](crate::ErrorKind::Malformed) where no header may hold it, or it has no life.
    pub fn new(token: Secret, lifetime: Duration) -> Result<Self, Error> {
        let grant = TokenResponse::new(token, Expiry::After(lifetime));
        let token = TokenSet::new(grant, Vec::new(), SystemClock.now(), None, None, &Policy::default());
        token.map(|token| token.access).map_err(Error::malformed)
    }

    /// The value for the `Authorization` header (RFC 6750 2.1), marked sensitive.
    #[must_use]
    pub fn authorization(&self) -> &HeaderValue {
        &self.inner().authorization
    }

    /// Returns the headers that the API's calls need in addition to `Authorization`, such as an API key, marked sensitive.
    #[must_use]
    pub fn api_headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.inner().api_headers
    }

    /// Shows the token itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        // Checked to be visible ASCII when it was built.
        let value = self.inner().authorization.to_str().unwrap_or_default();
        value.strip_prefix(SCHEME).unwrap_or_default()
    }

    /// The token's type (RFC 6749 7.1): always `Bearer`, for a login that gives another type fails.
    #[must_use]
    pub fn token_type(&self) -> &'static str {
        SCHEME.trim_end()
    }

    /// The scope as the server granted it, space-separated, where it said so.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.inner().scope.as_deref()
    }

    /// The instant just before the login request left, from which the lifetime counts.
    #[must_use]
    pub fn issued(&self) -> Moment {
        self.inner().issued
    }

    /// How long the token lives from [`issued`](Self::issued).
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.inner().lifetime
    }

    /// When the token ends, by the wall clock; for display, since that clock can be set.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.inner().issued.wall + self.inner().lifetime
    }

    /// How much of the lifetime is left at `now`, by whichever clock says less.
    #[must_use]
    pub fn remaining_at(&self, now: &Moment) -> Duration {
        self.inner().lifetime.saturating_sub(now.since(&self.inner().issued))
    }

    /// What else the provider says of this token, by the provider's own name for it: each provider lists its names.
    #[must_use]
    pub fn extra(&self, name: &str) -> Option<&str> {
        let mut extras = self.inner().extras.iter();
        extras.find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Reads the claims of a token that is a JWT (RFC 7519) into a type of yours. The signature is **not** checked.
    ///
    /// Claims may hold secrets, even the client's own.
    ///
    /// ```
    /// # fn example(token: auth_core::AccessToken) {
    /// #[derive(serde::Deserialize)]
    /// struct Claims {
    ///     account_id: String,
    /// }
    ///
    /// let account = token.claims::<Claims>().map(|claims| claims.account_id);
    /// # }
    /// ```
    #[must_use]
    pub fn claims<T: DeserializeOwned>(&self) -> Option<T> {
        jwt::claims(self.expose())
    }

    #[cfg(feature = "store")]
    pub(crate) fn extras(&self) -> &[(Cow<'static, str>, String)] {
        &self.inner().extras
    }

    /// The number of this token among those of its manager, from 1 on; 0 where no manager has counted it.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.inner().generation
    }

    /// When it changes its worth.
    pub(crate) fn term(&self) -> Term {
        self.inner().term
    }

    /// The same token with another number and term.
    pub(crate) fn with(&self, generation: u64, term: Term) -> Self {
        Inner { generation, term, ..self.inner().clone() }.into()
    }

    fn inner(&self) -> &Inner {
        match &*self.0 {
            Some(inner) => inner,
            None => unreachable!("a token is made of something"),
        }
    }

    /// Tells whether both are the same login's token, not merely equal text.
    #[must_use]
    pub fn ptr_eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.authorization().as_bytes(), other.authorization().as_bytes())
    }
}

impl From<Inner> for AccessToken {
    fn from(inner: Inner) -> Self {
        Self(Guard::from_inner(Some(Arc::new(inner))))
    }
}

impl Clone for AccessToken {
    fn clone(&self) -> Self {
        Self(Guard::from_inner(self.0.clone()))
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("authorization", &self.inner().authorization)
            .field("issued", &self.inner().issued.wall)
            .field("lifetime", &self.inner().lifetime)
            .finish_non_exhaustive()
    }
}

/// The place of a manager's current token: read without a lock, and without a write that readers would share.
#[derive(Default)]
pub(crate) struct Slot(ArcSwapOption<Inner>);

impl Slot {
    pub(crate) fn load(&self) -> Option<AccessToken> {
        let current = self.0.load();
        current.is_some().then_some(AccessToken(current))
    }

    pub(crate) fn store(&self, token: Option<AccessToken>) {
        self.0.store(token.and_then(|token| Guard::into_inner(token.0)));
    }
}

/// Holds a refresh token (RFC 6749 1.5) and what is known of the session behind it.
#[derive(Debug, Clone)]
pub struct RefreshToken {
    secret: Secret,
    issued: Moment,
    lifetime: Option<Duration>,
    login_lifetime: Duration,
}

impl RefreshToken {
    pub(crate) fn new(secret: Secret, issued: Moment, lifetime: Option<Duration>, login_lifetime: Duration) -> Self {
        Self { secret, issued, lifetime, login_lifetime }
    }

    /// Shows the token itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.secret.expose()
    }

    /// Tells whether its stated life is over; one without a stated end is never known to be.
    #[must_use]
    pub fn is_expired(&self, now: &Moment) -> bool {
        self.lifetime.is_some_and(|lifetime| now.since(&self.issued) >= lifetime)
    }

    #[cfg(feature = "store")]
    pub(crate) fn issued(&self) -> Moment {
        self.issued
    }

    /// How long it lives from then on, where that is stated.
    #[cfg(feature = "store")]
    pub(crate) fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// How long the access token lived that came with the login by credentials.
    pub(crate) fn login_lifetime(&self) -> Duration {
        self.login_lifetime
    }
}

/// Holds what one login or refresh gave.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TokenSet {
    /// The token for requests.
    pub access: AccessToken,
    /// The token for the next refresh, where the provider gave one.
    pub refresh: Option<RefreshToken>,
}

impl TokenSet {
    /// Turns what was granted into a token, or says why it cannot be used.
    ///
    /// `used` is the refresh token that this grant was asked with; it is kept where the answer has none.
    pub(crate) fn new(
        grant: TokenResponse,
        mut api_headers: Vec<(HeaderName, HeaderValue)>,
        issued: Moment,
        date: Option<SystemTime>,
        used: Option<RefreshToken>,
        policy: &Policy,
    ) -> Result<Self, &'static str> {
        let token = grant.access_token.expose();
        if token.is_empty() {
            return Err("the access token is empty");
        }
        if let Some(other) = &grant.token_type
            && !other.eq_ignore_ascii_case(SCHEME.trim_end())
        {
            return Err("the token's type is not Bearer");
        }
        if token.contains(' ') {
            return Err("the access token holds a space");
        }
        let mut authorization = Zeroizing::new(String::with_capacity(SCHEME.len() + token.len()));
        authorization.push_str(SCHEME);
        authorization.push_str(token);
        let authorization =
            header_value(&authorization).map_err(|_| "the access token holds characters that no header may hold")?;

        api_headers.iter_mut().for_each(|(_, value)| value.set_sensitive(true));

        let lifetime = grant.expiry.lifetime(|| jwt::lifetime(token), date, issued.wall)?;
        let login_lifetime = used.as_ref().map_or(lifetime, RefreshToken::login_lifetime);
        let refresh = grant.refresh.filter(|(secret, _)| !secret.is_empty());
        let refresh = refresh.map(|(secret, stated)| RefreshToken::new(secret, issued, stated, login_lifetime));
        Ok(Self {
            access: AccessToken::from(Inner {
                authorization,
                scope: grant.scope,
                issued,
                lifetime,
                extras: grant.extras,
                api_headers,
                term: Term::draw(issued, lifetime, fastrand::f64(), policy),
                generation: 0,
            }),
            refresh: refresh.or(used),
        })
    }
}

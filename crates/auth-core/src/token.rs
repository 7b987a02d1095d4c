//! What a login gives: the access token, and the refresh token where there is one.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::clock::{Clock, Moment, SystemClock};
use crate::error::Error;
use crate::expiry::Expiry;
use crate::jwt;
use crate::provider::Grant;
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
#[derive(Clone)]
pub struct AccessToken(Arc<Inner>);

struct Inner {
    /// `Bearer ` and the token, in one buffer that is wiped with the last clone.
    authorization: HeaderValue,
    scope: Option<String>,
    issued: Moment,
    lifetime: Duration,
    extras: Vec<(&'static str, String)>,
    generation: u64,
}

impl AccessToken {
    /// Makes a token of a text that was got elsewhere, issued now; for a [`TokenSource`](crate::TokenSource) of your own.
    ///
    /// # Errors
    /// [`Malformed`](crate::ErrorKind::Malformed) where no header may hold it, or it has no life.
    pub fn new(token: Secret, lifetime: Duration) -> Result<Self, Error> {
        let grant = Grant::new(token, Expiry::After(lifetime));
        Token::new(grant, SystemClock.now(), None, None).map(|token| token.access).map_err(Error::malformed)
    }

    /// The value for the `Authorization` header (RFC 6750 2.1), marked sensitive.
    #[must_use]
    pub fn authorization(&self) -> &HeaderValue {
        &self.0.authorization
    }

    /// Shows the token itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        // Checked to be visible ASCII when it was built.
        let value = self.0.authorization.to_str().unwrap_or_default();
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
        self.0.scope.as_deref()
    }

    /// The instant just before the login request left, from which the lifetime counts.
    #[must_use]
    pub fn issued(&self) -> Moment {
        self.0.issued
    }

    /// How long the token lives from [`issued`](Self::issued).
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.0.lifetime
    }

    /// When the token ends, by the wall clock; for display, since that clock can be set.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.0.issued.wall + self.0.lifetime
    }

    /// How much of the lifetime is left at `now`, by whichever clock says less.
    #[must_use]
    pub fn remaining(&self, now: &Moment) -> Duration {
        self.0.lifetime.saturating_sub(now.since(&self.0.issued))
    }

    /// What else the provider says of this token, by the provider's own name for it: each provider lists its names.
    #[must_use]
    pub fn extra(&self, name: &str) -> Option<&str> {
        let mut extras = self.0.extras.iter();
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

    /// The number of this token among those of its manager, from 1 on; 0 where no manager has counted it.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// Gives it its number; to be called before there is a clone.
    pub(crate) fn numbered(mut self, generation: u64) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.generation = generation;
        }
        self
    }

    /// Tells whether both are the same login's token, not merely equal text.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("authorization", &self.0.authorization)
            .field("issued", &self.0.issued.wall)
            .field("lifetime", &self.0.lifetime)
            .finish_non_exhaustive()
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

    /// How long the access token lived that came with the login by credentials.
    pub(crate) fn login_lifetime(&self) -> Duration {
        self.login_lifetime
    }
}

/// Holds what one login or refresh gave.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Token {
    /// The token for requests.
    pub access: AccessToken,
    /// The token for the next refresh, where the provider gave one.
    pub refresh: Option<RefreshToken>,
}

impl Token {
    /// Turns what was granted into a token, or says why it cannot be used.
    ///
    /// `used` is the refresh token that this grant was asked with; it is kept where the answer has none.
    pub(crate) fn new(
        grant: Grant,
        issued: Moment,
        date: Option<SystemTime>,
        used: Option<RefreshToken>,
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

        let lifetime = grant.expiry.lifetime(jwt::lifetime(token), date, issued.wall)?;
        let login_lifetime = used.as_ref().map_or(lifetime, RefreshToken::login_lifetime);
        let refresh = grant.refresh.filter(|(secret, _)| !secret.is_empty()).map(|(secret, stated)| RefreshToken {
            secret,
            issued,
            lifetime: stated,
            login_lifetime,
        });
        Ok(Self {
            access: AccessToken(Arc::new(Inner {
                authorization,
                scope: grant.scope,
                issued,
                lifetime,
                extras: grant.extras,
                generation: 0,
            })),
            refresh: refresh.or(used),
        })
    }
}

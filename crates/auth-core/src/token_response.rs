//! A successful token response, as a provider reads it.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::expiry::Expiry;
use crate::secret::Secret;

/// Holds what a server granted, as it said it (RFC 6749 5.1).
#[derive(Clone)]
pub struct TokenResponse {
    pub(crate) access_token: Secret,
    pub(crate) token_type: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) expiry: Expiry,
    pub(crate) refresh: Option<(Secret, Option<Duration>)>,
    pub(crate) extras: Vec<(Cow<'static, str>, String)>,
}

impl TokenResponse {
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
        self.extras.push((name.into(), value.into()));
        self
    }
}

impl fmt::Debug for TokenResponse {
    /// Without what the server wrote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse").field("expiry", &self.expiry).finish_non_exhaustive()
    }
}

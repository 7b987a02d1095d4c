//! A snapshot of a manager for its operator.

use std::sync::Arc;
use std::time::SystemTime;

use super::state::Shared;
use crate::error::Error;
use crate::freshness::Freshness;
use crate::token::AccessToken;

/// A snapshot of a [`TokenManager`](crate::TokenManager). It holds no secret.
///
/// ```
/// # fn example(tokens: auth_core::TokenManager) {
/// let status = tokens.status();
/// if let (Some(error), Some(at)) = (status.last_error, status.next_attempt_at) {
///     eprintln!("{}: {error}; next attempt at {at:?}", status.provider);
/// }
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Status {
    /// The provider's name, or `unknown` until a source of credentials has returned its first provider.
    pub provider: &'static str,
    /// The label that [`with_label`](crate::TokenManagerBuilder::with_label) has set.
    pub label: Option<Arc<str>>,
    /// The freshness of the current token, or `None` if there is no token.
    pub freshness: Option<Freshness>,
    /// The number of the newest token, counted from 1, or 0 if there was none yet.
    pub generation: u64,
    /// When the current token was issued, by the wall clock.
    pub issued_at: Option<SystemTime>,
    /// When the current token becomes stale. The next call after that starts a refresh in the background.
    pub refresh_at: Option<SystemTime>,
    /// When the current token expires, by the wall clock.
    pub expires_at: Option<SystemTime>,
    /// Whether a login is under way.
    pub is_renewing: bool,
    /// The error of the last login, or `None` if it succeeded.
    pub last_error: Option<Error>,
    /// When the cooldown after a failure ends. Until then no login is attempted.
    pub next_attempt_at: Option<SystemTime>,
}

impl Shared {
    pub(super) fn status(&self) -> Status {
        let state = self.lock();
        let now = self.clock.now();
        let token = self.current.load();
        let token = token.as_ref();
        Status {
            provider: self.name.provider(),
            label: self.name.shared_label(),
            freshness: token.map(|token| token.term().at(&now)),
            generation: state.generation,
            issued_at: token.map(|token| token.issued().wall),
            refresh_at: token.map(|token| token.term().refresh.wall),
            expires_at: token.map(AccessToken::expires_at),
            is_renewing: state.flight.is_some(),
            last_error: state.cooldown.last_error().cloned(),
            next_attempt_at: state.cooldown.remaining_at(&now).map(|left| now.wall + left),
        }
    }
}

//! A manager as its operator sees it.

use std::time::SystemTime;

use super::{Shared, TokenManager};
use crate::error::Error;
use crate::freshness::Freshness;
use crate::provider::Provider;
use crate::token::AccessToken;
use crate::transport::Transport;

/// Holds one look at a [`TokenManager`]; there is no secret in it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Status {
    /// The provider's name.
    pub provider: &'static str,
    /// What the current token is worth; none where there is no token.
    pub freshness: Option<Freshness>,
    /// The number of the newest token, from 1 on; 0 before the first.
    pub generation: u64,
    /// When the current token was issued, by the wall clock.
    pub issued_at: Option<SystemTime>,
    /// From when on the next call fetches the next token.
    pub refresh_at: Option<SystemTime>,
    /// When the current token ends.
    pub expires_at: Option<SystemTime>,
    /// Whether a login is under way.
    pub is_renewing: bool,
    /// Why the last login failed; none once one has succeeded.
    pub last_error: Option<Error>,
    /// Until when no login is tried, whoever asks.
    pub next_attempt_at: Option<SystemTime>,
}

impl<P: Provider, T: Transport> TokenManager<P, T> {
    /// Tells how things stand, without a request.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.status()
    }
}

impl<P: Provider, T: Transport> Shared<P, T> {
    pub(super) fn status(&self) -> Status {
        let state = self.lock();
        let now = self.clock.now();
        let token = self.current.load();
        let token = token.as_ref();
        Status {
            provider: state.login.name(),
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

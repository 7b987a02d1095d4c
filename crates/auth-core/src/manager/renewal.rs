//! The input and the result of one flight.

#![cfg_attr(not(feature = "store"), expect(dead_code, reason = "only a store can return a superseded token"))]

use std::sync::Arc;
#[cfg(feature = "store")]
use std::time::Duration;

use super::cursor::StoreCursor;
#[cfg(feature = "store")]
use crate::clock::Moment;
use crate::cooldown::Cooldown;
use crate::error::Error;
use crate::freshness::Freshness;
use crate::login::Login;
use crate::provider::Provider;
use crate::token::{AccessToken, RefreshToken};
use crate::transport::Transport;

/// The tokens that a flight must not take from a store: the current one and the rejected one.
pub(super) struct Superseded {
    pub(super) current: Option<AccessToken>,
    pub(super) rejected: Option<AccessToken>,
}

#[cfg(feature = "store")]
impl Superseded {
    /// Returns `true` if `token` is one of them. A token with the text of the current one, but with more lifetime left,
    /// is a new token: a server may issue the same text again.
    pub(super) fn covers(&self, token: &AccessToken, now: &Moment) -> bool {
        let is_same = |superseded: &&AccessToken| superseded.expose() == token.expose();
        let is_as_old =
            |current: &AccessToken| token.remaining_at(now) <= current.remaining_at(now) + Duration::from_secs(1);
        self.rejected.as_ref().filter(is_same).is_some() || self.current.as_ref().filter(is_same).is_some_and(is_as_old)
    }
}

/// A copy of the manager's state, which the flight updates.
pub(super) struct RenewalContext<P, T> {
    pub(super) login: Arc<Login<P, T>>,
    pub(super) epoch: u64,
    /// The refresh token, unless it is in a store.
    pub(super) refresh: Option<RefreshToken>,
    pub(super) cooldown: Cooldown,
    pub(super) superseded: Superseded,
    pub(super) cursor: StoreCursor,
}

impl<P: Provider, T: Transport> RenewalContext<P, T> {
    /// Logs in, and records a failure in the cooldown. Also returns the number of attempts.
    pub(super) async fn log_in(&mut self) -> (u32, Result<AccessToken, Error>) {
        let (attempts, result) = self.login.run(&mut self.refresh, self.cooldown.failures()).await;
        let now = self.login.clock().now();
        let result = result.and_then(|token| match token.term().at(&now) {
            Freshness::Expired => {
                Err(Error::malformed("the token ended before it arrived").with_provider(self.login.name()))
            }
            _ => Ok(token),
        });
        let result = result.map_err(|error| {
            self.cooldown.record_failure(&error, attempts, now, fastrand::f64(), self.login.policy());
            // The same error, with the time of the next attempt.
            self.cooldown.error_at(&now).unwrap_or(error)
        });
        (attempts, result)
    }
}

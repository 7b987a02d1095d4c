//! What a flight sets out with, and comes back with.

#![cfg_attr(not(feature = "store"), expect(dead_code, reason = "only a store can bring back what is superseded"))]

use std::sync::Arc;
use std::time::Duration;

use super::share::StoreCursor;
use crate::clock::Moment;
use crate::cooldown::Cooldown;
use crate::error::Error;
use crate::freshness::Freshness;
use crate::login::Login;
use crate::provider::Provider;
use crate::token::{AccessToken, RefreshToken};
use crate::transport::Transport;

/// What a caller wants of a token.
#[derive(Debug, Clone, Copy)]
pub(super) enum Need {
    /// That it can be sent.
    Usable,
    /// That it need not be replaced yet.
    Fresh,
    /// That so much of its life is left.
    Left(Duration),
    /// That it is no older.
    Newer(Duration),
}

impl Need {
    pub(super) fn is_met(self, token: &AccessToken, now: &Moment) -> bool {
        match self {
            Self::Usable => token.term().at(now) != Freshness::Expired,
            Self::Fresh => token.term().at(now) == Freshness::Fresh,
            Self::Newer(age) => Self::Usable.is_met(token, now) && now.since(&token.issued()) <= age,
            Self::Left(life) => Self::Usable.is_met(token, now) && token.remaining_at(now) >= life,
        }
    }
}

/// What a flight must not come back with.
pub(super) struct Superseded {
    pub(super) current: Option<AccessToken>,
    pub(super) rejected: Option<AccessToken>,
}

#[cfg(feature = "store")]
impl Superseded {
    /// Tells whether it is one of them. The same text with more life is not the current one: a server may give it again.
    pub(super) fn covers(&self, token: &AccessToken, now: &Moment) -> bool {
        let same = |superseded: &&AccessToken| superseded.expose() == token.expose();
        let as_old =
            |current: &AccessToken| token.remaining_at(now) <= current.remaining_at(now) + Duration::from_secs(1);
        self.rejected.as_ref().filter(same).is_some() || self.current.as_ref().filter(same).is_some_and(as_old)
    }
}

/// A copy of what the manager knows, which the flight brings up to date.
pub(super) struct RenewalContext<P, T> {
    pub(super) login: Arc<Login<P, T>>,
    pub(super) epoch: u64,
    /// The refresh token that is this process's own.
    pub(super) refresh: Option<RefreshToken>,
    pub(super) cooldown: Cooldown,
    pub(super) superseded: Superseded,
    pub(super) cursor: StoreCursor,
}

impl<P: Provider, T: Transport> RenewalContext<P, T> {
    /// Logs in, and remembers a failure; tells how many attempts were made as well.
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
            // The same, with the time of the next attempt.
            self.cooldown.error_at(&now).unwrap_or(error)
        });
        (attempts, result)
    }
}

//! What a flight sets out with, and comes back with.

#![cfg_attr(not(feature = "store"), expect(dead_code, reason = "only a store can bring back what is spent"))]

use std::sync::Arc;
use std::time::Duration;

use super::share::Seen;
use crate::clock::Moment;
use crate::error::Error;
use crate::freshness::Freshness;
use crate::login::Login;
use crate::provider::Provider;
use crate::setback::Setback;
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
            Self::Left(life) => Self::Usable.is_met(token, now) && token.remaining(now) >= life,
        }
    }
}

/// What a flight must not come back with.
pub(super) struct Spent {
    pub(super) current: Option<AccessToken>,
    pub(super) rejected: Option<AccessToken>,
}

#[cfg(feature = "store")]
impl Spent {
    /// Tells whether it is one of them. The same text with more life is not the current one: a server may give it again.
    pub(super) fn covers(&self, token: &AccessToken, now: &Moment) -> bool {
        let same = |spent: &&AccessToken| spent.expose() == token.expose();
        let as_old = |current: &AccessToken| token.remaining(now) <= current.remaining(now) + Duration::from_secs(1);
        self.rejected.as_ref().filter(same).is_some() || self.current.as_ref().filter(same).is_some_and(as_old)
    }
}

/// A copy of what the manager knows, which the flight brings up to date.
pub(super) struct Brief<P, T> {
    pub(super) login: Arc<Login<P, T>>,
    pub(super) epoch: u64,
    /// The refresh token that is this process's own.
    pub(super) refresh: Option<RefreshToken>,
    pub(super) setback: Setback,
    pub(super) spent: Spent,
    pub(super) seen: Seen,
}

impl<P: Provider, T: Transport> Brief<P, T> {
    /// Logs in, and remembers a failure; tells how many attempts were made as well.
    pub(super) async fn log_in(&mut self) -> (u32, Result<AccessToken, Error>) {
        let (attempts, result) = self.login.run(&mut self.refresh, self.setback.failures()).await;
        let now = self.login.clock().now();
        let result = result.and_then(|token| match token.term().at(&now) {
            Freshness::Expired => {
                Err(Error::malformed("the token ended before it arrived").with_provider(self.login.name()))
            }
            _ => Ok(token),
        });
        let result = result.map_err(|error| {
            self.setback.failed(&error, attempts, now, fastrand::f64(), self.login.policy());
            // The same, with the time of the next attempt.
            self.setback.stops(&now).unwrap_or(error)
        });
        (attempts, result)
    }
}

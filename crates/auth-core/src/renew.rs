//! The seam between a manager and what gets its next token: values in, a value out.

use std::fmt;
#[cfg(feature = "store")]
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

#[cfg(feature = "store")]
use crate::clock::Moment;
use crate::cooldown::Cooldown;
use crate::error::Error;
#[cfg(feature = "store")]
use crate::need::Need;
use crate::need::Outcome;
#[cfg(feature = "store")]
use crate::store::{EntryName, LeaseNumber};
#[cfg(feature = "store")]
use crate::token::AccessToken;
use crate::token::RefreshToken;

/// Gets the next token: [`Login`](crate::login::Login), or [`SharedLogin`](crate::shared_login::SharedLogin) around it.
#[async_trait]
pub(crate) trait Renew: fmt::Debug + Send + Sync {
    /// Gets a new token. It runs on the runtime of the logins.
    async fn renew(&self, context: RenewalContext) -> Renewal;

    /// Reads what other processes have saved, without a request to the provider. Returns `None` if there is no store.
    #[cfg(feature = "store")]
    async fn recall(&self, context: RenewalContext) -> Result<Option<Recalled>, Error>;

    /// Removes a rejected token from where other processes would find it.
    #[cfg(feature = "store")]
    async fn forget(&self, cursor: StoreCursor);
}

/// What a renewal starts from: a copy of the manager's state.
pub(crate) struct RenewalContext {
    /// The end of the login.
    pub(crate) deadline: Instant,
    /// The refresh token, unless it is in a store.
    pub(crate) refresh: Option<RefreshToken>,
    pub(crate) cooldown: Cooldown,
    #[cfg(feature = "store")]
    pub(crate) shared: SharedContext,
}

/// What a manager has last seen of its entry in the store.
#[cfg(feature = "store")]
#[derive(Debug, Clone)]
pub(crate) struct StoreCursor {
    pub(crate) name: EntryName,
    /// The number of the last change.
    pub(crate) revision: LeaseNumber,
    /// The number under which the current token was saved, if it is in the store.
    pub(crate) saved: Option<LeaseNumber>,
}

/// What only a renewal with a store needs.
#[cfg(feature = "store")]
pub(crate) struct SharedContext {
    pub(crate) need: Need,
    pub(crate) superseded: Superseded,
    pub(crate) cursor: Option<StoreCursor>,
}

/// What a renewal returns.
pub(crate) struct Renewal {
    /// The number of login requests.
    pub(crate) attempts: u32,
    pub(crate) outcome: Outcome,
    /// The refresh token for the next renewal.
    pub(crate) refresh: Option<RefreshToken>,
    pub(crate) cooldown: Cooldown,
    #[cfg(feature = "store")]
    pub(crate) spare: Option<Spare>,
    /// Whether this is worth a report: `false` if a look during a cooldown has found nothing.
    pub(crate) is_news: bool,
    #[cfg(feature = "store")]
    pub(crate) cursor: Option<StoreCursor>,
}

impl Renewal {
    /// Returns the result of a renewal that ended without a value of its own.
    pub(crate) fn failed(error: Error, cooldown: Cooldown) -> Self {
        Self {
            attempts: 0,
            outcome: Err(error),
            refresh: None,
            cooldown,
            #[cfg(feature = "store")]
            spare: None,
            is_news: true,
            #[cfg(feature = "store")]
            cursor: None,
        }
    }
}

/// A token from the store that may be handed out, although it does not meet the need of a renewal.
#[cfg(feature = "store")]
#[derive(Debug, Clone)]
pub(crate) struct Spare {
    pub(crate) token: AccessToken,
    /// The number under which it was saved.
    pub(crate) saved: LeaseNumber,
}

/// What a store holds for other processes.
#[cfg(feature = "store")]
pub(crate) struct Recalled {
    pub(crate) spare: Option<Spare>,
    pub(crate) token: Option<AccessToken>,
    pub(crate) cooldown: Cooldown,
    pub(crate) cursor: Option<StoreCursor>,
}

/// The tokens that a renewal must not take from a store: the current one and the rejected one.
#[cfg(feature = "store")]
#[derive(Clone, Default)]
pub(crate) struct Superseded {
    pub(crate) current: Option<AccessToken>,
    pub(crate) rejected: Option<AccessToken>,
}

#[cfg(feature = "store")]
impl Superseded {
    /// Returns `true` if `token` must not be taken.
    ///
    /// A token that was issued before the rejected one must not: the rejected token may have replaced it after a
    /// rejection as well, while the store was unreachable. A token with the text of the current one, but with more
    /// lifetime left, is a new token: a server may issue the same text again.
    pub(crate) fn covers(&self, token: &AccessToken, now: &Moment) -> bool {
        let is_same = |superseded: &AccessToken| superseded.expose() == token.expose();
        if let Some(rejected) = &self.rejected
            && (is_same(rejected) || token.issued().monotonic <= rejected.issued().monotonic)
        {
            return true;
        }
        let current = self.current.as_ref().filter(|current| is_same(current));
        current.is_some_and(|current| token.remaining_at(now) <= current.remaining_at(now) + Duration::from_secs(1))
    }

    /// Marks a token of a login as the replacement of the rejected one, if there is one.
    pub(crate) fn mark(&self, token: AccessToken) -> AccessToken {
        match &self.rejected {
            Some(rejected) => token.with_rejections(rejected.rejections().saturating_add(1)),
            None => token,
        }
    }
}

//! Which token a caller needs, why a flight starts, and its result.

use std::time::Duration;

use crate::clock::Moment;
use crate::error::Error;
use crate::freshness::Freshness;
use crate::token::AccessToken;

/// The token that a caller needs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Need {
    /// Any token before its margin.
    Usable,
    /// A token before its refresh point.
    Fresh,
    /// A token with at least this lifetime left.
    Left(Duration),
    /// A token that was issued after this moment. It is fixed when the caller calls: if it were counted back from the
    /// end of a slow login, that login's token would be too old for each caller that waits for it.
    IssuedAfter(Moment),
}

impl Need {
    pub(crate) fn is_met(self, token: &AccessToken, now: &Moment) -> bool {
        match self {
            Self::Usable => matches!(token.term().at(now), Freshness::Fresh | Freshness::Stale),
            Self::Fresh => token.term().at(now) == Freshness::Fresh,
            Self::IssuedAfter(start) => {
                // By both clocks: a token from before a suspend is not new.
                let issued = token.issued();
                Self::Usable.is_met(token, now) && issued.monotonic >= start.monotonic && issued.wall >= start.wall
            }
            Self::Left(lifetime) => Self::Usable.is_met(token, now) && token.remaining_at(now) >= lifetime,
        }
    }
}

/// Why a flight was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// There has been no token yet.
    Cold,
    /// The token was rejected.
    Rejected,
    /// The token is past its refresh point.
    Stale,
    /// The token is expired, or within the margin before its end.
    Expired,
    /// A caller asked for a new token, or for more validity than the current one has left.
    Manual,
}

impl Reason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Rejected => "rejected",
            Self::Stale => "stale",
            Self::Expired => "expired",
            Self::Manual => "manual",
        }
    }
}

/// The result of a flight, shared by all callers that wait for it.
pub(crate) type Outcome = Result<AccessToken, Error>;

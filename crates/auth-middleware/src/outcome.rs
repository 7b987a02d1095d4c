//! What happened to a request, and how a request asks for less.

use http::Extensions;

/// Put among a request's extensions, keeps it from being sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoReplay;

/// Tells what was done with a request; [`of`](Self::of) reads it from the answer's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The token was attached, and was not rejected.
    Attached,
    /// The first token was rejected; this is the answer to the request with the next one.
    Replayed,
    /// The token was rejected, and this is the answer that says so.
    Rejected(NotReplayed),
    /// The request goes to an origin that is not on the list, so no token was attached.
    OtherOrigin,
    /// The request had an `Authorization` header of its own, which was left alone.
    OwnAuthorization,
}

/// Says why a rejected request was not sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotReplayed {
    /// Its body is a stream, or longer than the limit.
    Body,
    /// It carries [`NoReplay`].
    SwitchedOff,
    /// The source gave the rejected token again.
    SameToken,
    /// It went on by a redirect after a server had taken it, and is not safe to repeat (RFC 9110 9.2.1).
    Redirected,
}

impl Outcome {
    /// Reads the outcome from an answer's extensions. [`Attached`](Self::Attached) is not written there, since it would
    /// cost each good request three allocations: an answer without an outcome is one whose token was taken. Where
    /// two middlewares stand in a row, and the inner one has attached, the outer one's [`OtherOrigin`](Self::OtherOrigin)
    /// is read.
    #[must_use]
    pub fn of(answer: &Extensions) -> Self {
        answer.get().copied().unwrap_or(Self::Attached)
    }

    /// Writes it into an answer's extensions.
    pub(crate) fn write(self, answer: &mut Extensions) {
        // Of two middlewares in a row, each for its own API, the one whose origin it is speaks.
        let said = answer.get::<Self>();
        match self {
            Self::Attached if said.is_some() => drop(answer.remove::<Self>()),
            Self::Attached => {}
            Self::OtherOrigin if said.is_some() => {}
            _ => drop(answer.insert(self)),
        }
    }
}

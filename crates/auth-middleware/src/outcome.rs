//! What the middleware did with a request, and how to switch off the replay of a request.

use http::Extensions;

/// Switches off the replay of a request. Insert it into the request's extensions.
///
/// ```
/// use auth_middleware::{NoReplay, core::http::Request};
///
/// let mut request = Request::post("https://ipbxapi.voipex.io/calls").body(())?;
/// request.extensions_mut().insert(NoReplay);
/// # Ok::<(), auth_middleware::core::http::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoReplay;

/// What the middleware did with a request. [`of`](Self::of) reads it from the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The token was attached, and was not rejected.
    Attached,
    /// The first token was rejected; this is the response to the request with the next token.
    Replayed,
    /// The token was rejected and the request was not sent again; this is the response that rejects it.
    Rejected(NotReplayed),
    /// The request's origin is not on the list, so no token was attached.
    OtherOrigin,
    /// The caller had set an `Authorization` header, so no token was attached.
    OwnAuthorization,
}

/// The reason why a rejected request was not sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotReplayed {
    /// The request's body has no known length, or is longer than the limit.
    Body,
    /// The request has [`NoReplay`] in its extensions.
    SwitchedOff,
    /// The source returned the rejected token again.
    SameToken,
    /// A server had already processed and redirected the request, and its method is not safe to repeat (RFC 9110
    /// section 9.2.1).
    Redirected,
}

impl Outcome {
    /// Reads the outcome from a response's extensions.
    ///
    /// If they contain no outcome, returns [`Attached`](Self::Attached). That outcome is not stored, because storing it
    /// would cost three allocations for each successful request.
    ///
    /// If two middlewares are stacked, each for its own API, this is the outcome of the one that lists the request's
    /// origin. There is one exception: if the inner one has attached its token, [`OtherOrigin`](Self::OtherOrigin) of
    /// the outer one is returned.
    ///
    /// ```
    /// # fn example(response: auth_middleware::core::http::Response<()>) {
    /// use auth_middleware::Outcome;
    ///
    /// if Outcome::of(response.extensions()) == Outcome::Replayed {
    ///     println!("the first token was rejected; this is the response to the second request");
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or(Self::Attached)
    }

    /// Stores the outcome in a response's extensions.
    pub(crate) fn insert_into(self, extensions: &mut Extensions) {
        // Of two stacked middlewares, one for each API, the inner one writes first. The outer one must not replace the
        // inner one's result by `OtherOrigin`, and its own `Attached` must replace the inner one's `OtherOrigin`.
        let is_present = extensions.get::<Self>().is_some();
        match self {
            Self::Attached if is_present => drop(extensions.remove::<Self>()),
            Self::Attached => {}
            Self::OtherOrigin if is_present => {}
            _ => drop(extensions.insert(self)),
        }
    }
}

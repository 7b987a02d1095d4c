//! Decides which requests get a token and which responses reject it. Both clients share these decisions.

use std::fmt;
use std::sync::Arc;

use auth_core::{AccessToken, Error, Origin, TokenFuture, TokenSource, targets};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};

use crate::outcome::{NotReplayed, Outcome};

/// Attaches the tokens of one source to the requests for a list of origins.
///
/// A `Bearer` is cheap to clone. It sends nothing: pass it to [`AuthMiddleware`](crate::reqwest::AuthMiddleware) or to
/// [`AuthLayer`](crate::tower::AuthLayer).
///
/// ```
/// # fn example(tokens: impl auth_middleware::core::TokenSource) -> Result<(), auth_middleware::core::Error> {
/// use auth_middleware::Bearer;
///
/// let bearer = Bearer::new(tokens, ["https://ipbxapi.voipex.io"])?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Bearer(Arc<Settings>);

#[derive(Clone)]
struct Settings {
    source: Arc<dyn TokenSource>,
    origins: Vec<Origin>,
    body_limit: usize,
    body_rule: Option<BodyRule>,
}

/// Returns `true` if a response's body rejects the token.
pub(crate) type BodyRule = fn(&[u8]) -> bool;

impl Bearer {
    /// Creates a `Bearer` that attaches the tokens of `source` to requests for `origins` only.
    ///
    /// An origin is a scheme, a host and an optional port, such as `https://api.example.com`. Plain http is accepted
    /// for loopback addresses only.
    ///
    /// ```
    /// # fn example(tokens: impl auth_middleware::core::TokenSource) -> Result<(), auth_middleware::core::Error> {
    /// use auth_middleware::Bearer;
    ///
    /// let bearer = Bearer::new(tokens, ["https://api.example.com", "https://files.example.com:8443"])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) if `origins` is empty or contains an invalid origin; see
    /// [`Origin::new`].
    pub fn new<O: AsRef<str>>(source: impl TokenSource, origins: impl IntoIterator<Item = O>) -> Result<Self, Error> {
        let origins: Vec<_> =
            origins.into_iter().map(|origin| Origin::new(origin.as_ref())).collect::<Result<_, _>>()?;
        if origins.is_empty() {
            return Err(Error::misconfigured("origins", "is empty; list the origins that may receive the token"));
        }
        Ok(Self(Arc::new(Settings { source: Arc::new(source), origins, body_limit: 64 * 1024, body_rule: None })))
    }

    /// Sets the longest body of a request or a response that is buffered, in bytes. The default is 64 KiB.
    ///
    /// A request with a longer body, or with a body of unknown length, is streamed. It cannot be sent again after a
    /// rejection. A response with such a body is not searched for a rejection. With 0, no body is buffered.
    ///
    /// ```
    /// # fn example(tokens: impl auth_middleware::core::TokenSource) -> Result<(), auth_middleware::core::Error> {
    /// use auth_middleware::Bearer;
    ///
    /// let bearer = Bearer::new(tokens, ["https://api.example.com"])?.with_body_limit(1024 * 1024);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_body_limit(self, bytes: usize) -> Self {
        self.with(|settings| settings.body_limit = bytes)
    }

    /// Sets a rule that returns `true` if a response's body rejects the token.
    ///
    /// Some APIs reject a token with a status other than 401, and say so in the body. The rule is not applied to a 401
    /// or a 403. It is applied only to bodies whose `Content-Length` is present and within
    /// [the limit](Self::with_body_limit).
    ///
    /// ```
    /// # fn example(tokens: impl auth_middleware::core::TokenSource) -> Result<(), auth_middleware::core::Error> {
    /// use auth_middleware::Bearer;
    ///
    /// let bearer = Bearer::new(tokens, ["https://ipbxapi.voipex.io"])?;
    /// let bearer = bearer.with_rejection_in_body(auth_voipex::is_rejection);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_rejection_in_body(self, rule: fn(&[u8]) -> bool) -> Self {
        self.with(|settings| settings.body_rule = Some(rule))
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Arc::unwrap_or_clone(self.0);
        change(&mut settings);
        Self(Arc::new(settings))
    }
}

impl Bearer {
    /// Returns `true` if a URL's origin is on the list.
    pub(crate) fn is_listed(&self, scheme: &str, host: &str, port: Option<u16>) -> bool {
        self.0.origins.iter().any(|origin| origin.matches(scheme, host, port))
    }

    /// Returns the outcome of a request that must not get a token, or `None` if it must get one.
    pub(crate) fn skip(&self, scheme: &str, host: &str, port: Option<u16>, headers: &HeaderMap) -> Option<Outcome> {
        if !self.is_listed(scheme, host, port) {
            return Some(Outcome::OtherOrigin);
        }
        headers.contains_key(AUTHORIZATION).then_some(Outcome::OwnAuthorization)
    }

    pub(crate) fn token(&self) -> TokenFuture<'_> {
        self.0.source.token()
    }

    /// Rejects `token`. Returns the next token and the request to replay, or the reason why there is no replay.
    ///
    /// # Errors
    /// The error of the source if it returns no next token.
    pub(crate) async fn next_token<R>(
        &self,
        token: &AccessToken,
        replay: Result<R, NotReplayed>,
    ) -> Result<Result<(AccessToken, R), NotReplayed>, Error> {
        // Rejected even if this request is not replayed, so that the next request gets another token. Many requests may
        // have been sent with this token. The first rejection removes it and starts one login, which serves all
        // of them. A rejection that arrives after that login names an old token: `reject` then changes nothing, and
        // `token` returns the new one without a second login.
        self.0.source.reject(token);
        let next = match replay {
            Ok(replay) => match self.0.source.token().await {
                // A source may keep a token despite the rejection. The same token would get the same response.
                Ok(next) if next.ptr_eq(token) => Ok(Err(NotReplayed::SameToken)),
                Ok(next) => Ok(Ok((next, replay))),
                Err(error) => Err(error),
            },
            Err(reason) => Ok(Err(reason)),
        };
        report(&next);
        next
    }

    /// Returns `true` if every origin is plain http, which means that all of them are on this machine.
    #[cfg(feature = "reqwest")]
    pub(crate) fn is_loopback_only(&self) -> bool {
        !self.0.origins.iter().any(Origin::is_https)
    }

    pub(crate) fn body_limit(&self) -> usize {
        self.0.body_limit
    }

    /// Classifies a response by its status and headers.
    pub(crate) fn classify(&self, status: StatusCode, headers: &HeaderMap) -> TokenCheck {
        if is_rejection(status, headers) {
            return TokenCheck::Rejected;
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return TokenCheck::Accepted;
        }
        let Some(rule) = self.0.body_rule else { return TokenCheck::Accepted };
        // A body without a length may be a stream that never ends, so it is passed on unread.
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let is_within_limit = length.is_some_and(|length: usize| length <= self.0.body_limit);
        if is_within_limit { TokenCheck::InBody(rule) } else { TokenCheck::Accepted }
    }
}

fn report<R>(next: &Result<Result<(AccessToken, R), NotReplayed>, Error>) {
    match next {
        Ok(Ok(_)) => tracing::debug!(target: targets::MIDDLEWARE, "token rejected, request sent again"),
        Ok(Err(why)) => tracing::warn!(target: targets::MIDDLEWARE, ?why, "token rejected, request not sent again"),
        Err(error) => tracing::warn!(target: targets::MIDDLEWARE, %error, "token rejected, request not sent again"),
    }
    #[cfg(feature = "metrics")]
    {
        let sent = if matches!(next, Ok(Ok(_))) { "yes" } else { "no" };
        metrics::counter!("auth_replays_total", "sent" => sent).increment(1);
    }
}

/// The result of [`Bearer::classify`]: whether a response's status and headers accept or reject the token.
pub(crate) enum TokenCheck {
    Accepted,
    Rejected,
    /// The body decides, by this rule.
    InBody(BodyRule),
}

/// Adds the token and the headers that its API requires. A header of the API that the caller has set is kept.
pub(crate) fn attach(token: &AccessToken, headers: &mut HeaderMap) {
    headers.insert(AUTHORIZATION, token.authorization().clone());
    for (name, value) in token.api_headers() {
        headers.entry(name).or_insert_with(|| value.clone());
    }
}

/// Returns `true` if the response rejects the token.
///
/// Only a 401 rejects it. A 401 with `insufficient_scope` (RFC 6750 section 3.1) does not, because a new token would
/// have the same scope.
fn is_rejection(status: StatusCode, headers: &HeaderMap) -> bool {
    let mut challenges = headers.get_all(WWW_AUTHENTICATE).iter();
    status == StatusCode::UNAUTHORIZED && !challenges.any(|challenge| is_scope_error(challenge.as_bytes()))
}

fn is_scope_error(challenge: &[u8]) -> bool {
    challenge.windows(SCOPE_ERROR.len()).any(|part| part == SCOPE_ERROR)
}

const SCOPE_ERROR: &[u8] = b"insufficient_scope";

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bearer")
            .field("source", &self.0.source)
            .field("origins", &self.0.origins)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a3_an_insufficient_scope_does_not_reject_the_token() {
        let cases = [
            (401, "", true),
            (401, r#"Bearer error="invalid_token""#, true),
            (401, r#"Bearer realm="a", error="insufficient_scope", scope="b""#, false),
            (403, "", false),
            (403, r#"Bearer error="invalid_token""#, false),
            (200, "", false),
            (407, "", false),
        ];
        for (status, challenge, expected) in cases {
            let status = StatusCode::from_u16(status).unwrap();
            let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))]);
            assert_eq!(is_rejection(status, &headers), expected, "{status} {challenge}");
        }
    }
}

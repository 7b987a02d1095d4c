//! What is attached where, and what counts as a rejection: the decisions, for whatever client.

use std::fmt;
use std::sync::Arc;

use auth_core::{AccessToken, Error, Origin, TokenFuture, TokenSource, targets};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};

use crate::outcome::{NotReplayed, Outcome};

/// Attaches the tokens of one source to the requests for some origins.
///
/// Cheap to clone. It sends nothing itself: give it to [`AuthMiddleware`](crate::reqwest::AuthMiddleware) or to
/// [`AuthLayer`](crate::tower::AuthLayer).
///
/// ```
/// # fn example(tokens: impl auth_core::TokenSource) -> Result<(), auth_core::Error> {
/// let bearer = auth_middleware::Bearer::new(tokens, ["https://ipbxapi.voipex.io"])?;
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
    rejected_in_body: Option<fn(&[u8]) -> bool>,
}

impl Bearer {
    /// Takes tokens from `source` for requests to these origins, such as `https://api.example.com`, and to no other.
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) where there is no origin, or one that is none: see
    /// [`Origin::new`].
    pub fn new<O: AsRef<str>>(source: impl TokenSource, origins: impl IntoIterator<Item = O>) -> Result<Self, Error> {
        let origins: Vec<_> =
            origins.into_iter().map(|origin| Origin::new(origin.as_ref())).collect::<Result<_, _>>()?;
        if origins.is_empty() {
            return Err(Error::misconfigured("origins", "is empty; name the origins that may see the token"));
        }
        Ok(Self(Arc::new(Settings {
            source: Arc::new(source),
            origins,
            body_limit: 64 * 1024,
            rejected_in_body: None,
        })))
    }

    /// Sets how many bytes of a body are kept, so that the request can be sent again, or the answer be read for a
    /// rejection. Default is 64 KiB. Longer bodies, and those of unknown length, pass as they come; with 0 all do, and
    /// no answer's is read.
    #[must_use]
    pub fn with_body_limit(self, bytes: usize) -> Self {
        self.with(|settings| settings.body_limit = bytes)
    }

    /// Sets a rule that finds a rejection in the body of an answer that is neither 401 nor 403: some APIs say it there.
    /// Only bodies of a stated length within the limit are read.
    #[must_use]
    pub fn with_rejection_in_body(self, rule: fn(&[u8]) -> bool) -> Self {
        self.with(|settings| settings.rejected_in_body = Some(rule))
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Arc::unwrap_or_clone(self.0);
        change(&mut settings);
        Self(Arc::new(settings))
    }
}

impl Bearer {
    /// Whether a URL's origin is on the list.
    pub(crate) fn lists(&self, scheme: &str, host: &str, port: Option<u16>) -> bool {
        self.0.origins.iter().any(|origin| origin.matches(scheme, host, port))
    }

    /// Why a request is to be left as it is, if it is.
    pub(crate) fn leaves(&self, scheme: &str, host: &str, port: Option<u16>, headers: &HeaderMap) -> Option<Outcome> {
        if !self.lists(scheme, host, port) {
            return Some(Outcome::OtherOrigin);
        }
        headers.contains_key(AUTHORIZATION).then_some(Outcome::OwnAuthorization)
    }

    pub(crate) fn token(&self) -> TokenFuture<'_> {
        self.0.source.token()
    }

    /// Takes note that `token` was rejected, and gives the next one to send the copy with, or why it is not sent.
    pub(crate) async fn after_rejection<C>(
        &self,
        token: &AccessToken,
        copy: Result<C, NotReplayed>,
    ) -> Result<Result<(AccessToken, C), NotReplayed>, Error> {
        self.0.source.reject(token);
        let next = match copy {
            Ok(copy) => match self.0.source.token().await {
                Ok(next) if next.ptr_eq(token) => Ok(Err(NotReplayed::SameToken)),
                Ok(next) => Ok(Ok((next, copy))),
                Err(error) => Err(error),
            },
            Err(why) => Ok(Err(why)),
        };
        match &next {
            Ok(Ok(_)) => tracing::debug!(target: targets::MIDDLEWARE, "token rejected, request sent again"),
            Ok(Err(why)) => tracing::warn!(target: targets::MIDDLEWARE, ?why, "token rejected, request not sent again"),
            Err(error) => tracing::warn!(target: targets::MIDDLEWARE, %error, "token rejected, request not sent again"),
        }
        #[cfg(feature = "metrics")]
        {
            let sent = if matches!(next, Ok(Ok(_))) { "yes" } else { "no" };
            metrics::counter!("auth_replays_total", "sent" => sent).increment(1);
        }
        next
    }

    /// Whether every origin is plain http, which is this machine alone.
    #[cfg(feature = "reqwest")]
    pub(crate) fn is_local(&self) -> bool {
        !self.0.origins.iter().any(Origin::is_https)
    }

    pub(crate) fn body_limit(&self) -> usize {
        self.0.body_limit
    }

    /// Judges by the head of an answer; the body decides where a rule is set and the body can be read.
    pub(crate) fn judge(&self, status: StatusCode, headers: &HeaderMap) -> Verdict {
        if is_rejection(status, headers) {
            return Verdict::Rejected;
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Verdict::Taken;
        }
        let Some(rule) = self.0.rejected_in_body else { return Verdict::Taken };
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let is_readable = length.is_some_and(|length: usize| length <= self.0.body_limit);
        if is_readable { Verdict::Body(rule) } else { Verdict::Taken }
    }
}

/// What the head of an answer says of the token.
pub(crate) enum Verdict {
    Taken,
    Rejected,
    /// The body is to be asked, by this rule.
    Body(fn(&[u8]) -> bool),
}

/// Adds the token, and what the API wants beside it; a header that the caller has set stays.
pub(crate) fn attach(token: &AccessToken, headers: &mut HeaderMap) {
    headers.insert(AUTHORIZATION, token.authorization().clone());
    for (name, value) in token.api_headers() {
        headers.entry(name).or_insert_with(|| value.clone());
    }
}

/// A 401 rejects the token, unless it says that the token's scope is too small (RFC 6750 3.1): another would be no
/// better.
fn is_rejection(status: StatusCode, headers: &HeaderMap) -> bool {
    let says_scope = |challenge: &[u8]| challenge.windows(SCOPE_ERROR.len()).any(|part| part == SCOPE_ERROR);
    status == StatusCode::UNAUTHORIZED
        && !headers.get_all(WWW_AUTHENTICATE).iter().any(|challenge| says_scope(challenge.as_bytes()))
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
    fn a3_too_small_a_scope_is_no_rejection() {
        let challenge = |text| HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::from_static(text))]);
        let cases = [
            (401, "", true),
            (401, r#"Bearer error="invalid_token""#, true),
            (401, r#"Bearer realm="a", error="insufficient_scope", scope="b""#, false),
            (403, "", false),
            (403, r#"Bearer error="invalid_token""#, false),
            (200, "", false),
            (407, "", false),
        ];
        for (status, text, expected) in cases {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(is_rejection(status, &challenge(text)), expected, "{status} {text}");
        }
    }
}

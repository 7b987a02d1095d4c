//! One login or refresh, with its attempts, within one deadline.

pub(crate) mod classify;
pub(crate) mod provider_calls;
mod retry_after;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};

use crate::backoff;
use crate::clock::{Clock, Moment};
use crate::error::{Error, ErrorKind};
use crate::freshness::Freshness;
use crate::message::Request;
use crate::name::Name;
use crate::policy::Policy;
use crate::renew::{Renew, Renewal, RenewalContext};
use crate::targets;
use crate::token::{AccessToken, RefreshToken, TokenSet};
use crate::transport::Transport;

use classify::{classify, is_unreadable};
use provider_calls::ProviderCalls;

/// Logs in to a provider through a transport, with a few attempts within one deadline. It caches nothing.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) provider: ProviderCalls,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) name: Name,
}

#[async_trait]
impl Renew for Login {
    async fn renew(&self, context: RenewalContext) -> Renewal {
        self.run(context).await
    }

    #[cfg(feature = "store")]
    async fn recall(&self, _: RenewalContext) -> Result<Option<crate::renew::Recalled>, Error> {
        Ok(None)
    }

    #[cfg(feature = "store")]
    async fn forget(&self, _: crate::renew::StoreCursor) {}
}

impl Login {
    /// Gets a new token, and records a failure in the cooldown.
    ///
    /// It sends the refresh token if there is one that has not expired and the provider supports refreshes. Otherwise
    /// it logs in with the credentials.
    ///
    /// A refresh token that the server may have processed is never sent again. A server that rotates refresh tokens
    /// treats a second use as theft and ends the session (RFC 9700 4.14.2). A refresh token that was certainly not
    /// processed is returned.
    pub(crate) async fn run(&self, context: RenewalContext) -> Renewal {
        let RenewalContext { deadline, mut refresh, mut cooldown, .. } = context;
        let mut attempts = 0;
        // The backoff continues after the attempts that have failed before this login.
        let failures = cooldown.failures();
        let result = match timeout_at(deadline, self.attempts(&mut refresh, failures, deadline, &mut attempts)).await {
            Ok(result) => result,
            Err(_) => Err(Error::unavailable(LATE)),
        };
        let now = self.clock.now();
        let result = result.and_then(|token| match token.term().at(&now) {
            Freshness::Fresh | Freshness::Stale => Ok(token),
            Freshness::Expiring | Freshness::Expired => Err(Error::malformed("the token ended before it arrived")),
        });
        let outcome = result.map_err(|error| {
            let error = error.with_provider(self.name.provider);
            cooldown.fail(error, attempts, now, &self.policy)
        });
        Renewal {
            attempts,
            outcome,
            refresh,
            cooldown,
            #[cfg(feature = "store")]
            spare: None,
            is_news: true,
            #[cfg(feature = "store")]
            cursor: None,
        }
    }

    /// Returns the result of a renewal that failed before its login.
    #[cfg(feature = "store")]
    pub(crate) fn failed(&self, error: Error, context: RenewalContext) -> Renewal {
        let mut cooldown = context.cooldown;
        let error = cooldown.fail(error, 0, self.clock.now(), &self.policy);
        Renewal { refresh: context.refresh, ..Renewal::failed(error, cooldown) }
    }

    async fn attempts(
        &self,
        refresh: &mut Option<RefreshToken>,
        failures: u32,
        deadline: Instant,
        attempt: &mut u32,
    ) -> Result<AccessToken, Error> {
        let mut was_unreadable = false;
        let mut sent = Vec::new();
        loop {
            *attempt += 1;
            let (kind, result) = self.attempt(refresh, &mut sent).await;
            let error = match result {
                Ok(tokens) => {
                    *refresh = tokens.refresh;
                    return Ok(tokens.access);
                }
                Err(error) => error,
            };
            let random = fastrand::f64();
            let backoff = backoff::after_failure(&self.policy, failures.saturating_add(*attempt), random)
                .max(backoff::with_jitter(error.retry_after().unwrap_or_default(), random));
            let is_last = *attempt >= self.policy.attempts;
            let Some(wait) = retry_delay(kind, is_last, &error, was_unreadable, backoff) else {
                return Err(error);
            };
            // If the deadline ended this sleep, the caller would get a timeout. Return this error now, because it has
            // the cause and the time of the next attempt.
            if Instant::now() + wait >= deadline {
                return Err(match kind {
                    // The login that follows a refused refresh has no time left, so nothing is known about the
                    // credentials. A refusal would pause all logins of the account.
                    AttemptKind::Refresh if !error.is_transient() => Error::unavailable(LATE),
                    _ => error,
                });
            }
            was_unreadable |= is_unreadable(&error);
            let wait_ms = wait.as_millis() as u64;
            let (provider, label) = (self.name.provider, self.name.label());
            tracing::debug!(target: targets::FLIGHT, provider, label, attempt, wait_ms, %error, "attempt failed");
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(
        &self,
        refresh: &mut Option<RefreshToken>,
        sent: &mut Vec<Request>,
    ) -> (AttemptKind, Result<TokenSet, Error>) {
        // Read before the request is sent: the server counts the lifetime from some moment after this (F4).
        let start = self.clock.now();
        // Taken before the first await: if this future is dropped, a token that may have been sent must not remain.
        let token = refresh.take().filter(|token| !token.is_expired(&start));
        let request = token.as_ref().map_or(Ok(None), |token| self.provider.refresh_request(token));
        let (token, request) = match (token, request) {
            (Some(token), Ok(Some(request))) => (token, request),
            (_, Err(error)) => return (AttemptKind::Refresh, Err(error)),
            _ => return (AttemptKind::Login, self.log_in(sent, start).await),
        };
        let result = self.exchange(request, sent, start, Some(token.clone())).await;
        let result = match result {
            Ok(renewed) if self.is_ending(&renewed, &token) => {
                Err(Error::malformed("the refreshed token expires too soon"))
            }
            Err(error) if was_not_processed(&error) => {
                *refresh = Some(token);
                Err(error)
            }
            // After a lost response `refresh` stays empty, because the server may already have rotated the token. The
            // next attempt logs in with the credentials.
            other => other,
        };
        (AttemptKind::Refresh, result)
    }

    async fn log_in(&self, sent: &mut Vec<Request>, start: Moment) -> Result<TokenSet, Error> {
        self.exchange(self.provider.login_request()?, sent, start, None).await
    }

    async fn exchange(
        &self,
        request: Request,
        sent: &mut Vec<Request>,
        start: Moment,
        used: Option<RefreshToken>,
    ) -> Result<TokenSet, Error> {
        // All requests are kept, because a server may repeat the secret of an earlier one in its error code.
        sent.push(request.clone());
        let response = self.transport.send(request).await?;
        let token_response = classify(&self.provider, sent, &response, self.clock.now().wall, &self.policy)?;
        TokenSet::new(token_response, self.provider.api_headers()?, start, response.date(), used, &self.policy)
            .map_err(|problem| Error::malformed(problem).with_status(response.status()))
    }

    /// Returns `true` if the session of a refreshed token ends soon.
    ///
    /// Keycloak shortens the lifetime of the last tokens of a session. A token that lives as long as the login's token
    /// was not shortened.
    fn is_ending(&self, renewed: &TokenSet, used: &RefreshToken) -> bool {
        let lifetime = renewed.access.lifetime();
        lifetime < self.policy.ending_session && lifetime < used.login_lifetime()
    }
}

/// The credentials of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AttemptKind {
    Refresh,
    Login,
}

/// Returns the wait before the next attempt, or `None` if `error` ends the login.
fn retry_delay(
    kind: AttemptKind,
    is_last: bool,
    error: &Error,
    was_unreadable: bool,
    backoff: Duration,
) -> Option<Duration> {
    // A refused refresh says nothing about the credentials, so they are tried at once, even after the last attempt. A
    // redirect or a bad certificate concerns the server, and the credentials would only be sent to the wrong one. After
    // a panic of the provider, the next request would end in the same way.
    let concerns_server = matches!(error.kind(), ErrorKind::Redirected | ErrorKind::Untrusted | ErrorKind::Internal);
    if kind == AttemptKind::Refresh && !error.is_transient() && !concerns_server {
        return Some(Duration::ZERO);
    }
    if is_last {
        return None;
    }
    // R6: one more attempt after an unreadable response. A second unreadable response means a wrong address, not a lost
    // connection.
    if !error.is_transient() || (is_unreadable(error) && was_unreadable) {
        return None;
    }
    Some(backoff)
}

const LATE: &str = "the login did not finish within its deadline";

/// Returns `true` if the server has certainly not processed the request, so that a refresh token may be sent again.
///
/// Either nothing was sent, or the TLS handshake failed, or the server rejected the request before it read it: 425 (RFC 8470 5.2) or 429
/// (RFC 6585 4).
fn was_not_processed(error: &Error) -> bool {
    let is_handshake_failure = error.kind() == ErrorKind::Untrusted;
    error.is_unsent() || is_handshake_failure || matches!(error.status().map(|status| status.as_u16()), Some(425 | 429))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_depends_on_the_attempt_and_the_error() {
        let unavailable = Error::unavailable("x");
        let unreadable = Error::malformed("x").into_transient();
        let final_error = Error::malformed("x");
        let untrusted = Error::untrusted("x");
        let second = Some(Duration::from_secs(1));
        let cases = [
            (AttemptKind::Login, false, &unavailable, false, second),
            (AttemptKind::Login, true, &unavailable, false, None),
            (AttemptKind::Login, false, &unreadable, false, second),
            (AttemptKind::Login, false, &unreadable, true, None),
            (AttemptKind::Login, false, &final_error, false, None),
            (AttemptKind::Refresh, false, &final_error, false, Some(Duration::ZERO)),
            (AttemptKind::Refresh, true, &final_error, false, Some(Duration::ZERO)),
            (AttemptKind::Refresh, false, &untrusted, false, None),
            (AttemptKind::Refresh, false, &unavailable, false, second),
        ];
        for (kind, is_last, error, was_unreadable, expected) in cases {
            let wait = retry_delay(kind, is_last, error, was_unreadable, Duration::from_secs(1));
            assert_eq!(wait, expected, "{kind:?} {is_last} {error}");
        }
    }
}

//! One login or refresh, with its attempts, within one deadline.

use std::sync::Arc;
use std::time::Duration;

use crate::classify::{classify, is_unreadable};
use crate::clock::{Clock, Moment, SystemClock};
use crate::error::{Error, ErrorKind};
use crate::message::Request;
use crate::policy::Policy;
use crate::provider::Provider;
use crate::retry::backoff;
use crate::targets;
use crate::token::{AccessToken, RefreshToken, TokenSet};
use crate::transport::Transport;

/// Logs in to a [`Provider`] through a [`Transport`], with a few attempts within one deadline.
///
/// It caches nothing. Most programs use a [`TokenManager`](crate::TokenManager), which keeps the token.
///
/// ```no_run
/// use auth_core::{Login, Provider, Transport};
///
/// # async fn example(provider: impl Provider, transport: impl Transport) -> Result<(), auth_core::Error> {
/// let tokens = Login::new(provider, transport).login().await?;
/// println!("expires at {:?}", tokens.access.expires_at());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Login<P, T> {
    provider: P,
    transport: Arc<T>,
    clock: Arc<dyn Clock>,
    policy: Arc<Policy>,
}

impl<P: Provider, T: Transport> Login<P, T> {
    /// Returns a login with the default policy and the system's clock. It sends nothing yet.
    ///
    /// ```no_run
    /// # use auth_core::{Login, Provider, Transport};
    /// # fn example(provider: impl Provider, transport: impl Transport) {
    /// let login = Login::new(provider, transport);
    /// # let _ = login;
    /// # }
    /// ```
    #[must_use]
    pub fn new(provider: P, transport: T) -> Self {
        Self { provider, transport: Arc::new(transport), clock: Arc::new(SystemClock), policy: Arc::default() }
    }

    /// Sets the policy: when tokens are refreshed, and when failed logins are tried again. The default is
    /// [`Policy::default`].
    ///
    /// ```no_run
    /// # use auth_core::{Error, Login, Provider, Transport};
    /// # fn example<P: Provider, T: Transport>(login: Login<P, T>) -> Result<(), Error> {
    /// use auth_core::Policy;
    ///
    /// let login = login.with_policy(Policy::default().with_attempts(2));
    /// # let _ = login;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        self.with_shared_policy(Arc::new(policy))
    }

    pub(crate) fn with_shared_policy(mut self, policy: Arc<Policy>) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the clock by which the age of tokens is measured. The default is [`SystemClock`].
    ///
    /// ```no_run
    /// # use auth_core::{Error, Login, Provider, Transport};
    /// # fn example<P: Provider, T: Transport>(login: Login<P, T>) -> Result<(), Error> {
    /// use auth_core::SystemClock;
    ///
    /// let login = login.with_clock(SystemClock);
    /// # let _ = login;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        self.with_shared_clock(Arc::new(clock))
    }

    pub(crate) fn with_shared_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Returns the same login with other credentials.
    pub(crate) fn with_provider(&self, provider: P) -> Self {
        Self { provider, transport: self.transport.clone(), clock: self.clock.clone(), policy: self.policy.clone() }
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    pub(crate) fn name(&self) -> &'static str {
        self.provider.name()
    }

    #[cfg(feature = "store")]
    pub(crate) fn provider(&self) -> &P {
        &self.provider
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Logs in with the credentials.
    ///
    /// # Errors
    /// See [`ErrorKind`]. Only a [transient](Error::is_transient) failure is tried again, at most as often as the
    /// [policy](Policy::with_attempts) allows.
    ///
    /// # Cancel safety
    /// Dropping the future drops the request. The server may have processed it.
    ///
    /// # Example
    /// ```no_run
    /// # use auth_core::{Error, Login, Provider, Transport};
    /// # async fn example<P: Provider, T: Transport>(login: Login<P, T>) -> Result<(), Error> {
    /// let tokens = login.login().await?;
    /// println!("expires at {:?}", tokens.access.expires_at());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn login(&self) -> Result<TokenSet, Error> {
        let mut refresh = None;
        let access = self.renew(&mut refresh).await?;
        Ok(TokenSet { access, refresh })
    }

    /// Returns a new access token, and replaces `refresh` with the refresh token for the next call.
    ///
    /// It sends the refresh token if there is one that has not expired and the provider supports refreshes. Otherwise
    /// it logs in with the credentials.
    ///
    /// A refresh token that the server may have processed is removed from `refresh` and never sent again. A server that
    /// rotates refresh tokens treats a second use as theft and ends the session (RFC 9700 4.14.2). A refresh token that
    /// was certainly not processed stays in `refresh`.
    ///
    /// # Errors
    /// The same errors as [`login`](Self::login). A refused refresh is followed by a login.
    ///
    /// # Cancel safety
    /// If the future is dropped after the refresh token was sent, `refresh` is left empty.
    ///
    /// # Example
    /// ```no_run
    /// # use auth_core::{Error, Login, Provider, Transport};
    /// # async fn example<P: Provider, T: Transport>(login: Login<P, T>) -> Result<(), Error> {
    /// let tokens = login.login().await?;
    /// let mut refresh = tokens.refresh;
    /// let access = login.renew(&mut refresh).await?;
    /// # let _ = access;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn renew(&self, refresh: &mut Option<RefreshToken>) -> Result<AccessToken, Error> {
        self.run(refresh, 0).await.1
    }

    /// Renews like [`renew`](Self::renew), and returns the number of attempts as well.
    ///
    /// `failures` is the number of attempts that have failed before this login. The backoff continues from there.
    pub(crate) async fn run(
        &self,
        refresh: &mut Option<RefreshToken>,
        failures: u32,
    ) -> (u32, Result<AccessToken, Error>) {
        let mut attempt = 0;
        let attempts = self.attempts(refresh, failures, &mut attempt);
        let result = match tokio::time::timeout(self.policy.deadline, attempts).await {
            Ok(result) => result,
            Err(_) => Err(Error::unavailable("the login did not finish within its deadline")),
        };
        (attempt, result.map_err(|error| error.with_provider(self.provider.name())))
    }

    async fn attempts(
        &self,
        refresh: &mut Option<RefreshToken>,
        failures: u32,
        attempt: &mut u32,
    ) -> Result<AccessToken, Error> {
        let start = tokio::time::Instant::now();
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
            let backoff = backoff(&self.policy, failures.saturating_add(*attempt), fastrand::f64());
            let is_last = *attempt >= self.policy.attempts;
            let Some(wait) = retry_delay(kind, is_last, &error, was_unreadable, backoff) else {
                return Err(error);
            };
            // If the deadline ended this sleep, the caller would get a timeout. Return this error now, because it has
            // the cause and the time of the next attempt.
            if start.elapsed() + wait >= self.policy.deadline {
                return Err(error);
            }
            was_unreadable |= is_unreadable(&error);
            let wait_ms = wait.as_millis() as u64;
            let provider = self.provider.name();
            tracing::debug!(target: targets::FLIGHT, provider, attempt, wait_ms, %error, "attempt failed");
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
        let Some((token, request)) =
            token.and_then(|token| self.provider.refresh_request(&token).map(|request| (token, request)))
        else {
            return (AttemptKind::Login, self.exchange(self.provider.login_request(), sent, start, None).await);
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
        TokenSet::new(token_response, self.provider.api_headers(), start, response.date(), used, &self.policy)
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
    if is_last || error.is_settled() {
        return None;
    }
    // A refused refresh says nothing about the credentials, so they are tried at once. A redirect or a bad certificate
    // concerns the server, and the credentials would only be sent to the wrong one.
    let concerns_server = matches!(error.kind(), ErrorKind::Redirected | ErrorKind::Untrusted);
    if kind == AttemptKind::Refresh && !error.is_transient() && !concerns_server {
        return Some(Duration::ZERO);
    }
    // R6: one more attempt after an unreadable response. A second unreadable response means a wrong address, not a lost
    // connection.
    if !error.is_transient() || (is_unreadable(error) && was_unreadable) {
        return None;
    }
    Some(error.retry_after().unwrap_or_default().max(backoff))
}

/// Returns `true` if the server has certainly not processed the request, so that a refresh token may be sent again.
///
/// Either nothing was sent, or the server rejected the request before it read it: 425 (RFC 8470 5.2) or 429
/// (RFC 6585 4).
fn was_not_processed(error: &Error) -> bool {
    error.is_unsent() || matches!(error.status().map(|status| status.as_u16()), Some(425 | 429))
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
            (AttemptKind::Refresh, true, &final_error, false, None),
            (AttemptKind::Refresh, false, &untrusted, false, None),
            (AttemptKind::Refresh, false, &unavailable, false, second),
        ];
        for (kind, is_last, error, was_unreadable, expected) in cases {
            let wait = retry_delay(kind, is_last, error, was_unreadable, Duration::from_secs(1));
            assert_eq!(wait, expected, "{kind:?} {is_last} {error}");
        }
    }
}

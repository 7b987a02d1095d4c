//! One login or refresh within one deadline.

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

/// Logs in by a [`Provider`] over a [`Transport`], with a few attempts inside one deadline. It caches nothing.
#[derive(Debug)]
pub struct Login<P, T> {
    provider: P,
    transport: Arc<T>,
    clock: Arc<dyn Clock>,
    policy: Arc<Policy>,
}

impl<P: Provider, T: Transport> Login<P, T> {
    /// Joins a provider and a transport.
    #[must_use]
    pub fn new(provider: P, transport: T) -> Self {
        Self { provider, transport: Arc::new(transport), clock: Arc::new(SystemClock), policy: Arc::default() }
    }

    /// Sets when tokens are replaced and failures are tried again. Default is [`Policy::default`].
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        self.with_shared_policy(Arc::new(policy))
    }

    pub(crate) fn with_shared_policy(mut self, policy: Arc<Policy>) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the clock. Default is [`SystemClock`].
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        self.with_shared_clock(Arc::new(clock))
    }

    pub(crate) fn with_shared_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The same login with other credentials.
    pub(crate) fn with_provider(&self, provider: P) -> Self {
        let (transport, clock, policy) = (self.transport.clone(), self.clock.clone(), self.policy.clone());
        Self { provider, transport, clock, policy }
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
    /// See [`ErrorKind`]. More than one request is made only after a failure that [is transient](Error::is_transient), and
    /// never more than the [policy](Policy::with_attempts) allows.
    pub async fn login(&self) -> Result<TokenSet, Error> {
        let mut refresh = None;
        let access = self.renew(&mut refresh).await?;
        Ok(TokenSet { access, refresh })
    }

    /// Gets a new access token: by `refresh` where it is there, alive, and the provider has such a request; else by login.
    /// `refresh` is left with the token for the next time.
    ///
    /// A refresh token that may have been used is taken out of `refresh` and never tried again, since a server that
    /// rotates them ends the session of one who does (RFC 9700 4.14.2). One that was not sent stays.
    ///
    /// # Errors
    /// As [`login`](Self::login).
    ///
    /// # Cancel safety
    /// A dropped future leaves `refresh` empty where the token may have been used.
    pub async fn renew(&self, refresh: &mut Option<RefreshToken>) -> Result<AccessToken, Error> {
        self.run(refresh, 0).await.1
    }

    /// As [`renew`](Self::renew), where so many attempts have failed before; gives how many were made.
    pub(crate) async fn run(
        &self,
        refresh: &mut Option<RefreshToken>,
        failures: u32,
    ) -> (u32, Result<AccessToken, Error>) {
        let mut attempt = 0;
        let attempts = self.attempts(refresh, failures, &mut attempt);
        let result = match tokio::time::timeout(self.policy.deadline, attempts).await {
            Ok(result) => result,
            Err(_) => Err(Error::unavailable("the login did not end within its deadline")),
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
            let (by, result) = self.attempt(refresh, &mut sent).await;
            let error = match result {
                Ok(token) => {
                    *refresh = token.refresh;
                    return Ok(token.access);
                }
                Err(error) => error,
            };
            let backoff = backoff(&self.policy, failures.saturating_add(*attempt), fastrand::f64());
            let is_last = *attempt >= self.policy.attempts;
            let Some(wait) = next(by, is_last, &error, was_unreadable, backoff) else {
                return Err(error);
            };
            if start.elapsed() + wait >= self.policy.deadline {
                return Err(error);
            }
            was_unreadable |= is_unreadable(&error);
            let wait_ms = wait.as_millis() as u64;
            tracing::debug!(target: targets::FLIGHT, provider = self.provider.name(), attempt, wait_ms, %error, "attempt failed");
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(
        &self,
        refresh: &mut Option<RefreshToken>,
        sent: &mut Vec<Request>,
    ) -> (By, Result<TokenSet, Error>) {
        let start = self.clock.now();
        let token = refresh.take().filter(|token| !token.is_expired(&start));
        let Some((token, request)) =
            token.and_then(|token| self.provider.refresh_request(&token).map(|request| (token, request)))
        else {
            return (By::Login, self.exchange(self.provider.login_request(), sent, start, None).await);
        };
        let result = self.exchange(request, sent, start, Some(token.clone())).await;
        let result = match result {
            Ok(renewed) if self.is_ending(&renewed, &token) => {
                Err(Error::malformed("the refreshed token ends too soon"))
            }
            Err(error) if was_not_processed(&error) => {
                *refresh = Some(token);
                Err(error)
            }
            other => other,
        };
        (By::Refresh, result)
    }

    async fn exchange(
        &self,
        request: Request,
        sent: &mut Vec<Request>,
        start: Moment,
        used: Option<RefreshToken>,
    ) -> Result<TokenSet, Error> {
        sent.push(request.clone());
        let response = self.transport.send(request).await?;
        let grant = classify(&self.provider, sent, &response, self.clock.now().wall, &self.policy)?;
        TokenSet::new(grant, self.provider.api_headers(), start, response.date(), used, &self.policy)
            .map_err(|what| Error::malformed(what).with_status(response.status()))
    }

    /// Tells whether the session behind a refreshed token ends soon.
    fn is_ending(&self, renewed: &TokenSet, used: &RefreshToken) -> bool {
        let lifetime = renewed.access.lifetime();
        lifetime < self.policy.ending_session && lifetime < used.login_lifetime()
    }
}

/// What an attempt was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Refresh,
    Login,
}

/// Decides whether to try again after `error`, and how long to wait before.
fn next(by: By, is_last: bool, error: &Error, was_unreadable: bool, backoff: Duration) -> Option<Duration> {
    if is_last || error.is_settled() {
        return None;
    }
    let concerns_the_refresh_alone = !matches!(error.kind(), ErrorKind::Redirected | ErrorKind::Untrusted);
    if by == By::Refresh && !error.is_transient() && concerns_the_refresh_alone {
        return Some(Duration::ZERO);
    }
    if !error.is_transient() || (is_unreadable(error) && was_unreadable) {
        return None;
    }
    Some(error.retry_after().unwrap_or_default().max(backoff))
}

/// The server has surely not acted on the request: nothing left, or it was turned away at the door.
fn was_not_processed(error: &Error) -> bool {
    error.is_unsent() || matches!(error.status().map(|status| status.as_u16()), Some(425 | 429))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_attempt_by_what_failed() {
        let unavailable = Error::unavailable("x");
        let unreadable = Error::malformed("x").into_transient();
        let final_error = Error::malformed("x");
        let untrusted = Error::untrusted("x");
        let second = Some(Duration::from_secs(1));
        let cases = [
            (By::Login, false, &unavailable, false, second),
            (By::Login, true, &unavailable, false, None),
            (By::Login, false, &unreadable, false, second),
            (By::Login, false, &unreadable, true, None),
            (By::Login, false, &final_error, false, None),
            (By::Refresh, false, &final_error, false, Some(Duration::ZERO)),
            (By::Refresh, true, &final_error, false, None),
            (By::Refresh, false, &untrusted, false, None),
            (By::Refresh, false, &unavailable, false, second),
        ];
        for (by, is_last, error, was_unreadable, expected) in cases {
            let wait = next(by, is_last, error, was_unreadable, Duration::from_secs(1));
            assert_eq!(wait, expected, "{by:?} {is_last} {error}");
        }
    }
}

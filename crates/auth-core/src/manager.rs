//! Keeps one credential's token fresh.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Moment;
use crate::error::Error;
use crate::freshness::{is_usable, refresh_point};
use crate::login::Login;
use crate::provider::Provider;
use crate::source::TokenSource;
use crate::token::{AccessToken, RefreshToken};
use crate::transport::Transport;

/// Keeps the token of one [`Login`] fresh: one login serves every caller, and a usable token outlives a failed refresh.
///
/// ```no_run
/// use auth_core::{Login, Provider, TokenManager, TokenSource, Transport};
///
/// # async fn example(provider: impl Provider, transport: impl Transport) -> Result<(), auth_core::Error> {
/// let tokens = TokenManager::new(Login::new(provider, transport));
/// let token = tokens.token().await?; // logs in
/// let token = tokens.token().await?; // the same token, from memory
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TokenManager<P, T> {
    login: Login<P, T>,
    current: Mutex<Option<Current>>,
    /// Held by the one caller that logs in; guards what only that caller needs.
    flight: tokio::sync::Mutex<Option<RefreshToken>>,
}

#[derive(Debug, Clone)]
struct Current {
    token: AccessToken,
    refresh_at: Duration,
}

impl Current {
    fn is_fresh(&self, now: &Moment) -> bool {
        now.since(&self.token.issued()) < self.refresh_at
    }

    fn is_usable(&self, now: &Moment) -> bool {
        is_usable(now.since(&self.token.issued()), self.token.lifetime())
    }
}

impl<P: Provider, T: Transport> TokenManager<P, T> {
    /// Starts without a token; needs no runtime and sends nothing.
    #[must_use]
    pub fn new(login: Login<P, T>) -> Self {
        Self { login, current: Mutex::new(None), flight: tokio::sync::Mutex::new(None) }
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        // The value is replaced whole, so a panic elsewhere cannot leave it half done.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self, is_enough: fn(&Current, &Moment) -> bool) -> Option<AccessToken> {
        let now = self.login.now();
        let current = self.current();
        current.as_ref().filter(|current| is_enough(current, &now)).map(|current| current.token.clone())
    }

    async fn renew(&self) -> Result<AccessToken, Error> {
        let mut refresh = self.flight.lock().await;
        if let Some(token) = self.held(Current::is_fresh) {
            return Ok(token);
        }
        let token = self.login.renew(&mut refresh).await?;
        *refresh = token.refresh;
        let current = Current {
            refresh_at: refresh_point(token.access.lifetime(), fastrand::f64()),
            token: token.access.clone(),
        };
        *self.current() = Some(current);
        Ok(token.access)
    }
}

#[async_trait]
impl<P: Provider, T: Transport> TokenSource for TokenManager<P, T> {
    fn cached(&self) -> Option<AccessToken> {
        self.held(Current::is_usable)
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        if let Some(token) = self.held(Current::is_fresh) {
            return Ok(token);
        }
        match self.renew().await {
            Err(error) => self.cached().ok_or(error),
            renewed => renewed,
        }
    }

    fn reject(&self, token: &AccessToken) {
        self.current().take_if(|current| current.token.same(token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::login::tests::login;
    use crate::testing::{Answer, Script};

    fn grant(name: &str) -> Answer {
        Answer::json(200, &format!(r#"{{"token":"{name}","life":1000}}"#))
    }

    #[tokio::test(start_paused = true)]
    async fn a_usable_token_outlives_a_failed_refresh() {
        let script = Script::new([vec![grant("first")], vec![Answer::json(503, ""); 6]].concat());
        let tokens = TokenManager::new(login(&script));
        tokens.token().await.unwrap();

        tokio::time::advance(Duration::from_secs(690)).await;
        assert_eq!(tokens.token().await.unwrap().expose(), "first");
        assert_eq!(script.requests().len(), 1, "fresh");

        tokio::time::advance(Duration::from_secs(111)).await;
        assert_eq!(tokens.token().await.unwrap().expose(), "first");
        assert_eq!(script.requests().len(), 4, "stale");

        tokio::time::advance(Duration::from_secs(170)).await;
        assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert!(tokens.cached().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn one_login_serves_every_caller() {
        let script = Script::new([grant("first").after(Duration::from_secs(2)), grant("second")]);
        let tokens = std::sync::Arc::new(TokenManager::new(login(&script)));
        let callers: Vec<_> =
            (0..1000).map(|_| tokens.clone()).map(|tokens| tokio::spawn(async move { tokens.token().await })).collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap().unwrap().expose(), "first");
        }
        assert_eq!(script.requests().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rejected_token_is_replaced_and_a_newer_one_stays() {
        let tokens = TokenManager::new(login(&Script::new([grant("same"), grant("same")])));
        let first = tokens.token().await.unwrap();
        tokens.reject(&first);
        assert!(tokens.cached().is_none());
        let second = tokens.token().await.unwrap();
        tokens.reject(&first);
        assert!(tokens.cached().unwrap().same(&second));
    }
}

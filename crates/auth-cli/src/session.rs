//! An account's tokens: from the cache, and else by login.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use auth_all::core::store::TokenStore;
use auth_all::core::{AccessToken, Clock, Login, Provider, SystemClock, TokenManager, TokenSource};
use auth_all::store_file::{self, FileStore};
use etcetera::BaseStrategy;

use crate::account::Account;
use crate::config::places;
use crate::failure::{Failure, Result};
use crate::transport::LazyTransport;

pub(crate) type Manager = TokenManager<Arc<dyn Provider>, LazyTransport>;

/// The cache on disk: where `AUTH_CACHE_DIR` says, or the user's place for caches.
pub(crate) fn cache() -> Result<FileStore> {
    let builder = store_file::Builder::from_env()?;
    let is_set = env::var_os("AUTH_CACHE_DIR").is_some_and(|dir| !dir.is_empty());
    let builder = if is_set { builder } else { builder.with_dir(places()?.cache_dir().join("auth")) };
    Ok(builder.build()?)
}

/// Where a token comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Cache,
    Login,
}

/// One account and its tokens.
pub(crate) struct Session {
    pub(crate) account: Account,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) tokens: Manager,
    transport: LazyTransport,
}

impl Session {
    pub(crate) fn new(account: Account, cache: Option<&FileStore>) -> Result<Self> {
        let provider = account.provider()?;
        let transport = LazyTransport::default();
        let login = Login::new(provider.clone(), transport.clone());
        let tokens = match cache {
            Some(cache) => TokenManager::with_store(login, Arc::new(cache.clone())),
            None => TokenManager::new(login),
        };
        Ok(Self { account, provider, tokens, transport })
    }

    /// Gives a token with so much left, by login where the cache has none.
    ///
    /// A token that is usable is not renewed early: this process would have to wait for that.
    pub(crate) async fn token(&self, min_ttl: Duration) -> Result<(AccessToken, Source)> {
        self.recall().await;
        if let Some(token) = self.tokens.cached().filter(|token| token.remaining(&SystemClock.now()) >= min_ttl) {
            return Ok((token, Source::Cache));
        }
        self.transport.build()?;
        match self.tokens.token_with(min_ttl).await {
            // Another process may have logged in meanwhile.
            Ok(token) => Ok((token, if self.transport.was_used() { Source::Login } else { Source::Cache })),
            Err(error) if error.setting() == Some("min_validity") => Err(Failure::usage(format!("--min-ttl: {error}"))),
            Err(error) => {
                let failure = Failure::login(&error, self.tokens.status().next_attempt_at);
                let is_profile = self.account.name != self.account.provider;
                Err(if is_profile { failure.of(&self.account.name) } else { failure })
            }
        }
    }

    /// Takes what the cache knows; one that cannot be asked is warned of by the library.
    pub(crate) async fn recall(&self) {
        let _ = self.tokens.recall().await;
    }

    /// Takes the cached token for rejected.
    pub(crate) async fn reject(&self) {
        self.recall().await;
        if let Some(token) = self.tokens.cached() {
            self.tokens.reject(&token);
        }
    }

    /// Removes all that the cache has of this account.
    pub(crate) fn forget(&self, cache: &FileStore) -> Result<()> {
        if let Some(identity) = self.provider.identity() {
            cache.remove(&cache.sealing().name(self.provider.name(), &identity))?;
        }
        Ok(())
    }

    /// The client behind the logins.
    pub(crate) fn transport(&self) -> &LazyTransport {
        &self.transport
    }
}

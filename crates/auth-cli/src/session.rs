//! An account's tokens: from the cache, and else by login.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use auth_all::core::store::TokenStore;
use auth_all::core::{AccessToken, Clock, Error, Login, Provider, SystemClock, TokenManager, TokenSource};
use auth_all::store_file::{self, FileStore};
use etcetera::BaseStrategy;
use serde::Serialize;

use crate::account::Account;
use crate::config::places;
use crate::failure::{Failure, Result, with_causes};
use crate::transport::LazyTransport;

pub(crate) type Manager = TokenManager<Arc<dyn Provider>, LazyTransport>;

/// The cache on disk: where `AUTH_CACHE_DIR` says, or the user's place for caches.
pub(crate) fn cache() -> Result<FileStore> {
    let set = env::var_os("AUTH_CACHE_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let dir = set.map_or_else(|| places().map(|places| places.cache_dir().join("auth")), Ok)?;
    let cache = store_file::Builder::from_env().and_then(|builder| builder.with_dir(&dir).build());
    cache.map_err(|error| useless(&dir, error))
}

/// Without a cache, what was refused would be tried again each time: it is left out by wish alone.
fn useless(dir: &Path, error: Error) -> Failure {
    Failure::from(error)
        .of(&format!("the cache in {}", dir.display()))
        .with_advice("AUTH_CACHE_DIR moves it; --no-cache does without, where a command has that")
}

/// Of a token's life, what may be asked for.
const MOST_OF_LIFE: f64 = 0.95;

/// Where a token comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    Cache,
    Login,
}

/// One account and its tokens.
pub(crate) struct Session {
    pub(crate) account: Account,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) tokens: Manager,
    pub(crate) transport: LazyTransport,
    cache: Option<FileStore>,
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
        Ok(Self { account, provider, tokens, transport, cache: cache.cloned() })
    }

    /// Gives a token with so much left, by login where the cache has none.
    ///
    /// One that is usable is not renewed early: this process would have to wait for that.
    pub(crate) async fn token(&self, min_ttl: Duration) -> Result<(AccessToken, Source)> {
        self.recall().await?;
        if let Some(token) = self.tokens.cached() {
            if token.remaining_at(&SystemClock.now()) >= min_ttl {
                return Ok((token, Source::Cache));
            }
            // The next one would have less on its arrival, and so on with each call.
            if min_ttl > token.lifetime().mul_f64(MOST_OF_LIFE) {
                return Err(self.too_long());
            }
        }
        self.ready()?;
        self.told(self.tokens.token_valid_for(min_ttl).await)
    }

    /// Gets another token, with so much left.
    pub(crate) async fn renew(&self, min_ttl: Duration) -> Result<(AccessToken, Source)> {
        self.recall().await?;
        self.ready()?;
        let (token, source) = self.told(self.tokens.renew().await)?;
        if token.remaining_at(&SystemClock.now()) < min_ttl { Err(self.too_long()) } else { Ok((token, source)) }
    }

    /// Sees to all that a login needs here, so that what is wrong with it is told as such, and is not remembered as a
    /// failure of the provider's.
    fn ready(&self) -> Result<()> {
        self.cache.as_ref().map_or(Ok(()), |cache| cache.probe().map_err(|error| useless(cache.dir(), error)))?;
        self.transport.build().map(drop)
    }

    fn too_long(&self) -> Failure {
        let text = format!("--min-ttl: no token of {} has that much left when it arrives", self.provider.name());
        self.account.of(Failure::usage(text))
    }

    fn told(&self, result: std::result::Result<AccessToken, Error>) -> Result<(AccessToken, Source)> {
        match result {
            // Another process may have logged in meanwhile.
            Ok(token) => Ok((token, if self.transport.was_used() { Source::Login } else { Source::Cache })),
            Err(error) if error.setting() == Some("min_validity") => Err(self.too_long()),
            Err(error) => {
                let (name, uri) = (&self.account.name, self.provider.login_request().uri().clone());
                Err(self
                    .account
                    .of(error.into())
                    .with_hint(&format!("{name} logs in at {uri}; `auth check {name}` goes there step by step")))
            }
        }
    }

    /// Takes what the cache knows.
    pub(crate) async fn recall(&self) -> Result<()> {
        let recalled = self.tokens.recall().await;
        recalled.map_err(|error| match &self.cache {
            Some(cache) => useless(cache.dir(), error),
            None => error.into(),
        })
    }

    /// Removes all that the cache has of this account.
    pub(crate) fn forget(&self, cache: &FileStore) -> Result<()> {
        if let Some(identity) = self.provider.identity() {
            let removed = cache.remove(&cache.sealing().entry_name(self.provider.name(), &identity));
            removed.map_err(|error| Failure::other(with_causes(&error)))?;
        }
        Ok(())
    }
}

//! The tokens of one account: from the cache, or by a login.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use auth_all::core::store::TokenStore;
use auth_all::core::{AccessToken, Clock, Error, Provider, SystemClock, TokenManager};
use auth_all::store_file::{self, FileStore};
use etcetera::BaseStrategy;
use serde::Serialize;
use tokio::runtime::Handle;

use crate::account::Account;
use crate::config::base_dirs;
use crate::error::{CliError, Result};
use crate::text::with_causes;
use crate::transport::LazyTransport;

/// Opens the cache on disk: in `AUTH_CACHE_DIR`, or in the user's cache directory.
pub(crate) fn open_cache() -> Result<FileStore> {
    let given = env::var_os("AUTH_CACHE_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let dir = given.map_or_else(|| base_dirs().map(|dirs| dirs.cache_dir().join("auth")), Ok)?;
    let cache = store_file::Builder::from_env().and_then(|builder| builder.with_dir(&dir).build());
    cache.map_err(|error| cache_error(&dir, error))
}

/// Returns the error of a cache that cannot be used.
///
/// There is no silent fallback to no cache: refused credentials would then be sent again by every call, because nothing
/// would remember the refusal.
fn cache_error(dir: &Path, error: Error) -> CliError {
    CliError::from(error)
        .in_context(&format!("the cache in {}", dir.display()))
        .with_advice("set AUTH_CACHE_DIR to use another directory, or pass --no-cache to a command that has it")
}

/// The largest part of a token's lifetime that `--min-ttl` may ask for.
const MAX_MIN_TTL: f64 = 0.95;

/// The place that a token comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TokenOrigin {
    Cache,
    Login,
}

/// One account and its tokens.
pub(crate) struct Session {
    pub(crate) account: Account,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) tokens: TokenManager,
    pub(crate) transport: LazyTransport,
    cache: Option<FileStore>,
}

impl Session {
    pub(crate) fn new(account: Account, cache: Option<&FileStore>) -> Result<Self> {
        let provider = account.provider()?;
        let transport = LazyTransport::default();
        // This program waits for each login, so it needs no other threads, which would take longer to start than a cached
        // token takes.
        let builder = TokenManager::builder(provider.clone()).with_transport(transport.clone());
        let builder = builder.with_runtime(Handle::current());
        let builder = match cache {
            Some(cache) => builder.with_store(Arc::new(cache.clone())),
            None => builder,
        };
        let tokens = builder.with_label(account.name.as_str()).build()?;
        Ok(Self { account, provider, tokens, transport, cache: cache.cloned() })
    }

    /// Returns a token that is valid for at least `min_ttl`, and logs in if the cache has none.
    ///
    /// A usable token is not renewed early, because this short program would have to wait for the renewal.
    pub(crate) async fn token(&self, min_ttl: Duration) -> Result<(AccessToken, TokenOrigin)> {
        self.load_cached().await?;
        if let Some(token) = self.tokens.cached() {
            if token.remaining_at(&SystemClock.now()) >= min_ttl {
                return Ok((token, TokenOrigin::Cache));
            }
            // A new token would arrive with less time left than that, so every call would log in again.
            if min_ttl > token.lifetime().mul_f64(MAX_MIN_TTL) {
                return Err(self.min_ttl_too_long());
            }
        }
        self.prepare_login()?;
        self.with_origin(self.tokens.token_valid_for(min_ttl).await)
    }

    /// Gets a new token that is valid for at least `min_ttl`.
    pub(crate) async fn renew(&self, min_ttl: Duration) -> Result<(AccessToken, TokenOrigin)> {
        self.load_cached().await?;
        self.prepare_login()?;
        let (token, origin) = self.with_origin(self.tokens.renew().await)?;
        if token.remaining_at(&SystemClock.now()) < min_ttl {
            Err(self.min_ttl_too_long())
        } else {
            Ok((token, origin))
        }
    }

    /// Checks the cache and the transport before a login.
    ///
    /// During the login, an error of either would count as a failed login. The cooldown after it would then delay the
    /// next call although the provider is not the cause.
    fn prepare_login(&self) -> Result<()> {
        if let Some(cache) = &self.cache {
            cache.probe().map_err(|error| cache_error(cache.dir(), error))?;
        }
        self.transport.build().map(drop)
    }

    fn min_ttl_too_long(&self) -> CliError {
        let text = format!("--min-ttl: no token of {} is valid for that long", self.provider.name());
        self.account.in_context(CliError::usage(text))
    }

    fn with_origin(&self, result: std::result::Result<AccessToken, Error>) -> Result<(AccessToken, TokenOrigin)> {
        match result {
            // If no request was sent, another process has logged in and its token came through the cache.
            Ok(token) if self.transport.was_used() => Ok((token, TokenOrigin::Login)),
            Ok(token) => Ok((token, TokenOrigin::Cache)),
            Err(error) if error.setting() == Some("min_validity") => Err(self.min_ttl_too_long()),
            Err(error) => Err(self.login_error(error)),
        }
    }

    fn login_error(&self, error: Error) -> CliError {
        let name = &self.account.name;
        let uri = self.provider.login_request().uri().clone();
        let advice = format!("{name} logs in at {uri}; run `auth check {name}` to test each step on the way there");
        self.account.in_context(error.into()).with_network_advice(&advice)
    }

    /// Loads the cached token and the cooldown of earlier failures.
    pub(crate) async fn load_cached(&self) -> Result<()> {
        let recalled = self.tokens.recall().await;
        recalled.map_err(|error| match &self.cache {
            Some(cache) => cache_error(cache.dir(), error),
            None => error.into(),
        })
    }

    /// Removes everything that the cache holds for this account.
    pub(crate) fn clear(&self, cache: &FileStore) -> Result<()> {
        if let Some(identity) = self.provider.identity() {
            let removed = cache.remove(&cache.sealing().entry_name(self.provider.name(), &identity));
            removed.map_err(|error| CliError::other(with_causes(&error)))?;
        }
        Ok(())
    }
}

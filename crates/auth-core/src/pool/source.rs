//! The credentials of an account of a pool, which are made by its first login.

use std::fmt;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;

use crate::credentials::{CredentialSource, Credentials, Origin};
use crate::error::Error;
use crate::provider::Provider;

/// Returns the credentials of an account.
pub(super) type AccountSource<K> = dyn Fn(K) -> Credentials + Send + Sync;

/// Calls the program's closure inside the first flight of an account, so that all callers wait for one call.
pub(super) struct PoolSource<K> {
    key: K,
    account: Arc<AccountSource<K>>,
    credentials: OnceLock<Credentials>,
}

impl<K> PoolSource<K> {
    pub(super) fn new(key: K, account: Arc<AccountSource<K>>) -> Self {
        Self { key, account, credentials: OnceLock::new() }
    }
}

#[async_trait]
impl<K: Clone + Send + Sync + 'static> CredentialSource for PoolSource<K> {
    async fn provider(&self, refused: Option<&Error>) -> Result<Arc<dyn Provider>, Error> {
        match &self.credentials.get_or_init(|| (self.account)(self.key.clone())).0 {
            Origin::Constant(provider) => Ok(provider.clone()),
            Origin::Source(source) => source.provider(refused).await,
        }
    }
}

impl<K> fmt::Debug for PoolSource<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolSource").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

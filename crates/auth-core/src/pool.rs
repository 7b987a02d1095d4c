//! A token manager for each of many accounts.

mod accounts;
mod builder;
mod source;

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use crate::clock::Moment;
use crate::credentials::{Credentials, IntoCredentials, Origin};
use crate::error::Error;
use crate::manager::TokenManager;
use crate::manager::options::Options;
use crate::targets;
use crate::token::AccessToken;

use accounts::Accounts;
use source::{AccountSource, PoolSource};

pub use builder::TokenPoolBuilder;

/// Keeps a [`TokenManager`] for each of many accounts.
///
/// A manager is built at the first call for its account. When the pool is full, unused accounts are dropped. All
/// accounts share one transport. They do not share tokens, waits or cooldowns: a failure of one account does not affect
/// another.
///
/// ```no_run
/// # async fn example<P: auth_core::Provider>(
/// #     transport: impl auth_core::Transport,
/// #     load: fn(u64) -> Result<P, auth_core::Error>,
/// # ) -> Result<(), auth_core::Error> {
/// use auth_core::{TokenPool, credentials};
///
/// // `load` returns the provider of a tenant. It is called before each login.
/// let tenants = TokenPool::builder(move |tenant: u64| credentials::from_fn(move || load(tenant)))
///     .with_transport(transport)
///     .with_label(|tenant| format!("tenant {tenant}"))
///     .build();
/// let token = tenants.token(&4711).await?;
/// # let _ = token;
/// # Ok(())
/// # }
/// ```
pub struct TokenPool<K> {
    account: Arc<AccountSource<K>>,
    label: Option<Box<Label<K>>>,
    idle_timeout: Duration,
    options: Arc<Options>,
    start: Instant,
    hasher: RandomState,
    capacity: usize,
    accounts: RwLock<Accounts<K>>,
    /// Whether the event of a full pool was emitted.
    is_full_told: AtomicBool,
}

type Label<K> = dyn Fn(&K) -> String + Send + Sync;

impl<K: Hash + Eq + Clone + Send + Sync + 'static> TokenPool<K> {
    /// Returns a builder. `account` returns the credentials of an account: a [source](crate::credentials), or a
    /// [`Provider`](crate::Provider) if they never change.
    ///
    /// It is called once for each account, by its first login. So a program that asks for an account from a thousand
    /// tasks reads its credentials once. It must not block its thread; a source may.
    ///
    /// ```no_run
    /// # use auth_core::{Error, Provider, TokenPool, Transport};
    /// # fn example<P: Provider>(transport: impl Transport, load: fn(&str) -> Option<P>) {
    /// use auth_core::credentials;
    ///
    /// let pool = TokenPool::builder(move |tenant: String| {
    ///     credentials::from_fn(move || load(&tenant).ok_or_else(|| Error::misconfigured("tenant", "is unknown")))
    /// });
    /// let pool = pool.with_transport(transport).build();
    /// # let _ = pool.len();
    /// # }
    /// ```
    pub fn builder<Kind, C: IntoCredentials<Kind>>(
        account: impl Fn(K) -> C + Send + Sync + 'static,
    ) -> TokenPoolBuilder<K> {
        TokenPoolBuilder::new(Arc::new(move |key| account(key).into_credentials()))
    }

    /// Returns a usable token of an account. If there is none, waits for a login or a refresh.
    ///
    /// # Errors
    /// The errors of [`get`](Self::get) and of [`TokenManager::token`].
    ///
    /// # Cancel safety
    /// Dropping the future ends only this wait. A login that has started continues for the other callers.
    ///
    /// # Example
    /// ```no_run
    /// # async fn example(pool: auth_core::TokenPool<u64>) -> Result<(), auth_core::Error> {
    /// let token = pool.token(&4711).await?;
    /// # let _ = token;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn token(&self, key: &K) -> Result<AccessToken, Error> {
        self.get(key)?.token().await
    }

    /// Returns the current token of an account if it is usable, without waiting and without a request.
    ///
    /// ```no_run
    /// # use auth_core::{Error, TokenPool};
    /// # fn example(pool: TokenPool<u64>) -> Result<(), Error> {
    /// if let Some(token) = pool.cached(&4711) {
    ///     println!("usable until {:?}", token.expires_at());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn cached(&self, key: &K) -> Option<AccessToken> {
        let hash = self.hasher.hash_one(key);
        let now = self.options.clock.now();
        let accounts = self.read();
        accounts.use_manager(hash, key, self.since_start(&now))?.cached_at(&now)
    }

    /// Returns the manager of an account, and builds it if the account is new. The manager gets its credentials and logs
    /// in at the first call for a token.
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) if the pool has no transport.
    ///
    /// # Example
    /// ```no_run
    /// # use auth_core::{Error, TokenPool};
    /// # async fn example(pool: TokenPool<u64>) -> Result<(), Error> {
    /// let token = pool.get(&4711)?.renew().await?;
    /// # let _ = token;
    /// # Ok(())
    /// # }
    /// ```
    pub fn get(&self, key: &K) -> Result<TokenManager, Error> {
        // Outside the lock: the hash of a long key, or a slow `Hash`, must not delay other accounts.
        let hash = self.hasher.hash_one(key);
        let now = self.options.clock.now();
        let since_start = self.since_start(&now);
        if let Some(manager) = self.read().use_manager(hash, key, since_start) {
            return Ok(manager.clone());
        }
        let label = self.label.as_ref().map(|label| label(key).into());
        let source = PoolSource::new(key.clone(), self.account.clone());
        let manager = self.options.manager(Credentials(Origin::Source(Arc::new(source))), label)?;
        let oldest = since_start.saturating_sub(millis(self.idle_timeout));
        let (key_of_account, mut dropped) = (key.clone(), Vec::new());
        let mut accounts = self.write();
        // Another thread may have added the account meanwhile. All callers must use the same manager.
        if let Some(manager) = accounts.use_manager(hash, key, since_start) {
            return Ok(manager.clone());
        }
        let is_full = accounts.make_room(&now, since_start, oldest, &mut dropped);
        accounts.insert(hash, key_of_account, manager.clone(), since_start);
        drop(accounts);
        if is_full {
            self.tell_full();
        }
        Ok(manager)
    }

    /// Removes an account, for example after a tenant has left.
    ///
    /// The next call for it builds a new manager. Clones of the old manager stay usable.
    ///
    /// ```no_run
    /// # use auth_core::{Error, TokenPool};
    /// # fn example(pool: TokenPool<u64>) -> Result<(), Error> {
    /// pool.forget(&4711);
    /// # Ok(())
    /// # }
    /// ```
    pub fn forget(&self, key: &K) {
        let hash = self.hasher.hash_one(key);
        // Dropped after the lock is released, because the transport or the source may be dropped with it.
        let _removed = self.write().remove(hash, key);
    }

    /// Returns the number of accounts.
    ///
    /// ```no_run
    /// # use auth_core::{Error, TokenPool};
    /// # fn example(pool: TokenPool<u64>) -> Result<(), Error> {
    /// println!("{} accounts", pool.len());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Returns `true` if there are no accounts.
    ///
    /// ```no_run
    /// # use auth_core::{Error, TokenPool};
    /// # fn example(pool: TokenPool<u64>) -> Result<(), Error> {
    /// assert!(pool.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Emits an event, once: a pool that is too small logs in again and again, and nothing else shows why.
    fn tell_full(&self) {
        if !self.is_full_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: targets::POOL,
                capacity = self.capacity,
                "pool full: accounts in use are dropped and log in again at their next call; raise `with_capacity`"
            );
        }
    }

    fn since_start(&self, now: &Moment) -> u64 {
        millis(now.monotonic.saturating_duration_since(self.start))
    }

    fn read(&self) -> RwLockReadGuard<'_, Accounts<K>> {
        self.accounts.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Accounts<K>> {
        self.accounts.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

impl<K> fmt::Debug for TokenPool<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pool = f.debug_struct("TokenPool");
        pool.field("capacity", &self.capacity).field("idle_timeout", &self.idle_timeout).finish_non_exhaustive()
    }
}

//! A token manager for each of many accounts.

mod builder;

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use crate::clock::Moment;
use crate::error::Error;
use crate::manager::TokenManager;
use crate::manager::options::Options;
use crate::provider::Provider;
use crate::token::AccessToken;

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
/// #     account: impl Fn(&u64) -> Result<P, auth_core::Error> + Send + Sync + 'static,
/// # ) -> Result<(), auth_core::Error> {
/// use auth_core::TokenPool;
///
/// let tenants = TokenPool::builder(account) // `account` returns the provider of a tenant
///     .with_transport(transport)
///     .with_label(|tenant| format!("tenant {tenant}"))
///     .build();
/// let token = tenants.token(&4711).await?;
/// # let _ = token;
/// # Ok(())
/// # }
/// ```
pub struct TokenPool<K> {
    providers: Box<Providers<K>>,
    label: Option<Box<Label<K>>>,
    capacity: usize,
    idle_timeout: Duration,
    options: Options,
    start: Instant,
    accounts: RwLock<HashMap<K, Account>>,
}

type Providers<K> = dyn Fn(&K) -> Result<Arc<dyn Provider>, Error> + Send + Sync;

type Label<K> = dyn Fn(&K) -> String + Send + Sync;

struct Account {
    manager: TokenManager,
    /// The last use, in milliseconds since the start of the pool.
    last_used: AtomicU64,
}

impl Account {
    /// Returns the order in which accounts are dropped, lowest first.
    fn rank(&self) -> (bool, u64) {
        (self.manager.has_cooldown(), self.last_used.load(Ordering::Relaxed))
    }
}

impl<K: Hash + Eq + Clone> TokenPool<K> {
    /// Returns a builder. `account` returns the provider of an account, and is called at the first call for it.
    ///
    /// ```no_run
    /// # use auth_core::{Error, Provider, TokenPool, Transport};
    /// # fn example<P: Provider>(transport: impl Transport, load: fn(&str) -> Option<P>) {
    /// let pool = TokenPool::builder(move |tenant: &String| {
    ///     load(tenant).ok_or_else(|| Error::misconfigured("tenant", "is unknown"))
    /// });
    /// let pool = pool.with_transport(transport).build();
    /// # let _ = pool.len();
    /// # }
    /// ```
    pub fn builder<P: Provider>(
        account: impl Fn(&K) -> Result<P, Error> + Send + Sync + 'static,
    ) -> TokenPoolBuilder<K> {
        TokenPoolBuilder::new(Box::new(move |key| Ok(Arc::new(account(key)?) as Arc<dyn Provider>)))
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
        let now = self.options.clock.now();
        let accounts = self.read();
        let account = accounts.get(key)?;
        account.last_used.store(self.since_start(&now), Ordering::Relaxed);
        account.manager.cached_at(&now)
    }

    /// Returns the manager of an account, and builds it if the account is new. The manager logs in at the first call
    /// for a token.
    ///
    /// # Errors
    /// The error of the pool's closure, or of its transport, if the account is new.
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
        let now = self.since_start(&self.options.clock.now());
        if let Some(account) = self.read().get(key) {
            account.last_used.store(now, Ordering::Relaxed);
            return Ok(account.manager.clone());
        }
        // Without the lock: the closure may read a file or a database, and other accounts must not wait for that. So
        // two threads may build a manager for the same account. `or_insert` keeps the first, and both threads use it.
        let label = self.label.as_ref().map(|label| label(key).into());
        let manager = self.options.manager((self.providers)(key)?, label)?;
        let mut accounts = self.write();
        self.make_room(&mut accounts, now);
        let account = accounts.entry(key.clone()).or_insert(Account { manager, last_used: now.into() });
        Ok(account.manager.clone())
    }

    /// Removes an account, for example after a change of its credentials.
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
        self.write().remove(key);
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

    /// Makes room for one account if the pool is full.
    ///
    /// Accounts that are past the idle timeout are dropped first. If that is not enough, a sixteenth of the capacity is
    /// dropped at once, so that the next calls need not sort all accounts again. Accounts in a cooldown are dropped
    /// last: a new manager does not know about the refusal and would send the wrong credentials again at once.
    fn make_room(&self, accounts: &mut HashMap<K, Account>, now: u64) {
        if accounts.len() < self.capacity {
            return;
        }
        let oldest = now.saturating_sub(self.idle_timeout.as_millis().try_into().unwrap_or(u64::MAX));
        accounts.retain(|_, account| account.last_used.load(Ordering::Relaxed) >= oldest);
        let surplus = (accounts.len() + 1).saturating_sub(self.capacity);
        if surplus == 0 {
            return;
        }
        let mut ranked: Vec<_> = accounts.iter().map(|(key, account)| (account.rank(), key.clone())).collect();
        ranked.sort_unstable_by_key(|(rank, _)| *rank);
        for (_, key) in ranked.into_iter().take(surplus.max(self.capacity / 16)) {
            accounts.remove(&key);
        }
    }

    fn since_start(&self, now: &Moment) -> u64 {
        now.monotonic.saturating_duration_since(self.start).as_millis().try_into().unwrap_or(u64::MAX)
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<K, Account>> {
        self.accounts.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<K, Account>> {
        self.accounts.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> fmt::Debug for TokenPool<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pool = f.debug_struct("TokenPool");
        pool.field("capacity", &self.capacity).field("idle_timeout", &self.idle_timeout).finish_non_exhaustive()
    }
}

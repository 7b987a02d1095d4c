//! A token manager for each of many accounts.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use crate::clock::{Clock, Moment, SystemClock};
use crate::error::Error;
use crate::login::Login;
use crate::manager::TokenManager;
use crate::policy::Policy;
use crate::provider::Provider;
#[cfg(feature = "store")]
use crate::store::TokenStore;
use crate::token::AccessToken;
use crate::transport::Transport;

/// Keeps a [`TokenManager`] for each account of a provider.
///
/// A manager is built at the first call for its account. When the pool is full, unused accounts are dropped. All
/// accounts share one transport. They do not share tokens, waits or cooldowns: a failure of one account does not affect
/// another.
///
/// ```no_run
/// use auth_core::{Provider, TokenPool, TokenSource, Transport};
///
/// # async fn example<P: Provider>(
/// #     transport: impl Transport,
/// #     tenant: impl Fn(&u64) -> Result<P, auth_core::Error> + Send + Sync + 'static,
/// # ) -> Result<(), auth_core::Error> {
/// let tenants = TokenPool::new(transport, tenant); // `tenant` returns the provider of an account
/// let token = tenants.get(&4711)?.token().await?;
/// # let _ = token;
/// # Ok(())
/// # }
/// ```
pub struct TokenPool<K, P, T> {
    transport: Arc<T>,
    credentials: Box<Credentials<K, P>>,
    capacity: usize,
    idle_timeout: Duration,
    policy: Arc<Policy>,
    clock: Arc<dyn Clock>,
    start: Instant,
    #[cfg(feature = "store")]
    store: Option<Arc<dyn TokenStore>>,
    accounts: RwLock<HashMap<K, Account<P, T>>>,
}

type Credentials<K, P> = dyn Fn(&K) -> Result<P, Error> + Send + Sync;

struct Account<P, T> {
    manager: TokenManager<P, Arc<T>>,
    /// The last use, in milliseconds since the start of the pool.
    last_used: AtomicU64,
}

impl<P: Provider, T: Transport> Account<P, T> {
    /// Returns the order in which accounts are dropped, lowest first.
    fn rank(&self) -> (bool, u64) {
        (self.manager.has_cooldown(), self.last_used.load(Ordering::Relaxed))
    }
}

impl<K, P, T> TokenPool<K, P, T>
where
    K: Hash + Eq + Clone,
    P: Provider,
    T: Transport,
{
    /// Creates an empty pool. `credentials` returns the provider of an account, and is called at the first call for
    /// that account.
    ///
    /// ```no_run
    /// # use auth_core::{Error, Provider, TokenPool, Transport};
    /// # fn example<P: Provider>(transport: impl Transport, load: fn(&str) -> Option<P>) {
    /// let pool = TokenPool::new(transport, move |tenant: &String| {
    ///     load(tenant).ok_or_else(|| Error::misconfigured("tenant", "is unknown"))
    /// });
    /// # let _ = pool.len();
    /// # }
    /// ```
    pub fn new(transport: T, credentials: impl Fn(&K) -> Result<P, Error> + Send + Sync + 'static) -> Self {
        let clock = SystemClock;
        Self {
            transport: Arc::new(transport),
            credentials: Box::new(credentials),
            capacity: 10_000,
            idle_timeout: Duration::from_secs(24 * 3600),
            policy: Arc::default(),
            start: clock.now().monotonic,
            clock: Arc::new(clock),
            #[cfg(feature = "store")]
            store: None,
            accounts: RwLock::default(),
        }
    }

    /// Sets the maximum number of accounts, at least one. The default is 10,000.
    ///
    /// When the pool is full, the accounts that have been unused for the longest time are dropped.
    ///
    /// ```no_run
    /// # use auth_core::{Error, Provider, TokenPool, Transport};
    /// # fn example<P: Provider, T: Transport>(pool: TokenPool<u64, P, T>) -> Result<(), Error> {
    /// let pool = pool.with_capacity(500);
    /// # let _ = pool.len();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity.max(1);
        self
    }

    /// Sets how long an unused account is kept. The default is 24 hours.
    ///
    /// Unused accounts are dropped only when the pool is [full](Self::with_capacity).
    ///
    /// ```no_run
    /// # use auth_core::{Error, Provider, TokenPool, Transport};
    /// # fn example<P: Provider, T: Transport>(pool: TokenPool<u64, P, T>) -> Result<(), Error> {
    /// use std::time::Duration;
    ///
    /// let pool = pool.with_idle_timeout(Duration::from_secs(3600));
    /// # let _ = pool.len();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_idle_timeout(mut self, idle_timeout: Duration) -> Self {
        self.idle_timeout = idle_timeout;
        self
    }

    /// Sets the policy of all accounts. The default is [`Policy::default`].
    ///
    /// ```no_run
    /// # use auth_core::{Error, Provider, TokenPool, Transport};
    /// # fn example<P: Provider, T: Transport>(pool: TokenPool<u64, P, T>) -> Result<(), Error> {
    /// use auth_core::Policy;
    ///
    /// let pool = pool.with_policy(Policy::default().with_attempts(2));
    /// # let _ = pool.len();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = Arc::new(policy);
        self
    }

    /// Sets the clock of the pool and of its managers. The default is [`SystemClock`].
    ///
    /// ```no_run
    /// # use auth_core::{Error, Provider, TokenPool, Transport};
    /// # fn example<P: Provider, T: Transport>(pool: TokenPool<u64, P, T>) -> Result<(), Error> {
    /// use auth_core::SystemClock;
    ///
    /// let pool = pool.with_clock(SystemClock);
    /// # let _ = pool.len();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.start = clock.now().monotonic;
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the store through which processes share the tokens of all accounts. The default is none.
    ///
    /// See [`TokenManager::with_store`].
    ///
    /// ```no_run
    /// # use std::sync::Arc;
    /// # use auth_core::{Provider, TokenPool, Transport, store::TokenStore};
    /// # fn example<P: Provider, T: Transport>(pool: TokenPool<u64, P, T>, store: Arc<dyn TokenStore>) {
    /// let pool = pool.with_store(store);
    /// # let _ = pool.len();
    /// # }
    /// ```
    #[cfg(feature = "store")]
    #[must_use]
    pub fn with_store(mut self, store: Arc<dyn TokenStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Returns the current token of an account if it is usable, without waiting and without a request.
    ///
    /// ```no_run
    /// # use auth_core::{Error, Provider, TokenPool, Transport};
    /// # fn example<P: Provider, T: Transport>(pool: TokenPool<u64, P, T>) -> Result<(), Error> {
    /// if let Some(token) = pool.cached(&4711) {
    ///     println!("usable until {:?}", token.expires_at());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn cached(&self, key: &K) -> Option<AccessToken> {
        let now = self.clock.now();
        let accounts = self.read();
        let account = accounts.get(key)?;
        account.last_used.store(self.since_start(&now), Ordering::Relaxed);
        account.manager.cached_at(&now)
    }

    /// Returns the manager of an account, and builds it if the account is new. The manager logs in at the first call
    /// for a token.
    ///
    /// # Errors
    /// The error of `credentials`, if the account is new.
    ///
    /// # Example
    /// ```no_run
    /// # use auth_core::{Error, Provider, TokenPool, TokenSource, Transport};
    /// # async fn example<P: Provider, T: Transport>(pool: TokenPool<u64, P, T>) -> Result<(), Error> {
    /// let token = pool.get(&4711)?.token().await?;
    /// # let _ = token;
    /// # Ok(())
    /// # }
    /// ```
    pub fn get(&self, key: &K) -> Result<TokenManager<P, Arc<T>>, Error> {
        let now = self.since_start(&self.clock.now());
        if let Some(account) = self.read().get(key) {
            account.last_used.store(now, Ordering::Relaxed);
            return Ok(account.manager.clone());
        }
        // Without the lock: `credentials` may read a file or a database, and other accounts must not wait for that. So
        // two threads may build a manager for the same account. `or_insert` keeps the first, and both threads use it.
        let login = Login::new((self.credentials)(key)?, self.transport.clone())
            .with_shared_clock(self.clock.clone())
            .with_shared_policy(self.policy.clone());
        let manager = self.manager(login);
        let mut accounts = self.write();
        self.make_room(&mut accounts, now);
        let account = accounts.entry(key.clone()).or_insert(Account { manager, last_used: now.into() });
        Ok(account.manager.clone())
    }

    #[cfg(feature = "store")]
    fn manager(&self, login: Login<P, Arc<T>>) -> TokenManager<P, Arc<T>> {
        match &self.store {
            Some(store) => TokenManager::with_store(login, store.clone()),
            None => TokenManager::new(login),
        }
    }

    #[cfg(not(feature = "store"))]
    fn manager(&self, login: Login<P, Arc<T>>) -> TokenManager<P, Arc<T>> {
        TokenManager::new(login)
    }

    /// Removes an account, for example after a change of its credentials.
    ///
    /// The next call for it builds a new manager. Clones of the old manager stay usable.
    ///
    /// ```no_run
    /// # use auth_core::{Error, Provider, TokenPool, Transport};
    /// # fn example<P: Provider, T: Transport>(pool: TokenPool<u64, P, T>) -> Result<(), Error> {
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
    /// # use auth_core::{Error, Provider, TokenPool, Transport};
    /// # fn example<P: Provider, T: Transport>(pool: TokenPool<u64, P, T>) -> Result<(), Error> {
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
    /// # use auth_core::{Error, Provider, TokenPool, Transport};
    /// # fn example<P: Provider, T: Transport>(pool: TokenPool<u64, P, T>) -> Result<(), Error> {
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
    fn make_room(&self, accounts: &mut HashMap<K, Account<P, T>>, now: u64) {
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

    fn read(&self) -> RwLockReadGuard<'_, HashMap<K, Account<P, T>>> {
        self.accounts.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<K, Account<P, T>>> {
        self.accounts.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, P, T> fmt::Debug for TokenPool<K, P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pool = f.debug_struct("TokenPool");
        pool.field("capacity", &self.capacity).field("idle_timeout", &self.idle_timeout).finish_non_exhaustive()
    }
}

//! Many accounts of one provider.

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

/// Keeps a [`TokenManager`] for each account of a provider: built when it is first asked for, forgotten when it is long
/// unused, over one shared transport.
///
/// Accounts share nothing else: neither a token, nor a wait, nor a refusal.
///
/// ```no_run
/// use auth_core::{Provider, TokenPool, TokenSource, Transport};
///
/// # async fn example<P: Provider>(
/// #     transport: impl Transport,
/// #     tenant: impl Fn(&u64) -> Result<P, auth_core::Error> + Send + Sync + 'static,
/// # ) -> Result<(), auth_core::Error> {
/// let tenants = TokenPool::new(transport, tenant);
/// let token = tenants.get(&4711)?.token().await?;
/// # Ok(())
/// # }
/// ```
pub struct TokenPool<K, P, T> {
    transport: Arc<T>,
    credentials: Box<Credentials<K, P>>,
    capacity: usize,
    idle: Duration,
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
    /// When it was last asked for, in milliseconds from the start.
    used: AtomicU64,
}

impl<K, P, T> TokenPool<K, P, T>
where
    K: Hash + Eq + Clone,
    P: Provider,
    T: Transport,
{
    /// Starts empty. `credentials` gives an account's provider when it is first asked for.
    pub fn new(transport: T, credentials: impl Fn(&K) -> Result<P, Error> + Send + Sync + 'static) -> Self {
        let clock = SystemClock;
        Self {
            transport: Arc::new(transport),
            credentials: Box::new(credentials),
            capacity: 10_000,
            idle: Duration::from_secs(24 * 3600),
            policy: Arc::default(),
            start: clock.now().monotonic,
            clock: Arc::new(clock),
            #[cfg(feature = "store")]
            store: None,
            accounts: RwLock::default(),
        }
    }

    /// Sets how many accounts are kept, at least one; beyond it the longest unused are forgotten. Default is 10,000.
    #[must_use]
    pub fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity.max(1);
        self
    }

    /// Sets how long an account is kept that nobody asks for. Default is 24 hours.
    #[must_use]
    pub fn with_idle_timeout(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Sets when tokens are replaced and failures are tried again, for all accounts. Default is [`Policy::default`].
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = Arc::new(policy);
        self
    }

    /// Sets the clock of the pool and of its managers. Default is [`SystemClock`].
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.start = clock.now().monotonic;
        self.clock = Arc::new(clock);
        self
    }

    /// Shares the tokens of all accounts through a store, as [`TokenManager::with_store`] does.
    #[cfg(feature = "store")]
    #[must_use]
    pub fn with_store(mut self, store: Arc<dyn TokenStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Gives an account's current token where it is still usable, without waiting or asking anybody.
    #[must_use]
    pub fn cached(&self, key: &K) -> Option<AccessToken> {
        let now = self.clock.now();
        let accounts = self.read();
        let account = accounts.get(key)?;
        account.used.store(self.since_start(&now), Ordering::Relaxed);
        account.manager.cached_at(&now)
    }

    /// Gives the manager of an account. It logs in when it is asked for a token.
    ///
    /// # Errors
    /// What `credentials` gives for an account that is not known yet.
    pub fn get(&self, key: &K) -> Result<TokenManager<P, Arc<T>>, Error> {
        let now = self.since_start(&self.clock.now());
        if let Some(account) = self.read().get(key) {
            account.used.store(now, Ordering::Relaxed);
            return Ok(account.manager.clone());
        }
        // Outside the lock: credentials may come from anywhere.
        let login = Login::new((self.credentials)(key)?, self.transport.clone())
            .with_shared_clock(self.clock.clone())
            .with_shared_policy(self.policy.clone());
        let manager = self.manager(login);
        let mut accounts = self.write();
        self.forget_idle(&mut accounts, now);
        let account = accounts.entry(key.clone()).or_insert(Account { manager, used: now.into() });
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

    /// Forgets an account, as after a change of its credentials. Clones of its manager live on by themselves.
    pub fn forget(&self, key: &K) {
        self.write().remove(key);
    }

    /// How many accounts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes room for one: of what is idle, and where that is not enough, of a sixteenth of all, so that the next need
    /// not look again. Accounts that were refused stay as long as others can go, since a new manager would try again.
    fn forget_idle(&self, accounts: &mut HashMap<K, Account<P, T>>, now: u64) {
        if accounts.len() < self.capacity {
            return;
        }
        let oldest = now.saturating_sub(self.idle.as_millis().try_into().unwrap_or(u64::MAX));
        accounts.retain(|_, account| account.used.load(Ordering::Relaxed) >= oldest);
        let surplus = (accounts.len() + 1).saturating_sub(self.capacity);
        if surplus == 0 {
            return;
        }
        let rank = |account: &Account<P, T>| (account.manager.has_cooldown(), account.used.load(Ordering::Relaxed));
        let mut ranked: Vec<_> = accounts.iter().map(|(key, account)| (rank(account), key.clone())).collect();
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
        pool.field("capacity", &self.capacity).field("idle", &self.idle).finish_non_exhaustive()
    }
}

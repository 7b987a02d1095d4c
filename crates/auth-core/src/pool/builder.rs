//! The settings of a pool.

use std::fmt;
use std::hash::RandomState;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::runtime::Handle;

use super::accounts::Accounts;
use super::source::AccountSource;
use super::{Label, TokenPool};
use crate::clock::Clock;
use crate::manager::options::Options;
use crate::policy::Policy;
use crate::runtime::LoginRuntime;
#[cfg(feature = "store")]
use crate::store::TokenStore;
use crate::transport::Transport;

/// Collects the settings of a [`TokenPool`].
///
/// ```no_run
/// # fn example<P: auth_core::Provider>(account: fn(u64) -> P) {
/// use auth_core::TokenPool;
///
/// let pool = TokenPool::builder(account).with_capacity(500).build();
/// # }
/// ```
#[must_use]
pub struct TokenPoolBuilder<K> {
    account: Arc<AccountSource<K>>,
    label: Option<Box<Label<K>>>,
    capacity: usize,
    idle_timeout: Duration,
    options: Options,
}

impl<K: Eq> TokenPoolBuilder<K> {
    pub(super) fn new(account: Arc<AccountSource<K>>) -> Self {
        Self {
            account,
            label: None,
            capacity: 10_000,
            idle_timeout: Duration::from_secs(24 * 3600),
            options: Options::default(),
        }
    }

    /// Sets the maximum number of accounts, at least one. The default is 10,000.
    ///
    /// When the pool is full, the accounts that have been unused for the longest time are dropped, and log in again at
    /// their next call. So the capacity should exceed the number of accounts that are used within the lifetime of a
    /// token. If it does not, the pool emits one warning. Accounts that log in, are in a cooldown, or were refused
    /// lately, are not dropped and do not count, so the pool may exceed its capacity.
    ///
    /// ```no_run
    /// # use auth_core::{Provider, TokenPool};
    /// # fn example<P: Provider>(account: fn(u64) -> P) {
    /// let pool = TokenPool::builder(account).with_capacity(500).build();
    /// # }
    /// ```
    pub fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity.max(1);
        self
    }

    /// Sets how long an unused account is kept. The default is 24 hours.
    ///
    /// Unused accounts are dropped only when the pool is [full](Self::with_capacity).
    ///
    /// ```no_run
    /// # use auth_core::{Provider, TokenPool};
    /// # fn example<P: Provider>(account: fn(u64) -> P) {
    /// use std::time::Duration;
    ///
    /// let pool = TokenPool::builder(account).with_idle_timeout(Duration::from_secs(3600)).build();
    /// # }
    /// ```
    pub fn with_idle_timeout(mut self, idle_timeout: Duration) -> Self {
        self.idle_timeout = idle_timeout;
        self
    }

    /// Sets the transport of all accounts. The default is one HTTPS client that the process shares.
    ///
    /// Without the feature `reqwest` there is no default.
    ///
    /// ```no_run
    /// # use auth_core::{Error, Provider, TokenPool, Transport};
    /// # fn example<P: Provider>(account: fn(u64) -> P, transport: impl Transport) {
    /// let pool = TokenPool::builder(account).with_transport(transport).build();
    /// # }
    /// ```
    pub fn with_transport(mut self, transport: impl Transport) -> Self {
        self.options.transport = Some(Arc::new(transport));
        self
    }

    /// Sets the policy of all accounts. The default is [`Policy::default`].
    ///
    /// ```no_run
    /// # use auth_core::{Provider, TokenPool};
    /// # fn example<P: Provider>(account: fn(u64) -> P) {
    /// use auth_core::Policy;
    ///
    /// let pool = TokenPool::builder(account).with_policy(Policy::default().with_attempts(2)).build();
    /// # }
    /// ```
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.options.policy = Arc::new(policy);
        self
    }

    /// Sets the store through which processes share the tokens of all accounts. The default is none.
    ///
    /// See [`TokenManagerBuilder::with_store`](crate::TokenManagerBuilder::with_store).
    ///
    /// ```no_run
    /// # use std::sync::Arc;
    /// # use auth_core::{Provider, TokenPool, store::TokenStore};
    /// # fn example<P: Provider>(account: fn(u64) -> P, store: Arc<dyn TokenStore>) {
    /// let pool = TokenPool::builder(account).with_store(store).build();
    /// # }
    /// ```
    #[cfg(feature = "store")]
    pub fn with_store(mut self, store: Arc<dyn TokenStore>) -> Self {
        self.options.store = Some(store);
        self
    }

    /// Sets how an account is called in `tracing` events and in its [`Status`](crate::Status). The default is no label.
    ///
    /// ```no_run
    /// # use auth_core::{Provider, TokenPool};
    /// # fn example<P: Provider>(account: fn(u64) -> P) {
    /// let pool = TokenPool::builder(account).with_label(|tenant| format!("tenant {tenant}")).build();
    /// # }
    /// ```
    pub fn with_label(mut self, label: impl Fn(&K) -> String + Send + Sync + 'static) -> Self {
        self.label = Some(Box::new(label));
        self
    }

    /// Sets the clock of the pool and of its managers. The default is [`SystemClock`](crate::SystemClock).
    ///
    /// ```no_run
    /// # use auth_core::{Provider, TokenPool};
    /// # fn example<P: Provider>(account: fn(u64) -> P) {
    /// use auth_core::SystemClock;
    ///
    /// let pool = TokenPool::builder(account).with_clock(SystemClock).build();
    /// # }
    /// ```
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.options.clock = Arc::new(clock);
        self
    }

    /// Sets the runtime on which logins run. The default is the library's own.
    ///
    /// See [`TokenManagerBuilder::with_runtime`](crate::TokenManagerBuilder::with_runtime).
    ///
    /// ```no_run
    /// # use auth_core::{Provider, TokenPool};
    /// # fn example<P: Provider>(account: fn(u64) -> P) {
    /// let pool = TokenPool::builder(account).with_runtime(tokio::runtime::Handle::current()).build();
    /// # }
    /// ```
    pub fn with_runtime(mut self, runtime: Handle) -> Self {
        self.options.runtime = LoginRuntime::Given(runtime);
        self
    }

    /// Builds an empty pool. It sends nothing, and needs no runtime.
    ///
    /// ```no_run
    /// # use auth_core::{Provider, TokenPool};
    /// # fn example<P: Provider>(account: fn(u64) -> P) {
    /// let pool = TokenPool::builder(account).build();
    /// assert!(pool.is_empty());
    /// # }
    /// ```
    #[must_use]
    pub fn build(self) -> TokenPool<K> {
        let Self { account, label, capacity, idle_timeout, options } = self;
        TokenPool {
            account,
            label,
            idle_timeout,
            start: options.clock.now().monotonic,
            options: Arc::new(options),
            hasher: RandomState::new(),
            capacity,
            accounts: RwLock::new(Accounts::new(capacity)),
            is_full_told: AtomicBool::new(false),
        }
    }
}

impl<K> fmt::Debug for TokenPoolBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut builder = f.debug_struct("TokenPoolBuilder");
        builder.field("capacity", &self.capacity).field("idle_timeout", &self.idle_timeout).finish_non_exhaustive()
    }
}

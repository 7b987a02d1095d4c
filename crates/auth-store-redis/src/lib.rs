#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod client;
mod connection;
mod reply;
mod script;

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use auth_core::store::{
    EntryName, EntryUpdate, FORMAT_VERSION, LeaseNumber, LeaseOutcome, Sealing, Snapshot, TokenStore,
};
use auth_core::{Error, ProviderInfo, Secret};
use redis::{Script, ScriptInvocation};

use connection::SharedConnection;
use reply::{LeaseReply, LoadReply};

pub use auth_core as core;
pub use builder::Builder;

/// The maximum number of requests for one lease, if each reaches Redis after its deadline.
const MAX_LATE_REQUESTS: u32 = 10;

const INFO: ProviderInfo = ProviderInfo::new("redis", "AUTH_REDIS");

/// Shares tokens through Redis; see the [crate documentation](crate).
pub struct RedisStore {
    connection: SharedConnection,
    sealing: Sealing,
    prefix: String,
    timeout: Duration,
    /// The last known time by Redis's clock, in microseconds since 1970, and when it was received.
    server_time: Mutex<Option<(u64, Instant)>>,
}

impl RedisStore {
    /// Returns a builder without any setting.
    ///
    /// ```
    /// use auth_store_redis::RedisStore;
    ///
    /// let store = RedisStore::builder()
    ///     .with_url("redis://127.0.0.1:6379/0")
    ///     .with_keys("1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    ///     .build()?;
    /// # Ok::<(), auth_store_redis::core::Error>(())
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Creates a store with settings from the environment.
    ///
    /// Reads `AUTH_REDIS_URL`, `AUTH_REDIS_KEYS` or `AUTH_REDIS_KEYS_FILE`, and the other variables of the
    /// [table](crate#settings).
    ///
    /// ```no_run
    /// let store = auth_store_redis::RedisStore::from_env()?;
    /// # Ok::<(), auth_store_redis::core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of [`Builder::from_env`] and [`Builder::build`].
    pub fn from_env() -> Result<Self, Error> {
        Builder::from_env()?.build()
    }

    fn new(connection: SharedConnection, sealing: Sealing, prefix: String, timeout: Duration) -> Self {
        Self { connection, sealing, prefix, timeout, server_time: Mutex::default() }
    }

    fn invoke<'a>(&self, script: &'a Script, name: &EntryName) -> ScriptInvocation<'a> {
        // A cluster hashes only the text in braces, so both keys are on the same node and one script can use both.
        let entry = format!("{}:v{FORMAT_VERSION}:{{{}}}", self.prefix, name.as_str());
        let mut invocation = script.prepare_invoke();
        invocation.key(&entry).key(format!("{entry}:lease"));
        invocation
    }

    /// Returns the deadline of a lease that is requested now, in microseconds by Redis's clock. After it, the lease
    /// must not be granted.
    ///
    /// If Redis hangs, requests wait in its queue. When it continues, their callers may have stopped waiting or died.
    /// Without the deadline, Redis would grant leases that nobody uses, and other processes would wait until these
    /// expire.
    async fn deadline(&self) -> Result<u64, Error> {
        let known = *self.server_time.lock().unwrap_or_else(PoisonError::into_inner);
        let (server_time, elapsed) = match known {
            Some((server_time, received)) => (server_time, received.elapsed()),
            None => (self.connection.time().await?, Duration::ZERO),
        };
        // Twice the timeout, because up to one timeout may pass before the request is sent.
        let wait = elapsed + 2 * self.timeout;
        Ok(server_time.saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)))
    }

    fn note_server_time(&self, now: u64) {
        *self.server_time.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Instant::now()));
    }
}

#[async_trait]
impl TokenStore for RedisStore {
    fn name(&self) -> &'static str {
        INFO.provider
    }

    fn sealing(&self) -> &Sealing {
        &self.sealing
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    async fn load(&self, name: &EntryName) -> Result<Snapshot, Error> {
        let reply: LoadReply = self.connection.run(&self.invoke(&script::LOAD, name)).await?;
        self.note_server_time(reply.now);
        Ok(reply.into())
    }

    async fn lease(
        &self,
        name: &EntryName,
        known: LeaseNumber,
        ttl: Duration,
    ) -> Result<(LeaseOutcome, Snapshot), Error> {
        // The script may run twice, if its first reply is lost. The second run recognises the id and returns the lease
        // of the first run. Without the id, the caller would wait for a lease that it holds itself.
        let request_id = fastrand::u64(..);
        for _ in 0..MAX_LATE_REQUESTS {
            let deadline = self.deadline().await?;
            let mut script = self.invoke(&script::LEASE, name);
            script.arg(known.0).arg(milliseconds(ttl)).arg(deadline).arg(request_id);
            let reply: LeaseReply = self.connection.run(&script).await?;
            self.note_server_time(reply.entry.now);
            // `None` means that the request was late. This caller still waits, so it tries again with a later deadline.
            if let Some(outcome) = reply.outcome() {
                return Ok((outcome, reply.entry.into()));
            }
        }
        Err(Error::unavailable("redis was too busy to grant a lease in time"))
    }

    async fn claim_refresh(&self, name: &EntryName, lease: LeaseNumber) -> Result<Option<Secret>, Error> {
        let refresh: Vec<u8> = self.connection.run(self.invoke(&script::CLAIM, name).arg(lease.0)).await?;
        Ok(reply::sealed_part(refresh))
    }

    async fn save(&self, name: &EntryName, lease: LeaseNumber, update: EntryUpdate) -> Result<bool, Error> {
        let mut script = self.invoke(&script::SAVE, name);
        script.arg(lease.0).arg(milliseconds(update.ttl));
        for part in [&update.access, &update.refresh, &update.cooldown] {
            script.arg(part.as_ref().map_or("", Secret::expose));
        }
        // At most once. If the first run succeeded and only its reply was lost, another process may hold the next lease
        // and have claimed the refresh token. A second run would then return `false`: this process would believe that
        // its refresh token was never stored and keep it, so two processes would use the same one. An error means
        // "unknown" instead.
        self.connection.run_once(&script).await
    }

    async fn release(&self, name: &EntryName, lease: LeaseNumber) -> Result<(), Error> {
        self.connection.run(self.invoke(&script::RELEASE, name).arg(lease.0)).await
    }

    async fn forget(&self, name: &EntryName, saved: LeaseNumber) -> Result<(), Error> {
        self.connection.run(self.invoke(&script::FORGET, name).arg(saved.0)).await
    }
}

/// Converts a duration to milliseconds, at least 1: Redis rejects an expiry of 0.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 40)
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut store = f.debug_struct("RedisStore");
        store.field("prefix", &self.prefix).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod builder;
mod link;
mod script;
mod target;

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use auth_core::store::{
    EntryName, EntryUpdate, FORMAT_VERSION, LeaseNumber, LeaseOutcome, Sealing, Snapshot, TokenStore,
};
use auth_core::{Error, ProviderInfo, Secret};
use redis::{Script, ScriptInvocation};

use answer::{Leased, Loaded};
use link::Link;

pub use auth_core;
pub use builder::Builder;

/// How often a question may come too late before it is given up.
const MOST_LATE: u32 = 10;

const INFO: ProviderInfo = ProviderInfo::new("redis", "AUTH_REDIS");

/// Shares tokens through Redis; see the [crate's page](crate).
pub struct RedisStore {
    link: Link,
    sealing: Sealing,
    prefix: String,
    timeout: Duration,
    /// What Redis's clock showed in microseconds, and when that was.
    time: Mutex<Option<(u64, Instant)>>,
}

impl RedisStore {
    /// Starts with nothing set.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Reads the settings from the environment: `AUTH_REDIS_URL`, `AUTH_REDIS_KEYS` or `AUTH_REDIS_KEYS_FILE`, and the
    /// rest of the [table](crate#settings).
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn from_env() -> Result<Self, Error> {
        Builder::from_env()?.build()
    }

    fn new(link: Link, sealing: Sealing, prefix: String, timeout: Duration) -> Self {
        Self { link, sealing, prefix, timeout, time: Mutex::default() }
    }

    fn invoke<'a>(&self, script: &'a Script, name: &EntryName) -> ScriptInvocation<'a> {
        // The braces put both keys into one slot of a cluster.
        let entry = format!("{}:v{FORMAT_VERSION}:{{{}}}", self.prefix, name.as_str());
        let mut invocation = script.prepare_invoke();
        invocation.key(&entry).key(format!("{entry}:lease"));
        invocation
    }

    /// When, by Redis's clock, a question of now is no longer waited for: one that lay in a queue must not be granted a
    /// lease that nobody holds.
    async fn deadline(&self) -> Result<u64, Error> {
        let known = *self.time.lock().unwrap_or_else(PoisonError::into_inner);
        let (shown, since) = match known {
            Some((shown, at)) => (shown, at.elapsed()),
            None => (self.link.time().await?, Duration::ZERO),
        };
        // Twice the timeout: half of it may be gone before the question leaves.
        let until = since + 2 * self.timeout;
        Ok(shown.saturating_add(u64::try_from(until.as_micros()).unwrap_or(u64::MAX)))
    }

    fn note_time(&self, now: u64) {
        *self.time.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Instant::now()));
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
        let loaded: Loaded = self.link.run(&self.invoke(&script::LOAD, name)).await?;
        self.note_time(loaded.now);
        Ok(loaded.into())
    }

    async fn lease(
        &self,
        name: &EntryName,
        known: LeaseNumber,
        ttl: Duration,
    ) -> Result<(LeaseOutcome, Snapshot), Error> {
        let asker = fastrand::u64(..);
        for _ in 0..MOST_LATE {
            let deadline = self.deadline().await?;
            let mut script = self.invoke(&script::LEASE, name);
            script.arg(known.0).arg(milliseconds(ttl)).arg(deadline).arg(asker);
            let leased: Leased = self.link.run(&script).await?;
            self.note_time(leased.loaded.now);
            // Who is late and still there asks again.
            if let Some(lease) = leased.lease() {
                return Ok((lease, leased.loaded.into()));
            }
        }
        Err(Error::unavailable("redis was too busy to give a lease"))
    }

    async fn claim_refresh(&self, name: &EntryName, lease: LeaseNumber) -> Result<Option<Secret>, Error> {
        let refresh: Vec<u8> = self.link.run(self.invoke(&script::CLAIM, name).arg(lease.0)).await?;
        Ok(answer::part(refresh))
    }

    async fn save(&self, name: &EntryName, lease: LeaseNumber, change: EntryUpdate) -> Result<bool, Error> {
        let mut script = self.invoke(&script::SAVE, name);
        script.arg(lease.0).arg(milliseconds(change.ttl));
        for part in [&change.access, &change.refresh, &change.cooldown] {
            script.arg(part.as_ref().map_or("", Secret::expose));
        }
        // Not a second time: where the first was done and its answer lost, the refresh token may be another's by now.
        self.link.run_once(&script).await
    }

    async fn release(&self, name: &EntryName, lease: LeaseNumber) -> Result<(), Error> {
        self.link.run(self.invoke(&script::RELEASE, name).arg(lease.0)).await
    }

    async fn forget(&self, name: &EntryName, saved: LeaseNumber) -> Result<(), Error> {
        self.link.run(self.invoke(&script::FORGET, name).arg(saved.0)).await
    }
}

/// At least one, since Redis takes no end of now.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 40)
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut store = f.debug_struct("RedisStore");
        store.field("prefix", &self.prefix).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

//! The calls of a store, each waited for as long as the store's timeout lasts, and carried out whoever waits.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::guard::LeaseGuard;
use crate::error::Error;
use crate::manager::meter::Meter;
use crate::secret::Secret;
use crate::store::{EntryName, EntryUpdate, LeaseNumber, LeaseOutcome, Snapshot, TokenStore};
use crate::targets;

/// Of a store's timeout.
const SLICES: u32 = 10;

/// One flight's calls.
pub(super) struct Calls<'a> {
    pub(super) store: &'a Arc<dyn TokenStore>,
    pub(super) name: EntryName,
    pub(super) provider: &'static str,
    pub(super) meter: &'a Meter,
    /// The store has failed to answer once: nothing waits for it any more in this flight.
    pub(super) is_out: bool,
}

impl Calls<'_> {
    pub(super) async fn load(&mut self) -> Result<Snapshot, Error> {
        let (store, name) = (self.store.clone(), self.name.clone());
        let snapshot = self.answer(async move { store.load(&name).await }).await;
        self.meter.stored("load", if snapshot.is_ok() { "ok" } else { "error" });
        snapshot
    }

    /// None of these where the store is out. A lease that is granted too late is given back.
    pub(super) async fn lease(
        &mut self,
        known: LeaseNumber,
        ttl: Duration,
    ) -> Option<(LeaseOutcome, Option<LeaseGuard>, Snapshot)> {
        let (store, name) = (self.store.clone(), self.name.clone());
        let call = async move {
            let (lease, snapshot) = store.lease(&name, known, ttl).await?;
            let guard = match lease {
                LeaseOutcome::Granted(lease_number) => Some(LeaseGuard::new(store, name, lease_number, ttl)),
                _ => None,
            };
            Ok((lease, guard, snapshot))
        };
        let leased = self.ask("lease", call).await?;
        let outcome = match leased.0 {
            LeaseOutcome::Granted(_) => "granted",
            LeaseOutcome::Held(_) => "held",
            LeaseOutcome::Changed => "changed",
        };
        self.meter.stored("lease", outcome);
        Some(leased)
    }

    pub(super) async fn claim(&mut self, lease: LeaseNumber) -> Option<Secret> {
        let (store, name) = (self.store.clone(), self.name.clone());
        let call = async move { store.claim_refresh(&name, lease).await };
        let refresh = self.ask("claim", call).await?;
        self.meter.stored("claim", if refresh.is_some() { "ok" } else { "lost" });
        refresh
    }

    /// Whether it was done; none where that is not known.
    pub(super) async fn save(&mut self, lease: LeaseNumber, change: EntryUpdate) -> Option<bool> {
        let (store, name) = (self.store.clone(), self.name.clone());
        let call = async move { store.save(&name, lease, change).await };
        let is_saved = self.ask("save", call).await?;
        self.meter.stored("save", if is_saved { "ok" } else { "lost" });
        Some(is_saved)
    }

    async fn ask<R: Send + 'static>(
        &mut self,
        what: &'static str,
        call: impl Future<Output = Result<R, Error>> + Send + 'static,
    ) -> Option<R> {
        if self.is_out {
            tokio::spawn(call);
            return None;
        }
        let error = match self.answer(call).await {
            Ok(answer) => return Some(answer),
            Err(error) => error,
        };
        self.meter.stored(what, "error");
        let (provider, store) = (self.provider, self.store.name());
        tracing::warn!(target: targets::STORE, provider, store, what, ?error, "store unavailable: this login goes on without it");
        self.is_out = true;
        None
    }

    async fn answer<R: Send + 'static>(
        &self,
        call: impl Future<Output = Result<R, Error>> + Send + 'static,
    ) -> Result<R, Error> {
        match within(self.store.timeout(), tokio::spawn(call)).await {
            Some(Ok(answer)) => answer,
            Some(Err(_)) => Err(Error::unavailable("the store's work was cut off")),
            None => Err(Error::unavailable("the store did not answer in time")),
        }
    }
}

/// Waits in slices, so that a process left without a core does not use up the store's timeout: a slice that took too
/// long counts as one.
async fn within<R>(timeout: Duration, answer: impl Future<Output = R>) -> Option<R> {
    let mut answer = pin!(answer);
    for _ in 0..SLICES {
        if let Ok(answer) = tokio::time::timeout(timeout / SLICES, &mut answer).await {
            return Some(answer);
        }
    }
    None
}

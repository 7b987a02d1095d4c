//! The calls of a store. Each runs in its own task, so that it completes even if the flight has stopped waiting for it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::lease::LeaseGuard;
use crate::error::Error;
use crate::meter;
use crate::name::Name;
use crate::secret::Secret;
use crate::store::{EntryName, EntryUpdate, LeaseNumber, LeaseOutcome, Snapshot, TokenStore};
use crate::targets;

/// The number of slices of a store's timeout; see [`within`].
const SLICES: u32 = 10;

/// The calls of one flight.
pub(super) struct Calls<'a> {
    pub(super) store: &'a Arc<dyn TokenStore>,
    pub(super) entry: EntryName,
    pub(super) name: &'a Name,
    /// Whether the store has failed in this flight. After that, the flight still calls it, but does not wait.
    pub(super) is_out: bool,
}

impl Calls<'_> {
    pub(super) async fn load(&mut self) -> Result<Snapshot, Error> {
        let (store, name) = (self.store.clone(), self.entry.clone());
        let snapshot = self.response(async move { store.load(&name).await }).await;
        self.count("load", if snapshot.is_ok() { "ok" } else { "error" });
        snapshot
    }

    /// Requests the lease. Returns `None` if the store does not respond.
    ///
    /// The lease may be granted after the timeout. Then nobody receives the guard: the task of the call drops it, which
    /// releases the lease.
    pub(super) async fn lease(
        &mut self,
        known: LeaseNumber,
        ttl: Duration,
    ) -> Option<(LeaseOutcome, Option<LeaseGuard>, Snapshot)> {
        let (store, name) = (self.store.clone(), self.entry.clone());
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
        self.count("lease", outcome);
        Some(leased)
    }

    pub(super) async fn claim(&mut self, lease: LeaseNumber) -> Option<Secret> {
        let (store, name) = (self.store.clone(), self.entry.clone());
        let call = async move { store.claim_refresh(&name, lease).await };
        let refresh = self.ask("claim", call).await?;
        self.count("claim", if refresh.is_some() { "ok" } else { "lost" });
        refresh
    }

    /// Returns `true` if the update was saved, `false` if not, or `None` if the response was lost.
    pub(super) async fn save(&mut self, lease: LeaseNumber, change: EntryUpdate) -> Option<bool> {
        let (store, name) = (self.store.clone(), self.entry.clone());
        let call = async move { store.save(&name, lease, change).await };
        let is_saved = self.ask("save", call).await?;
        self.count("save", if is_saved { "ok" } else { "lost" });
        Some(is_saved)
    }

    async fn ask<R: Send + 'static>(
        &mut self,
        what: &'static str,
        call: impl Future<Output = Result<R, Error>> + Send + 'static,
    ) -> Option<R> {
        if self.is_out {
            // Still sent: a save that arrives late shares the token and ends the lease.
            tokio::spawn(call);
            return None;
        }
        let error = match self.response(call).await {
            Ok(response) => return Some(response),
            Err(error) => error,
        };
        self.count(what, "error");
        let (provider, label, store) = (self.name.provider, self.name.label(), self.store.name());
        tracing::warn!(
            target: targets::STORE,
            provider, label, store, what, ?error,
            "store unavailable: this login continues without it"
        );
        self.is_out = true;
        None
    }

    fn count(&self, call: &'static str, result: &'static str) {
        meter::stored(self.name.provider, call, result);
    }

    async fn response<R: Send + 'static>(
        &self,
        call: impl Future<Output = Result<R, Error>> + Send + 'static,
    ) -> Result<R, Error> {
        match within(self.store.timeout(), tokio::spawn(call)).await {
            Some(Ok(response)) => response,
            Some(Err(_)) => Err(Error::unavailable("the runtime shut down during a call of the store")),
            None => Err(Error::unavailable("the store did not respond in time")),
        }
    }
}

/// Waits for at most `timeout`, in slices.
///
/// If the process is not scheduled for a while, only one slice ends. A response that arrived in that time is still
/// received.
async fn within<R>(timeout: Duration, response: impl Future<Output = R>) -> Option<R> {
    let mut response = pin!(response);
    for _ in 0..SLICES {
        if let Ok(response) = tokio::time::timeout(timeout / SLICES, &mut response).await {
            return Some(response);
        }
    }
    None
}

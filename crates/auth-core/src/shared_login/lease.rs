//! A lease that this process holds.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use crate::store::{EntryName, LeaseNumber, TokenStore};

/// The wait between two attempts to release a lease.
const RELEASE_RETRY: Duration = Duration::from_millis(250);

/// Releases the lease when it is dropped. If the process is killed, the lease expires.
pub(super) struct LeaseGuard {
    store: Arc<dyn TokenStore>,
    name: EntryName,
    lease_number: LeaseNumber,
    ttl: Duration,
    is_over: bool,
}

impl LeaseGuard {
    pub(super) fn new(store: Arc<dyn TokenStore>, name: EntryName, lease_number: LeaseNumber, ttl: Duration) -> Self {
        Self { store, name, lease_number, ttl, is_over: false }
    }

    pub(super) fn lease_number(&self) -> LeaseNumber {
        self.lease_number
    }

    /// Records that a save has ended the lease, so that it is not released again.
    pub(super) fn end(mut self) {
        self.is_over = true;
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        if !self.is_over
            && let Ok(runtime) = Handle::try_current()
        {
            let (store, name, lease_number, ttl) = (self.store.clone(), self.name.clone(), self.lease_number, self.ttl);
            runtime.spawn(async move {
                // Repeated, because otherwise one lost call would delay all other processes until the lease expires.
                let released = async {
                    while store.release(&name, lease_number).await.is_err() {
                        sleep(RELEASE_RETRY).await;
                    }
                };
                timeout(ttl, released).await
            });
        }
    }
}

//! A lease in the hand of this process.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use crate::store::{EntryName, LeaseNumber, TokenStore};

/// Between two tries to give it back.
const PAUSE: Duration = Duration::from_millis(250);

/// Gives the lease back when it is dropped; a process that is killed leaves it to its time.
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

    /// It has ended with what was saved under it.
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
                // A store that is out for a moment would keep it till its end.
                let released = async {
                    while store.release(&name, lease_number).await.is_err() {
                        sleep(PAUSE).await;
                    }
                };
                timeout(ttl, released).await
            });
        }
    }
}

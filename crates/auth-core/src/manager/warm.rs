//! Renewing without being asked.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use super::flight::no_runtime;
use super::{Shared, TokenManager};
use crate::error::Error;
use crate::freshness::Freshness;
use crate::provider::Provider;
use crate::transport::Transport;

/// The longest sleep, so that a suspend or a wall clock that was set is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// A login that is under way tells its end by itself, unless it fails.
const WHILE_RENEWING: Duration = Duration::from_secs(1);

/// The shortest, so that a pause that is all but over does not spin.
const SHORTEST_SLEEP: Duration = Duration::from_millis(10);

impl<P: Provider, T: Transport> TokenManager<P, T> {
    /// Keeps a token at hand although nobody asks: logs in now, and renews at each refresh point.
    ///
    /// Ends with the last clone of this manager. Credentials that are replaced are used within a minute.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) outside a tokio runtime.
    pub fn keep_warm(&self) -> Result<(), Error> {
        let runtime = Handle::try_current().map_err(|_| no_runtime(self.0.lock().login.name()))?;
        let (shared, mut changes) = (Arc::downgrade(&self.0), self.subscribe());
        runtime.spawn(async move {
            while let Some(pause) = tend(&shared) {
                // A change may be a rejection; an error is the end of the manager.
                if let Ok(Err(_)) = tokio::time::timeout(pause, changes.changed()).await {
                    return;
                }
            }
        });
        Ok(())
    }
}

/// Begins a login where one is due, and tells when to look again; nothing where the manager is gone.
fn tend<P: Provider, T: Transport>(shared: &Weak<Shared<P, T>>) -> Option<Duration> {
    let shared = shared.upgrade()?;
    let now = shared.clock.now();
    let pause = match shared.look_at(&now) {
        Some((token, Freshness::Fresh)) => {
            Some(token.term().refresh.monotonic.saturating_duration_since(now.monotonic))
        }
        _ => {
            shared.renew_behind(&now);
            shared.lock().cooldown.remaining_at(&now)
        }
    };
    Some(pause.unwrap_or(WHILE_RENEWING).clamp(SHORTEST_SLEEP, LONGEST_SLEEP))
}

//! Renewal without a caller.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::state::Shared;
use crate::error::Error;
use crate::freshness::Freshness;

/// The longest sleep, so that a suspend or a change of the wall clock is noticed within this time.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// The sleep while a flight is under way. A success wakes the task, but a failure does not.
const WHILE_RENEWING: Duration = Duration::from_secs(1);

/// The shortest sleep, so that the task does not spin just before the end of a cooldown.
const SHORTEST_SLEEP: Duration = Duration::from_millis(10);

/// Starts the task. It ends when the last clone of the manager is dropped.
pub(super) fn keep_warm(shared: &Arc<Shared>) -> Result<(), Error> {
    let runtime = shared.options.runtime.handle()?;
    let mut changes = shared.subscribe();
    let shared = Arc::downgrade(shared);
    runtime.spawn(async move {
        while let Some(sleep) = renew_if_due(&shared) {
            // A change may be a rejection, which makes a login due. An error means that the last clone of the manager
            // was dropped.
            if let Ok(Err(_)) = tokio::time::timeout(sleep, changes.changed()).await {
                return;
            }
        }
    });
    Ok(())
}

/// Starts a flight if one is due. Returns the time until the next check, or `None` if the manager was dropped.
fn renew_if_due(shared: &Weak<Shared>) -> Option<Duration> {
    let shared = shared.upgrade()?;
    let now = shared.clock.now();
    let sleep = match shared.look_at(&now) {
        Some((token, Freshness::Fresh)) => {
            Some(token.term().refresh.monotonic.saturating_duration_since(now.monotonic))
        }
        _ => {
            shared.renew_behind(&now);
            shared.lock().cooldown.remaining_at(&now)
        }
    };
    Some(sleep.unwrap_or(WHILE_RENEWING).clamp(SHORTEST_SLEEP, LONGEST_SLEEP))
}

//! Reads a store without a login.

use std::sync::Arc;

use tokio::time::Instant;

use super::renewal::Renewing;
use super::state::{Shared, is_usable};
use crate::error::Error;
use crate::need::Need;

impl Shared {
    /// Reads the entry once, and keeps its cooldown, and its token if there is no usable one.
    pub(super) async fn recall(self: &Arc<Self>) -> Result<(), Error> {
        let (epoch, generation) = {
            let state = self.lock();
            (state.epoch, state.generation)
        };
        let shared = self.clone();
        let read = self.options.runtime.handle()?.spawn(async move {
            let deadline = Instant::now() + shared.options.policy.deadline;
            Renewing { shared, need: Need::Usable, look: None, deadline, facts: Arc::default() }.recall().await
        });
        let Ok(recalled) = read.await else {
            return Err(Error::unavailable("the runtime shut down during a call of the store"));
        };
        let Some(recalled) = recalled? else { return Ok(()) };
        let mut state = self.lock();
        // If the credentials, the token or the flight changed during the read, they are newer than the entry.
        if state.epoch != epoch || state.generation != generation || state.flight.is_some() {
            return Ok(());
        }
        let now = self.clock.now();
        state.cooldown.merge(&recalled.cooldown, &now);
        let has_token = self.look_at(&now).is_some_and(|(_, freshness)| is_usable(freshness));
        let is_rejected = |text: &str| state.rejected.as_ref().is_some_and(|rejected| rejected.expose() == text);
        if let Some(token) = recalled.token.filter(|token| !has_token && !is_rejected(token.expose())) {
            state.cursor = recalled.cursor;
            self.keep(&mut state, token);
            state.cooldown = recalled.cooldown;
        }
        Ok(())
    }
}

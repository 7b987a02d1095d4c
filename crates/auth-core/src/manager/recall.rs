//! Reads a store without a login.

use std::sync::Arc;

use tokio::time::Instant;

use super::state::{Shared, is_usable};
use crate::error::Error;
use crate::need::Need;
use crate::renew::{Renew, RenewalContext, SharedContext, Superseded};

impl Shared {
    /// Reads the entry once, and keeps its cooldown, and its token if there is no usable one.
    pub(super) async fn recall(&self) -> Result<(), Error> {
        let (epoch, generation, renewer, context) = self.read_context();
        let read = self.runtime.handle()?.spawn(async move { renewer.recall(context).await });
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
        }
        Ok(())
    }

    /// Returns the current epoch and generation, and the input of a read. A read needs no refresh token.
    fn read_context(&self) -> (u64, u64, Arc<dyn Renew>, RenewalContext) {
        let state = self.lock();
        let context = RenewalContext {
            deadline: Instant::now() + self.policy.deadline,
            refresh: None,
            cooldown: state.cooldown.clone(),
            shared: SharedContext {
                need: Need::Usable,
                superseded: Superseded { current: self.current.load(), rejected: state.rejected.clone() },
                cursor: state.cursor.clone(),
            },
        };
        (state.epoch, state.generation, state.renewer.clone(), context)
    }
}

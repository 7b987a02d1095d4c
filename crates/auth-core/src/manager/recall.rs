//! Reads a store without a login.

use super::renewal::{RenewalContext, Superseded};
use super::state::{Shared, is_usable};
use crate::error::Error;
use crate::provider::Provider;
use crate::transport::Transport;

impl<P: Provider, T: Transport> Shared<P, T> {
    /// Reads the entry once, and keeps its cooldown, and its token if there is no usable one.
    pub(super) async fn recall(&self) -> Result<(), Error> {
        let (generation, mut context) = self.read_context();
        let token = self.share.recall(&mut context, &self.meter).await?;
        let mut state = self.lock();
        // If the credentials, the token or the flight changed during the read, they are newer than the entry.
        if state.epoch != context.epoch || state.generation != generation || state.flight.is_some() {
            return Ok(());
        }
        let now = self.clock.now();
        state.cooldown.merge(&context.cooldown, &now);
        let has_token = self.look_at(&now).is_some_and(|(_, freshness)| is_usable(freshness));
        let is_rejected = |text: &str| state.rejected.as_ref().is_some_and(|rejected| rejected.expose() == text);
        if let Some(token) = token.filter(|token| !has_token && !is_rejected(token.expose())) {
            state.cursor = context.cursor;
            self.keep(&mut state, token);
        }
        Ok(())
    }

    /// Returns the current generation and the input of a read. A read needs no refresh token.
    fn read_context(&self) -> (u64, RenewalContext<P, T>) {
        let state = self.lock();
        let context = RenewalContext {
            login: state.login.clone(),
            epoch: state.epoch,
            refresh: None,
            cooldown: state.cooldown.clone(),
            superseded: Superseded { current: self.current.load(), rejected: state.rejected.clone() },
            cursor: state.cursor.clone(),
        };
        (state.generation, context)
    }
}

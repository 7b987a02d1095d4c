//! What a store knows, without a login.

use super::renewal::{RenewalContext, Superseded};
use super::{Shared, TokenManager, is_usable};
use crate::error::Error;
use crate::provider::Provider;
use crate::transport::Transport;

impl<P: Provider, T: Transport> TokenManager<P, T> {
    /// Takes over what the store knows of these credentials, and sends nothing to the provider: where there is no usable
    /// token in memory, the store's, for [`cached`](crate::TokenSource::cached); and the memory of failures, for
    /// [`status`](Self::status). Without a store it does nothing.
    ///
    /// No call needs it before [`token`](crate::TokenSource::token), which asks the store by itself.
    ///
    /// # Errors
    /// That of the store; [`Unavailable`](crate::ErrorKind::Unavailable) where it does not answer within its timeout.
    pub async fn recall(&self) -> Result<(), Error> {
        let (generation, mut context) = self.0.outset();
        let token = self.0.share.recall(&mut context, &self.0.meter).await?;
        let mut state = self.0.lock();
        // Whatever has happened meanwhile knows better.
        if state.epoch != context.epoch || state.generation != generation || state.flight.is_some() {
            return Ok(());
        }
        let now = self.0.clock.now();
        state.cooldown.merge(&context.cooldown, &now);
        let has_token = self.0.look_at(&now).is_some_and(|(_, freshness)| is_usable(freshness));
        let is_rejected = |text: &str| state.rejected.as_ref().is_some_and(|rejected| rejected.expose() == text);
        if let Some(token) = token.filter(|token| !has_token && !is_rejected(token.expose())) {
            state.cursor = context.cursor;
            self.0.keep(&mut state, token);
        }
        Ok(())
    }
}

impl<P: Provider, T: Transport> Shared<P, T> {
    /// What a look sets out with, and the number of the current token. It logs in nowhere, so it needs no refresh token.
    fn outset(&self) -> (u64, RenewalContext<P, T>) {
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

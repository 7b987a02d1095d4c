//! A flight without the feature `store`: it shares nothing.

use super::meter::Meter;
use super::renewal::{Need, RenewalContext};
use crate::error::Error;
use crate::provider::Provider;
use crate::token::AccessToken;
use crate::transport::Transport;

pub(super) struct Share;

#[derive(Clone, Default)]
pub(super) struct StoreCursor;

impl Share {
    pub(super) fn none() -> Self {
        Self
    }

    pub(super) async fn run<P: Provider, T: Transport>(
        &self,
        context: &mut RenewalContext<P, T>,
        _: Need,
        _: &Meter,
    ) -> (u32, Result<AccessToken, Error>) {
        context.log_in().await
    }

    pub(super) fn forget(&self, _: &StoreCursor) {}
}

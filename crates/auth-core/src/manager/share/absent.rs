//! A flight without the feature `store`: it shares nothing.

use super::brief::{Brief, Need};
use super::meter::Meter;
use crate::error::Error;
use crate::provider::Provider;
use crate::token::AccessToken;
use crate::transport::Transport;

pub(super) struct Share;

#[derive(Clone, Default)]
pub(super) struct Seen;

impl Share {
    pub(super) fn none() -> Self {
        Self
    }

    pub(super) async fn fly<P: Provider, T: Transport>(
        &self,
        brief: &mut Brief<P, T>,
        _: Need,
        _: &Meter,
    ) -> (u32, Result<AccessToken, Error>) {
        brief.log_in().await
    }

    pub(super) fn forget(&self, _: &Seen) {}
}

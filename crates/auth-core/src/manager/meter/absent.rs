//! Replaces `meter.rs` without the feature `metrics`: it counts nothing.

use std::time::Duration;

use super::need::{Outcome, Reason};
use crate::clock::Moment;
use crate::freshness::Freshness;
use crate::token::AccessToken;

pub(super) struct Meter;

impl Meter {
    pub(super) fn new(_: &'static str) -> Self {
        Self
    }

    pub(super) fn served(&self, _: &AccessToken, _: Freshness, _: &Moment) {}

    pub(super) fn waited(&self, _: &Outcome, _: Duration) {}

    pub(super) fn suppressed(&self) {}

    #[cfg(feature = "store")]
    pub(super) fn stored(&self, _: &'static str, _: &'static str) {}

    pub(super) fn finished(&self, _: Reason, _: &'static str, _: Duration) {}
}

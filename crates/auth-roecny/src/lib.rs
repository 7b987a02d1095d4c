#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

use auth_core::Profile;
use auth_core::key_login::{self, Brand, KeyLogin};

pub use auth_core;
pub use auth_core::key_login::Revision;

/// Logs in to Roecny; see the [crate's page](crate) for the wire and the settings.
pub type Roecny = KeyLogin<RoecnyBrand>;

/// Collects the settings of a [`Roecny`] login.
pub type Builder = key_login::Builder<RoecnyBrand>;

/// Names Roecny in errors (`roecny`) and in the environment (`ROECNY_*`).
#[derive(Debug)]
#[non_exhaustive]
pub struct RoecnyBrand;

impl Brand for RoecnyBrand {
    const PROFILE: Profile = Profile::new("roecny", "ROECNY");
    const REVISION: Revision = Revision::Headers;
}

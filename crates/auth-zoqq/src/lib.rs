#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

use auth_core::Profile;
use auth_core::key_login::{self, Brand, KeyLogin};

pub use auth_core;
pub use auth_core::key_login::Revision;

/// Logs in to Zoqq; see the [crate's page](crate) for the wire and the settings.
pub type Zoqq = KeyLogin<ZoqqBrand>;

/// Collects the settings of a [`Zoqq`] login.
pub type Builder = key_login::Builder<ZoqqBrand>;

/// Names Zoqq in errors (`zoqq`) and in the environment (`ZOQQ_*`).
#[derive(Debug)]
#[non_exhaustive]
pub struct ZoqqBrand;

impl Brand for ZoqqBrand {
    const PROFILE: Profile = Profile::new("zoqq", "ZOQQ");
    const REVISION: Revision = Revision::HeadersAndScope;
}

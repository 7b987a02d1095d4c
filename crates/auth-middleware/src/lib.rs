#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(any(feature = "reqwest", feature = "tower")), allow(dead_code, reason = "the adapters use it"))]

mod bearer;
mod outcome;
mod replay;
#[cfg(feature = "reqwest")]
pub mod reqwest;
mod response_body;
#[cfg(feature = "tower")]
pub mod tower;

/// All of `auth-core`, under the same name as in the other crates.
pub use auth_core as core;
pub use bearer::Bearer;
pub use outcome::{NoReplay, NotReplayed, Outcome};

/// The error of the inner service or of a body, or an [`auth_core::Error`] if there was no token.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

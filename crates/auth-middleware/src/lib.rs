#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(any(feature = "reqwest", feature = "tower")), allow(dead_code, reason = "the adapters use it"))]

mod answer;
mod bearer;
mod copy;
mod outcome;
#[cfg(feature = "reqwest")]
pub mod reqwest;
#[cfg(feature = "tower")]
pub mod tower;

pub use auth_core as core;
pub use bearer::Bearer;
pub use outcome::{NoReplay, NotReplayed, Outcome};

/// Any error: of the service, of a body, or [`auth_core::Error`] where there was no token.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

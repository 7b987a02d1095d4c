#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod clock;
pub mod conformance;
mod fixed;
mod provider;
mod script;
mod store;

pub use clock::VirtualClock;
pub use fixed::fixed;
pub use provider::TestProvider;
pub use script::{Script, ScriptedResponse};
pub use store::{MemoryStore, StoreFault};

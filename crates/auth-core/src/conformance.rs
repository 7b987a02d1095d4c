//! The promises, for providers, transports and stores of your own: each function here is one test, and panics with the
//! number of the promise that is broken; [below](#the-promises) stand all of them.
//!
//! ```
//! use auth_core::conformance;
//! # #[cfg(feature = "store")]
//! use auth_core::testing::MemoryStore;
//! use auth_core::testing::TestProvider; // in place of yours
//!
//! conformance::provider(
//!     |secret| TestProvider::new(secret),
//!     |token, life| format!(r#"{{"token":"{token}","life":{}}}"#, life.as_secs()),
//!     (401, r#"{"error":"wrong_password"}"#),
//! );
//!
//! # #[cfg(feature = "store")] {
//! let store = MemoryStore::new();
//! conformance::store(|| store.shared());
//! # }
//! ```
//!
//! Each makes a tokio runtime of its own: call it from a plain `#[test]`, without one.
//!
#![doc = include_str!("../PROMISES.md")]

mod provider;
mod settings;
#[cfg(feature = "store")]
mod store;
mod transport;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use tokio::runtime::{Builder, Handle};

pub use provider::provider;
pub use settings::settings;
#[cfg(feature = "store")]
pub use store::store;
pub use transport::transport;

/// Runs a suite. A call that hangs in a thread is left behind, for a failure must be told.
fn run(builder: &mut Builder, suite: impl Future<Output = ()>) {
    assert!(Handle::try_current().is_err(), "the suite has a runtime of its own: call it from a plain `#[test]`");
    let runtime = builder.enable_all().build().unwrap_or_else(|error| panic!("no runtime: {error}"));
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(suite)));
    runtime.shutdown_background();
    result.unwrap_or_else(|panic| resume_unwind(panic));
}

//! Test suites for providers, transports and stores of your own.
//!
//! Each function is one test. It panics with the number of the first of [the promises] that is broken.
//!
//! ```
//! use auth_testing::conformance;
//! use auth_testing::MemoryStore;
//! use auth_testing::TestProvider; // in place of yours
//!
//! conformance::provider(
//!     |secret| TestProvider::new(secret),
//!     |token, life| format!(r#"{{"token":"{token}","expires_in":{}}}"#, life.as_secs()),
//!     (401, r#"{"error":"wrong_password"}"#),
//! );
//!
//! let store = MemoryStore::new();
//! conformance::store(|| store.shared());
//! ```
//!
//! Each function starts its own tokio runtime, so call it from a plain `#[test]`.
//!
//! [the promises]: auth_core::promises

mod provider;
mod settings;
mod store;
mod transport;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use tokio::runtime::{Builder, Handle};

pub use provider::provider;
pub use settings::settings;
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

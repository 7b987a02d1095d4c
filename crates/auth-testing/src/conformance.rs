//! Test suites for your own providers, transports and stores.
//!
//! Each function is one test. It panics at the first broken promise of [the promises]. The message starts with the
//! number of the promise, and states what was expected and what happened.
//!
//! ```
//! use auth_testing::conformance;
//! use auth_testing::{MemoryStore, TestProvider}; // replace them with your own types
//!
//! conformance::provider(
//!     |secret| TestProvider::new(secret),
//!     |token, lifetime| format!(r#"{{"token":"{token}","expires_in":{}}}"#, lifetime.as_secs()),
//!     (401, r#"{"error":"wrong_password"}"#),
//! );
//!
//! let store = MemoryStore::new();
//! conformance::store(|| store.shared());
//! ```
//!
//! Each function starts its own tokio runtime, so call it from a plain `#[test]`, not from a `#[tokio::test]`.
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

/// Runs a suite on a new runtime and passes its panic on.
fn run(builder: &mut Builder, suite: impl Future<Output = ()>) {
    assert!(
        Handle::try_current().is_err(),
        "the suite starts its own tokio runtime: call it from a plain `#[test]`, not from a `#[tokio::test]`"
    );
    let runtime = builder.enable_all().build().unwrap_or_else(|error| panic!("cannot start a tokio runtime: {error}"));
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(suite)));
    // Dropping the runtime would wait for blocking calls to end. If one hung, the panic of the suite would never be
    // reported.
    runtime.shutdown_background();
    result.unwrap_or_else(|panic| resume_unwind(panic));
}

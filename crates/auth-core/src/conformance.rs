//! The promises, for providers, transports and stores of your own: each function here is one test, and panics with the
//! number of the promise that is broken (`docs/promises.md` has them all).
//!
//! ```
//! use auth_core::conformance;
//! # #[cfg(feature = "store")]
//! use auth_core::testing::MemoryStore;
//! use auth_core::testing::TestProvider; // in place of yours
//!
//! conformance::provider(
//!     |secret| TestProvider::new(secret),
//!     |token| format!(r#"{{"token":"{token}","life":600}}"#),
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

mod provider;
#[cfg(feature = "store")]
mod store;
mod transport;

use tokio::runtime::{Builder, Runtime};

pub use provider::provider;
#[cfg(feature = "store")]
pub use store::store;
pub use transport::transport;

/// One with the real time, or one in which hours pass in no time.
fn runtime(is_paused: bool) -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().start_paused(is_paused).build();
    runtime.unwrap_or_else(|error| panic!("no runtime: {error}"))
}

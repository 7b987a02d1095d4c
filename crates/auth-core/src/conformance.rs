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
#[cfg(feature = "store")]
mod store;
mod transport;

use tokio::runtime::{Builder, Handle, Runtime};

pub use provider::provider;
#[cfg(feature = "store")]
pub use store::store;
pub use transport::transport;

fn runtime(builder: &mut Builder) -> Runtime {
    assert!(Handle::try_current().is_err(), "the suite has a runtime of its own: call it from a plain `#[test]`");
    builder.enable_all().build().unwrap_or_else(|error| panic!("no runtime: {error}"))
}

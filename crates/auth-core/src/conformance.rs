//! The promises, for providers, transports and stores of your own: each function here is one test, and panics with the
//! number of the promise that is broken (`docs/promises.md` has them all).
//!
//! ```
//! # use auth_core::testing::{MemoryStore, TestProvider};
//! #[test]
//! # fn hidden() {}
//! fn my_provider_keeps_the_promises() {
//!     auth_core::conformance::provider(
//!         |secret| TestProvider::new(secret),
//!         |token| format!(r#"{{"token":"{token}","life":600}}"#),
//!         (401, r#"{"error":"wrong_password"}"#),
//!     );
//! }
//!
//! #[test]
//! # fn hidden_too() {}
//! fn my_store_keeps_the_promises() {
//!     let store = MemoryStore::new();
//!     auth_core::conformance::store(|| store.shared());
//! }
//! # my_provider_keeps_the_promises();
//! # my_store_keeps_the_promises();
//! ```
//!
//! Each makes a tokio runtime of its own, so call them from a plain `#[test]`.

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

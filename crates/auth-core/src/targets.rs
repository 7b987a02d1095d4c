//! The targets of this project's `tracing` events, for a subscriber's filter.
//!
//! ```
//! use auth_core::targets;
//!
//! let filter = format!("{}=debug,{}=warn", targets::FLIGHT, targets::STORE);
//! assert_eq!(filter, "auth::flight=debug,auth::store=warn");
//! ```

/// Flights: their start and end, and each attempt that failed.
pub const FLIGHT: &str = "auth::flight";

/// Stores: tokens taken from one, entries that cannot be read, and a store that does not respond.
pub const STORE: &str = "auth::store";

/// Middleware: rejected tokens, and whether the request was sent again.
pub const MIDDLEWARE: &str = "auth::middleware";

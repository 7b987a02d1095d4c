//! The targets of the `tracing` events, for a subscriber's filter.
//!
//! ```
//! use auth_core::targets;
//!
//! let filter = format!("{}=debug,{}=warn", targets::FLIGHT, targets::STORE);
//! assert_eq!(filter, "auth::flight=debug,auth::store=warn");
//! ```

/// Events of logins and refreshes: start, end, and each failed attempt.
pub const FLIGHT: &str = "auth::flight";

/// Events of token stores: a token taken from the store, an entry that cannot be read, a store that does not respond.
pub const STORE: &str = "auth::store";

/// Events of a pool of accounts: a capacity that is too small.
pub const POOL: &str = "auth::pool";

/// Events of the middleware: rejected tokens, and whether the request was sent again.
pub const MIDDLEWARE: &str = "auth::middleware";

//! The promises of a login, a manager and a pool, on a virtual clock and a scripted server.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod lease;
mod login;
mod manager;
mod policy;
mod pool;
mod store;

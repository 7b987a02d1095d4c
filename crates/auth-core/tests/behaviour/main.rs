//! Tests the promises of a login, a manager and a pool with a virtual clock and scripted responses.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod failure;
mod flight;
mod freshness;
mod lease;
mod login;
mod manager;
mod peers;
mod policy;
mod pool;
mod rejection;
mod runtime;
mod sources;
mod store;
mod storms;
mod support;

//! The real program `auth`, run as a user or a script runs it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod commands;
mod exec;
mod keyring;
mod network;
mod profile;
mod proxy;
mod support;
mod terminal;
mod token;

//! The tests that an example has of its own.
#![allow(dead_code, reason = "its `main` is run beside this")]

#[path = "../custom_provider.rs"]
mod custom_provider;

//! Runs the tests inside an example.
#![allow(dead_code, reason = "the example's `main` is not used here")]

#[path = "../custom_provider.rs"]
mod custom_provider;

//! Fuzzes the response of Cambyopro to a login.
#![no_main]

use auth_all::cambyopro::Cambyopro;
use auth_core::TokenManager;
use auth_fuzz::{Fixed, SECRET, check};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(response) = Fixed::read(bytes) else { return };
    let builder = Cambyopro::builder().with_client_id("client").with_client_secret(SECRET);
    let provider = builder.build().expect("the settings are valid");
    check(|| TokenManager::builder(provider).with_transport(response));
});

//! Fuzzes the response of Zoqq to a login.
#![no_main]

use auth_all::zoqq::Zoqq;
use auth_core::TokenManager;
use auth_fuzz::{Fixed, SECRET, check};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(response) = Fixed::read(bytes) else { return };
    let builder = Zoqq::builder()
        .with_base_url("https://api.example.com")
        .with_client_id("client")
        .with_api_key(SECRET)
        .with_scope("r:all");
    let provider = builder.build().expect("the settings are valid");
    check(|| TokenManager::builder(provider).with_transport(response));
});

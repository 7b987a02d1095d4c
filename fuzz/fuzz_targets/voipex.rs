//! Fuzzes the response of Voipex to a login and to a refresh.
#![no_main]

use auth_all::voipex::Voipex;
use auth_core::TokenManager;
use auth_fuzz::{Fixed, SECRET, check};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(response) = Fixed::read(bytes) else { return };
    let builder = Voipex::builder().with_username("me@example.com").with_password(SECRET);
    let provider = builder.build().expect("the settings are valid");
    check(|| TokenManager::builder(provider).with_transport(response));
});

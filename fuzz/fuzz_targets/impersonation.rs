//! Fuzzes the response of Voipex to a token exchange.
#![no_main]

use std::time::Duration;

use auth_all::voipex::Impersonation;
use auth_core::{AccessToken, TokenFuture, TokenManager, TokenSource};
use auth_fuzz::{Fixed, SECRET, check};

/// An account that always has the same token.
#[derive(Debug)]
struct Account(AccessToken);

impl TokenSource for Account {
    fn cached(&self) -> Option<AccessToken> {
        Some(self.0.clone())
    }

    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::ready(Ok(self.0.clone()))
    }

    fn reject(&self, _: &AccessToken) {}
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(response) = Fixed::read(bytes) else { return };
    let account = AccessToken::new(SECRET.into(), Duration::from_secs(3600)).expect("the token is valid");
    let builder = Impersonation::builder().with_impersonate_email("colleague@example.com");
    let source = builder.build(Account(account)).expect("the settings are valid");
    check(|| TokenManager::builder(source).with_transport(response));
});

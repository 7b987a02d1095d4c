//! Gets a stale token from a Cambyopro server, which starts a renewal, and exits.
//!
//! The settings come from environment variables. With the argument `wait`, it waits for the renewal first.

use std::thread;
use std::time::Duration;

use auth_all::cambyopro::Cambyopro;
use auth_all::core::{Error, Freshness, TokenManager};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let tokens = TokenManager::new(Cambyopro::from_env()?)?;
    let first = tokens.token().await?;
    while tokens.status().freshness == Some(Freshness::Fresh) {
        thread::sleep(Duration::from_millis(10));
    }
    let stale = tokens.token().await?;
    if std::env::args().nth(1).is_some() {
        tokens.wait_idle(Duration::from_secs(10)).await?;
    }
    let is_renewed = tokens.cached().is_some_and(|token| !token.ptr_eq(&stale));
    println!("stale: {}, renewed: {is_renewed}", first.ptr_eq(&stale));
    Ok(())
}

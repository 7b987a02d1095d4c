//! One provider from one crate, with settings from the environment.
//!
//! `VOIPEX_USERNAME=… VOIPEX_PASSWORD=… cargo run --example one_crate`

use auth_voipex::{Error, TokenManager, Voipex};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let tokens = TokenManager::new(Voipex::from_env()?)?;

    let token = tokens.token().await?; // logs in
    let same = tokens.token().await?; // from memory
    assert!(token.ptr_eq(&same));

    // `token.authorization()` is the value for the Authorization header; printing a token never shows it.
    println!("{token:?}");
    println!("scope {:?}, session {:?}", token.scope(), token.extra("session_state"));
    Ok(())
}

//! Logs in to the provider of the given name by its environment variables, for tests that must set those.

use auth_all::ProviderConfig;
use auth_all::core::{ReqwestTransport, TokenSource};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    let tokens = ProviderConfig::from_env(&name).and_then(|config| config.into_manager(ReqwestTransport::new()?));
    let token = match tokens {
        Ok(tokens) => tokens.token().await,
        Err(error) => Err(error),
    };
    match token {
        Ok(token) => println!("ok {}", token.lifetime().as_secs()),
        Err(error) => println!("{:?} {error}", error.kind()),
    }
}

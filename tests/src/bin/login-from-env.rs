//! Logs in to the provider named by the first argument, with settings from environment variables.
//!
//! A separate program, because tests cannot safely change the environment of the process that runs them.

use auth_all::ProviderConfig;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    let tokens = ProviderConfig::from_env(&name).and_then(ProviderConfig::into_manager);
    let token = match tokens {
        Ok(tokens) => tokens.token().await,
        Err(error) => Err(error),
    };
    match token {
        Ok(token) => println!("ok {}", token.lifetime().as_secs()),
        Err(error) => println!("{:?} {error}", error.kind()),
    }
}

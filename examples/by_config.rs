//! Any provider, chosen by a config file: `cargo run --example by_config -- accounts.toml`.
//!
//! ```toml
//! [calls]
//! provider = "voipex"
//! username = "me@example.com"
//! password = "…"
//!
//! [payments]
//! provider = "zoqq"
//! base_url = "https://…"
//! client_id = "…"
//! api_key = "…"
//! scope = "r:awx_action:balances_view"
//! ```

use std::collections::BTreeMap;
use std::{env, fs};

use auth_all::ProviderConfig;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = env::args().nth(1).ok_or("which config file?")?;
    let accounts: BTreeMap<String, ProviderConfig> = toml::from_str(&fs::read_to_string(path)?)?;
    for (name, config) in accounts {
        let source = config.into_source()?;
        match source.token().await {
            Ok(token) => println!("{name}: a token for {} s", token.lifetime().as_secs()),
            Err(error) => println!("{name}: {error}"),
        }
    }
    Ok(())
}

//! Reads accounts of any provider from a config file: `cargo run --example from_config -- accounts.toml`.
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
    let path = env::args().nth(1).ok_or("usage: from_config FILE")?;
    let file = fs::read_to_string(&path)?;
    // The full error would quote the line of the file, which may hold a password. The message does not.
    let without_quote = |error: toml::de::Error| format!("{path}: {}", error.message());
    let accounts: BTreeMap<String, ProviderConfig> = toml::from_str(&file).map_err(without_quote)?;
    for (name, config) in accounts {
        let tokens = config.into_manager()?;
        match tokens.token().await {
            Ok(token) => println!("{name}: a token for {} s", token.lifetime().as_secs()),
            Err(error) => println!("{name}: {error}"),
        }
    }
    Ok(())
}

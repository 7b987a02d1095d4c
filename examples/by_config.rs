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
use auth_all::core::{ReqwestTransport, TokenSource};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = env::args().nth(1).ok_or("which config file?")?;
    let file = fs::read_to_string(&path)?;
    // The error itself would quote the file, passwords and all.
    let quiet = |error: toml::de::Error| format!("{path}: {}", error.message());
    let accounts: BTreeMap<String, ProviderConfig> = toml::from_str(&file).map_err(quiet)?;
    let transport = ReqwestTransport::new()?;
    for (name, config) in accounts {
        let tokens = config.into_manager(transport.clone())?;
        match tokens.token().await {
            Ok(token) => println!("{name}: a token for {} s", token.lifetime().as_secs()),
            Err(error) => println!("{name}: {error}"),
        }
    }
    Ok(())
}

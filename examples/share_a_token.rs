//! Three processes share one login, through Redis if `AUTH_REDIS_URL` is set and through files otherwise.
//!
//! `cargo run --example share_a_token`

use std::process::{Command, ExitCode};
use std::sync::Arc;

use auth_core::store::TokenStore;
use auth_core::{Error, TokenManager};
use auth_sandbox::{Api, Sandbox};
use auth_store_file::FileStore;
use auth_store_redis::RedisStore;
use auth_voipex::Voipex;

/// Gets a token from the shared store, as each process of a fleet does.
async fn work() -> Result<(), Error> {
    let store: Arc<dyn TokenStore> = match std::env::var_os("AUTH_REDIS_URL") {
        Some(_) => Arc::new(RedisStore::from_env()?),
        None => Arc::new(FileStore::from_env()?),
    };
    let tokens = TokenManager::builder(Voipex::from_env()?).with_store(store).build()?;
    let token = tokens.token().await?;
    println!("process {}: {:?}", std::process::id(), token.authorization());
    Ok(())
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    if std::env::args().nth(1).is_some() {
        work().await?;
        return Ok(ExitCode::SUCCESS);
    }
    let sandbox = Sandbox::start()?;
    let dir = std::env::temp_dir().join(format!("share-a-token-{}", std::process::id()));
    let start =
        || Command::new(std::env::current_exe()?).arg("work").envs(sandbox.env()).env("AUTH_CACHE_DIR", &dir).spawn();
    let processes = [start()?, start()?, start()?];
    for mut process in processes {
        if !process.wait()?.success() {
            return Ok(ExitCode::FAILURE);
        }
    }
    println!("three processes, {} login", sandbox.counters(Api::Voipex).requests);
    if dir.exists() {
        std::fs::remove_dir_all(dir)?;
    }
    Ok(ExitCode::SUCCESS)
}

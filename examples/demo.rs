//! Logs in to the four APIs over real HTTP, against a sandbox on this machine: `cargo run --example demo`.

use auth_all::cambyopro::Cambyopro;
use auth_all::core::Provider;
use auth_all::roecny::Roecny;
use auth_all::voipex::Voipex;
use auth_all::zoqq::Zoqq;
use auth_all::{TokenManager, TokenSource};
use auth_sandbox::{API_KEY, Api, CLIENT_ID, CLIENT_SECRET, PASSWORD, SCOPE, Sandbox, USERNAME};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let sandbox = Sandbox::start()?;
    let zoqq = Zoqq::builder().with_base_url(sandbox.base_url(Api::Zoqq)).with_client_id(CLIENT_ID);
    let roecny = Roecny::builder().with_base_url(sandbox.base_url(Api::Roecny)).with_client_id(CLIENT_ID);
    let cambyopro = Cambyopro::builder().with_base_url(sandbox.base_url(Api::Cambyopro)).with_client_id(CLIENT_ID);
    let voipex = Voipex::builder().with_base_url(sandbox.base_url(Api::Voipex)).with_username(USERNAME);

    println!("{:<10} {:<22} {:<7} {:<14} {:>8}  renewed by", "provider", "token", "type", "scope", "lifetime");
    show(&sandbox, Api::Zoqq, zoqq.with_api_key(API_KEY).with_scope(SCOPE).build()?).await?;
    show(&sandbox, Api::Roecny, roecny.with_api_key(API_KEY).build()?).await?;
    show(&sandbox, Api::Cambyopro, cambyopro.with_client_secret(CLIENT_SECRET).build()?).await?;
    show(&sandbox, Api::Voipex, voipex.with_password(PASSWORD).build()?).await?;
    Ok(())
}

/// Logs in, uses the token, revokes and rejects it, uses the next one, and prints how that was renewed.
async fn show(sandbox: &Sandbox, api: Api, provider: impl Provider) -> Result<()> {
    let tokens = TokenManager::new(provider)?;
    let first = tokens.token().await?;
    fetch(sandbox, &tokens).await?;

    sandbox.revoke_all(api);
    tokens.reject(&first);
    fetch(sandbox, &tokens).await?;

    let renewed_by = if sandbox.counters(api).refreshes > 0 { "its refresh token" } else { "a new login" };
    let redacted = format!("[redacted, {} chars]", first.expose().len());
    let scope = first.scope().unwrap_or("-");
    let lifetime = format!("{} s", first.lifetime().as_secs());
    println!("{:<10} {redacted:<22} {:<7} {scope:<14} {lifetime:>8}  {renewed_by}", api.name(), first.token_type());
    Ok(())
}

/// Calls the API with a token, as an application does.
async fn fetch(sandbox: &Sandbox, tokens: &dyn TokenSource) -> Result<()> {
    let token = tokens.token().await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let request = client.get(sandbox.protected_url()).header("authorization", token.authorization());
    request.send().await?.error_for_status()?;
    Ok(())
}

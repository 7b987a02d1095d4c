//! A reqwest client whose calls carry a token, and heal themselves once: `cargo run --example call_by_reqwest`.

use auth_all::core::{Login, ReqwestTransport, TokenManager, TokenSource};
use auth_all::zoqq::Zoqq;
use auth_middleware::{Bearer, Outcome};
use auth_sandbox::{API_KEY, Api, CLIENT_ID, SCOPE, Sandbox};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sandbox = Sandbox::start()?;
    let zoqq = Zoqq::builder().with_base_url(sandbox.base_url(Api::Zoqq)).with_client_id(CLIENT_ID);
    let zoqq = zoqq.with_api_key(API_KEY).with_scope(SCOPE).build()?;
    let tokens = TokenManager::new(Login::new(zoqq, ReqwestTransport::new()?));

    // The token, and Zoqq's `x-api-key` beside it, go to this origin alone.
    let bearer = Bearer::new(tokens.clone(), [sandbox.origin()])?;
    let client = auth_middleware::reqwest::client(reqwest::Client::builder(), bearer)?;

    let answer = client.get(sandbox.protected_url()).send().await?;
    println!("{}, {:?}", answer.status(), Outcome::of(answer.extensions()));

    if let Some(token) = tokens.cached() {
        sandbox.revoke(token.expose());
    }
    let answer = client.get(sandbox.protected_url()).send().await?;
    println!("after the token was revoked: {}, {:?}", answer.status(), Outcome::of(answer.extensions()));
    Ok(())
}

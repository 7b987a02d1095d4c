//! A reqwest client that adds the token to each call: `cargo run --example call_with_reqwest`.
//!
//! After a 401 response, it sends the request once more with a new token.

use auth_all::TokenManager;
use auth_all::zoqq::Zoqq;
use auth_middleware::{Bearer, Outcome};
use auth_sandbox::{API_KEY, Api, CLIENT_ID, SCOPE, Sandbox};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sandbox = Sandbox::start()?;
    let zoqq = Zoqq::builder().with_base_url(sandbox.base_url(Api::Zoqq)).with_client_id(CLIENT_ID);
    let zoqq = zoqq.with_api_key(API_KEY).with_scope(SCOPE).build()?;
    let tokens = TokenManager::new(zoqq)?;

    // The token, and Zoqq's `x-api-key` with it, are sent only to this origin.
    let bearer = Bearer::new(tokens.clone(), [sandbox.origin()])?;
    let client = auth_middleware::reqwest::client(reqwest::Client::builder(), bearer)?;

    let response = client.get(sandbox.protected_url()).send().await?;
    println!("{}, {:?}", response.status(), Outcome::of(response.extensions()));

    if let Some(token) = tokens.cached() {
        sandbox.revoke(token.expose());
    }
    let response = client.get(sandbox.protected_url()).send().await?;
    println!("after the token was revoked: {}, {:?}", response.status(), Outcome::of(response.extensions()));
    Ok(())
}

//! A tower service over hyper-util's client that adds the token to each call: `cargo run --example call_with_hyper`.
//!
//! After a 401 response, it sends the request once more with a new token.

use auth_all::TokenManager;
use auth_all::zoqq::Zoqq;
use auth_middleware::tower::AuthLayer;
use auth_middleware::{Bearer, BoxError, Outcome};
use auth_sandbox::{API_KEY, Api, CLIENT_ID, SCOPE, Sandbox};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_http::follow_redirect::FollowRedirectLayer;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let sandbox = Sandbox::start()?;
    let zoqq = Zoqq::builder().with_base_url(sandbox.base_url(Api::Zoqq)).with_client_id(CLIENT_ID);
    let zoqq = zoqq.with_api_key(API_KEY).with_scope(SCOPE).build()?;
    let tokens = TokenManager::new(zoqq)?;

    let bearer = Bearer::new(tokens.clone(), [sandbox.origin()])?;
    // The redirect layer is outside of the auth layer, so that each hop is checked before it gets the token.
    let mut client = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(AuthLayer::new(bearer))
        .service(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());

    let request = Request::get(sandbox.protected_url()).body(Full::default())?;
    let response = client.ready().await?.call(request.clone()).await?;
    println!("{}, {:?}", response.status(), Outcome::of(response.extensions()));

    if let Some(token) = tokens.cached() {
        sandbox.revoke(token.expose());
    }
    let response = client.ready().await?.call(request).await?;
    println!("after the token was revoked: {}, {:?}", response.status(), Outcome::of(response.extensions()));
    Ok(())
}

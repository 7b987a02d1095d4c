//! An axum service that calls a provider's API for its clients: `cargo run --example axum_service`.
//!
//! If no token is available, it responds with 503 and a `Retry-After` header.

use std::time::Duration;

use auth_all::zoqq::Zoqq;
use auth_all::{Policy, TokenManager};
use auth_middleware::Bearer;
use auth_sandbox::{API_KEY, Api, CLIENT_ID, Fault, SCOPE, Sandbox};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use reqwest_middleware::ClientWithMiddleware;

#[derive(Clone)]
struct App {
    client: ClientWithMiddleware,
    balances: String,
}

async fn balances(State(app): State<App>) -> Response {
    match app.client.get(&app.balances).send().await {
        Ok(response) => match response.text().await {
            Ok(text) => text.into_response(),
            Err(_) => StatusCode::BAD_GATEWAY.into_response(),
        },
        Err(error) => error_response(&error),
    }
}

/// Converts an error to a response that says when the next login attempt is.
fn error_response(error: &reqwest_middleware::Error) -> Response {
    let token_error = match error {
        reqwest_middleware::Error::Middleware(error) => error.downcast_ref::<auth_core::Error>(),
        reqwest_middleware::Error::Reqwest(_) => None,
    };
    match token_error.and_then(auth_core::Error::retry_after) {
        Some(wait) => {
            let seconds = wait.as_secs_f64().ceil().to_string();
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, seconds)]).into_response()
        }
        None => StatusCode::BAD_GATEWAY.into_response(),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sandbox = Sandbox::start()?;
    let zoqq = Zoqq::builder().with_base_url(sandbox.base_url(Api::Zoqq)).with_client_id(CLIENT_ID);
    let zoqq = zoqq.with_api_key(API_KEY).with_scope(SCOPE).build()?;
    let policy = Policy::default().with_deadline(Duration::from_secs(5));
    let tokens = TokenManager::builder(zoqq).with_policy(policy).build()?;
    let bearer = Bearer::new(tokens.clone(), [sandbox.origin()])?;
    let client = auth_middleware::reqwest::client(reqwest::Client::builder(), bearer)?;

    let app =
        Router::new().route("/balances", get(balances)).with_state(App { client, balances: sandbox.protected_url() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/balances", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });

    // First, everything works.
    let response = reqwest::get(&url).await?;
    println!("{}: {}", response.status(), response.text().await?);

    // Then the token is revoked and the login server is overloaded.
    if let Some(token) = tokens.cached() {
        sandbox.revoke(token.expose());
    }
    sandbox.fail_always(Api::Zoqq, Fault::RetryAfter(503, "7".into()));
    let response = reqwest::get(&url).await?;
    println!("{}, retry-after: {}", response.status(), response.headers()["retry-after"].to_str()?);
    Ok(())
}

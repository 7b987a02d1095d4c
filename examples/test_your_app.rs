//! Tests an application against the sandbox. In your project, put the body of `main` into a `#[tokio::test]`.
#![allow(clippy::expect_used, reason = "an example may panic")]

use std::time::Duration;

use auth_core::{Error, ErrorKind, Policy, TokenManager, TokenSource};
use auth_sandbox::{Api, Fault, PASSWORD, Sandbox, USERNAME};
use auth_voipex::Voipex;

/// The application under test. It takes any token source and any URL.
async fn list_calls(tokens: &dyn TokenSource, url: &str) -> Result<u16, Error> {
    let token = tokens.token().await?;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let response = client.get(url).header("authorization", token.authorization()).send().await;
    Ok(response.map_or(0, |response| response.status().as_u16()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sandbox = Sandbox::start()?;
    let voipex = |password: &str| {
        let builder = Voipex::builder().with_base_url(sandbox.base_url(Api::Voipex)).with_username(USERNAME);
        let policy = Policy::default().with_deadline(Duration::from_millis(500));
        TokenManager::builder(builder.with_password(password).build()?).with_policy(policy).build()
    };

    // Two calls need only one login.
    let tokens = voipex(PASSWORD)?;
    assert_eq!(list_calls(&tokens, &sandbox.protected_url()).await?, 200);
    assert_eq!(list_calls(&tokens, &sandbox.protected_url()).await?, 200);
    assert_eq!(sandbox.counters(Api::Voipex).logins, 1);

    // The API revokes the token.
    sandbox.revoke_all(Api::Voipex);
    assert_eq!(list_calls(&tokens, &sandbox.protected_url()).await?, 401);

    // The password was changed.
    let error = voipex("wrong")?.token().await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Refused);

    // The login server is overloaded and states when to retry.
    sandbox.fail_always(Api::Voipex, Fault::RetryAfter(503, "120".into()));
    let error = voipex(PASSWORD)?.token().await.expect_err("down");
    assert!(error.is_transient() && error.retry_after() >= Some(Duration::from_secs(120)));

    println!("all as expected: {error}");
    Ok(())
}

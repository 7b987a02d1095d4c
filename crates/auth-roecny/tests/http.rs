//! The login over real HTTP, as Roecny's document has it. What it shares with Zoqq is tested there.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use auth_core::{Error, Login, ReqwestTransport, TokenSet};
use auth_roecny::{Builder, Roecny};
use serde_json::json;
use wiremock::matchers::{body_string, header, method, path};
use wiremock::{Mock, MockBuilder, MockServer, ResponseTemplate};

fn builder(server: &MockServer) -> Builder {
    Roecny::builder().with_base_url(server.uri()).with_client_id("fake-client").with_api_key("fake-key")
}

fn post() -> MockBuilder {
    Mock::given(method("POST"))
        .and(path("/api/v1/authentication/login"))
        .and(header("content-type", "application/json"))
}

fn granted() -> ResponseTemplate {
    ResponseTemplate::new(200)
        .set_body_json(json!({ "expires_at": "2025-04-25T07:27:04+0000", "token": "fake-token" }))
        .insert_header("date", "Fri, 25 Apr 2025 06:57:04 GMT")
}

async fn login(builder: Builder) -> Result<TokenSet, Error> {
    Login::new(builder.build()?, ReqwestTransport::new()?).login().await
}

#[tokio::test]
async fn the_documents_login() {
    let server = MockServer::start().await;
    post()
        .and(header("x-client-id", "fake-client"))
        .and(header("x-api-key", "fake-key"))
        .and(header("content-length", "0"))
        .and(body_string(""))
        .respond_with(granted())
        .expect(1)
        .mount(&server)
        .await;
    let token = login(builder(&server)).await.unwrap().access;
    assert_eq!(token.authorization(), "Bearer fake-token");
    assert_eq!(token.lifetime().as_secs(), 1800);
}

#[test]
fn t4_a_base_url_that_is_not_safe_is_refused_when_built() {
    for base_url in ["http://api.example.com", "https://user:pw@api.example.com", "api.example.com"] {
        let error = Roecny::builder().with_base_url(base_url).with_client_id("c").with_api_key("k").build();
        assert_eq!(error.unwrap_err().setting(), Some("base_url"), "{base_url}");
    }
}

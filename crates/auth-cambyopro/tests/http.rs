//! The login over real HTTP: the exact request, and how each response is read.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use auth_cambyopro::Cambyopro;
use auth_core::{AccessToken, Error, ErrorKind, TokenManager};
use serde_json::json;
use wiremock::matchers::{body_json, header, method, path};
use wiremock::{Mock, MockBuilder, MockServer, ResponseTemplate};

fn post() -> MockBuilder {
    Mock::given(method("POST"))
        .and(path("/api/no-auth/authentication/v1/login"))
        .and(header("accept", "application/json"))
        .and(header("content-type", "application/json"))
        .and(body_json(json!({ "clientId": "fake-client", "clientSecret": "fake-secret" })))
}

async fn login(server: &MockServer) -> Result<AccessToken, Error> {
    let builder = Cambyopro::builder().with_client_id("fake-client").with_client_secret("fake-secret");
    TokenManager::new(builder.with_base_url(server.uri()).build()?)?.token().await
}

#[tokio::test]
async fn the_login_is_sent_as_documented() {
    let server = MockServer::start().await;
    let body = json!({
        "success": true,
        "accessToken": "atk_fake",
        "tokenType": "Bearer",
        "message": "Cliente de API autenticado com sucesso para Empresa Fictícia",
        "expiresIn": 86400,
    });
    post().respond_with(ResponseTemplate::new(200).set_body_json(body)).expect(1).mount(&server).await;
    let token = login(&server).await.unwrap();
    assert_eq!(token.authorization(), "Bearer atk_fake");
    assert_eq!(token.lifetime().as_secs(), 86400);
}

#[tokio::test]
async fn the_documented_refusal_is_a_refusal() {
    let server = MockServer::start().await;
    let body = json!({ "success": false, "message": "Invalid credentials." });
    post().respond_with(ResponseTemplate::new(401).set_body_json(body)).expect(1).mount(&server).await;
    let error = login(&server).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(
        error.to_string().starts_with("cambyopro: the credentials are refused (HTTP 401); next attempt in 6"),
        "{error}"
    );
}

#[tokio::test]
async fn the_error_for_a_wrong_path_names_its_setting() {
    let server = MockServer::start().await;
    let error = login(&server).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    assert!(error.to_string().contains("login_path"), "{error}");
}

#[test]
fn t4_an_unsafe_base_url_is_rejected_by_build() {
    for base_url in ["http://api.example.com", "https://user:pw@api.example.com", "api.example.com"] {
        let error = Cambyopro::builder().with_base_url(base_url).with_client_id("c").with_client_secret("s").build();
        assert_eq!(error.unwrap_err().setting(), Some("base_url"), "{base_url}");
    }
}

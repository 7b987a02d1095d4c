//! The login over real HTTP: the exact request, and how each response is read.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use auth_core::{AccessToken, Error, ErrorKind, TokenManager};
use auth_zoqq::{Builder, Revision, Zoqq};
use serde_json::json;
use wiremock::matchers::{body_json, body_string, header, method, path};
use wiremock::{Mock, MockBuilder, MockServer, ResponseTemplate};

fn builder(server: &MockServer) -> Builder {
    Zoqq::builder().with_base_url(server.uri()).with_client_id("fake-client").with_api_key("fake-key")
}

fn post() -> MockBuilder {
    Mock::given(method("POST"))
        .and(path("/api/v1/authentication/login"))
        .and(header("content-type", "application/json"))
}

fn documented_response() -> ResponseTemplate {
    ResponseTemplate::new(200)
        .set_body_json(json!({ "expires_at": "2025-04-25T07:27:04+0000", "token": "fake-token" }))
        .insert_header("date", "Fri, 25 Apr 2025 06:57:04 GMT")
}

async fn login(builder: Builder) -> Result<AccessToken, Error> {
    TokenManager::new(builder.build()?)?.token().await
}

#[tokio::test]
async fn the_login_with_headers_is_sent_as_documented() {
    let server = MockServer::start().await;
    post()
        .and(header("x-client-id", "fake-client"))
        .and(header("x-api-key", "fake-key"))
        .and(header("scope", "r:awx_action:balances_view w:awx_action:x"))
        .and(header("content-length", "0"))
        .and(body_string(""))
        .respond_with(documented_response())
        .expect(1)
        .mount(&server)
        .await;
    let token = login(builder(&server).with_scope("r:awx_action:balances_view w:awx_action:x")).await.unwrap();
    assert_eq!(token.authorization(), "Bearer fake-token");
    assert_eq!(token.lifetime().as_secs(), 1800);
}

#[tokio::test]
async fn the_login_with_a_body_is_sent_as_documented() {
    let server = MockServer::start().await;
    post()
        .and(header("x-api-key", "fake-key"))
        .and(body_json(
            json!({ "client_key": "fake-client", "client_secret": "fake-secret", "email": "me@example.com" }),
        ))
        .respond_with(
            ResponseTemplate::new(200)
                .set_body_json(json!({
                    "code": 200,
                    "status": "success",
                    "message": "Access token generated successfully",
                    "data": [{ "access_token": "fake-token", "expiry_time": 1_762_155_042 }],
                }))
                .insert_header("date", "Mon, 03 Nov 2025 06:30:42 GMT"),
        )
        .expect(2)
        .mount(&server)
        .await;
    for revision in [Revision::Body, Revision::BodyAndClientId] {
        let builder =
            builder(&server).with_revision(revision).with_client_secret("fake-secret").with_email("me@example.com");
        let token = login(builder).await.unwrap();
        assert_eq!((token.expose(), token.lifetime().as_secs()), ("fake-token", 3600));
    }
    let sent = server.received_requests().await.unwrap();
    let has_id: Vec<_> = sent.iter().map(|request| request.headers.contains_key("x-client-id")).collect();
    assert_eq!(has_id, [false, true], "only `BodyAndClientId` sends the client id in a header");
}

#[tokio::test]
async fn an_error_with_http_status_200_is_an_error() {
    let server = MockServer::start().await;
    let envelope = json!({ "code": 401, "status": "Error", "message": "fake-key is wrong" });
    post().respond_with(ResponseTemplate::new(200).set_body_json(envelope)).expect(1).mount(&server).await;
    let error = login(builder(&server).with_revision(Revision::Headers)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(!error.to_string().contains("fake-key"), "{error}");
}

#[tokio::test]
async fn a_refusal_carries_the_code_of_the_provider() {
    let server = MockServer::start().await;
    let body = json!({ "code": "unauthorized", "message": "Access denied, authentication failed" });
    post().respond_with(ResponseTemplate::new(401).set_body_json(body)).expect(1).mount(&server).await;
    let error = login(builder(&server).with_revision(Revision::Headers)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Refused, Some("unauthorized")));
    assert!(
        error.to_string().starts_with("zoqq: the login is refused (HTTP 401, unauthorized); next attempt in 6"),
        "{error}"
    );
}

#[test]
fn t4_an_unsafe_base_url_is_rejected_by_build() {
    for base_url in ["http://api.example.com", "https://user:pw@api.example.com", "api.example.com"] {
        let error = Zoqq::builder()
            .with_base_url(base_url)
            .with_client_id("c")
            .with_api_key("k")
            .with_revision(Revision::Headers)
            .build();
        assert_eq!(error.unwrap_err().setting(), Some("base_url"), "{base_url}");
    }
}

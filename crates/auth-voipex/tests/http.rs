//! The login over real HTTP: the exact request, and how each response is read.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use auth_core::{ErrorKind, TokenManager};
use auth_voipex::{Impersonation, Voipex};
use serde_json::json;
use wiremock::matchers::{body_json, body_string, header, method, path};
use wiremock::{Mock, MockBuilder, MockServer, ResponseTemplate};

const PASSWORD_FORM: &str =
    "client_id=api&username=me%40example.com&password=p%26%3D%25%2B+%C3%A1%2F&grant_type=password";
const REFRESH_FORM: &str = "client_id=api&refresh_token=fake%2Brefresh&grant_type=refresh_token";

fn post(form: &str) -> MockBuilder {
    Mock::given(method("POST"))
        .and(path("/token"))
        .and(header("content-type", "application/x-www-form-urlencoded"))
        .and(body_string(form))
}

fn documented_response(token: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({
        "access_token": token,
        "expires_in": 3000,
        "refresh_expires_in": 7200,
        "refresh_token": "fake+refresh",
        "token_type": "Bearer",
        "not-before-policy": 0,
        "session_state": "00000000-0000-0000-0000-000000000000",
        "scope": "profile email",
    }))
}

fn manager(server: &MockServer) -> TokenManager {
    let builder = Voipex::builder().with_username("me@example.com").with_password("p&=%+ á/");
    TokenManager::new(builder.with_base_url(server.uri()).build().unwrap()).unwrap()
}

#[tokio::test]
async fn the_login_and_the_refresh_are_sent_as_documented() {
    let server = MockServer::start().await;
    post(PASSWORD_FORM).respond_with(documented_response("first")).expect(1).mount(&server).await;
    post(REFRESH_FORM).respond_with(documented_response("second")).expect(1).mount(&server).await;
    let tokens = manager(&server);
    let token = tokens.token().await.unwrap();
    assert_eq!(token.authorization(), "Bearer first");
    assert_eq!(token.lifetime().as_secs(), 3000);
    tokens.reject(&token);
    assert_eq!(tokens.token().await.unwrap().expose(), "second");
}

#[tokio::test]
async fn r9_a_refusal_of_keycloak_is_a_refusal_with_either_status() {
    for status in [400, 401] {
        let server = MockServer::start().await;
        let body = json!({ "error": "invalid_grant", "error_description": "Invalid user credentials" });
        post(PASSWORD_FORM)
            .respond_with(ResponseTemplate::new(status).set_body_json(body))
            .expect(1)
            .mount(&server)
            .await;
        let error = manager(&server).token().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Refused, Some("invalid_grant")));
        let text = format!("voipex: the credentials are refused (HTTP {status}, invalid_grant); next attempt in 6");
        assert!(error.to_string().starts_with(&text), "{error}");
    }
}

#[tokio::test]
async fn impersonation_exchanges_the_token_of_the_account() {
    let server = MockServer::start().await;
    post(PASSWORD_FORM).respond_with(documented_response("first")).expect(1).mount(&server).await;
    Mock::given(method("POST"))
        .and(path("/token-exchange"))
        .and(header("authorization", "Bearer first"))
        .and(header("content-type", "application/json"))
        .and(body_json(json!({ "email": "colleague@example.com" })))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "access_token": "theirs", "expires_in": 600 })))
        .expect(1)
        .mount(&server)
        .await;
    let account = manager(&server);
    let builder = Impersonation::builder().with_impersonate_email("colleague@example.com").with_base_url(server.uri());
    let exchange = TokenManager::new(builder.build(account).unwrap()).unwrap();
    assert_eq!(exchange.token().await.unwrap().expose(), "theirs");
}

#[test]
fn t4_an_unsafe_base_url_is_rejected_by_build() {
    for base_url in ["http://api.example.com", "https://user:pw@api.example.com", "api.example.com"] {
        let error = Voipex::builder().with_base_url(base_url).with_username("u").with_password("p").build();
        assert_eq!(error.unwrap_err().setting(), Some("base_url"), "{base_url}");
    }
}

use auth_core::http::{HeaderMap, StatusCode};
use auth_core::{AccessToken, Error, ErrorKind, Provider, Response, SecretBytes};
use auth_testing::{Script, ScriptedResponse, conformance};
use proptest::prelude::*;

use crate::{Builder, Cambyopro, INFO, SETTINGS};

fn builder() -> Builder {
    Cambyopro::builder().with_client_id("fake-client").with_client_secret("fake-secret")
}

async fn login(status: u16, body: &str) -> Result<AccessToken, Error> {
    let script = Script::new(vec![ScriptedResponse::json(status, body); 3]);
    script.builder_for(builder().build().unwrap()).build()?.token().await
}

#[test]
fn the_table_of_settings_matches_the_builder_and_the_readme() {
    conformance::settings::<Builder>(INFO, SETTINGS, include_str!("../README.md"));
}

#[test]
fn the_login_is_sent_as_documented() {
    let request = builder().build().unwrap().login_request();
    assert_eq!(request.uri(), "https://cloudbreak.cambyopro.com/api/no-auth/authentication/v1/login");
    assert_eq!(request.headers()["content-type"], "application/json");
    assert_eq!(request.headers()["accept"], "application/json");
    assert_eq!(request.body(), br#"{"clientId":"fake-client","clientSecret":"fake-secret"}"#);
}

#[test]
fn the_path_and_the_field_names_can_be_set() {
    let request = builder()
        .with_base_url("https://proxy.example/cloudbreak/")
        .with_login_path("/api/no_auth/authentication/v1/login")
        .with_client_id_field("clientid")
        .with_client_secret_field("clientsecret")
        .build()
        .unwrap()
        .login_request();
    assert_eq!(request.uri(), "https://proxy.example/cloudbreak/api/no_auth/authentication/v1/login");
    assert_eq!(request.body(), br#"{"clientid":"fake-client","clientsecret":"fake-secret"}"#);

    let error = builder().with_client_secret_field("clientId").build().unwrap_err();
    assert_eq!(error.setting(), Some("client_secret_field"));
}

#[test]
fn one_error_names_all_missing_settings() {
    let error = Cambyopro::builder().build().unwrap_err().to_string();
    assert!(error.contains("CAMBYOPRO_CLIENT_ID") && error.contains("CAMBYOPRO_CLIENT_SECRET"), "{error}");
}

#[test]
fn t6_credentials_may_have_any_unicode_character() {
    let request = builder().with_client_secret("a\r\n\0\"ů\\").build().unwrap().login_request();
    let expected = format!(r#"{{"clientId":"fake-client","clientSecret":{}}}"#, serde_json::json!("a\r\n\0\"ů\\"));
    assert_eq!(request.body(), expected.as_bytes());
}

#[tokio::test(start_paused = true)]
async fn all_three_spellings_of_the_response_are_read() {
    for body in [
        r#"{"success":true,"accessToken":"atk_1","tokenType":"Bearer","message":"m","expiresIn":86400}"#,
        r#"{"success":true,"accesstoken":"atk_1","tokentype":"bearer","expiresin":"86400"}"#,
        r#"{"access_token":"atk_1","token_type":"BEARER","expires_in":86400.0}"#,
        r#"{"accessToken":"atk_1","access_token":"atk_1","expiresIn":86400,"expires_in":86400}"#,
    ] {
        let token = login(200, body).await.unwrap();
        assert_eq!(token.authorization(), "Bearer atk_1", "{body}");
        assert_eq!(token.lifetime().as_secs(), 86400, "{body}");
    }
    let token = login(200, r#"{"accessToken":"atk_1"}"#).await.unwrap();
    assert_eq!(token.lifetime().as_secs(), 3600);
}

#[tokio::test(start_paused = true)]
async fn success_false_is_a_refusal_with_any_status_that_is_not_temporary() {
    let refusal = r#"{"success":false,"message":"Invalid credentials."}"#;
    for status in [200, 201, 302, 400, 401, 403, 404, 405, 422] {
        assert_eq!(login(status, refusal).await.unwrap_err().kind(), ErrorKind::Refused, "{status}");
    }
    assert_eq!(login(503, refusal).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(login(429, refusal).await.unwrap_err().kind(), ErrorKind::Throttled);
    let both = r#"{"success":false,"accessToken":"atk_1"}"#;
    assert_eq!(login(200, both).await.unwrap_err().kind(), ErrorKind::Refused);
}

#[tokio::test(start_paused = true)]
async fn without_success_the_status_and_the_token_decide() {
    assert_eq!(login(200, r#"{"message":"?"}"#).await.unwrap_err().kind(), ErrorKind::Malformed);
    assert_eq!(login(401, r#"{"message":"?"}"#).await.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(login(401, r#"{"accessToken":"atk_1"}"#).await.unwrap_err().kind(), ErrorKind::Refused);
}

#[tokio::test(start_paused = true)]
async fn f7_an_impossible_lifetime_is_malformed() {
    for expires_in in ["0", "-1", "\"soon\"", "1e300", "true"] {
        let error = login(200, &format!(r#"{{"accessToken":"atk_1","expiresIn":{expires_in}}}"#)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{expires_in}");
    }
}

proptest! {
    #[test]
    fn no_response_panics(status in 100_u16..999, body in ".*") {
        let status = StatusCode::from_u16(status).unwrap();
        let response = Response::new(status, HeaderMap::new(), SecretBytes::from(body.into_bytes()));
        let _ = builder().build().unwrap().read_response(&response);
    }
}

use auth_core::http::header::DATE;
use auth_core::http::{HeaderMap, HeaderName, StatusCode};
use auth_core::{AccessToken, Error, ErrorResponse, Provider, Request, Response, SecretBytes, TokenResponse};
use auth_testing::conformance;
use auth_testing::{Script, ScriptedResponse};
use proptest::prelude::*;

use crate::{Builder, INFO, Revision, Roecny, SETTINGS, is_rejection, response};

/// A builder with every setting that the revision requires.
fn builder(revision: Revision) -> Builder {
    let builder = Roecny::builder()
        .with_base_url("https://api.example.com")
        .with_client_id("fake-client")
        .with_api_key("fake-key")
        .with_revision(revision);
    match revision {
        Revision::HeadersAndScope => builder.with_scope("r:a w:b"),
        Revision::Headers => builder,
        Revision::BodyAndClientId => builder.with_client_secret("fake-secret \"ů\""),
        Revision::Body => builder.with_client_secret("fake-secret \"ů\"").with_email("me@example.com"),
    }
}

fn login_request(builder: Builder) -> Request {
    builder.build().unwrap().login_request()
}

fn header_names(request: &Request) -> Vec<&str> {
    let mut names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

fn response(status: u16, body: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    Response::new(status, HeaderMap::new(), SecretBytes::from(body.as_bytes().to_vec()))
}

fn read(status: u16, body: &str) -> Result<TokenResponse, ErrorResponse> {
    response::read(&response(status, body))
}

/// Logs in to a server whose clock says 2025-04-25T06:47:04Z.
async fn login(status: u16, body: &str) -> Result<AccessToken, Error> {
    let response = ScriptedResponse::json(status, body).with_header(DATE, "Fri, 25 Apr 2025 06:47:04 GMT");
    Script::new([response]).builder_for(builder(Revision::Headers).build()?).build()?.token().await
}

#[test]
fn the_table_of_settings_matches_the_builder_and_the_readme() {
    conformance::settings::<Builder>(INFO, SETTINGS, include_str!("../README.md"));
}

#[test]
fn each_revision_sends_its_documented_request() {
    let request = login_request(builder(Revision::HeadersAndScope));
    assert_eq!(request.uri(), "https://api.example.com/api/v1/authentication/login");
    assert_eq!(header_names(&request), ["accept", "content-type", "scope", "x-api-key", "x-client-id"]);
    assert_eq!(request.headers()["scope"], "r:a w:b");
    assert_eq!(request.body(), b"");

    let request = login_request(builder(Revision::Headers));
    assert_eq!(header_names(&request), ["accept", "content-type", "x-api-key", "x-client-id"]);

    let request = login_request(builder(Revision::BodyAndClientId));
    assert_eq!(header_names(&request), ["accept", "content-type", "x-api-key", "x-client-id"]);
    assert_eq!(request.body(), r#"{"client_key":"fake-client","client_secret":"fake-secret \"ů\""}"#.as_bytes());

    let request = login_request(builder(Revision::Body));
    assert_eq!(header_names(&request), ["accept", "content-type", "x-api-key"]);
    let expected = r#"{"client_key":"fake-client","client_secret":"fake-secret \"ů\"","email":"me@example.com"}"#;
    assert_eq!(request.body(), expected.as_bytes());
}

#[test]
fn k3_credentials_in_headers_are_sensitive() {
    let request = login_request(builder(Revision::HeadersAndScope));
    assert!(request.headers()["x-api-key"].is_sensitive() && request.headers()["x-client-id"].is_sensitive());
}

#[test]
fn api_calls_get_the_api_key_in_addition_to_the_token() {
    let headers = builder(Revision::Headers).build().unwrap().api_headers();
    assert_eq!((headers[0].0.as_str(), headers[0].1.as_bytes()), ("x-api-key", &b"fake-key"[..]));
    assert!(headers[0].1.is_sensitive());
}

#[test]
fn the_revision_decides_which_settings_are_required() {
    let missing = |builder: Builder| builder.build().unwrap_err().to_string();
    let default = missing(Roecny::builder());
    for field in ["base_url", "client_id", "api_key"] {
        assert!(default.contains(&format!("`{field}`")), "{default}");
    }
    let scope = missing(Roecny::builder().with_revision(Revision::HeadersAndScope));
    assert!(scope.contains("`scope`") && !default.contains("`scope`"), "{scope}");
    let body = missing(Roecny::builder().with_revision(Revision::Body));
    assert!(
        body.contains("ROECNY_CLIENT_SECRET") && body.contains("ROECNY_EMAIL") && !body.contains("SCOPE"),
        "{body}"
    );
}

#[test]
fn the_default_revision_is_the_documented_one() {
    let builder = Roecny::builder().with_base_url("https://api.example.com").with_client_id("c").with_api_key("k");
    let request = login_request(builder);
    assert_eq!(header_names(&request), ["accept", "content-type", "x-api-key", "x-client-id"]);
    assert!(request.body().is_empty());
}

#[test]
fn a_setting_that_the_revision_does_not_use_is_rejected() {
    let cases = [
        ("client_secret", builder(Revision::Headers).with_client_secret("sentinel")),
        ("email", builder(Revision::HeadersAndScope).with_email("sentinel")),
        ("scope", builder(Revision::Body).with_scope("sentinel")),
    ];
    for (field, builder) in cases {
        let error = builder.build().unwrap_err();
        assert_eq!(error.setting(), Some(field));
        assert!(error.to_string().contains("is not used by revision `"), "{error}");
        assert!(!error.to_string().contains("sentinel"), "{error}");
    }
}

#[test]
fn t6_a_key_that_a_header_cannot_carry_is_found_by_build() {
    for (key, word) in [("a\r\nb", "line break"), ("a\0b", "control"), ("klíč", "ASCII"), ("key\n", "line break")] {
        let error = builder(Revision::Headers).with_api_key(key).build().unwrap_err();
        assert_eq!(error.setting(), Some("api_key"));
        assert!(error.to_string().contains(word) && error.to_string().contains("ROECNY_API_KEY"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn both_response_shapes_are_read() {
    for body in [
        r#"{"expires_at":"2025-04-25T07:27:04+0000","token":"t"}"#,
        r#"{"code":200,"status":"success","message":"m","data":[{"access_token":"t","expiry_time":1745566024}]}"#,
        r#"{"code":"200","status":"Success","data":{"access_token":"t","expiry_time":"1745566024"}}"#,
        r#"{"data":[{"access_token":"t","expiry_time":1745566024000},{"access_token":"u"}]}"#,
        r#"{"code":"","status":200,"token":"t","expires_at":1745566024.0}"#,
        r#"{"code":"success","status":"success","token":"t","expires_at":1745566024}"#,
    ] {
        let token = login(200, body).await.unwrap();
        assert_eq!((token.expose(), token.lifetime().as_secs()), ("t", 40 * 60), "{body}");
    }
    let without_expiry = login(201, r#"{"token":"t"}"#).await.unwrap();
    assert_eq!(without_expiry.lifetime().as_secs(), 30 * 60);
}

#[test]
fn an_envelope_that_reports_an_error_is_an_error() {
    let status = |code| ErrorResponse::status(StatusCode::from_u16(code).unwrap());
    let no_token = || ErrorResponse::malformed("the response has no token");
    let other_type = || response(200, "0").json::<String>().unwrap_err();
    let cases = [
        (r#"{"code":400,"status":"Error","message":"Something went wrong"}"#, status(400)),
        (r#"{"code":"503","status":"error"}"#, status(503)),
        (r#"{"status":"error","token":"t"}"#, ErrorResponse::refused()),
        (r#"{"code":"unauthorized","message":"Access denied"}"#, ErrorResponse::refused().with_code("unauthorized")),
        (r#"{"code":40101,"data":[{"access_token":"t"}]}"#, ErrorResponse::refused()),
        (r#"{"status":false,"token":"t"}"#, ErrorResponse::refused()),
        (r#"{"code":401,"status":"error","data":["x is missing"]}"#, status(401)),
        (r#"{"code":200,"status":"failed","data":"none"}"#, ErrorResponse::refused()),
        (r#"{"code":200,"status":"success","data":[]}"#, no_token()),
        (r#"{"code":200,"status":"success","data":null}"#, no_token()),
        (r#"{"token":null}"#, no_token()),
        ("{}", no_token()),
        (r#"{"token":7}"#, other_type()),
        ("[]", other_type()),
        ("", ErrorResponse::unreadable()),
        ("<html>", ErrorResponse::unreadable()),
        (r#"{"token":"t""#, ErrorResponse::unreadable()),
    ];
    for (body, expected) in cases {
        assert_eq!(read(200, body).unwrap_err(), expected, "{body}");
    }
}

#[test]
fn an_http_error_keeps_its_status_whatever_the_envelope_says() {
    for body in [r#"{"code":503,"status":"error"}"#, r#"{"code":999}"#] {
        assert_eq!(read(401, body).unwrap_err(), ErrorResponse::status(StatusCode::UNAUTHORIZED), "{body}");
    }
    let refused = read(401, r#"{"code":"unauthorized","message":"Access denied"}"#).unwrap_err();
    assert_eq!(refused, ErrorResponse::status(StatusCode::UNAUTHORIZED).with_code("unauthorized"));
}

#[test]
fn is_rejection_recognises_only_a_rejected_token() {
    for (body, expected) in [
        (r#"{"code":"unauthorized","message":"Access denied, authentication failed"}"#, true),
        (r#"{"code":401,"status":"error"}"#, true),
        (r#"{"code":"forbidden"}"#, false),
        (r#"{"code":200,"status":"success","data":[]}"#, false),
        ("", false),
    ] {
        assert_eq!(is_rejection(body.as_bytes()), expected, "{body}");
    }
}

proptest! {
    #[test]
    fn no_response_panics(status in 100_u16..999, body in ".*") {
        let _ = read(status, &body);
    }

    #[test]
    fn no_envelope_panics(
        code in any::<f64>(),
        status in ".*",
        data in "(null|[0-9-]{1,5}|\\[.{0,9}\\]|\"x\"|1e9|true)",
    ) {
        let _ = read(200, &serde_json::json!({ "code": code, "status": status }).to_string());
        let _ = read(200, &format!(r#"{{"data":{data}}}"#));
    }
}

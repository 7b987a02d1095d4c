use std::time::Duration;

use http::{HeaderMap, StatusCode};
use proptest::prelude::*;

use super::answer::{DOCUMENTED_LIFE, read};
use super::*;
use crate::error_response::ErrorClass;
use crate::expiry::Expiry;
use crate::secret::SecretBytes;

const INFO: ProviderInfo = ProviderInfo::new("test", "TEST");

fn settings(revision: Revision) -> Settings {
    let body = revision.has_body();
    Settings {
        base_url: Some("https://api.example.com".into()),
        login_path: None,
        revision: Some(revision),
        client_id: Some("fake-client".into()),
        api_key: Some("fake-key".into()),
        scope: (!body).then(|| "r:a w:b".into()),
        client_secret: body.then(|| "fake-secret \"ů\"".into()),
        email: body.then(|| "me@example.com".into()),
    }
}

fn login(settings: Settings) -> Result<Request, Error> {
    settings.into_login(INFO, Revision::HeadersAndScope)
}

fn names(request: &Request) -> Vec<&str> {
    let mut names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

fn answer(status: u16, body: &str) -> Result<TokenResponse, ErrorResponse> {
    let status = StatusCode::from_u16(status).unwrap();
    read(&Response::new(status, HeaderMap::new(), SecretBytes::from(body.as_bytes().to_vec())))
}

#[test]
fn each_revision_sends_what_it_documents() {
    let headers = login(settings(Revision::HeadersAndScope)).unwrap();
    assert_eq!(headers.uri(), "https://api.example.com/api/v1/authentication/login");
    assert_eq!(names(&headers), ["accept", "content-type", "scope", "x-api-key", "x-client-id"]);
    assert_eq!(headers.headers()["scope"], "r:a w:b");
    assert_eq!(headers.body(), b"");

    let without_scope = Settings { scope: None, ..settings(Revision::Headers) };
    assert_eq!(names(&login(without_scope).unwrap()), ["accept", "content-type", "x-api-key", "x-client-id"]);

    let with_id = Settings { email: None, ..settings(Revision::BodyAndClientId) };
    let with_id = login(with_id).unwrap();
    assert_eq!(names(&with_id), ["accept", "content-type", "x-api-key", "x-client-id"]);
    assert_eq!(with_id.body(), r#"{"client_key":"fake-client","client_secret":"fake-secret \"ů\""}"#.as_bytes());

    let body = login(settings(Revision::Body)).unwrap();
    assert_eq!(names(&body), ["accept", "content-type", "x-api-key"]);
    let expected = r#"{"client_key":"fake-client","client_secret":"fake-secret \"ů\"","email":"me@example.com"}"#;
    assert_eq!(body.body(), expected.as_bytes());
}

#[test]
fn k3_credentials_in_headers_are_sensitive() {
    let request = login(settings(Revision::HeadersAndScope)).unwrap();
    assert!(request.headers()["x-api-key"].is_sensitive() && request.headers()["x-client-id"].is_sensitive());
}

#[test]
fn what_is_missing_depends_on_the_revision() {
    let missing = |settings| login(settings).unwrap_err().to_string();
    let none = missing(Settings::default());
    for field in ["base_url", "client_id", "api_key", "scope"] {
        assert!(none.contains(&format!("`{field}`")), "{none}");
    }
    let body = missing(Settings { revision: Some(Revision::Body), ..Settings::default() });
    assert!(body.contains("TEST_CLIENT_SECRET") && body.contains("TEST_EMAIL") && !body.contains("SCOPE"), "{body}");

    let misplaced = Settings { client_secret: Some("sentinel".into()), ..settings(Revision::Headers) };
    let error = login(misplaced).unwrap_err();
    assert_eq!(error.setting(), Some("client_secret"));
    assert!(error.to_string().contains("revision `headers`") && !error.to_string().contains("sentinel"), "{error}");
}

#[test]
fn t6_a_key_that_no_header_may_hold_is_found_when_built() {
    for (key, word) in [("a\r\nb", "line break"), ("a\0b", "control"), ("klíč", "ASCII"), ("key\n", "line break")] {
        let settings = Settings { api_key: Some(key.into()), ..settings(Revision::HeadersAndScope) };
        let error = login(settings).unwrap_err();
        assert_eq!(error.setting(), Some("api_key"));
        assert!(error.to_string().contains(word) && error.to_string().contains("TEST_API_KEY"), "{error}");
    }
}

#[test]
fn either_shape_gives_a_token() {
    for body in [
        r#"{"expires_at":"2025-04-25T07:27:04+0000","token":"t"}"#,
        r#"{"code":200,"status":"success","message":"m","data":[{"access_token":"t","expiry_time":1745566024}]}"#,
        r#"{"code":"200","status":"Success","data":{"access_token":"t","expiry_time":"1745566024"}}"#,
        r#"{"data":[{"access_token":"t","expiry_time":1745566024000},{"access_token":"u"}]}"#,
        r#"{"code":"","status":200,"token":"t","expires_at":1745566024.0}"#,
        r#"{"code":"success","status":"success","token":"t","expires_at":1745566024}"#,
    ] {
        let grant = answer(200, body).unwrap();
        assert_eq!(grant.access_token.expose(), "t", "{body}");
        let end = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_745_566_024);
        assert_eq!(grant.expiry, Expiry::At(end), "{body}");
    }
    assert_eq!(answer(201, r#"{"token":"t"}"#).unwrap().expiry, Expiry::Unstated(DOCUMENTED_LIFE));
}

#[test]
fn an_envelope_that_says_error_is_an_error() {
    let cases = [
        (
            r#"{"code":400,"status":"Error","message":"Something went wrong"}"#,
            ErrorClass::Status(StatusCode::BAD_REQUEST),
        ),
        (r#"{"code":"503","status":"error"}"#, ErrorClass::Status(StatusCode::SERVICE_UNAVAILABLE)),
        (r#"{"status":"error","token":"t"}"#, ErrorClass::Refused),
        (r#"{"code":"unauthorized","message":"Access denied"}"#, ErrorClass::Refused),
        (r#"{"code":40101,"data":[{"access_token":"t"}]}"#, ErrorClass::Refused),
        (r#"{"status":false,"token":"t"}"#, ErrorClass::Refused),
        (r#"{"code":401,"status":"error","data":["x is missing"]}"#, ErrorClass::Status(StatusCode::UNAUTHORIZED)),
        (r#"{"code":200,"status":"failed","data":"none"}"#, ErrorClass::Refused),
        (r#"{"code":200,"status":"success","data":[]}"#, ErrorClass::Malformed("the answer holds no token")),
        (r#"{"code":200,"status":"success","data":null}"#, ErrorClass::Malformed("the answer holds no token")),
        (r#"{"token":null}"#, ErrorClass::Malformed("the answer holds no token")),
        ("{}", ErrorClass::Malformed("the answer holds no token")),
        (r#"{"token":7}"#, ErrorClass::Malformed("the response is JSON of an unexpected form")),
        ("[]", ErrorClass::Malformed("the response is JSON of an unexpected form")),
        ("", ErrorClass::Unreadable),
        ("<html>", ErrorClass::Unreadable),
        (r#"{"token":"t""#, ErrorClass::Unreadable),
    ];
    for (body, class) in cases {
        assert_eq!(answer(200, body).unwrap_err().class, class, "{body}");
    }
    for body in [r#"{"code":503,"status":"error"}"#, r#"{"code":999}"#] {
        let class = answer(401, body).unwrap_err().class;
        assert_eq!(class, ErrorClass::Status(StatusCode::UNAUTHORIZED), "HTTP's own refusal stands: {body}");
    }
    let refused = answer(401, r#"{"code":"unauthorized","message":"Access denied"}"#).unwrap_err();
    assert_eq!(refused.class, ErrorClass::Status(StatusCode::UNAUTHORIZED));
    assert_eq!(refused.code.as_deref(), Some("unauthorized"));
}

proptest! {
    #[test]
    fn no_answer_panics(status in 100_u16..999, body in ".*") {
        let _ = answer(status, &body);
    }

    #[test]
    fn no_envelope_panics(code in any::<f64>(), status in ".*", data in "(null|[0-9-]{1,5}|\\[.{0,9}\\]|\"x\"|1e9|true)") {
        let _ = answer(200, &serde_json::json!({ "code": code, "status": status }).to_string());
        let _ = answer(200, &format!(r#"{{"data":{data}}}"#));
    }
}

#[test]
fn an_apis_answer_says_in_its_body_that_the_token_is_rejected() {
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

#[test]
fn the_apis_later_calls_get_the_key_beside_the_token() {
    #[derive(Debug)]
    struct Test;

    impl Brand for Test {
        const INFO: ProviderInfo = INFO;
        const REVISION: Revision = Revision::Headers;
    }

    let login = KeyLogin::<Test>::builder().with_base_url("https://api.example.com").with_client_id("fake-client");
    let login = login.with_api_key("fake-key").build().unwrap();
    let headers = login.api_headers();
    assert_eq!(headers[0].0, "x-api-key");
    assert!(headers[0].1.is_sensitive());
}

use std::time::Duration;

use auth_core::http::{HeaderMap, StatusCode};
use auth_core::{AccessToken, Error, ErrorKind, Provider, Response, SecretBytes, TokenManager, setting_names};
use auth_testing::{Script, ScriptedResponse, conformance};
use proptest::prelude::*;
use tokio::time::{Instant, advance, sleep};

use crate::{
    Builder, IMPERSONATION_SETTINGS, INFO, Impersonation, ImpersonationBuilder, SETTINGS, Voipex, is_rejection,
};

const GRANTED: &str = r#"{"access_token":"fake-access","expires_in":3000,"refresh_expires_in":7200,
    "refresh_token":"fake-refresh","token_type":"Bearer","not-before-policy":0,
    "session_state":"00000000-0000-0000-0000-000000000000","scope":"profile email"}"#;

fn builder() -> Builder {
    Voipex::builder().with_username("me@example.com").with_password("fake-password")
}

async fn login(status: u16, body: &str) -> Result<AccessToken, Error> {
    let script = Script::new(vec![ScriptedResponse::json(status, body); 3]);
    script.builder_for(builder().build().unwrap()).build()?.token().await
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_table_of_settings_matches_the_builder_and_the_readme() {
    conformance::settings::<Builder>(INFO, SETTINGS, include_str!("../README.md"));
}

#[test]
fn the_table_of_impersonation_settings_matches_its_builder_and_the_readme() {
    let names: Vec<_> = IMPERSONATION_SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(names, setting_names::<ImpersonationBuilder>());
    for setting in IMPERSONATION_SETTINGS {
        let row = format!("| `VOIPEX_{}` |", setting.name.to_ascii_uppercase());
        assert!(!setting.is_secret && include_str!("../README.md").contains(&row), "{}", setting.name);
    }
}

#[test]
fn the_login_is_sent_as_documented() {
    let request = builder().build().unwrap().login_request();
    assert_eq!(request.uri(), "https://auth.voipex.io/token");
    assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
    let expected = "client_id=api&username=me%40example.com&password=fake-password&grant_type=password";
    assert_eq!(text(request.body()), expected);

    let request = builder().with_scope("openid profile").with_client_id("own").build().unwrap().login_request();
    let expected =
        "client_id=own&username=me%40example.com&password=fake-password&grant_type=password&scope=openid+profile";
    assert_eq!(text(request.body()), expected);
}

#[test]
fn t6_a_password_may_have_any_character() {
    let request = builder().with_password("p&+%=#?;:@/\\ ů\n").build().unwrap().login_request();
    let body = text(request.body());
    assert!(body.contains("password=p%26%2B%25%3D%23%3F%3B%3A%40%2F%5C+%C5%AF%0A&"), "{body}");
}

#[test]
fn one_error_names_all_missing_settings() {
    let error = Voipex::builder().build().unwrap_err().to_string();
    assert!(error.contains("VOIPEX_USERNAME") && error.contains("VOIPEX_PASSWORD"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn every_field_of_the_response_is_read() {
    let token = login(200, GRANTED).await.unwrap();
    assert_eq!(token.authorization(), "Bearer fake-access");
    assert_eq!(token.lifetime(), Duration::from_secs(3000));
    assert_eq!(token.scope(), Some("profile email"));
    assert_eq!(token.extra("session_state"), Some("00000000-0000-0000-0000-000000000000"));
    assert_eq!(token.extra("not-before-policy"), Some("0"));

    let minimal = login(200, r#"{"access_token":"fake-access","token_type":"bearer","id_token":"x"}"#).await.unwrap();
    assert_eq!(minimal.lifetime(), Duration::from_secs(3000));
}

#[tokio::test(start_paused = true)]
async fn r8_a_refresh_token_without_a_stated_end_is_used() {
    for end in ["0", "null", "-1", "\"\""] {
        let body = format!(
            r#"{{"access_token":"a","expires_in":3000,"refresh_token":"fake-refresh","refresh_expires_in":{end}}}"#
        );
        let script = Script::new([ScriptedResponse::json(200, &body), ScriptedResponse::json(200, GRANTED)]);
        let tokens = script.builder_for(builder().build().unwrap()).build().unwrap();
        tokens.token().await.unwrap();
        advance(Duration::from_secs(100 * 24 * 3600)).await;
        tokens.token().await.unwrap();
        let sent = script.requests();
        let expected = "client_id=api&refresh_token=fake-refresh&grant_type=refresh_token";
        assert_eq!(text(sent[1].body()), expected, "{end}");
    }
}

#[tokio::test(start_paused = true)]
async fn r9_a_refusal_of_keycloak_is_recognised_by_error_and_not_by_status() {
    for status in [400, 401, 200] {
        let body = r#"{"error":"invalid_grant","error_description":"Invalid user credentials"}"#;
        let error = login(status, body).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Refused, Some("invalid_grant")), "{status}");
        for (code, setting) in
            [("invalid_client", "client_id"), ("unauthorized_client", "client_id"), ("invalid_scope", "scope")]
        {
            let error = login(status, &format!(r#"{{"error":"{code}"}}"#)).await.unwrap_err();
            assert_eq!((error.kind(), error.setting()), (ErrorKind::Misconfigured, Some(setting)), "{status} {code}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_other_error_bodies_are_read() {
    let cases = [
        (401, r#"{"statusCode":401,"error":"Unauthorized","message":"m"}"#, ErrorKind::Refused),
        (200, r#"{"statusCode":401,"error":"Unauthorized","message":"m"}"#, ErrorKind::Refused),
        (200, r#"{"statusCode":"404","message":"m"}"#, ErrorKind::Misconfigured),
        (
            400,
            r#"{"error":"invalid_request","error_description":"Missing form parameter: grant_type"}"#,
            ErrorKind::Refused,
        ),
        (400, "<html>Bad Request</html>", ErrorKind::Refused),
        (404, r#"{"error":"Realm does not exist"}"#, ErrorKind::Misconfigured),
        (401, r#"{"statusCode":503}"#, ErrorKind::Refused),
        (400, r#"{"error":"server_error"}"#, ErrorKind::Refused),
        (200, r#"{"statusCode":503,"error":"Unavailable"}"#, ErrorKind::Unavailable),
        (200, r#"{"error":{"nested":true}}"#, ErrorKind::Refused),
        (200, r#"{"expires_in":3000}"#, ErrorKind::Malformed),
    ];
    for (status, body, kind) in cases {
        assert_eq!(login(status, body).await.unwrap_err().kind(), kind, "{status} {body}");
    }
}

/// Returns the script of an account, the script of its exchanges, and the source of impersonated tokens.
fn exchange(account: [ScriptedResponse; 2], responses: Vec<ScriptedResponse>) -> (Script, Script, TokenManager) {
    let account_script = Script::new(account);
    let account = account_script.builder_for(builder().build().unwrap()).build().unwrap();
    let script = Script::new(responses);
    let exchange = Impersonation::builder().with_impersonate_email("colleague@example.com");
    let exchange = script.builder_for(exchange.build(account).unwrap());
    (account_script, script, exchange.build().unwrap())
}

fn account() -> [ScriptedResponse; 2] {
    [ScriptedResponse::json(200, GRANTED), ScriptedResponse::json(200, r#"{"access_token":"fake-next"}"#)]
}

#[tokio::test(start_paused = true)]
async fn impersonation_sends_the_token_of_the_account() {
    for body in [
        r#"{"access_token":"theirs","expires_in":600}"#,
        r#"{"accessToken":"theirs","expiresIn":"600"}"#,
        r#"{"token":"theirs","expires_in":600.0,"anything":[]}"#,
    ] {
        let (_, script, source) = exchange(account(), vec![ScriptedResponse::json(200, body)]);
        let token = source.token().await.unwrap();
        assert_eq!((token.expose(), token.lifetime().as_secs()), ("theirs", 600), "{body}");
        let sent = &script.requests()[0];
        assert_eq!(sent.uri(), "https://auth.voipex.io/token-exchange");
        assert_eq!(sent.headers()["authorization"], "Bearer fake-access");
        assert_eq!(text(sent.body()), r#"{"email":"colleague@example.com"}"#);
    }
    let (_, _, source) = exchange(account(), vec![ScriptedResponse::json(200, r#"{"token":"theirs"}"#)]);
    assert_eq!(source.token().await.unwrap().lifetime(), Duration::from_secs(300));
}

#[tokio::test(start_paused = true)]
async fn impersonation_replaces_a_rejected_account_token_once() {
    let responses = vec![ScriptedResponse::json(401, ""), ScriptedResponse::json(200, r#"{"access_token":"theirs"}"#)];
    let (account_script, script, source) = exchange(account(), responses);
    assert_eq!(source.token().await.unwrap().expose(), "theirs");
    assert_eq!(account_script.requests().len(), 2);
    assert_eq!(script.requests()[1].headers()["authorization"], "Bearer fake-next");

    let (_, script, source) = exchange(account(), vec![ScriptedResponse::json(401, ""); 3]);
    assert_eq!(source.token().await.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn impersonation_that_is_not_permitted_is_refused_without_a_login() {
    let (account_script, script, source) = exchange(account(), vec![ScriptedResponse::json(403, "")]);
    assert_eq!(source.token().await.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!((account_script.requests().len(), script.requests().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn r10_a_401_about_the_user_costs_the_account_nothing() {
    for body in [
        r#"{"error":"access_denied"}"#,
        r#"{"error":"invalid_grant"}"#,
        r#"{"statusCode":401,"error":"Unauthorized","message":"no such user"}"#,
    ] {
        let (account_script, script, source) = exchange(account(), vec![ScriptedResponse::json(401, body)]);
        assert_eq!(source.token().await.unwrap_err().kind(), ErrorKind::Refused, "{body}");
        assert_eq!((account_script.requests().len(), script.requests().len()), (1, 1), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn r10_users_who_cannot_be_impersonated_never_take_the_token_of_the_account() {
    let granted = r#"{"access_token":"fake-access","expires_in":3000}"#;
    let account_script = Script::default().then_always(ScriptedResponse::json(200, granted));
    let account = account_script.builder_for(builder().build().unwrap()).build().unwrap();
    // The empty body does not say whether the token or the user is the reason.
    let script = Script::default().then_always(ScriptedResponse::json(401, ""));
    let users: Vec<_> = (0..20)
        .map(|number| {
            let user = Impersonation::builder().with_impersonate_email(format!("user-{number}@example.com"));
            script.builder_for(user.build(account.clone()).unwrap()).build().unwrap()
        })
        .collect();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(600) {
        for user in &users {
            assert_eq!(user.token().await.unwrap_err().kind(), ErrorKind::Refused);
            account.token().await.unwrap();
        }
        sleep(Duration::from_millis(500)).await;
    }
    let logins = account_script.requests().len();
    assert!(logins <= 11, "{logins} logins of the account in ten minutes");
    advance(Duration::from_secs(1000)).await;
    for user in &users {
        user.token().await.unwrap_err();
    }
    assert_eq!(account_script.requests().len(), logins, "each user is known by now");
    let exchanges = script.requests().len();
    assert!(exchanges <= 20 * 4 * 2, "{exchanges} exchanges: each user is paused like a refused account");
}

#[tokio::test(start_paused = true)]
async fn impersonation_replaces_a_rejected_account_token_again_after_a_success() {
    let granted = |number| format!(r#"{{"access_token":"fake-{number}","expires_in":3000}}"#);
    let account_script = Script::new([1, 2, 3].map(|number| ScriptedResponse::json(200, &granted(number))));
    let account = account_script.builder_for(builder().build().unwrap()).build().unwrap();
    let theirs = || ScriptedResponse::json(200, r#"{"access_token":"theirs","expires_in":600}"#);
    let script = Script::default();
    let user = Impersonation::builder().with_impersonate_email("user@example.com").build(account).unwrap();
    let user = script.builder_for(user).build().unwrap();
    for logins in [2, 3] {
        script.push(ScriptedResponse::json(401, ""));
        script.push(theirs());
        user.token().await.unwrap();
        assert_eq!(account_script.requests().len(), logins);
        advance(Duration::from_secs(700)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn impersonation_uses_the_next_token_of_the_account_without_a_refusal() {
    let theirs = ScriptedResponse::json(200, r#"{"access_token":"theirs","expires_in":600}"#);
    let (_, script, source) = exchange(account(), vec![theirs.clone(), theirs]);
    source.token().await.unwrap();
    sleep(Duration::from_secs(4000)).await; // both tokens have ended
    source.token().await.unwrap();
    let sent = script.requests();
    assert_eq!(sent[0].headers()["authorization"], "Bearer fake-access");
    assert_eq!(sent[1].headers()["authorization"], "Bearer fake-next");
}

#[tokio::test(start_paused = true)]
async fn r7_impersonation_does_not_multiply_the_attempts_of_the_account() {
    let down = || ScriptedResponse::json(503, "");
    let (account_script, script, source) = exchange([down(), down()], vec![]);
    assert_eq!(source.token().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!((account_script.requests().len(), script.requests().len()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn k1_an_exchange_that_echoes_the_account_token_is_not_quoted() {
    let (_, _, source) = exchange(account(), vec![ScriptedResponse::json(400, r#"{"error":"fake-access"}"#)]);
    let error = source.token().await.unwrap_err();
    assert!(!error.to_string().contains("fake-access") && error.code().is_none(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn impersonation_returns_the_error_of_the_account() {
    let refused = ScriptedResponse::json(400, r#"{"error":"invalid_grant"}"#);
    let (_, script, source) = exchange([refused.clone(), refused], vec![]);
    assert_eq!(source.token().await.unwrap_err().code(), Some("invalid_grant"));
    assert!(script.requests().is_empty());
}

proptest! {
    #[test]
    fn no_response_panics(status in 100_u16..999, body in ".*", error in ".*", end in any::<f64>()) {
        let status = StatusCode::from_u16(status).unwrap();
        let json = serde_json::json!({ "access_token": "a", "refresh_token": error, "refresh_expires_in": end });
        for body in [body, json.to_string(), serde_json::json!({ "error": error, "statusCode": end }).to_string()] {
            let response = Response::new(status, HeaderMap::new(), SecretBytes::from(body.into_bytes()));
            let _ = builder().build().unwrap().read_response(&response);
        }
    }
}

#[test]
fn is_rejection_recognises_only_a_rejected_token() {
    for (body, expected) in [
        (r#"{"statusCode":401,"error":"Unauthorized","message":"expired"}"#, true),
        (r#"{"statusCode":"401"}"#, true),
        (r#"{"statusCode":403}"#, false),
        (r#"{"calls":[],"code":401}"#, false),
        ("<html>401", false),
    ] {
        assert_eq!(is_rejection(body.as_bytes()), expected, "{body}");
    }
}

//! Tests of a login: attempts, refresh, lifetimes.

use std::time::{Duration, SystemTime};

use auth_core::http::StatusCode;
use auth_core::http::header::{DATE, RETRY_AFTER};
use auth_core::{AccessToken, Clock, Error, ErrorKind, Policy};
use auth_testing::{Script, ScriptedResponse, VirtualClock};

use crate::support::{Manager, manager_with};

const LOGIN: &str = r#"{"token":"first","expires_in":3000,"refresh":"r1"}"#;
const ROTATED: &str = r#"{"token":"second","expires_in":3000,"refresh":"r2"}"#;

fn ok(body: &str) -> ScriptedResponse {
    ScriptedResponse::json(200, body)
}

fn bodies(script: &Script) -> Vec<String> {
    let requests = script.requests();
    requests.iter().map(|request| String::from_utf8(request.body().to_vec()).unwrap()).collect()
}

/// A renewal after a login.
struct Renewed {
    result: Result<AccessToken, Error>,
    /// The bodies that it sent.
    sent: Vec<String>,
    /// The first body of the renewal after it, which shows the refresh token that was left.
    next: String,
}

/// Logs in, renews, and renews again after any cooldown.
async fn renewal(responses: Vec<ScriptedResponse>) -> Renewed {
    let script = Script::new([vec![ok(LOGIN)], responses].concat());
    let tokens = script.manager();
    tokens.token().await.unwrap();
    let result = renew(&tokens).await;
    let sent = bodies(&script).split_off(1);
    tokio::time::advance(Duration::from_secs(3600)).await;
    let _ = renew(&tokens).await;
    Renewed { result, next: bodies(&script)[1 + sent.len()].clone(), sent }
}

/// Renews, although the last token may be new.
async fn renew(tokens: &Manager) -> Result<AccessToken, Error> {
    tokio::time::advance(Duration::from_secs(6)).await;
    tokens.renew().await
}

async fn login(script: &Script) -> Result<AccessToken, Error> {
    script.manager().token().await
}

#[tokio::test(start_paused = true)]
async fn r8_a_refresh_uses_and_rotates_the_refresh_token() {
    let Renewed { result, sent, next } = renewal(vec![ok(ROTATED)]).await;
    assert_eq!(result.unwrap().expose(), "second");
    assert_eq!(sent, ["by=r1"]);
    assert_eq!(next, "by=r2");
}

#[tokio::test(start_paused = true)]
async fn r8_the_old_refresh_token_is_kept_if_the_response_has_none() {
    let renewed = renewal(vec![ok(r#"{"token":"second","expires_in":3000}"#)]).await;
    renewed.result.unwrap();
    assert_eq!(renewed.next, "by=r1");
}

#[tokio::test(start_paused = true)]
async fn r8_a_refused_refresh_leads_to_one_login() {
    let refused = || ScriptedResponse::json(400, r#"{"error":"invalid_grant"}"#);
    let Renewed { result, sent, .. } = renewal(vec![refused(), ok(LOGIN)]).await;
    assert_eq!(result.unwrap().expose(), "first");
    assert_eq!(sent, ["by=r1", "by=password"]);

    let Renewed { result, sent, next } = renewal(vec![refused(), refused()]).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(sent, ["by=r1", "by=password"]);
    assert_eq!(next, "by=password");
}

#[tokio::test(start_paused = true)]
async fn r8_a_refresh_is_never_repeated_after_a_lost_response() {
    for lost in [
        ScriptedResponse::error(Error::unavailable("lost")),
        ScriptedResponse::json(504, ""),
        ScriptedResponse::json(408, ""),
        ok(""),
        ok("{\"token\":\"sec"),
    ] {
        let Renewed { result, sent, .. } = renewal(vec![lost, ok(LOGIN)]).await;
        assert_eq!(result.unwrap().expose(), "first");
        assert_eq!(sent, ["by=r1", "by=password"]);
    }
}

#[tokio::test(start_paused = true)]
async fn k1_an_error_never_repeats_a_refresh_token_that_the_server_echoes() {
    let echo = || ScriptedResponse::json(401, r#"{"error":"secret-refresh-token"}"#);
    let with_refresh = r#"{"token":"first","expires_in":3000,"refresh":"secret-refresh-token"}"#;
    let script = Script::new([ok(with_refresh), echo(), echo()]);
    let tokens = script.manager();
    tokens.token().await.unwrap();
    let error = renew(&tokens).await.unwrap_err();
    assert!(error.code().is_none() && !error.to_string().contains("secret"), "{error}");
    assert_eq!(script.requests().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn r8_an_empty_refresh_token_counts_as_missing() {
    let renewed = renewal(vec![ok(r#"{"token":"second","expires_in":3000,"refresh":""}"#)]).await;
    renewed.result.unwrap();
    assert_eq!(renewed.next, "by=r1");
}

#[tokio::test(start_paused = true)]
async fn r8_a_refresh_that_exceeds_the_deadline_is_not_repeated() {
    let Renewed { result, sent, next } = renewal(vec![ok(ROTATED).after(Duration::from_secs(31))]).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(sent, ["by=r1"]);
    assert_eq!(next, "by=password");
}

#[tokio::test(start_paused = true)]
async fn r8_a_refresh_that_was_not_processed_may_be_repeated() {
    for unprocessed in [
        ScriptedResponse::error(Error::unreachable("down")),
        ScriptedResponse::json(429, ""),
        ScriptedResponse::json(425, ""),
    ] {
        let Renewed { result, sent, .. } = renewal(vec![unprocessed, ok(ROTATED)]).await;
        assert_eq!(result.unwrap().expose(), "second");
        assert_eq!(sent, ["by=r1", "by=r1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn r8_a_lifetime_below_60_s_after_a_refresh_leads_to_a_login() {
    let short = r#"{"token":"second","expires_in":59,"refresh":"r2"}"#;
    let Renewed { result, sent, .. } = renewal(vec![ok(short), ok(LOGIN)]).await;
    assert_eq!(result.unwrap().expose(), "first");
    assert_eq!(sent, ["by=r1", "by=password"]);
}

#[tokio::test(start_paused = true)]
async fn r8_the_lifetime_below_which_a_login_follows_is_a_setting() {
    let script = Script::new([ok(LOGIN), ok(r#"{"token":"second","expires_in":59,"refresh":"r2"}"#)]);
    let tokens = manager_with(&script, Policy::default().with_ending_session(Duration::from_secs(59)));
    tokens.token().await.unwrap();
    assert_eq!(renew(&tokens).await.unwrap().expose(), "second");
}

#[tokio::test(start_paused = true)]
async fn r8_short_tokens_are_refreshed_if_the_login_gave_no_longer_ones() {
    let short = r#"{"token":"t","expires_in":10,"refresh":"r1"}"#;
    let script = Script::new([ok(short), ok(short)]);
    let tokens = script.manager();
    tokens.token().await.unwrap();
    renew(&tokens).await.unwrap();
    assert_eq!(bodies(&script), ["by=password", "by=r1"]);
}

#[tokio::test(start_paused = true)]
async fn r8_an_expired_refresh_token_is_not_used() {
    let script = Script::new([ok(r#"{"token":"t","refresh":"r1","refresh_expires_in":7200}"#), ok(LOGIN)]);
    let tokens = script.manager();
    tokens.token().await.unwrap();
    tokio::time::advance(Duration::from_secs(7200)).await;
    renew(&tokens).await.unwrap();
    assert_eq!(bodies(&script), ["by=password", "by=password"]);
}

#[tokio::test(start_paused = true)]
async fn f4_the_lifetime_counts_from_before_the_request() {
    let script = Script::new([ok(r#"{"token":"t","expires_in":60}"#).after(Duration::from_secs(8))]);
    let tokens = script.manager();
    tokens.token().await.unwrap();
    tokio::time::advance(Duration::from_secs(50)).await;
    assert!(tokens.cached().is_some());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(tokens.cached().is_none(), "8 s until the response, 1 s for the way to the server");
}

#[tokio::test(start_paused = true)]
async fn r7_a_login_makes_at_most_three_attempts_within_its_deadline() {
    let script = Script::new(vec![ScriptedResponse::json(503, ""); 9]);
    let error = login(&script).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unavailable, Some(StatusCode::SERVICE_UNAVAILABLE)));
    assert_eq!(script.requests().len(), 3);

    let slow = Script::new(vec![ScriptedResponse::json(503, "").after(Duration::from_secs(14)); 9]);
    let start = tokio::time::Instant::now();
    login(&slow).await.unwrap_err();
    assert!(start.elapsed() <= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn r7_the_attempts_and_the_deadline_are_settings() {
    let policy = Policy::default().with_deadline(Duration::from_secs(600));
    for attempts in [2, 5] {
        let script = Script::new(vec![ScriptedResponse::json(503, ""); 9]);
        manager_with(&script, policy.clone().with_attempts(attempts)).token().await.unwrap_err();
        assert_eq!(script.requests().len(), attempts as usize);
    }
    let slow = Script::new([ok(LOGIN).after(Duration::from_secs(599))]);
    manager_with(&slow, policy).token().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn r5_a_retry_after_beyond_the_deadline_is_an_error_at_once() {
    let throttled = ScriptedResponse::json(429, "").with_header(RETRY_AFTER, "60");
    let script = Script::new([throttled, ok(LOGIN)]);
    let error = login(&script).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled);
    let wait = error.retry_after().unwrap();
    assert!((Duration::from_secs(60)..Duration::from_secs(66)).contains(&wait), "{wait:?}");
    assert_eq!(error.retry_at(), Some(VirtualClock::new().now().wall + wait));
    assert_eq!(script.requests().len(), 1);

    let short = Script::new([ScriptedResponse::json(429, "").with_header(RETRY_AFTER, "5"), ok(LOGIN)]);
    let start = tokio::time::Instant::now();
    login(&short).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn r6_an_unreadable_response_leads_to_one_more_attempt() {
    let script = Script::new([ok("<html>"), ok(""), ok(LOGIN)]);
    assert_eq!(login(&script).await.unwrap_err().kind(), ErrorKind::Malformed);
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn f8_an_unusable_token_is_one_error() {
    for body in [
        r#"{"token":"t","expires_in":0}"#,
        r#"{"token":""}"#,
        r#"{"expires_in":60}"#,
        r#"{"token":"t","expires_in":"soon"}"#,
    ] {
        let script = Script::new([ok(body), ok(LOGIN)]);
        assert_eq!(login(&script).await.unwrap_err().kind(), ErrorKind::Malformed, "{body}");
        assert_eq!(script.requests().len(), 1, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn t8_a_token_that_no_header_can_hold_is_malformed() {
    for token in ["a\\r\\nX-Evil: 1", "a\\u0000", "tökén", "two words", " padded"] {
        let script = Script::new([ok(&format!(r#"{{"token":"{token}"}}"#))]);
        let error = login(&script).await.unwrap_err();
        assert_eq!((error.kind(), error.provider()), (ErrorKind::Malformed, Some("test")), "{token}");
    }
}

#[tokio::test(start_paused = true)]
async fn f5_a_wrong_date_header_does_not_change_the_lifetime_of_a_jwt() {
    let jwt = "e30.eyJpYXQiOjE3NDU1NjQyMjQsImV4cCI6MTc0NTU2NjAyNH0.c2ln";
    for offset in [0, 2 * 3600, 22 * 3600] {
        let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(1_745_564_224 + offset));
        let response = ok(&format!(r#"{{"token":"{jwt}"}}"#)).with_header(DATE, &date);
        let token = login(&Script::new([response])).await.unwrap();
        assert_eq!(token.lifetime(), Duration::from_secs(1800));
    }
}

use super::*;

use std::time::SystemTime;

use http::StatusCode;
use http::header::{DATE, RETRY_AFTER};

use crate::freshness::{Freshness, Term};
use crate::testing::{Script, ScriptedResponse, TestProvider, VirtualClock};

const LOGIN: &str = r#"{"token":"first","life":3000,"refresh":"r1"}"#;
const ROTATED: &str = r#"{"token":"second","life":3000,"refresh":"r2"}"#;

fn login(script: &Script) -> Login<TestProvider, Script> {
    script.login()
}

fn ok(body: &str) -> ScriptedResponse {
    ScriptedResponse::json(200, body)
}

fn bodies(script: &Script) -> Vec<String> {
    let requests = script.requests();
    requests.iter().map(|request| String::from_utf8(request.body().to_vec()).unwrap()).collect()
}

/// Logs in and renews once: what came out, which refresh token is left, and what was sent after the login.
async fn renewal(answers: Vec<ScriptedResponse>) -> (Result<AccessToken, Error>, Option<RefreshToken>, Vec<String>) {
    let script = Script::new([vec![ok(LOGIN)], answers].concat());
    let login = login(&script);
    let mut refresh = login.login().await.unwrap().refresh;
    let renewed = login.renew(&mut refresh).await;
    (renewed, refresh, bodies(&script).split_off(1))
}

#[tokio::test(start_paused = true)]
async fn r8_a_refresh_uses_and_rotates_the_refresh_token() {
    let (renewed, left, sent) = renewal(vec![ok(ROTATED)]).await;
    assert_eq!(renewed.unwrap().expose(), "second");
    assert_eq!(left.unwrap().expose(), "r2");
    assert_eq!(sent, ["by=r1"]);
}

#[tokio::test(start_paused = true)]
async fn r8_the_old_refresh_token_stays_where_none_came() {
    let (renewed, left, _) = renewal(vec![ok(r#"{"token":"second","life":3000}"#)]).await;
    renewed.unwrap();
    assert_eq!(left.unwrap().expose(), "r1");
}

#[tokio::test(start_paused = true)]
async fn r8_a_refused_refresh_means_one_login() {
    let (renewed, _, sent) =
        renewal(vec![ScriptedResponse::json(400, r#"{"error":"invalid_grant"}"#), ok(LOGIN)]).await;
    assert_eq!(renewed.unwrap().expose(), "first");
    assert_eq!(sent, ["by=r1", "by=password"]);

    let refused = || ScriptedResponse::json(400, r#"{"error":"invalid_grant"}"#);
    let (renewed, left, sent) = renewal(vec![refused(), refused()]).await;
    assert_eq!(renewed.unwrap_err().kind(), ErrorKind::Refused);
    assert!(left.is_none());
    assert_eq!(sent, ["by=r1", "by=password"]);
}

#[tokio::test(start_paused = true)]
async fn r8_a_refresh_is_never_repeated_after_a_lost_answer() {
    for lost in [
        ScriptedResponse::error(Error::unavailable("lost")),
        ScriptedResponse::json(504, ""),
        ScriptedResponse::json(408, ""),
        ok(""),
        ok("{\"token\":\"sec"),
    ] {
        let (renewed, _, sent) = renewal(vec![lost, ok(LOGIN)]).await;
        assert_eq!(renewed.unwrap().expose(), "first");
        assert_eq!(sent, ["by=r1", "by=password"]);
    }
}

#[tokio::test(start_paused = true)]
async fn k1_a_login_that_echoes_the_refresh_token_before_it_is_not_quoted() {
    let echo = || ScriptedResponse::json(401, r#"{"error":"secret-refresh-token"}"#);
    let granted = r#"{"token":"first","life":3000,"refresh":"secret-refresh-token"}"#;
    let script = Script::new([ok(granted), echo(), echo()]);
    let login = login(&script);
    let mut refresh = login.login().await.unwrap().refresh;
    let error = login.renew(&mut refresh).await.unwrap_err();
    assert!(error.code().is_none() && !error.to_string().contains("secret"), "{error}");
    assert_eq!(script.requests().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn r8_an_empty_refresh_token_is_none() {
    let (renewed, left, _) = renewal(vec![ok(r#"{"token":"second","life":3000,"refresh":""}"#)]).await;
    renewed.unwrap();
    assert_eq!(left.unwrap().expose(), "r1");
}

#[tokio::test(start_paused = true)]
async fn r8_a_refresh_that_outlives_the_deadline_is_not_repeated() {
    let (renewed, left, sent) = renewal(vec![ok(ROTATED).after(Duration::from_secs(31))]).await;
    assert_eq!(renewed.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(left.is_none());
    assert_eq!(sent, ["by=r1"]);
}

#[tokio::test(start_paused = true)]
async fn r8_a_refresh_that_was_not_processed_may_be_repeated() {
    for unprocessed in [
        ScriptedResponse::error(Error::unreachable("down")),
        ScriptedResponse::json(429, ""),
        ScriptedResponse::json(425, ""),
    ] {
        let (renewed, _, sent) = renewal(vec![unprocessed, ok(ROTATED)]).await;
        assert_eq!(renewed.unwrap().expose(), "second");
        assert_eq!(sent, ["by=r1", "by=r1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn r8_an_ending_session_means_a_login() {
    let short = r#"{"token":"second","life":59,"refresh":"r2"}"#;
    let (renewed, _, sent) = renewal(vec![ok(short), ok(LOGIN)]).await;
    assert_eq!(renewed.unwrap().expose(), "first");
    assert_eq!(sent, ["by=r1", "by=password"]);
}

#[tokio::test(start_paused = true)]
async fn r8_which_life_means_an_ending_session_is_a_setting() {
    let script = Script::new([ok(LOGIN), ok(r#"{"token":"second","life":59,"refresh":"r2"}"#)]);
    let login = login(&script).with_policy(Policy::default().with_ending_session(Duration::from_secs(59)));
    let mut refresh = login.login().await.unwrap().refresh;
    assert_eq!(login.renew(&mut refresh).await.unwrap().expose(), "second");
}

#[tokio::test(start_paused = true)]
async fn r8_short_tokens_are_refreshed_where_the_login_gave_no_more() {
    let short = r#"{"token":"t","life":10,"refresh":"r1"}"#;
    let script = Script::new([ok(short), ok(short)]);
    let login = login(&script);
    let mut refresh = login.login().await.unwrap().refresh;
    login.renew(&mut refresh).await.unwrap();
    assert_eq!(bodies(&script), ["by=password", "by=r1"]);
}

#[tokio::test(start_paused = true)]
async fn r8_a_refresh_token_past_its_end_is_not_tried() {
    let script = Script::new([ok(r#"{"token":"t","refresh":"r1","refresh_life":7200}"#), ok(LOGIN)]);
    let login = login(&script);
    let mut refresh = login.login().await.unwrap().refresh;
    tokio::time::advance(Duration::from_secs(7200)).await;
    login.renew(&mut refresh).await.unwrap();
    assert_eq!(bodies(&script), ["by=password", "by=password"]);
}

#[tokio::test(start_paused = true)]
async fn f4_the_life_counts_from_before_the_request() {
    let script = Script::new([ok(r#"{"token":"t","life":60}"#).after(Duration::from_secs(8))]);
    let clock = VirtualClock::new();
    let token = login(&script).with_clock(clock.clone()).login().await.unwrap().access;
    let usable_after = |wait| {
        let term = Term::new(token.issued(), token.lifetime(), 0.5, &Policy::default());
        term.at(&clock.now().plus(wait)) != Freshness::Expired
    };
    assert!(usable_after(Duration::from_secs(45)));
    assert!(!usable_after(Duration::from_secs(46)), "8 s on the way, 6 s of margin");
}

#[tokio::test(start_paused = true)]
async fn r7_at_most_three_attempts_inside_one_deadline() {
    let script = Script::new(vec![ScriptedResponse::json(503, ""); 9]);
    let error = login(&script).login().await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unavailable, Some(StatusCode::SERVICE_UNAVAILABLE)));
    assert_eq!(script.requests().len(), 3);

    let slow = Script::new(vec![ScriptedResponse::json(503, "").after(Duration::from_secs(14)); 9]);
    let start = tokio::time::Instant::now();
    login(&slow).login().await.unwrap_err();
    assert!(start.elapsed() <= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn r7_the_attempts_and_the_deadline_are_settings() {
    let policy = Policy::default().with_deadline(Duration::from_secs(600));
    for attempts in [2, 5] {
        let script = Script::new(vec![ScriptedResponse::json(503, ""); 9]);
        login(&script).with_policy(policy.clone().with_attempts(attempts)).login().await.unwrap_err();
        assert_eq!(script.requests().len(), attempts as usize);
    }
    let slow = Script::new([ok(LOGIN).after(Duration::from_secs(599))]);
    login(&slow).with_policy(policy).login().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn r5_a_wait_beyond_the_deadline_is_the_callers() {
    let answer = ScriptedResponse::json(429, "").with_header(RETRY_AFTER, "60");
    let script = Script::new([answer, ok(LOGIN)]);
    let error = login(&script).login().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    assert_eq!(error.retry_at(), Some(VirtualClock::new().now().wall + Duration::from_secs(60)));
    assert_eq!(script.requests().len(), 1);

    let short = Script::new([ScriptedResponse::json(429, "").with_header(RETRY_AFTER, "5"), ok(LOGIN)]);
    let start = tokio::time::Instant::now();
    login(&short).login().await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn r6_an_unreadable_answer_is_asked_for_once_more() {
    let script = Script::new([ok("<html>"), ok(""), ok(LOGIN)]);
    assert_eq!(login(&script).login().await.unwrap_err().kind(), ErrorKind::Malformed);
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn f8_an_unusable_token_is_one_error() {
    for body in [r#"{"token":"t","life":0}"#, r#"{"token":""}"#, r#"{"life":60}"#, r#"{"token":"t","life":"soon"}"#] {
        let script = Script::new([ok(body), ok(LOGIN)]);
        assert_eq!(login(&script).login().await.unwrap_err().kind(), ErrorKind::Malformed, "{body}");
        assert_eq!(script.requests().len(), 1, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn t8_a_token_that_no_header_may_hold_is_malformed() {
    for token in ["a\\r\\nX-Evil: 1", "a\\u0000", "tökén", "two words", " padded"] {
        let script = Script::new([ok(&format!(r#"{{"token":"{token}"}}"#))]);
        let error = login(&script).login().await.unwrap_err();
        assert_eq!((error.kind(), error.provider()), (ErrorKind::Malformed, Some("test")), "{token}");
    }
}

#[tokio::test(start_paused = true)]
async fn f5_a_date_two_hours_off_changes_nothing() {
    let jwt = "e30.eyJpYXQiOjE3NDU1NjQyMjQsImV4cCI6MTc0NTU2NjAyNH0.c2ln";
    for off in [0, 2 * 3600, 22 * 3600] {
        let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(1_745_564_224 + off));
        let answer = ok(&format!(r#"{{"token":"{jwt}"}}"#)).with_header(DATE, &date);
        let token = login(&Script::new([answer])).login().await.unwrap();
        assert_eq!(token.access.lifetime(), Duration::from_secs(1800));
    }
}

#[test]
fn the_next_attempt_by_what_failed() {
    let unavailable = Error::unavailable("x");
    let unreadable = Error::malformed("x").into_transient();
    let final_error = Error::malformed("x");
    let untrusted = Error::untrusted("x");
    let second = Some(Duration::from_secs(1));
    let cases = [
        (AttemptKind::Login, false, &unavailable, false, second),
        (AttemptKind::Login, true, &unavailable, false, None),
        (AttemptKind::Login, false, &unreadable, false, second),
        (AttemptKind::Login, false, &unreadable, true, None),
        (AttemptKind::Login, false, &final_error, false, None),
        (AttemptKind::Refresh, false, &final_error, false, Some(Duration::ZERO)),
        (AttemptKind::Refresh, true, &final_error, false, None),
        (AttemptKind::Refresh, false, &untrusted, false, None),
        (AttemptKind::Refresh, false, &unavailable, false, second),
    ];
    for (kind, is_last, error, was_unreadable, expected) in cases {
        let wait = retry_delay(kind, is_last, error, was_unreadable, Duration::from_secs(1));
        assert_eq!(wait, expected, "{kind:?} {is_last} {error}");
    }
}

//! How long one manager uses a token, and when it renews it.

use auth_core::ErrorKind;
use auth_testing::{Script, ScriptedResponse, VirtualClock};
use tokio::time::{advance, sleep};

use crate::support::{LIFETIMES, manager, seconds};

#[tokio::test(start_paused = true)]
async fn f1_a_hundred_calls_over_half_a_lifetime_make_one_login() {
    for lifetime in LIFETIMES {
        let script = Script::new([ScriptedResponse::token("t", lifetime)]);
        let tokens = manager(&script);
        for _ in 0..100 {
            tokens.token().await.unwrap();
            advance(seconds(lifetime as f64 * 0.005)).await;
        }
        assert_eq!(script.requests().len(), 1, "{lifetime}");
    }
}

#[tokio::test(start_paused = true)]
async fn f2_reading_does_not_move_the_refresh_point() {
    let script = Script::new([ScriptedResponse::token("t", 1000)]);
    let tokens = manager(&script);
    tokens.token().await.unwrap();
    let refresh_at = tokens.status().refresh_at;
    for _ in 0..10_000 {
        tokens.token().await.unwrap();
    }
    assert_eq!(tokens.status().refresh_at, refresh_at);
    assert!(refresh_at.is_some());
}

#[tokio::test(start_paused = true)]
async fn f6_a_token_expires_by_the_clock_that_reaches_its_expiry_first() {
    for (shift, logins) in [(0, 1), (-3600, 1), (3600, 2), (7200, 2)] {
        let clock = VirtualClock::new();
        let script = Script::default().then_always(ScriptedResponse::token("t", 1800));
        let tokens = script.builder().with_clock(clock.clone()).build().unwrap();
        tokens.token().await.unwrap();
        clock.shift_wall(shift);
        tokens.token().await.unwrap();
        assert_eq!(script.requests().len(), logins, "wall clock moved by {shift} s");

        // The token expires by the monotonic clock, whatever the wall clock says.
        advance(seconds(1799.0)).await;
        assert!(tokens.cached().is_none());
        tokens.token().await.unwrap();
        assert_eq!(script.requests().len(), logins + 1);
        clock.shift_wall(-shift);
        assert!(tokens.token().await.is_ok(), "no usable token is lost for good");
    }
}

#[tokio::test(start_paused = true)]
async fn f8_a_token_that_has_expired_when_it_arrives_is_one_error() {
    let script = Script::default().then_always(ScriptedResponse::token("t", 5).after(seconds(20.0)));
    let error = manager(&script).token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn f9_a_caller_can_require_more_validity() {
    let script = Script::new(["a", "b", "c"].map(|name| ScriptedResponse::token(name, 1000)));
    let tokens = manager(&script);
    assert_eq!(tokens.token_valid_for(seconds(900.0)).await.unwrap().expose(), "a");
    advance(seconds(50.0)).await;
    assert_eq!(tokens.token_valid_for(seconds(950.0)).await.unwrap().expose(), "a");
    advance(seconds(1.0)).await;
    assert_eq!(tokens.token_valid_for(seconds(950.0)).await.unwrap().expose(), "b");
    let error = tokens.token_valid_for(seconds(1001.0)).await.unwrap_err();
    assert_eq!((error.kind(), error.setting()), (ErrorKind::Misuse, None));
    assert_eq!(script.requests().len(), 2, "the error needs no request");
}

#[tokio::test(start_paused = true)]
async fn f10_no_task_runs_while_no_caller_asks_for_a_token() {
    let script = Script::default().then_always(ScriptedResponse::token("t", 10));
    let tokens = manager(&script);
    tokens.token().await.unwrap();
    sleep(seconds(100_000.0)).await;
    assert_eq!(script.requests().len(), 1);
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn f10_keep_warm_is_opt_in_and_ends_with_the_last_handle() {
    let script = Script::new([ScriptedResponse::token("a", 100)]).then_always(ScriptedResponse::token("b", 100));
    let tokens = manager(&script);
    tokens.keep_warm().unwrap();
    for _ in 0..1000 {
        sleep(seconds(1.0)).await;
        assert!(tokens.cached().is_some());
    }
    let requests = script.requests().len();
    assert!((12..=16).contains(&requests), "{requests} requests in 1000 s, with a renewal every 70 to 80 s");

    drop(tokens);
    sleep(seconds(1.0)).await;
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn f10_keep_warm_backs_off_while_the_server_is_down() {
    let script = Script::default().then_always(ScriptedResponse::status(503));
    let tokens = manager(&script);
    tokens.keep_warm().unwrap();
    sleep(seconds(600.0)).await;
    let requests = script.requests().len();
    assert!((20..=150).contains(&requests), "{requests} requests in 600 s with a backoff of up to 30 s");
}

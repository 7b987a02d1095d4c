//! What one manager does after failures: backoff, cooldowns, refresh tokens, rejections.

use auth_core::{ErrorKind, Freshness, Policy};
use auth_testing::{Script, ScriptedResponse, TestProvider};
use tokio::time::{Instant, advance, sleep};

use crate::support::{manager, seconds, slow, stampede};

#[tokio::test(start_paused = true)]
async fn r1_a_stale_token_is_used_during_an_outage_until_the_margin() {
    let script = Script::new([ScriptedResponse::token("old", 1000)]).then_always(ScriptedResponse::status(503));
    let tokens = manager(&script);
    tokens.token().await.unwrap();
    advance(seconds(801.0)).await;
    let start = Instant::now();
    while start.elapsed() < seconds(169.0) {
        assert_eq!(tokens.token().await.unwrap().expose(), "old");
        sleep(seconds(1.0)).await;
    }
    let attempts = script.requests().len() - 1;
    assert!((6..=60).contains(&attempts), "{attempts} attempts in 169 s with a backoff of up to 30 s");
}

#[tokio::test(start_paused = true)]
async fn f11_an_outage_takes_the_last_seconds_of_a_token_from_nobody() {
    for failure in [ScriptedResponse::status(503), ScriptedResponse::refusal(), ScriptedResponse::status(429)] {
        let script = Script::new([ScriptedResponse::token("old", 1000)]).then_always(failure);
        let tokens = manager(&script);
        tokens.token().await.unwrap();
        advance(seconds(971.0)).await;
        let start = Instant::now();
        // A refusal is an error at once. An outage is tried three times, and nobody waits for all of them.
        assert_eq!(tokens.token().await.unwrap().expose(), "old");
        assert!(start.elapsed() <= seconds(2.0), "{:?}", start.elapsed());
        sleep(seconds(10.0) - start.elapsed()).await;
        while start.elapsed() < seconds(27.0) {
            let call = Instant::now();
            assert_eq!(tokens.token().await.unwrap().expose(), "old");
            assert_eq!(tokens.cached().unwrap().expose(), "old");
            assert_eq!(tokens.status().freshness, Some(Freshness::Expiring));
            assert!(call.elapsed() <= seconds(2.0));
            sleep(seconds(0.1)).await;
        }
        sleep(seconds(28.0) - start.elapsed()).await;
        assert!(tokens.cached().is_none(), "less than a second is left");
        tokens.token().await.unwrap_err();
    }
}

#[tokio::test(start_paused = true)]
async fn f11_nobody_waits_for_a_renewal_that_is_paused() {
    let script = Script::new([ScriptedResponse::token("old", 1000)]).then_always(ScriptedResponse::refusal());
    let tokens = manager(&script);
    tokens.token().await.unwrap();
    advance(seconds(960.0)).await;
    tokens.token().await.unwrap(); // stale: the login in the background is refused
    sleep(seconds(15.0)).await;
    let start = Instant::now();
    assert_eq!(tokens.token().await.unwrap().expose(), "old");
    assert_eq!((start.elapsed(), script.requests().len()), (seconds(0.0), 2));
}

#[tokio::test(start_paused = true)]
async fn f11_a_server_that_hangs_delays_callers_by_two_seconds() {
    let hung = ScriptedResponse::token("late", 1000).after(seconds(3600.0));
    let script = Script::new([ScriptedResponse::token("old", 1000)]).then_always(hung);
    let tokens = manager(&script);
    tokens.token().await.unwrap();
    advance(seconds(971.0)).await;
    let start = Instant::now();
    for result in stampede(&tokens, 100).await {
        assert_eq!(result.unwrap().expose(), "old");
    }
    assert_eq!(start.elapsed(), seconds(2.0));
    assert_eq!(tokens.token().await.unwrap().expose(), "old");
    assert_eq!((start.elapsed(), script.requests().len()), (seconds(2.0), 2), "the flight is known to be slow");
}

#[tokio::test(start_paused = true)]
async fn f11_nobody_waits_until_the_old_token_has_expired() {
    let hung = ScriptedResponse::token("late", 1000).after(seconds(3600.0));
    for left in [2.9, 2.0, 1.2, 1.05] {
        let script = Script::new([ScriptedResponse::token("old", 1000)]).then_always(hung.clone());
        let tokens = manager(&script);
        tokens.token().await.unwrap();
        advance(seconds(1000.0 - left)).await;
        let start = Instant::now();
        assert_eq!(tokens.token().await.unwrap().expose(), "old", "{left}");
        assert!(start.elapsed() <= seconds(left - 1.0), "{left}: {:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn r2_an_error_never_displaces_a_usable_token() {
    for failure in [
        ScriptedResponse::refusal(),
        ScriptedResponse::status(500),
        ScriptedResponse::status(429),
        ScriptedResponse::json(200, "{}"),
    ] {
        let script = Script::new([ScriptedResponse::token("old", 1000)]).then_always(failure);
        let tokens = manager(&script);
        tokens.token().await.unwrap();
        advance(seconds(810.0)).await;
        for _ in 0..15 {
            assert_eq!(tokens.token().await.unwrap().expose(), "old");
            sleep(seconds(10.0)).await;
        }
        assert!(tokens.status().last_error.is_some());
        advance(seconds(40.0)).await;
        assert!(tokens.token().await.is_err(), "the old token is never handed out after its expiry");
    }
}

#[tokio::test(start_paused = true)]
async fn r3_calls_during_an_outage_make_one_attempt_per_backoff_step() {
    let script = Script::default().then_always(ScriptedResponse::status(503));
    let tokens = manager(&script);
    let start = Instant::now();
    let mut failed_at_once = 0;
    while start.elapsed() < seconds(60.0) {
        let call = Instant::now();
        let error = tokens.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        if call.elapsed().is_zero() {
            assert!(error.retry_after().unwrap() <= seconds(30.0));
            failed_at_once += 1;
        }
        sleep(seconds(0.001)).await;
    }
    let attempts = script.requests().len();
    assert!((4..=30).contains(&attempts), "{attempts} attempts in 60 s");
    assert!(failed_at_once > 1000, "the other calls must fail at once, but only {failed_at_once} did");
}

#[tokio::test(start_paused = true)]
async fn r4_refused_credentials_are_tried_four_times_in_ten_minutes() {
    let script = Script::default().then_always(ScriptedResponse::refusal());
    let tokens = manager(&script);
    let start = Instant::now();
    while start.elapsed() < seconds(600.0) {
        assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Refused);
        sleep(seconds(0.01)).await;
    }
    let times: Vec<_> = script.times().iter().map(|time| *time - start).collect();
    for (time, (earliest, latest)) in times.iter().zip([(0.0, 0.1), (60.0, 66.1), (180.0, 198.2), (420.0, 462.3)]) {
        assert!((seconds(earliest)..seconds(latest)).contains(time), "{times:?}");
    }
    assert_eq!(times.len(), 4, "{times:?}");
    let error = tokens.token().await.unwrap_err();
    assert!(error.retry_after().is_some() && error.to_string().contains("next attempt in"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn r3_r4_the_first_error_also_states_the_next_attempt() {
    for failure in [
        ScriptedResponse::refusal(),
        ScriptedResponse::status(404),
        ScriptedResponse::status(429),
        ScriptedResponse::status(503),
    ] {
        let tokens = manager(&Script::default().then_always(failure));
        let error = tokens.token().await.unwrap_err();
        assert_eq!(error.retry_at(), tokens.status().next_attempt_at, "{error}");
        assert_eq!(error.retry_at(), tokens.token().await.unwrap_err().retry_at(), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn r4_the_policy_also_applies_to_new_credentials() {
    let policy = Policy::default().with_refusal_backoff(seconds(600.0), seconds(600.0));
    let script = Script::default().then_always(ScriptedResponse::refusal());
    let tokens = script.builder().with_policy(policy).build().unwrap();
    tokens.replace_credentials(TestProvider::new("other")).unwrap();
    for logins in [1, 1, 2, 2, 3] {
        tokens.token().await.unwrap_err();
        assert_eq!(script.requests().len(), logins);
        sleep(seconds(400.0)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn r4_new_credentials_are_tried_at_once() {
    let script = Script::new([ScriptedResponse::refusal(), ScriptedResponse::token("new", 1000)]);
    let tokens = manager(&script);
    tokens.token().await.unwrap_err();
    tokens.token().await.unwrap_err();
    tokens.replace_credentials(TestProvider::new("right")).unwrap();
    assert_eq!(tokens.token().await.unwrap().expose(), "new");
}

#[tokio::test(start_paused = true)]
async fn r4_the_old_token_is_used_until_the_login_with_new_credentials_completes() {
    let script = Script::new([ScriptedResponse::token("old", 1000), slow("new", 1000)]);
    let tokens = manager(&script);
    tokens.token().await.unwrap();
    tokens.replace_credentials(TestProvider::new("rotated")).unwrap();
    assert_eq!(tokens.token().await.unwrap().expose(), "old");
    sleep(seconds(3.0)).await;
    assert_eq!(tokens.token().await.unwrap().expose(), "new");
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn r5_a_retry_after_is_shared_by_all_callers() {
    let throttled = ScriptedResponse::status(429).with_header(http::header::RETRY_AFTER, "600");
    let script = Script::new([throttled, ScriptedResponse::token("one", 1000)]);
    let tokens = manager(&script);
    for result in stampede(&tokens, 100).await {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Throttled);
    }
    sleep(seconds(599.0)).await;
    let wait = tokens.token().await.unwrap_err().retry_after().unwrap();
    assert!((seconds(1.0)..seconds(61.0)).contains(&wait), "{wait:?}");
    assert_eq!(script.requests().len(), 1);
    sleep(wait).await;
    assert_eq!(tokens.token().await.unwrap().expose(), "one");
}

fn with_refresh_token(name: &str) -> ScriptedResponse {
    ScriptedResponse::json(200, &format!(r#"{{"token":"{name}","expires_in":1000,"refresh":"r-{name}"}}"#))
}

#[tokio::test(start_paused = true)]
async fn r8_the_refresh_token_is_used_and_replaced_by_the_rotated_one() {
    let script = Script::new([
        with_refresh_token("a"),
        with_refresh_token("b"),
        ScriptedResponse::refusal(),
        with_refresh_token("c"),
    ]);
    let tokens = manager(&script);
    for expected in ["a", "b", "c"] {
        assert_eq!(tokens.token().await.unwrap().expose(), expected);
        advance(seconds(980.0)).await;
    }
    let bodies: Vec<_> = script.requests().iter().map(|request| request.body().to_vec()).collect();
    assert_eq!(bodies, [&b"by=password"[..], b"by=r-a", b"by=r-b", b"by=password"]);
}

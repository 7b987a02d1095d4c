//! Tests of one manager: freshness, single flight, cooldowns, rejection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use auth_core::{
    AccessToken, Error, ErrorKind, ErrorResponse, Freshness, Login, Policy, Provider, Request, Response, TokenManager,
    TokenResponse, TokenSource,
};
use auth_testing::{Script, ScriptedResponse, TestProvider, VirtualClock};
use tokio::runtime::Runtime;
use tokio::time::{Instant, advance, sleep, timeout};

type Manager = TokenManager<TestProvider, Script>;

const LIFETIMES: [u64; 6] = [5, 10, 60, 300, 1800, 86400];

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn manager(script: &Script) -> Manager {
    TokenManager::new(script.login())
}

/// Returns a token after two seconds.
fn slow(token: &str, lifetime: u64) -> ScriptedResponse {
    ScriptedResponse::token(token, lifetime).after(seconds(2.0))
}

/// Calls `token` from this number of tasks at the same time and returns their results.
async fn stampede(tokens: &Manager, callers: usize) -> Vec<Result<AccessToken, Error>> {
    let calls: Vec<_> = (0..callers)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::spawn(async move { tokens.token().await })
        })
        .collect();
    let mut results = Vec::new();
    for call in calls {
        results.push(call.await.unwrap());
    }
    results
}

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
        let tokens = TokenManager::new(script.login().with_clock(clock.clone()));
        tokens.token().await.unwrap();
        clock.shift_wall(shift);
        tokens.token().await.unwrap();
        assert_eq!(script.requests().len(), logins, "wall clock moved by {shift} s");

        // The token expires by the monotonic clock, whatever the wall clock says.
        advance(seconds(1790.0)).await;
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

#[tokio::test(start_paused = true)]
async fn s1_many_callers_with_an_empty_cache_make_one_request() {
    for callers in [1000, 10_000] {
        let script = Script::new([slow("one", 1000)]);
        let results = stampede(&manager(&script), callers).await;
        let first = results[0].as_ref().unwrap();
        assert!(results.iter().all(|result| result.as_ref().unwrap().ptr_eq(first)));
        assert_eq!((results.len(), script.requests().len()), (callers, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn s2_many_callers_with_a_stale_token_make_one_request_and_do_not_wait() {
    let script = Script::new([ScriptedResponse::token("old", 1000), slow("new", 1000)]);
    let tokens = manager(&script);
    tokens.token().await.unwrap();
    advance(seconds(810.0)).await;
    let start = Instant::now();
    for result in stampede(&tokens, 1000).await {
        assert_eq!(result.unwrap().expose(), "old");
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    sleep(seconds(2.1)).await;
    assert_eq!(tokens.token().await.unwrap().expose(), "new");
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn s3_in_the_margin_no_caller_waits_longer_than_the_login() {
    for login in [2.0, 29.0] {
        let script = Script::new([
            ScriptedResponse::token("old", 1000),
            ScriptedResponse::token("new", 1000).after(seconds(login)),
        ]);
        let tokens = manager(&script);
        tokens.token().await.unwrap();
        advance(seconds(971.0)).await;
        let start = Instant::now();
        for result in stampede(&tokens, 1000).await {
            assert_eq!(result.unwrap().expose(), "new");
        }
        assert!(start.elapsed() < seconds(login + 0.01), "{:?}", start.elapsed());
        assert_eq!(script.requests().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn s4_leader_dropped() {
    let script = Script::new([slow("one", 1000)]);
    let tokens = manager(&script);
    // The first caller starts the flight and is dropped. All the others are dropped too.
    for _ in 0..10 {
        assert!(timeout(seconds(0.1), tokens.token()).await.is_err());
    }
    sleep(seconds(2.0)).await;
    assert_eq!(tokens.cached().unwrap().expose(), "one");
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn s5_a_callers_own_timeout_ends_only_its_own_wait() {
    let script = Script::new([slow("one", 1000)]);
    let tokens = manager(&script);
    let (short, long) = tokio::join!(timeout(seconds(1.0), tokens.token()), timeout(seconds(3.0), tokens.token()));
    assert!(short.is_err());
    assert_eq!(long.unwrap().unwrap().expose(), "one");
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn s6_a_failure_is_shared_by_all_waiting_callers() {
    let script = Script::default().then_always(ScriptedResponse::refusal().after(seconds(1.0)));
    let tokens = manager(&script);
    for result in stampede(&tokens, 20).await {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Refused);
    }
    assert_eq!(script.requests().len(), 1);

    let hung = Script::default().then_always(ScriptedResponse::token("late", 1000).after(seconds(3600.0)));
    let start = Instant::now();
    assert_eq!(manager(&hung).token().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(start.elapsed().as_secs(), 30);
}

/// A provider that panics at its first login request.
#[derive(Debug, Default)]
struct PanicsOnce(AtomicUsize);

impl Provider for PanicsOnce {
    fn name(&self) -> &'static str {
        "panics-once"
    }

    fn login_request(&self) -> Request {
        assert!(self.0.fetch_add(1, Ordering::Relaxed) > 0, "this provider panics on purpose");
        TestProvider::new("p").login_request()
    }

    fn read_response(&self, response: &Response) -> Result<TokenResponse, ErrorResponse> {
        TestProvider::new("p").read_response(response)
    }
}

#[tokio::test(start_paused = true)]
async fn s7_a_panic_is_an_error_and_the_next_call_logs_in() {
    let script = Script::new([ScriptedResponse::token("one", 1000)]);
    let tokens = TokenManager::new(Login::new(PanicsOnce::default(), script.clone()));
    let (first, second) = tokio::join!(tokens.token(), tokens.token());
    assert_eq!(first.unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(second.unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(tokens.token().await.unwrap().expose(), "one");
    assert!(tokens.status().last_error.is_none());
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn runtime_with_one_worker() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn s8_after_the_runtime_of_a_flight_is_dropped_another_runtime_can_log_in() {
    let script = Script::new([
        ScriptedResponse::token("lost", 1000).after(seconds(3600.0)),
        ScriptedResponse::token("one", 1000),
    ]);
    let tokens = manager(&script); // outside of a runtime
    let first = runtime();
    first.block_on(async { assert!(timeout(seconds(0.05), tokens.token()).await.is_err()) });
    assert!(tokens.status().is_renewing);
    drop(first);
    assert!(!tokens.status().is_renewing);
    assert_eq!(runtime().block_on(tokens.token()).unwrap().expose(), "one");
}

#[test]
fn s8_a_waiting_caller_gets_a_token_although_the_runtime_of_the_flight_ends() {
    let script = Script::new([
        ScriptedResponse::token("lost", 1000).after(seconds(3600.0)),
        ScriptedResponse::token("one", 1000),
    ]);
    let tokens = manager(&script);
    let first = runtime_with_one_worker();
    first.spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    while script.requests().is_empty() {
        std::thread::yield_now();
    }
    let second = runtime_with_one_worker();
    let waiter = second.spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    std::thread::sleep(seconds(0.05));
    first.shutdown_background();
    assert_eq!(second.block_on(waiter).unwrap().unwrap().expose(), "one");
}

#[test]
fn s8_a_runtime_that_has_ended_is_an_error_at_once() {
    let tokens = manager(&Script::default().then_always(ScriptedResponse::token("one", 1000)));
    let dropped = runtime();
    let handle = dropped.handle().clone();
    drop(dropped);
    {
        let _entered = handle.enter();
        assert_eq!(poll_once(tokens.token()).unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!(runtime().block_on(tokens.token()).unwrap().expose(), "one");
}

#[test]
fn s8_without_a_runtime_the_error_says_so() {
    let tokens = manager(&Script::default());
    let future = tokens.token();
    let error = poll_once(future).unwrap_err();
    assert_eq!((error.kind(), error.setting()), (ErrorKind::Misuse, None));
}

/// Polls the future once. It must be ready.
fn poll_once<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("the future must not wait"),
    }
}

#[tokio::test(start_paused = true)]
async fn s9_a_login_that_hangs_delays_no_other_account() {
    let hung = manager(&Script::default().then_always(ScriptedResponse::token("late", 1000).after(seconds(3600.0))));
    let other = manager(&Script::new([ScriptedResponse::token("one", 1000)]));
    let start = Instant::now();
    tokio::select! {
        _ = hung.token() => panic!("this login must hang"),
        token = other.token() => assert_eq!(token.unwrap().expose(), "one"),
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn s10_new_credentials_share_neither_token_nor_flight_with_the_old_ones() {
    let script = Script::new([slow("old", 1000), slow("new", 1000)]);
    let tokens = manager(&script);
    let waiting = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    sleep(seconds(1.0)).await;
    tokens.replace_credentials(TestProvider::new("rotated"));
    assert_eq!(tokens.token().await.unwrap().expose(), "new");
    assert_eq!(waiting.await.unwrap().unwrap().expose(), "new", "the login is repeated with the new credentials");
    let bodies: Vec<_> = script.requests().iter().map(|request| request.body().to_vec()).collect();
    assert_eq!(bodies, [b"by=password".to_vec(), b"by=rotated".to_vec()]);
}

#[tokio::test(start_paused = true)]
async fn r1_a_stale_token_is_used_during_an_outage_until_the_margin() {
    let script = Script::new([ScriptedResponse::token("old", 1000)]).then_always(ScriptedResponse::status(503));
    let tokens = manager(&script);
    tokens.token().await.unwrap();
    advance(seconds(801.0)).await;
    for _ in 801..970 {
        assert_eq!(tokens.token().await.unwrap().expose(), "old");
        sleep(seconds(1.0)).await;
    }
    let attempts = script.requests().len() - 1;
    assert!((6..=60).contains(&attempts), "{attempts} attempts in 169 s with a backoff of up to 30 s");
    sleep(seconds(1.0)).await;
    assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(tokens.cached().is_none());
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
        advance(seconds(20.0)).await;
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
    let times: Vec<_> = script.times().iter().map(|time| (*time - start).as_secs_f64().round()).collect();
    assert_eq!(times, [0.0, 60.0, 180.0, 420.0]);
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
    let tokens = TokenManager::new(script.login().with_policy(policy));
    tokens.replace_credentials(TestProvider::new("other"));
    for logins in [1, 1, 2, 2] {
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
    tokens.replace_credentials(TestProvider::new("right"));
    assert_eq!(tokens.token().await.unwrap().expose(), "new");
}

#[tokio::test(start_paused = true)]
async fn r4_the_old_token_is_used_until_the_login_with_new_credentials_completes() {
    let script = Script::new([ScriptedResponse::token("old", 1000), slow("new", 1000)]);
    let tokens = manager(&script);
    tokens.token().await.unwrap();
    tokens.replace_credentials(TestProvider::new("rotated"));
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
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.retry_after(), Some(seconds(1.0)));
    assert_eq!(script.requests().len(), 1);
    sleep(seconds(1.0)).await;
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

#[tokio::test(start_paused = true)]
async fn r10_after_two_rejections_in_a_row_forced_logins_stop_for_60_s() {
    let script = Script::default().then_always(ScriptedResponse::token("t", 1000));
    let tokens = manager(&script);
    for _ in 0..2 {
        let token = tokens.token().await.unwrap();
        tokens.reject(&token);
    }
    for _ in 0..59 {
        let error = tokens.token().await.unwrap_err();
        assert_eq!((error.kind(), error.provider()), (ErrorKind::Throttled, Some("test")));
        assert!(error.to_string().contains("rejected by the API"), "{error}");
        sleep(seconds(1.0)).await;
    }
    assert_eq!(script.requests().len(), 2);
    sleep(seconds(1.0)).await;
    tokens.token().await.unwrap();
    assert_eq!(script.requests().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a2_a_running_login_does_not_bring_a_rejected_token_back() {
    let script = Script::new([ScriptedResponse::token("old", 1000), slow("old", 1000), slow("new", 1000)]);
    let tokens = manager(&script);
    let old = tokens.token().await.unwrap();
    advance(seconds(810.0)).await;
    tokens.token().await.unwrap(); // starts the flight
    sleep(seconds(1.0)).await;
    tokens.reject(&old);
    assert_eq!(tokens.token().await.unwrap().expose(), "new");
    assert_eq!(script.requests().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a2_five_hundred_rejections_of_one_token_make_one_login() {
    let script = Script::new([ScriptedResponse::token("old", 1000), slow("new", 1000)]);
    let tokens = manager(&script);
    let old = tokens.token().await.unwrap();
    let callers: Vec<_> = (0..500)
        .map(|_| {
            let (tokens, old) = (tokens.clone(), old.clone());
            tokio::spawn(async move {
                tokens.reject(&old);
                tokens.token().await
            })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap().expose(), "new");
    }
    tokens.reject(&old);
    assert_eq!(tokens.cached().unwrap().expose(), "new", "a late reject must not remove the newer token");
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn o3_the_status_shows_freshness_generation_times_and_the_last_error() {
    let script = Script::new([ScriptedResponse::token("SENTINEL", 1000), ScriptedResponse::refusal()]);
    let tokens = manager(&script);
    let status = tokens.status();
    assert_eq!((status.freshness, status.generation, status.is_renewing), (None, 0, false));

    tokens.token().await.unwrap();
    let status = tokens.status();
    assert_eq!((status.freshness, status.generation), (Some(Freshness::Fresh), 1));
    assert!(status.issued_at < status.refresh_at && status.refresh_at < status.expires_at);

    advance(seconds(810.0)).await;
    assert_eq!(tokens.token().await.unwrap().generation(), 1);
    assert!(tokens.status().is_renewing);
    sleep(seconds(1.0)).await;
    let status = tokens.status();
    assert_eq!(status.freshness, Some(Freshness::Stale));
    assert_eq!(status.last_error.as_ref().unwrap().kind(), ErrorKind::Refused);
    assert!(status.next_attempt_at.is_some());
    assert!(!format!("{status:?} {tokens:?}").contains("SENTINEL"));
}

#[tokio::test(start_paused = true)]
async fn o4_a_subscriber_receives_every_change_of_the_token() {
    let script = Script::new([ScriptedResponse::token("a", 1000), ScriptedResponse::token("b", 1000)]);
    let tokens = manager(&script);
    let mut changes = tokens.subscribe();
    let a = tokens.token().await.unwrap();
    assert!(changes.borrow_and_update().as_ref().unwrap().ptr_eq(&a));
    tokens.reject(&a);
    changes.changed().await.unwrap();
    assert!(changes.borrow_and_update().is_none());
    tokens.token().await.unwrap();
    changes.changed().await.unwrap();
    assert_eq!(changes.borrow_and_update().as_ref().unwrap().expose(), "b");
    drop(tokens);
    assert!(changes.changed().await.is_err());
}

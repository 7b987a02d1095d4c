//! One manager: freshness, single flight, cooldowns, rejection.

use std::time::Duration;

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{Instant, advance, sleep, timeout};

use auth_core::{
    AccessToken, Error, ErrorKind, ErrorResponse, Freshness, Login, Policy, Provider, Request, Response, TokenManager,
    TokenResponse, TokenSource,
};
use auth_testing::{Script, ScriptedResponse, TestProvider, VirtualClock};

type Manager = TokenManager<TestProvider, Script>;

const LIVES: [u64; 6] = [5, 10, 60, 300, 1800, 86400];

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn manager(script: &Script) -> Manager {
    TokenManager::new(script.login())
}

/// A token whose answer takes two seconds.
fn slow(token: &str, life: u64) -> ScriptedResponse {
    ScriptedResponse::token(token, life).after(seconds(2.0))
}

/// Calls from so many tasks at once, and gives what each got.
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
async fn f1_a_token_is_fresh_for_the_better_part_of_its_life() {
    for life in LIVES {
        let script = Script::new([ScriptedResponse::token("t", life)]);
        let tokens = manager(&script);
        for _ in 0..100 {
            tokens.token().await.unwrap();
            advance(seconds(life as f64 * 0.005)).await;
        }
        assert_eq!(script.requests().len(), 1, "{life}");
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
async fn f6_the_first_clock_to_say_expired_wins() {
    for (shift, logins) in [(0, 1), (-3600, 1), (3600, 2), (7200, 2)] {
        let clock = VirtualClock::new();
        let script = Script::default().then_always(ScriptedResponse::token("t", 1800));
        let tokens = TokenManager::new(script.login().with_clock(clock.clone()));
        tokens.token().await.unwrap();
        clock.shift_wall(shift);
        tokens.token().await.unwrap();
        assert_eq!(script.requests().len(), logins, "wall clock moved by {shift} s");

        // However the wall clock stands, the monotonic one ends the token.
        advance(seconds(1790.0)).await;
        assert!(tokens.cached().is_none());
        tokens.token().await.unwrap();
        assert_eq!(script.requests().len(), logins + 1);
        clock.shift_wall(-shift);
        assert!(tokens.token().await.is_ok(), "none is lost for good");
    }
}

#[tokio::test(start_paused = true)]
async fn f8_a_token_that_is_dead_on_arrival_is_one_error() {
    let script = Script::default().then_always(ScriptedResponse::token("t", 5).after(seconds(20.0)));
    let error = manager(&script).token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn f9_a_caller_may_ask_for_more_validity() {
    let script = Script::new(["a", "b", "c"].map(|name| ScriptedResponse::token(name, 1000)));
    let tokens = manager(&script);
    assert_eq!(tokens.token_valid_for(seconds(900.0)).await.unwrap().expose(), "a");
    advance(seconds(50.0)).await;
    assert_eq!(tokens.token_valid_for(seconds(950.0)).await.unwrap().expose(), "a");
    advance(seconds(1.0)).await;
    assert_eq!(tokens.token_valid_for(seconds(950.0)).await.unwrap().expose(), "b");
    let error = tokens.token_valid_for(seconds(1001.0)).await.unwrap_err();
    assert_eq!((error.kind(), error.setting()), (ErrorKind::Misuse, None));
    assert_eq!(script.requests().len(), 2, "at once");
}

#[tokio::test(start_paused = true)]
async fn f10_nothing_runs_while_nobody_asks() {
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
    assert!((12..=16).contains(&requests), "{requests} in 1000 s of tokens renewed at 70 to 80 s");

    drop(tokens);
    sleep(seconds(1.0)).await;
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn f10_keep_warm_does_not_hammer_a_server_that_is_down() {
    let script = Script::default().then_always(ScriptedResponse::status(503));
    let tokens = manager(&script);
    tokens.keep_warm().unwrap();
    sleep(seconds(600.0)).await;
    let requests = script.requests().len();
    assert!((20..=150).contains(&requests), "{requests} requests in 600 s of a back-off of up to 30 s");
}

#[tokio::test(start_paused = true)]
async fn s1_a_cold_stampede_makes_one_request() {
    for callers in [1000, 10_000] {
        let script = Script::new([slow("one", 1000)]);
        let results = stampede(&manager(&script), callers).await;
        let first = results[0].as_ref().unwrap();
        assert!(results.iter().all(|result| result.as_ref().unwrap().ptr_eq(first)));
        assert_eq!((results.len(), script.requests().len()), (callers, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn s2_a_stale_stampede_waits_for_nothing() {
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
async fn s3_past_the_margin_nobody_waits_longer_than_the_login() {
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
    // The first caller begins the flight and goes; so do all the others.
    for _ in 0..10 {
        assert!(timeout(seconds(0.1), tokens.token()).await.is_err());
    }
    sleep(seconds(2.0)).await;
    assert_eq!(tokens.cached().unwrap().expose(), "one");
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn s5_a_callers_own_timeout_ends_its_wait_alone() {
    let script = Script::new([slow("one", 1000)]);
    let tokens = manager(&script);
    let (short, long) = tokio::join!(timeout(seconds(1.0), tokens.token()), timeout(seconds(3.0), tokens.token()));
    assert!(short.is_err());
    assert_eq!(long.unwrap().unwrap().expose(), "one");
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn s6_a_failure_is_shared_by_all_who_wait() {
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

/// Panics the first time.
#[derive(Debug, Default)]
struct Clumsy(AtomicUsize);

impl Provider for Clumsy {
    fn name(&self) -> &'static str {
        "clumsy"
    }

    fn login_request(&self) -> Request {
        assert!(self.0.fetch_add(1, Ordering::Relaxed) > 0, "clumsy on purpose");
        TestProvider::new("p").login_request()
    }

    fn read_response(&self, response: &Response) -> Result<TokenResponse, ErrorResponse> {
        TestProvider::new("p").read_response(response)
    }
}

#[tokio::test(start_paused = true)]
async fn s7_a_panic_is_an_error_and_nothing_is_poisoned() {
    let script = Script::new([ScriptedResponse::token("one", 1000)]);
    let tokens = TokenManager::new(Login::new(Clumsy::default(), script.clone()));
    let (first, second) = tokio::join!(tokens.token(), tokens.token());
    assert_eq!(first.unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(second.unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(tokens.token().await.unwrap().expose(), "one");
    assert!(tokens.status().last_error.is_none());
}

#[test]
fn s8_a_runtime_that_is_gone_takes_nothing_with_it() {
    let script = Script::new([
        ScriptedResponse::token("lost", 1000).after(seconds(3600.0)),
        ScriptedResponse::token("one", 1000),
    ]);
    let tokens = manager(&script); // no runtime here
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    first.block_on(async { assert!(timeout(seconds(0.05), tokens.token()).await.is_err()) });
    assert!(tokens.status().is_renewing);
    drop(first);
    assert!(!tokens.status().is_renewing);
    assert_eq!(runtime().block_on(tokens.token()).unwrap().expose(), "one");
}

#[test]
fn s8_a_waiter_outlives_the_runtime_of_the_flight() {
    let script = Script::new([
        ScriptedResponse::token("lost", 1000).after(seconds(3600.0)),
        ScriptedResponse::token("one", 1000),
    ]);
    let tokens = manager(&script);
    let first = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    first.spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    while script.requests().is_empty() {
        std::thread::yield_now();
    }
    let second = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let waiter = second.spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    std::thread::sleep(seconds(0.05));
    first.shutdown_background();
    assert_eq!(second.block_on(waiter).unwrap().unwrap().expose(), "one");
}

#[test]
fn s8_a_runtime_that_is_going_down_neither_blocks_nor_spins() {
    let tokens = manager(&Script::default().then_always(ScriptedResponse::token("one", 1000)));
    let gone = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = gone.handle().clone();
    drop(gone);
    {
        let _inside = handle.enter();
        assert_eq!(futures_executor(tokens.token()).unwrap_err().kind(), ErrorKind::Unavailable);
    }
    let next = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(next.block_on(tokens.token()).unwrap().expose(), "one");
}

#[test]
fn s8_without_a_runtime_the_error_says_so() {
    let tokens = manager(&Script::default());
    let future = tokens.token();
    let error = futures_executor(future).unwrap_err();
    assert_eq!((error.kind(), error.setting()), (ErrorKind::Misuse, None));
}

/// Polls once: nothing in it may wait.
fn futures_executor<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("it waits"),
    }
}

#[tokio::test(start_paused = true)]
async fn s9_a_hung_login_delays_no_other() {
    let hung = manager(&Script::default().then_always(ScriptedResponse::token("late", 1000).after(seconds(3600.0))));
    let other = manager(&Script::new([ScriptedResponse::token("one", 1000)]));
    let start = Instant::now();
    tokio::select! {
        _ = hung.token() => panic!("it hangs"),
        token = other.token() => assert_eq!(token.unwrap().expose(), "one"),
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn s10_other_credentials_share_neither_token_nor_flight() {
    let script = Script::new([slow("old", 1000), slow("new", 1000)]);
    let tokens = manager(&script);
    let early = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    sleep(seconds(1.0)).await;
    tokens.replace_credentials(TestProvider::new("rotated"));
    assert_eq!(tokens.token().await.unwrap().expose(), "new");
    assert_eq!(early.await.unwrap().unwrap().expose(), "new", "a login with the old ones is repeated with the new");
    let bodies: Vec<_> = script.requests().iter().map(|request| request.body().to_vec()).collect();
    assert_eq!(bodies, [b"by=password".to_vec(), b"by=rotated".to_vec()]);
}

#[tokio::test(start_paused = true)]
async fn r1_a_stale_token_outlives_an_outage_until_the_margin() {
    let script = Script::new([ScriptedResponse::token("old", 1000)]).then_always(ScriptedResponse::status(503));
    let tokens = manager(&script);
    tokens.token().await.unwrap();
    advance(seconds(801.0)).await;
    for _ in 801..970 {
        assert_eq!(tokens.token().await.unwrap().expose(), "old");
        sleep(seconds(1.0)).await;
    }
    let attempts = script.requests().len() - 1;
    assert!((6..=60).contains(&attempts), "{attempts} in 169 s of a back-off of up to 30 s");
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
        assert!(tokens.token().await.is_err(), "past its end the old one is never handed out");
    }
}

#[tokio::test(start_paused = true)]
async fn r3_an_outage_is_not_hammered() {
    let script = Script::default().then_always(ScriptedResponse::status(503));
    let tokens = manager(&script);
    let start = Instant::now();
    let mut waits = Vec::new();
    while start.elapsed() < seconds(60.0) {
        let call = Instant::now();
        let error = tokens.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        if call.elapsed().is_zero() {
            assert!(error.retry_after().unwrap() <= seconds(30.0));
            waits.push(call);
        }
        sleep(seconds(0.001)).await;
    }
    let attempts = script.requests().len();
    assert!((4..=30).contains(&attempts), "{attempts} attempts in 60 s");
    assert!(waits.len() > 1000, "the other calls fail at once: {}", waits.len());
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
async fn r3_r4_the_first_error_tells_the_next_attempt_too() {
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
async fn r4_a_policy_stays_with_new_credentials() {
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
async fn r4_new_credentials_leave_no_gap() {
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
async fn r5_a_servers_wish_is_shared_by_all_callers() {
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

#[tokio::test(start_paused = true)]
async fn r8_the_refresh_token_is_used_and_the_rotated_one_kept() {
    let grant = |name: &str| {
        ScriptedResponse::json(200, &format!(r#"{{"token":"{name}","expires_in":1000,"refresh":"r-{name}"}}"#))
    };
    let script = Script::new([grant("a"), grant("b"), ScriptedResponse::refusal(), grant("c")]);
    let tokens = manager(&script);
    for expected in ["a", "b", "c"] {
        assert_eq!(tokens.token().await.unwrap().expose(), expected);
        advance(seconds(980.0)).await;
    }
    let bodies: Vec<_> = script.requests().iter().map(|request| request.body().to_vec()).collect();
    assert_eq!(bodies, [&b"by=password"[..], b"by=r-a", b"by=r-b", b"by=password"]);
}

#[tokio::test(start_paused = true)]
async fn r10_rejections_make_no_storm() {
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
async fn a2_a_flight_does_not_bring_the_rejected_token_back() {
    let script = Script::new([ScriptedResponse::token("old", 1000), slow("old", 1000), slow("new", 1000)]);
    let tokens = manager(&script);
    let old = tokens.token().await.unwrap();
    advance(seconds(810.0)).await;
    tokens.token().await.unwrap(); // begins the flight
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
    assert_eq!(tokens.cached().unwrap().expose(), "new", "a late reject leaves the newer token");
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn o3_the_status_tells_how_things_stand() {
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
async fn o4_every_change_of_token_is_told() {
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

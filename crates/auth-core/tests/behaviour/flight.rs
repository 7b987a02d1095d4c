//! One login serves all callers, whatever happens to them and to their runtimes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use auth_core::{ErrorKind, ErrorResponse, Provider, Request, Response, TokenResponse};
use auth_testing::{Script, ScriptedResponse, TestProvider};
use tokio::time::{Instant, advance, sleep, timeout};

use crate::support::{manager, seconds, slow, stampede};

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
async fn s3_after_the_end_no_caller_waits_longer_than_the_login() {
    for login in [2.0, 29.0] {
        let script = Script::new([
            ScriptedResponse::token("old", 1000),
            ScriptedResponse::token("new", 1000).after(seconds(login)),
        ]);
        let tokens = manager(&script);
        tokens.token().await.unwrap();
        advance(seconds(999.0)).await;
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
async fn s7_r4_a_panic_of_the_provider_is_an_error_and_counts_as_a_refusal() {
    let script = Script::new([ScriptedResponse::token("one", 1000)]);
    let tokens = script.builder_for(PanicsOnce::default()).build().unwrap();
    let (first, second) = tokio::join!(tokens.token(), tokens.token());
    for error in [first.unwrap_err(), second.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!((seconds(60.0)..seconds(66.1)).contains(&error.retry_after().unwrap()));
    }
    sleep(seconds(66.1)).await;
    assert_eq!(tokens.token().await.unwrap().expose(), "one");
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
    tokens.replace_credentials(TestProvider::new("rotated")).unwrap();
    assert_eq!(tokens.token().await.unwrap().expose(), "new");
    assert_eq!(waiting.await.unwrap().unwrap().expose(), "new", "the login is repeated with the new credentials");
    let bodies: Vec<_> = script.requests().iter().map(|request| request.body().to_vec()).collect();
    assert_eq!(bodies, [b"by=password".to_vec(), b"by=rotated".to_vec()]);
}

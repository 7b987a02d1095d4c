//! Six seconds of real time, or twenty in `cargo xtask release-checks`: 64 tasks, tokens of 2 s, every kind of fault, and what must hold all the while.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use auth_core::{Clock, Login, Policy, ReqwestTransport, SystemClock, TokenManager, TokenSource};
use auth_sandbox::{Api, Fault, Sandbox};
use auth_tests::SUBJECTS;

const DEADLINE: Duration = Duration::from_secs(1);
const LIFE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_tasks_through_seconds_of_faults() {
    let sandbox = Arc::new(Sandbox::start().unwrap());
    sandbox.set_refresh_rotation(true);
    sandbox.set_lifetime(Api::Voipex, LIFE);
    let provider = SUBJECTS[3].at(&sandbox.base_url(Api::Voipex)).unwrap();
    let policy = Policy::default().with_deadline(DEADLINE);
    let login = Login::new(provider, ReqwestTransport::new().unwrap()).with_policy(policy);
    let tokens = TokenManager::new(login);
    let (served, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));

    tokens.token().await.unwrap();
    let seconds = if std::env::var_os("AUTH_TESTS_FULL").is_some() { 20 } else { 6 };
    let end = Instant::now() + Duration::from_secs(seconds);
    let callers: Vec<_> = (0..64)
        .map(|_| {
            let (tokens, served, failed) = (tokens.clone(), served.clone(), failed.clone());
            tokio::spawn(async move {
                while Instant::now() < end {
                    let call = Instant::now();
                    match tokens.token().await {
                        Ok(token) => {
                            assert!(token.remaining_at(&SystemClock.now()) > Duration::ZERO, "an expired token");
                            served.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => {
                            assert!(error.is_transient(), "{error}");
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    // A flight that was joined late may be followed by one more.
                    assert!(call.elapsed() < 3 * DEADLINE, "a caller waited {:?}", call.elapsed());
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..20))).await;
                }
            })
        })
        .collect();

    let mut rejections = 0;
    while Instant::now() < end {
        let fault = match fastrand::u32(..6) {
            0 => Fault::Status(503),
            1 => Fault::Truncated,
            2 => Fault::Latency(2 * DEADLINE),
            3 => Fault::Body("<html>".into()),
            4 => Fault::RetryAfter(429, "1".into()),
            _ => Fault::Drip(Duration::from_millis(1)),
        };
        // A fault a second, and health between: a server that fails each request would rightly be asked ever more
        // rarely.
        sandbox.fail_next(Api::Voipex, fault);
        tokio::time::sleep(Duration::from_millis(300)).await;
        sandbox.clear_faults(Api::Voipex);
        tokio::time::sleep(Duration::from_millis(700)).await;
        // One rejection: a second young one in a row would rightly stop the logins for a minute.
        if let Some(token) = tokens.cached().filter(|_| rejections == 0) {
            rejections += 1;
            tokens.reject(&token);
        }
    }
    for caller in callers {
        caller.await.unwrap();
    }
    let (served, failed) = (served.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
    let requests = sandbox.counters(Api::Voipex).requests;
    assert!(served > 250 * seconds, "{served} served, {failed} failed");
    // A token lives 2 s and is renewed after 1.4 s at the soonest: 15 in 20 s, some more for faults, or fewer for
    // back-offs.
    assert!((seconds / 5..5 * seconds).contains(&requests), "{requests} requests for {served} calls");

    sandbox.clear_faults(Api::Voipex);
    let end = Instant::now() + Duration::from_secs(35);
    while let Err(error) = tokens.token().await {
        assert!(Instant::now() < end, "it does not recover: {error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

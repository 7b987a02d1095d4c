//! A soak test: 64 tasks use tokens with a lifetime of 2 s while the server shows every kind of fault.
//!
//! It takes six seconds of real time, or twenty in `cargo xtask release-checks`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use auth_core::{Clock, Policy, SystemClock, TokenManager};
use auth_sandbox::{Api, Fault, Sandbox};
use auth_tests::SUBJECTS;

const DEADLINE: Duration = Duration::from_secs(1);
const LIFETIME: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_get_valid_tokens_or_transient_errors_during_faults() {
    let sandbox = Arc::new(Sandbox::start().unwrap());
    sandbox.set_refresh_rotation(true);
    sandbox.set_lifetime(Api::Voipex, LIFETIME);
    let provider = SUBJECTS[3].provider(&sandbox.base_url(Api::Voipex)).unwrap();
    let policy = Policy::default().with_deadline(DEADLINE);
    let tokens = TokenManager::builder(provider).with_policy(policy).build().unwrap();
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
                    // A call that joins a flight late may have to wait for one more flight.
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
        // One fault per second, and a healthy server in between. If every request failed, the growing backoff would
        // leave almost no logins to test.
        sandbox.fail_next(Api::Voipex, fault);
        tokio::time::sleep(Duration::from_millis(300)).await;
        sandbox.clear_faults(Api::Voipex);
        tokio::time::sleep(Duration::from_millis(700)).await;
        // Only one rejection: after a second one in quick succession, the manager would pause logins for a minute.
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
    // A token is renewed after 1.4 s at the earliest, so 20 s need about 15 logins. Faults add retries, and backoff
    // removes some.
    assert!((seconds / 5..5 * seconds).contains(&requests), "{requests} requests for {served} calls");

    sandbox.clear_faults(Api::Voipex);
    let end = Instant::now() + Duration::from_secs(35);
    while let Err(error) = tokens.token().await {
        assert!(Instant::now() < end, "no recovery after the faults: {error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

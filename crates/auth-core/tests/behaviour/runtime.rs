//! A login depends on no caller's runtime (S8). In real time, because several runtimes cannot share a paused clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use auth_core::{Error, ErrorKind, Policy, Request, Response, TokenManager, Transport, async_trait, http};
use auth_testing::{MemoryStore, Script, ScriptedResponse, TestProvider};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

use crate::support::seconds;

/// Longer than a scripted login and any delay of a busy machine, and shorter than what the tests wait for otherwise.
const SOON: Duration = Duration::from_secs(1);

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap()
}

/// A server whose logins take 200 ms.
fn slow_server() -> Script {
    Script::default().then_always(ScriptedResponse::token("one", 1000).after(seconds(0.2)))
}

/// Returns managers of the same account, the second with a store, and their server. Both are built outside a runtime.
fn managers() -> [(TokenManager, Script); 2] {
    let (script, with_store) = (slow_server(), slow_server());
    let stored = with_store.builder().with_store(MemoryStore::new().shared()).build().unwrap();
    [(script.manager(), script), (stored, with_store)]
}

/// Checks that a caller in a runtime of its own gets a token soon, by the one login of this server.
#[track_caller]
fn assert_token_soon(tokens: &TokenManager, script: &Script) {
    let start = Instant::now();
    let token = current_thread().block_on(async { timeout(SOON, tokens.token()).await });
    assert_eq!(token.unwrap().unwrap().expose(), "one");
    assert!(start.elapsed() < SOON);
    assert_eq!(script.requests().len(), 1);
}

#[test]
fn s8_a_flight_goes_on_although_nobody_drives_the_runtime_that_began_it() {
    for (tokens, script) in managers() {
        let idle = current_thread();
        idle.block_on(async { timeout(seconds(0.05), tokens.token()).await.unwrap_err() });
        assert_token_soon(&tokens, &script);
        drop(idle);
    }
}

#[test]
fn s8_a_flight_goes_on_although_the_runtime_that_began_it_is_dropped() {
    for (tokens, script) in managers() {
        for first in [current_thread(), multi_thread(2)] {
            first.block_on(async { timeout(seconds(0.02), tokens.token()).await.unwrap_err() });
            drop(first);
        }
        assert_token_soon(&tokens, &script);
    }
}

#[test]
fn s8_callers_on_two_runtimes_and_on_none_share_one_login() {
    for (tokens, script) in managers() {
        let callers: [fn(TokenManager) -> String; 4] = [
            |tokens| current_thread().block_on(tokens.token()).unwrap().expose().to_owned(),
            |tokens| multi_thread(2).block_on(tokens.token()).unwrap().expose().to_owned(),
            |tokens| futures::executor::block_on(tokens.token()).unwrap().expose().to_owned(),
            |tokens| tokens.blocking_token().unwrap().expose().to_owned(),
        ];
        let calls = callers.map(|call| {
            let tokens = tokens.clone();
            thread::spawn(move || call(tokens))
        });
        for call in calls {
            assert_eq!(call.join().unwrap(), "one");
        }
        assert_eq!(script.requests().len(), 1);
    }
}

#[test]
fn s8_a_handler_that_blocks_its_worker_delays_nobody() {
    for (tokens, script) in managers() {
        let (started, has_started) = std::sync::mpsc::channel();
        let handler = thread::spawn({
            let tokens = tokens.clone();
            move || {
                current_thread().block_on(async {
                    let call = tokio::spawn(async move { tokens.token().await });
                    tokio::task::yield_now().await;
                    started.send(()).unwrap();
                    thread::sleep(seconds(1.5));
                    call.await.unwrap()
                })
            }
        });
        has_started.recv().unwrap();
        assert_token_soon(&tokens, &script);
        assert_eq!(handler.join().unwrap().unwrap().expose(), "one");
    }
}

#[test]
fn s8_early_renewal_works_in_a_loop_of_block_on() {
    for is_lazy in [false, true] {
        let script = Script::new([ScriptedResponse::token("one", 4)]).then_always(ScriptedResponse::token("two", 1000));
        let (tokens, runtime) = (script.manager(), multi_thread(1));
        let call = || {
            let token = if is_lazy {
                runtime.block_on(async { tokens.token().await })
            } else {
                runtime.block_on(tokens.token())
            };
            token.unwrap().expose().to_owned()
        };
        assert_eq!(call(), "one");
        thread::sleep(seconds(3.25)); // stale after 3.2 s at the latest, usable until 3.6 s
        assert_eq!(call(), "one", "a stale token is returned at once");
        thread::sleep(seconds(0.1));
        assert_eq!(call(), "two");
        assert_eq!(script.requests().len(), 2);
    }
}

#[test]
fn s8_blocking_token_works_inside_async_code() {
    let tokens = slow_server().manager();
    let token = multi_thread(1).block_on(async { tokens.blocking_token() });
    assert_eq!(token.unwrap().expose(), "one");
}

#[test]
fn s11_a_future_that_is_never_polled_sends_nothing() {
    let script = slow_server();
    let tokens = script.manager();
    drop(tokens.token());
    thread::sleep(seconds(0.05));
    assert!(script.requests().is_empty());
}

/// A transport that blocks its thread, as a client that is not async does.
#[derive(Debug)]
struct Blocking(Duration);

#[async_trait]
impl Transport for Blocking {
    async fn send(&self, _: Request) -> Result<Response, Error> {
        thread::sleep(self.0);
        Err(Error::unavailable("blocked"))
    }
}

#[test]
fn s8_s9_a_transport_that_blocks_stops_neither_deadlines_nor_other_accounts() {
    let policy = Policy::default().with_deadline(seconds(0.2)).with_backoff(Duration::ZERO, Duration::ZERO);
    let blocking = TokenManager::builder(TestProvider::new("password"));
    let blocking = blocking.with_transport(Blocking(seconds(3.0))).with_policy(policy).build().unwrap();
    let start = Instant::now();
    let blocked = thread::spawn({
        let blocking = blocking.clone();
        move || blocking.blocking_token()
    });
    thread::sleep(seconds(0.05));
    for _ in 0..20 {
        let other = Script::new([ScriptedResponse::token("one", 1000)]).manager();
        let start = Instant::now();
        assert_eq!(other.blocking_token().unwrap().expose(), "one");
        assert!(start.elapsed() < seconds(0.1), "{:?}", start.elapsed());
    }
    assert_eq!(blocked.join().unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(start.elapsed() < seconds(1.2), "S6: {:?} for a deadline of 0.2 s", start.elapsed());

    // Another flight would block the second thread as well.
    let error = blocking.blocking_token().unwrap_err();
    assert!(error.to_string().contains("still blocks its thread"), "{error}");
}

/// A transport that panics at its first request.
#[derive(Debug, Default)]
struct Panicking(AtomicBool);

#[async_trait]
impl Transport for Panicking {
    async fn send(&self, _: Request) -> Result<Response, Error> {
        assert!(self.0.swap(true, Ordering::Relaxed), "the first request");
        Ok(Response::new(
            http::StatusCode::OK,
            http::HeaderMap::new(),
            br#"{"token":"one","expires_in":1000}"#.to_vec().into(),
        ))
    }
}

#[test]
fn s7_a_panic_of_the_transport_is_an_outage_with_a_backoff() {
    let policy = Policy::default().with_backoff(seconds(0.2), seconds(0.2));
    let builder = TokenManager::builder(TestProvider::new("password")).with_transport(Panicking::default());
    let tokens = builder.with_policy(policy).build().unwrap();
    let error = tokens.blocking_token().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("the transport panicked"), "{error}");
    thread::sleep(error.retry_after().unwrap() + seconds(0.05)); // the clock ticks every few milliseconds
    assert_eq!(tokens.blocking_token().unwrap().expose(), "one");
}

/// A transport whose name lookup hangs on a thread for blocking work, as the system's resolver does.
#[derive(Debug)]
struct HangingResolver;

#[async_trait]
impl Transport for HangingResolver {
    async fn send(&self, _: Request) -> Result<Response, Error> {
        let lookup = tokio::task::spawn_blocking(|| thread::sleep(seconds(3.0)));
        lookup.await.map_err(|_| Error::unavailable("the lookup was cancelled"))?;
        Err(Error::unavailable("no address"))
    }
}

#[test]
fn s6_a_resolver_that_hangs_ends_with_the_deadline_and_blocks_no_drop() {
    let policy = Policy::default().with_deadline(seconds(0.2));
    let start = Instant::now();
    {
        let builder = TokenManager::builder(TestProvider::new("password")).with_transport(HangingResolver);
        let tokens = builder.with_policy(policy).build().unwrap();
        assert_eq!(current_thread().block_on(tokens.token()).unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn s8_if_the_runtime_that_with_runtime_has_set_ends_calls_get_an_error() {
    let script = slow_server();
    let runtime = multi_thread(1);
    let tokens = script.builder().with_runtime(runtime.handle().clone()).build().unwrap();
    let waiting = thread::spawn({
        let tokens = tokens.clone();
        move || tokens.blocking_token()
    });
    while script.requests().is_empty() {
        thread::yield_now();
    }
    runtime.shutdown_background();
    for error in [waiting.join().unwrap().unwrap_err(), tokens.blocking_token().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("with_runtime"), "{error}");
    }
}

#[test]
fn s8_a_renewal_that_a_stale_hit_has_begun_can_be_waited_for() {
    let script = Script::new([ScriptedResponse::token("one", 4)])
        .then_always(ScriptedResponse::token("two", 1000).after(seconds(0.2)));
    let tokens = script.manager();
    tokens.blocking_token().unwrap();
    thread::sleep(seconds(3.25));
    assert_eq!(tokens.blocking_token().unwrap().expose(), "one");
    assert!(!futures::executor::block_on(tokens.wait_idle(seconds(0.01))).unwrap());
    assert!(futures::executor::block_on(tokens.wait_idle(SOON)).unwrap());
    assert_eq!(tokens.cached().unwrap().expose(), "two");
    assert!(futures::executor::block_on(tokens.wait_idle(Duration::ZERO)).unwrap(), "nothing is under way");
}

/// A transport that asks another manager for a token first.
#[derive(Debug, Default)]
struct Nested {
    of: Arc<std::sync::OnceLock<TokenManager>>,
    is_blocking: bool,
}

#[async_trait]
impl Transport for Nested {
    async fn send(&self, _: Request) -> Result<Response, Error> {
        let other = self.of.get().unwrap();
        if self.is_blocking { other.blocking_token() } else { other.token().await }?;
        Err(Error::unavailable("unreachable"))
    }
}

fn nested(of: &Arc<std::sync::OnceLock<TokenManager>>, is_blocking: bool) -> TokenManager {
    let transport = Nested { of: of.clone(), is_blocking };
    TokenManager::builder(TestProvider::new("password")).with_transport(transport).build().unwrap()
}

#[test]
fn managers_that_wait_for_each_other_are_told_at_once() {
    let (of_one, of_two) = (Arc::default(), Arc::default());
    let (one, two) = (nested(&of_one, false), nested(&of_two, false));
    of_one.set(two.clone()).unwrap();
    of_two.set(one.clone()).unwrap();
    let start = Instant::now();
    let calls = [one, two].map(|tokens| thread::spawn(move || tokens.blocking_token().unwrap_err()));
    for call in calls {
        let error = call.join().unwrap();
        assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
    }
    assert!(start.elapsed() < SOON);
}

#[test]
fn blocking_token_in_the_code_of_a_login_is_misuse() {
    let of = Arc::default();
    let tokens = nested(&of, true);
    of.set(slow_server().manager()).unwrap();
    assert_eq!(tokens.blocking_token().unwrap_err().kind(), ErrorKind::Misuse);

    let runtime = multi_thread(1);
    let on_own = TokenManager::builder(TestProvider::new("password")).with_runtime(runtime.handle().clone());
    let on_own = on_own.with_transport(Nested { of, is_blocking: true }).build().unwrap();
    assert_eq!(on_own.blocking_token().unwrap_err().kind(), ErrorKind::Misuse);
}

#[tokio::test(start_paused = true)]
async fn s6_the_deadline_of_a_flight_covers_its_restarts() {
    let script = Script::default().then_always(ScriptedResponse::token("one", 1000).after(seconds(20.0)));
    let tokens = script.manager();
    let start = tokio::time::Instant::now();
    let waiting = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    sleep(seconds(15.0)).await;
    tokens.replace_credentials(TestProvider::new("rotated")).unwrap();
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(start.elapsed() <= seconds(31.0), "{:?}", start.elapsed());
}

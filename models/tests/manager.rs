//! A token manager under the orders of events that shuttle comes upon: callers that come, go and reject, flights that
//! begin, land and die, credentials that change. Shuttle also tells a deadlock, and a caller that nobody wakes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use auth_core::http::{HeaderMap, StatusCode};
use auth_core::{
    AccessToken, Clock, Error, ErrorKind, Freshness, Login, Moment, Request, Response, SecretBytes, TokenManager,
    TokenSource, Transport, async_trait,
};
use shuttle::future::{JoinHandle, block_on, spawn, yield_now};
use shuttle::rand::{Rng, thread_rng};

#[path = "../../crates/auth-testing/src/provider.rs"]
mod provider;

use provider::TestProvider;

type Manager = TokenManager<TestProvider, Server>;

/// A server on which others depend that come in between: it answers with a token named after the password, and after how
/// often all were revoked.
#[derive(Debug, Clone, Default)]
struct Server(Arc<State>);

#[derive(Debug, Default)]
struct State {
    requests: AtomicUsize,
    revocations: AtomicUsize,
    refuses: AtomicBool,
}

impl Server {
    fn requests(&self) -> usize {
        self.0.requests.load(Ordering::SeqCst)
    }

    fn revoke(&self) {
        self.0.revocations.fetch_add(1, Ordering::SeqCst);
    }

    fn manager(&self, clock: &HandClock) -> Manager {
        TokenManager::new(Login::new(TestProvider::new("first"), self.clone()).with_clock(clock.clone()))
    }
}

#[async_trait]
impl Transport for Server {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        self.0.requests.fetch_add(1, Ordering::SeqCst);
        yield_now().await;
        // Here the server decides; what comes after it, comes too late.
        let revocations = self.0.revocations.load(Ordering::SeqCst);
        let password = str::from_utf8(request.body()).unwrap_or_default().trim_start_matches("by=");
        let answer = if self.0.refuses.load(Ordering::SeqCst) {
            r#"{"error":"refused"}"#.to_owned()
        } else {
            format!(r#"{{"token":"{password}-{revocations}","expires_in":1000}}"#)
        };
        yield_now().await;
        Ok(Response::new(StatusCode::OK, HeaderMap::new(), SecretBytes::from(answer.into_bytes())))
    }
}

/// A clock that is set by hand.
#[derive(Debug, Clone)]
struct HandClock {
    start: Moment,
    seconds: Arc<AtomicUsize>,
}

impl HandClock {
    fn new() -> Self {
        Self { start: Moment { monotonic: Instant::now(), wall: SystemTime::now() }, seconds: Arc::default() }
    }

    fn advance(&self, seconds: usize) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Moment {
        let passed = Duration::from_secs(self.seconds.load(Ordering::SeqCst) as u64);
        Moment { monotonic: self.start.monotonic + passed, wall: self.start.wall + passed }
    }
}

/// Checks a model under many orders of events: drawn evenly, and so that a few are forced to the worst place.
fn check<F>(model: fn() -> F)
where
    F: Future<Output = ()> + 'static,
{
    let run = move || {
        tokio::runtime::start();
        block_on(model());
    };
    let orders = if std::env::var_os("AUTH_TESTS_FULL").is_some() { 3000 } else { 500 };
    shuttle::check_random(run, orders);
    shuttle::check_pct(run, orders, 3);
}

fn call(tokens: &Manager) -> JoinHandle<Result<AccessToken, Error>> {
    let tokens = tokens.clone();
    spawn(async move { tokens.token().await })
}

/// Runs a task at some later step: else it would all but always come before a flight has got far.
fn run<T: Send + 'static>(task: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let steps = thread_rng().gen_range(0..12);
    spawn(async move {
        for _ in 0..steps {
            yield_now().await;
        }
        task()
    })
}

/// Waits until the token is as it should be.
async fn settle(tokens: &Manager, is_settled: impl Fn(&AccessToken) -> bool) -> AccessToken {
    let mut changes = tokens.subscribe();
    loop {
        let token = tokens.token().await.unwrap();
        if is_settled(&token) {
            return token;
        }
        changes.changed().await.unwrap();
    }
}

/// What subscribers see is what callers get, once nothing is under way.
async fn assert_agreed(tokens: &Manager) {
    while tokens.status().is_renewing {
        yield_now().await;
    }
    let told = tokens.subscribe().borrow().as_ref().map(AccessToken::generation);
    assert_eq!(told, tokens.cached().as_ref().map(AccessToken::generation));
}

#[test]
fn s1_s4_one_login_although_a_caller_leaves() {
    check(|| async {
        let server = Server::default();
        let tokens = server.manager(&HandClock::new());
        let leaver = tokens.clone();
        let leaver = spawn(async move {
            let mut call = pin!(leaver.token());
            poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_ready())).await;
        });
        let callers = [call(&tokens), call(&tokens)];
        leaver.await.unwrap();
        for caller in callers {
            assert_eq!(caller.await.unwrap().unwrap().expose(), "first-0");
        }
        assert_eq!(server.requests(), 1);
        assert_agreed(&tokens).await;
    });
}

#[test]
fn s2_r2_a_failure_displaces_no_usable_token() {
    check(|| async {
        let (server, clock) = (Server::default(), HandClock::new());
        let tokens = server.manager(&clock);
        tokens.token().await.unwrap();
        clock.advance(850);
        server.0.refuses.store(true, Ordering::SeqCst);
        for caller in [call(&tokens), call(&tokens), call(&tokens)] {
            assert_eq!(caller.await.unwrap().unwrap().expose(), "first-0");
        }
        assert!(server.requests() <= 2);
        assert_eq!(tokens.status().freshness, Some(Freshness::Stale));
    });
}

#[test]
fn s3_the_end_of_a_token_comes_at_any_instant() {
    check(|| async {
        let (server, clock) = (Server::default(), HandClock::new());
        let tokens = server.manager(&clock);
        let first = tokens.token().await.unwrap();
        clock.advance(850);
        let callers = [call(&tokens), call(&tokens)];
        let end = run(move || clock.advance(130));
        end.await.unwrap();
        let late = call(&tokens);
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
        assert!(!late.await.unwrap().unwrap().ptr_eq(&first), "an expired token was handed out");
        assert_eq!(server.requests(), 2);
        assert_agreed(&tokens).await;
    });
}

#[test]
fn s6_r4_callers_share_one_refusal() {
    check(|| async {
        let server = Server::default();
        server.0.refuses.store(true, Ordering::SeqCst);
        let tokens = server.manager(&HandClock::new());
        for caller in [call(&tokens), call(&tokens), call(&tokens)] {
            assert_eq!(caller.await.unwrap().unwrap_err().kind(), ErrorKind::Refused);
        }
        assert_eq!(server.requests(), 1);
        assert_agreed(&tokens).await;
    });
}

#[test]
fn s8_a_runtime_goes_down_under_its_flight() {
    check(|| async {
        let server = Server::default();
        let tokens = server.manager(&HandClock::new());
        let callers = [call(&tokens), call(&tokens)];
        run(tokio::runtime::replace).await.unwrap();
        for caller in callers {
            assert_eq!(caller.await.unwrap().unwrap().expose(), "first-0");
        }
        assert!(server.requests() <= 2);
        assert_agreed(&tokens).await;
    });
}

#[test]
fn s8_a_runtime_goes_down_under_a_flight_that_nobody_waits_for() {
    check(|| async {
        let (server, clock) = (Server::default(), HandClock::new());
        let tokens = server.manager(&clock);
        let first = tokens.token().await.unwrap();
        clock.advance(850);
        let caller = call(&tokens);
        run(tokio::runtime::replace).await.unwrap();
        assert!(caller.await.unwrap().unwrap().generation() <= 2);
        // Past its end, so that the next caller waits.
        clock.advance(140);
        assert!(!tokens.token().await.unwrap().ptr_eq(&first));
        assert!(server.requests() <= 3);
        assert_agreed(&tokens).await;
    });
}

#[test]
fn a1_a2_callers_whose_token_is_revoked_share_one_login() {
    check(|| async {
        let server = Server::default();
        let tokens = server.manager(&HandClock::new());
        let token = tokens.token().await.unwrap();
        server.revoke();
        let callers = [(); 3].map(|()| {
            let (tokens, token) = (tokens.clone(), token.clone());
            spawn(async move {
                tokens.reject(&token);
                tokens.token().await
            })
        });
        for caller in callers {
            assert_eq!(caller.await.unwrap().unwrap().expose(), "first-1");
        }
        assert_eq!(server.requests(), 2);
        assert_agreed(&tokens).await;
    });
}

#[test]
fn a2_a_flight_does_not_bring_back_what_was_rejected_meanwhile() {
    check(|| async {
        let (server, clock) = (Server::default(), HandClock::new());
        let tokens = server.manager(&clock);
        let token = tokens.token().await.unwrap();
        clock.advance(850);
        let caller = call(&tokens);
        let rejecter = {
            let (server, tokens, token) = (server.clone(), tokens.clone(), token.clone());
            run(move || {
                server.revoke();
                tokens.reject(&token);
                tokens.cached()
            })
        };
        caller.await.unwrap().unwrap();
        let after = rejecter.await.unwrap();
        let now = tokens.token().await.unwrap();
        assert!(!now.ptr_eq(&token));
        // A flight that had landed before may have brought the same text; one that had not, may not.
        if after.is_none_or(|after| after.expose() != token.expose()) {
            assert_eq!(now.expose(), "first-1");
        }
        assert!(server.requests() <= 3);
        assert_agreed(&tokens).await;
    });
}

#[test]
fn new_credentials_win_over_a_flight_with_the_old() {
    check(|| async {
        let server = Server::default();
        let tokens = server.manager(&HandClock::new());
        let caller = call(&tokens);
        let replacer = {
            let tokens = tokens.clone();
            run(move || tokens.replace_credentials(TestProvider::new("second")))
        };
        caller.await.unwrap().unwrap();
        replacer.await.unwrap();
        settle(&tokens, |token| token.expose() == "second-0").await;
        assert!(server.requests() <= 2);
        assert_agreed(&tokens).await;
    });
}

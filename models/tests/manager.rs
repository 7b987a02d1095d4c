//! A token manager under many orders of events, chosen by shuttle.
//!
//! Callers start, leave and reject tokens. Flights start, finish and are cancelled. Credentials change, by hand or by a
//! source. Tokens are in their margin. Shuttle also
//! reports deadlocks and callers that are never woken.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use auth_core::http::{HeaderMap, StatusCode};
use auth_core::{
    AccessToken, Clock, CredentialSource, Error, ErrorKind, Freshness, Moment, Provider, Request, Response,
    SecretBytes, TokenManager, Transport, async_trait,
};
use shuttle::future::{JoinHandle, block_on, spawn, yield_now};
use shuttle::rand::{Rng, thread_rng};

#[path = "../../crates/auth-testing/src/provider.rs"]
mod provider;

use provider::TestProvider;

/// A server that yields before and after its decision, so that other tasks can run in between.
///
/// It returns a token named after the password and the number of revocations so far.
#[derive(Debug, Clone, Default)]
struct Server(Arc<State>);

#[derive(Debug, Default)]
struct State {
    requests: AtomicUsize,
    revocations: AtomicUsize,
    refuses: AtomicBool,
    /// The only password that is not refused, if it is set.
    accepted: Mutex<Option<&'static str>>,
}

impl Server {
    fn requests(&self) -> usize {
        self.0.requests.load(Ordering::SeqCst)
    }

    fn revoke(&self) {
        self.0.revocations.fetch_add(1, Ordering::SeqCst);
    }

    fn accept_only(&self, password: &'static str) {
        *self.0.accepted.lock().unwrap() = Some(password);
    }

    fn manager(&self, clock: &ManualClock) -> TokenManager {
        let builder = TokenManager::builder(TestProvider::new("first")).with_transport(self.clone());
        builder.with_clock(clock.clone()).build().unwrap()
    }
}

#[async_trait]
impl Transport for Server {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        self.0.requests.fetch_add(1, Ordering::SeqCst);
        yield_now().await;
        // The server decides here. Later revocations and changes do not affect this response.
        let revocations = self.0.revocations.load(Ordering::SeqCst);
        let password = str::from_utf8(request.body()).unwrap_or_default().trim_start_matches("by=");
        let is_wrong = self.0.accepted.lock().unwrap().is_some_and(|accepted| accepted != password);
        let body = if is_wrong || self.0.refuses.load(Ordering::SeqCst) {
            r#"{"error":"refused"}"#.to_owned()
        } else {
            format!(r#"{{"token":"{password}-{revocations}","expires_in":1000}}"#)
        };
        yield_now().await;
        Ok(Response::new(StatusCode::OK, HeaderMap::new(), SecretBytes::from(body.into_bytes())))
    }
}

/// A clock that only the test advances.
#[derive(Debug, Clone)]
struct ManualClock {
    start: Moment,
    seconds: Arc<AtomicUsize>,
}

impl ManualClock {
    fn new() -> Self {
        Self { start: Moment { monotonic: Instant::now(), wall: SystemTime::now() }, seconds: Arc::default() }
    }

    fn advance(&self, seconds: usize) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        let passed = Duration::from_secs(self.seconds.load(Ordering::SeqCst) as u64);
        Moment { monotonic: self.start.monotonic + passed, wall: self.start.wall + passed }
    }
}

/// Checks a model under many orders of events: uniformly random ones, and ones with a few switches at critical places
/// (probabilistic concurrency testing).
fn check<F>(model: fn() -> F)
where
    F: Future<Output = ()> + 'static,
{
    let run = move || {
        tokio::runtime::start();
        block_on(model());
    };
    shuttle::check_random(run, 3000);
    shuttle::check_pct(run, 3000, 3);
}

fn call(tokens: &TokenManager) -> JoinHandle<Result<AccessToken, Error>> {
    let tokens = tokens.clone();
    spawn(async move { tokens.token().await })
}

/// Runs a function after a random number of steps. Without them, it would nearly always run before a flight has
/// progressed.
fn run_later<T: Send + 'static>(task: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let steps = thread_rng().gen_range(0..12);
    spawn(async move {
        for _ in 0..steps {
            yield_now().await;
        }
        task()
    })
}

/// Waits for a token that meets a condition.
async fn wait_for_token(tokens: &TokenManager, is_expected: impl Fn(&AccessToken) -> bool) -> AccessToken {
    let mut changes = tokens.subscribe();
    loop {
        let token = tokens.token().await.unwrap();
        if is_expected(&token) {
            return token;
        }
        changes.changed().await.unwrap();
    }
}

/// Waits until no renewal is running, because shuttle cannot drop a task whose destructor waits for a lock. Then checks that
/// subscribers and callers have the same token.
async fn assert_consistent(tokens: &TokenManager) {
    while tokens.status().is_renewing {
        yield_now().await;
    }
    let published = tokens.subscribe().borrow().as_ref().map(AccessToken::generation);
    assert_eq!(published, tokens.cached().as_ref().map(AccessToken::generation));
}

#[test]
fn s1_s4_callers_share_one_login_although_one_of_them_leaves() {
    check(|| async {
        let server = Server::default();
        let tokens = server.manager(&ManualClock::new());
        let cancelled = tokens.clone();
        let cancelled = spawn(async move {
            let mut call = pin!(cancelled.token());
            poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_ready())).await;
        });
        let callers = [call(&tokens), call(&tokens)];
        cancelled.await.unwrap();
        for caller in callers {
            assert_eq!(caller.await.unwrap().unwrap().expose(), "first-0");
        }
        assert_eq!(server.requests(), 1);
        assert_consistent(&tokens).await;
    });
}

#[test]
fn s2_r2_a_failed_refresh_keeps_a_usable_token() {
    check(|| async {
        let (server, clock) = (Server::default(), ManualClock::new());
        let tokens = server.manager(&clock);
        tokens.token().await.unwrap();
        clock.advance(850);
        server.0.refuses.store(true, Ordering::SeqCst);
        for caller in [call(&tokens), call(&tokens), call(&tokens)] {
            assert_eq!(caller.await.unwrap().unwrap().expose(), "first-0");
        }
        assert!(server.requests() <= 2);
        assert_eq!(tokens.status().freshness, Some(Freshness::Stale));
        assert_consistent(&tokens).await;
    });
}

#[test]
fn s3_no_caller_gets_an_expired_token() {
    check(|| async {
        let (server, clock) = (Server::default(), ManualClock::new());
        let tokens = server.manager(&clock);
        let first = tokens.token().await.unwrap();
        clock.advance(850);
        let callers = [call(&tokens), call(&tokens)];
        let expiry = run_later(move || clock.advance(130));
        expiry.await.unwrap();
        let late = call(&tokens);
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
        assert!(!late.await.unwrap().unwrap().ptr_eq(&first), "an expired token was handed out");
        assert_eq!(server.requests(), 2);
        assert_consistent(&tokens).await;
    });
}

#[test]
fn s6_r4_callers_share_one_refusal() {
    check(|| async {
        let server = Server::default();
        server.0.refuses.store(true, Ordering::SeqCst);
        let tokens = server.manager(&ManualClock::new());
        for caller in [call(&tokens), call(&tokens), call(&tokens)] {
            assert_eq!(caller.await.unwrap().unwrap_err().kind(), ErrorKind::Refused);
        }
        assert_eq!(server.requests(), 1);
        assert_consistent(&tokens).await;
    });
}

#[test]
fn s8_a_caller_that_blocks_its_thread_is_woken() {
    check(|| async {
        let server = Server::default();
        let tokens = server.manager(&ManualClock::new());
        let blocked = {
            let tokens = tokens.clone();
            shuttle::thread::spawn(move || tokens.blocking_token())
        };
        let caller = call(&tokens);
        assert_eq!(caller.await.unwrap().unwrap().expose(), "first-0");
        assert_eq!(blocked.join().unwrap().unwrap().expose(), "first-0");
        assert_eq!(server.requests(), 1);
        assert_consistent(&tokens).await;
    });
}

#[test]
fn s8_if_the_runtime_of_the_logins_shuts_down_nobody_waits_for_ever() {
    check(|| async {
        let server = Server::default();
        let tokens = server.manager(&ManualClock::new());
        let callers = [call(&tokens), call(&tokens)];
        run_later(tokio::runtime::replace).await.unwrap();
        for caller in callers {
            match caller.await.unwrap() {
                Ok(token) => assert_eq!(token.expose(), "first-0"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable),
            }
        }
        assert_consistent(&tokens).await;
    });
}

#[test]
fn s8_a_background_refresh_lost_with_its_runtime_does_not_block_the_next() {
    check(|| async {
        let (server, clock) = (Server::default(), ManualClock::new());
        let tokens = server.manager(&clock);
        let first = tokens.token().await.unwrap();
        clock.advance(850);
        let caller = call(&tokens);
        run_later(tokio::runtime::replace).await.unwrap();
        assert!(caller.await.unwrap().unwrap().generation() <= 2);
        while tokens.status().is_renewing {
            yield_now().await;
        }
        // The first token has expired and the backoff is over, so the next caller waits for a new one.
        clock.advance(190);
        assert!(!tokens.token().await.unwrap().ptr_eq(&first));
        assert!(server.requests() <= 3);
        assert_consistent(&tokens).await;
    });
}

#[test]
fn s6_a_renewal_that_is_ended_at_its_deadline_hands_over_to_the_next() {
    check(|| async {
        let (server, clock) = (Server::default(), ManualClock::new());
        let tokens = server.manager(&clock);
        let callers = [call(&tokens), call(&tokens)];
        let ended = run_later(|| {
            tokio::time::trigger_timeouts(|_| true);
            tokio::time::clear_triggers();
        });
        ended.await.unwrap();
        for caller in callers {
            if let Err(error) = caller.await.unwrap() {
                assert_eq!(error.kind(), ErrorKind::Unavailable);
            }
        }
        // Past the backoff. The task that was ended may need a few more steps.
        clock.advance(60);
        while tokens.token().await.is_err() {
            yield_now().await;
        }
        assert_eq!(tokens.cached().unwrap().expose(), "first-0");
        assert_consistent(&tokens).await;
    });
}

#[test]
fn a1_a2_callers_with_a_revoked_token_share_one_login() {
    check(|| async {
        let server = Server::default();
        let tokens = server.manager(&ManualClock::new());
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
        assert_consistent(&tokens).await;
    });
}

#[test]
fn a2_a_flight_does_not_restore_a_token_rejected_meanwhile() {
    check(|| async {
        let (server, clock) = (Server::default(), ManualClock::new());
        let tokens = server.manager(&clock);
        let token = tokens.token().await.unwrap();
        clock.advance(850);
        let caller = call(&tokens);
        let rejection = {
            let (server, tokens, token) = (server.clone(), tokens.clone(), token.clone());
            run_later(move || {
                server.revoke();
                tokens.reject(&token);
                tokens.cached()
            })
        };
        caller.await.unwrap().unwrap();
        let after = rejection.await.unwrap();
        let now = tokens.token().await.unwrap();
        assert!(!now.ptr_eq(&token));
        // A flight that finished before the rejection may have returned the same token text. One that finished after it
        // must not.
        if after.is_none_or(|after| after.expose() != token.expose()) {
            assert_eq!(now.expose(), "first-1");
        }
        assert!(server.requests() <= 3);
        assert_consistent(&tokens).await;
    });
}

/// Calls an endpoint that rejects every token. Returns an error of the manager, if there was one.
fn call_that_is_rejected(tokens: &TokenManager) -> JoinHandle<Option<Error>> {
    let tokens = tokens.clone();
    spawn(async move {
        for _ in 0..3 {
            match tokens.token().await {
                Ok(token) => tokens.reject(&token),
                Err(error) => return Some(error),
            }
        }
        None
    })
}

#[test]
fn r10_a_server_that_rejects_every_token_costs_one_login_and_nobody_an_error() {
    check(|| async {
        let server = Server::default();
        let tokens = server.manager(&ManualClock::new());
        tokens.token().await.unwrap();
        let rejected = [call_that_is_rejected(&tokens), call_that_is_rejected(&tokens)];
        let callers = [call(&tokens), call(&tokens)];
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
        for rejected in rejected {
            assert!(rejected.await.unwrap().is_none());
        }
        assert_eq!(server.requests(), 2);
        assert!(tokens.cached().is_some(), "the token that replaced the rejected one is kept");
        assert_consistent(&tokens).await;
    });
}

#[test]
fn f11_callers_in_the_margin_get_the_old_token_from_a_server_that_refuses() {
    check(|| async {
        let (server, clock) = (Server::default(), ManualClock::new());
        let tokens = server.manager(&clock);
        let old = tokens.token().await.unwrap();
        clock.advance(975);
        server.0.refuses.store(true, Ordering::SeqCst);
        for caller in [call(&tokens), call(&tokens), call(&tokens)] {
            assert!(caller.await.unwrap().unwrap().authorization() == old.authorization());
        }
        assert_eq!(server.requests(), 2);
        assert_eq!(tokens.status().freshness, Some(Freshness::Expiring));
        assert_consistent(&tokens).await;
    });
}

#[test]
fn f11_a_slow_flight_releases_the_callers_in_the_margin_and_goes_on() {
    check(|| async {
        let (server, clock) = (Server::default(), ManualClock::new());
        let tokens = server.manager(&clock);
        let old = tokens.token().await.unwrap();
        clock.advance(975);
        let callers = [call(&tokens), call(&tokens)];
        let slow = run_later(|| {
            tokio::time::trigger_timeouts(|_| true);
            tokio::time::clear_triggers();
        });
        slow.await.unwrap();
        for caller in callers {
            let token = caller.await.unwrap().unwrap();
            assert!(token.generation() <= 2 && (token.ptr_eq(&old) || token.generation() == 2));
        }
        assert!(server.requests() <= 3);
        assert_consistent(&tokens).await;
    });
}

/// A source that yields before it returns the password which is current at the end.
#[derive(Debug, Clone, Default)]
struct RotatingSource(Arc<AtomicBool>);

#[async_trait]
impl CredentialSource for RotatingSource {
    async fn provider(&self, _: Option<&Error>) -> Result<Arc<dyn Provider>, Error> {
        yield_now().await;
        let password = if self.0.load(Ordering::SeqCst) { "second" } else { "first" };
        yield_now().await;
        Ok(Arc::new(TestProvider::new(password)))
    }
}

#[test]
fn a_source_that_rotates_at_any_instant_costs_no_caller_an_error() {
    check(|| async {
        let (server, clock, source) = (Server::default(), ManualClock::new(), RotatingSource::default());
        let builder = TokenManager::builder(source.clone()).with_transport(server.clone()).with_clock(clock.clone());
        let tokens = builder.build().unwrap();
        server.accept_only("first");
        let callers = [call(&tokens), call(&tokens)];
        let rotation = {
            let server = server.clone();
            run_later(move || {
                // The source is rotated first, as an operator would: a login with the old password may be under way.
                source.0.store(true, Ordering::SeqCst);
                server.accept_only("second");
            })
        };
        rotation.await.unwrap();
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
        clock.advance(1000);
        assert_eq!(tokens.token().await.unwrap().expose(), "second-0");
        assert!(server.requests() <= 3);
        assert_consistent(&tokens).await;
    });
}

#[test]
fn new_credentials_replace_the_token_of_a_flight_with_the_old_ones() {
    check(|| async {
        let server = Server::default();
        let tokens = server.manager(&ManualClock::new());
        let caller = call(&tokens);
        let replacement = {
            let tokens = tokens.clone();
            run_later(move || tokens.replace_credentials(TestProvider::new("second")).unwrap())
        };
        caller.await.unwrap().unwrap();
        replacement.await.unwrap();
        wait_for_token(&tokens, |token| token.expose() == "second-0").await;
        assert!(server.requests() <= 2);
        assert_consistent(&tokens).await;
    });
}

//! A server that rejects good tokens hurts nobody else.

use std::time::Duration;

use auth_core::{AccessToken, TokenManager, targets};
use auth_testing::{MemoryStore, Script, ScriptedResponse, StoreFault};
use tokio::time::{Instant, advance, sleep};

use crate::support::{Server, Warnings, manager, seconds, stampede};

/// Calls an endpoint that answers 401 to every token, as the middleware does. Returns `true` if the request was sent
/// again with another token.
async fn call_that_is_rejected(tokens: &TokenManager) -> bool {
    let token = tokens.token().await.unwrap();
    tokens.reject(&token);
    let next = tokens.token().await.unwrap();
    let is_new = !next.ptr_eq(&token);
    if is_new {
        tokens.reject(&next);
    }
    is_new
}

#[tokio::test(start_paused = true)]
async fn r10_an_endpoint_that_always_answers_401_costs_others_nothing_for_an_hour() {
    for login in [0.0, 0.3] {
        let server = Server::new("password", 3000, login);
        let tokens = server.builder().build().unwrap();
        let start = Instant::now();
        let good = tokio::spawn({
            let tokens = tokens.clone();
            async move {
                let mut calls = 0;
                while start.elapsed() < seconds(3600.0) {
                    let call = Instant::now();
                    tokens.token().await.unwrap();
                    assert!(call.elapsed() <= seconds(0.3));
                    calls += 1;
                    sleep(seconds(0.25)).await;
                }
                calls
            }
        });
        while start.elapsed() < seconds(3600.0) {
            call_that_is_rejected(&tokens).await;
            sleep(seconds(0.1)).await;
        }
        assert!(good.await.unwrap() > 13_000);
        assert!((55..=60).contains(&server.logins()), "{} logins", server.logins());
    }
}

#[tokio::test(start_paused = true)]
async fn r10_fifty_processes_with_such_an_endpoint_make_one_login_a_minute_together() {
    let (server, store) = (Server::new("password", 3000, 0.1), MemoryStore::new());
    let processes: Vec<_> = (0..50).map(|_| server.builder().with_store(store.shared()).build().unwrap()).collect();
    let start = Instant::now();
    while start.elapsed() < seconds(3600.0) {
        for process in &processes {
            process.token().await.unwrap();
            call_that_is_rejected(process).await;
        }
        sleep(seconds(1.0)).await;
    }
    assert!((50..=60).contains(&server.logins()), "{} logins", server.logins());
}

#[tokio::test(start_paused = true)]
async fn r10_a_token_that_is_kept_is_told_once() {
    let (warnings, _guard) = Warnings::log(targets::FLIGHT);
    let server = Server::new("password", 3000, 0.0);
    let tokens = server.builder().build().unwrap();
    for expected in [1, 2] {
        tokens.reject(&tokens.token().await.unwrap());
        assert_eq!(warnings.count(), expected - 1);
        let kept = tokens.token().await.unwrap();
        for _ in 0..10 {
            tokens.reject(&kept);
        }
        assert_eq!(warnings.count(), expected);
        advance(seconds(70.0)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn r10_the_mark_of_a_token_travels_through_the_store() {
    let (server, store) = (Server::new("password", 3000, 0.0), MemoryStore::new());
    let process = || server.builder().with_store(store.shared()).build().unwrap();
    let (first, second) = (process(), process());
    first.reject(&first.token().await.unwrap());
    first.token().await.unwrap();
    let token = second.token().await.unwrap();
    second.reject(&token);
    assert!(second.cached().unwrap().ptr_eq(&token), "it has replaced a rejected token in another process");
    advance(seconds(61.0)).await;
    second.reject(&token);
    assert!(second.cached().is_none());
}

#[tokio::test(start_paused = true)]
async fn r10_a_rejected_token_is_replaced_for_all_and_waiting_callers_share_the_login() {
    let server = Server::new("password", 1000, 2.0);
    let tokens = server.builder().build().unwrap();
    let old = tokens.token().await.unwrap();
    tokens.reject(&old);
    for result in stampede(&tokens, 100).await {
        assert!(!result.unwrap().ptr_eq(&old));
    }
    assert_eq!(server.logins(), 2);
}

#[tokio::test(start_paused = true)]
async fn r10_a_rejection_takes_no_token_while_no_login_is_possible() {
    let hour = ScriptedResponse::status(429).with_header(http::header::RETRY_AFTER, "3600");
    let script = Script::new([ScriptedResponse::token("old", 3000), hour, ScriptedResponse::token("new", 3000)]);
    let tokens = manager(&script);
    let old = tokens.token().await.unwrap();
    advance(seconds(10.0)).await;
    tokens.renew().await.unwrap_err();
    for _ in 0..10 {
        tokens.reject(&old);
        assert!(tokens.token().await.unwrap().ptr_eq(&old));
        sleep(seconds(1.0)).await;
    }
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn r10_a_rejection_during_a_flight_marks_the_token_of_that_flight() {
    let script =
        Script::new([ScriptedResponse::token("old", 1000), ScriptedResponse::token("new", 1000).after(seconds(2.0))]);
    let tokens = manager(&script);
    let old = tokens.token().await.unwrap();
    advance(seconds(810.0)).await;
    tokens.token().await.unwrap(); // starts the flight
    sleep(seconds(1.0)).await;
    tokens.reject(&old);
    let new = tokens.token().await.unwrap();
    tokens.reject(&new);
    assert!(tokens.cached().unwrap().ptr_eq(&new));
}

#[tokio::test(start_paused = true)]
async fn p8_a_token_rejected_before_a_store_outage_does_not_come_back_after_it() {
    let (server, store) = (Server::new("password", 1000, 0.0), MemoryStore::new());
    let tokens = server.builder().with_store(store.shared()).build().unwrap();
    let first = tokens.token().await.unwrap();
    // The rejection and the next login do not reach the store, so it still holds the first token.
    store.set_fault(StoreFault::Down);
    tokens.reject(&first);
    sleep(Duration::from_millis(1)).await;
    let second = tokens.token().await.unwrap();
    store.set_fault(StoreFault::None);
    advance(seconds(61.0)).await;
    tokens.reject(&second);
    let third = tokens.token().await.unwrap();
    assert_eq!(texts(&[first, second, third]), ["password-1", "password-2", "password-3"]);
}

fn texts(tokens: &[AccessToken]) -> Vec<&str> {
    tokens.iter().map(AccessToken::expose).collect()
}

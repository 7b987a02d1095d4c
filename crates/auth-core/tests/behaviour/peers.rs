//! What a failure in one process means for the others that share a store with it.

use auth_core::{Error, ErrorKind};
use auth_testing::{MemoryStore, Script, ScriptedResponse, StoreFault};
use tokio::time::{Instant, advance, sleep};

use crate::store::process;
use crate::support::seconds;

#[tokio::test(start_paused = true)]
async fn r14_a_paused_process_finds_the_token_of_another_after_1_2_4_and_up_to_30_s() {
    let hour = ScriptedResponse::status(429).with_header(http::header::RETRY_AFTER, "3600");
    let store = MemoryStore::new();
    let (throttled, healthy) =
        (Script::default().then_always(hour), Script::new([ScriptedResponse::token("one", 3000)]));
    let paused = process(&throttled, &store);
    // The store does not respond during the failure, so the failure stays in this process.
    store.set_fault(StoreFault::Down);
    assert_eq!(paused.token().await.unwrap_err().kind(), ErrorKind::Throttled);
    store.set_fault(StoreFault::None);

    let (start, calls) = (Instant::now(), store.calls());
    let mut looks = Vec::new();
    while start.elapsed() < seconds(100.0) {
        let before = store.calls();
        assert_eq!(paused.token().await.unwrap_err().kind(), ErrorKind::Throttled);
        if store.calls() > before {
            looks.push(start.elapsed().as_secs());
        }
        sleep(seconds(0.1)).await;
    }
    assert_eq!(looks, [1, 3, 7, 15, 31, 61, 91]);
    assert_eq!(store.calls() - calls, 7, "a look is one read");

    process(&healthy, &store).token().await.unwrap();
    sleep(seconds(30.0)).await;
    assert_eq!(paused.token().await.unwrap().expose(), "one");
    assert_eq!(throttled.requests().len(), 1);
    // It knows where the token came from, so its rejection reaches the store.
    paused.reject(&paused.cached().unwrap());
    sleep(seconds(0.1)).await;
    assert!(store.entries()[0].1.access.is_none());
    assert!(paused.status().last_error.is_none());
}

#[tokio::test(start_paused = true)]
async fn r14_a_look_keeps_the_refresh_token_and_counts_no_failure() {
    let store = MemoryStore::new();
    let script = Script::new([ScriptedResponse::json(200, r#"{"token":"one","expires_in":1000,"refresh":"r1"}"#)]);
    store.set_fault(StoreFault::Down);
    let tokens = process(&script, &store);
    tokens.token().await.unwrap();
    advance(seconds(1000.0)).await;
    script.push(ScriptedResponse::status(429).with_header(http::header::RETRY_AFTER, "100"));
    tokens.token().await.unwrap_err();
    store.set_fault(StoreFault::None);
    for _ in 0..50 {
        sleep(seconds(2.0)).await;
        tokens.token().await.unwrap_err();
    }
    script.push(ScriptedResponse::token("two", 1000));
    sleep(seconds(10.0)).await;
    assert_eq!(tokens.token().await.unwrap().expose(), "two");
    let bodies: Vec<_> = script.requests().iter().map(|request| request.body().to_vec()).collect();
    assert_eq!(bodies, [&b"by=password"[..], b"by=r1", b"by=r1"]);
}

#[tokio::test(start_paused = true)]
async fn r2_a_token_of_the_store_that_is_too_short_for_one_caller_serves_the_others_at_once() {
    let script = Script::new([ScriptedResponse::token("one", 1000)]).then_always(ScriptedResponse::status(503));
    let store = MemoryStore::new();
    process(&script, &store).token().await.unwrap();
    advance(seconds(500.0)).await;
    let tokens = process(&script, &store);
    let (long, any) = tokio::join!(tokens.token_valid_for(seconds(800.0)), tokens.token());
    assert_eq!(long.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(any.unwrap().expose(), "one");
    assert_eq!(tokens.token().await.unwrap().expose(), "one");
    assert!(tokens.status().next_attempt_at.is_some(), "the cooldown goes on");
}

#[tokio::test(start_paused = true)]
async fn f11_a_token_of_the_store_in_its_margin_is_used_during_an_outage() {
    let script = Script::new([ScriptedResponse::token("one", 1000)]).then_always(ScriptedResponse::status(503));
    let store = MemoryStore::new();
    process(&script, &store).token().await.unwrap();
    advance(seconds(975.0)).await;
    assert_eq!(process(&script, &store).token().await.unwrap().expose(), "one");
    sleep(seconds(30.0)).await;
    process(&script, &store).token().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn p7_a_refusal_whose_cause_may_be_local_pauses_no_other_process() {
    let local = [
        ("a filter", ScriptedResponse::status(403)),
        ("a filter's page", ScriptedResponse::json(403, "<html>blocked</html>")),
        ("a gateway", ScriptedResponse::status(401)),
        ("a proxy", ScriptedResponse::status(407)),
        ("a wrong address", ScriptedResponse::status(404)),
        ("a redirect", ScriptedResponse::status(302)),
        ("a captured TLS connection", ScriptedResponse::error(Error::untrusted("unknown issuer"))),
    ];
    for (cause, response) in local {
        let store = MemoryStore::new();
        let blocked = Script::default().then_always(response);
        let healthy = Script::default().then_always(ScriptedResponse::token("one", 1000));
        let ill = process(&blocked, &store);
        ill.token().await.unwrap_err();
        for _ in 0..10 {
            assert_eq!(process(&healthy, &store).token().await.unwrap().expose(), "one", "{cause}");
            sleep(seconds(1.0)).await;
        }
        assert_eq!(healthy.requests().len(), 1, "{cause}");
        assert_eq!(blocked.requests().len(), 1, "{cause}: it is remembered in its own process");
    }
}

#[tokio::test(start_paused = true)]
async fn p7_a_refusal_in_the_words_of_the_provider_pauses_all() {
    for status in [200, 400, 401, 403] {
        let store = MemoryStore::new();
        let script = Script::default().then_always(ScriptedResponse::json(status, r#"{"error":"refused"}"#));
        for _ in 0..50 {
            let error = process(&script, &store).token().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused);
        }
        assert_eq!(script.requests().len(), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn p7_r4_a_usable_token_in_the_store_does_not_hide_the_cooldown_of_its_renewal() {
    let script = Script::new([ScriptedResponse::token("one", 1000)]).then_always(ScriptedResponse::refusal());
    let store = MemoryStore::new();
    process(&script, &store).token().await.unwrap();
    advance(seconds(810.0)).await;
    // New processes find a stale token and start a renewal each. The first one is refused.
    for _ in 0..20 {
        let tokens = process(&script, &store);
        for _ in 0..3 {
            assert_eq!(tokens.token().await.unwrap().expose(), "one");
            sleep(seconds(0.5)).await;
        }
        assert!(tokens.status().next_attempt_at.is_some());
    }
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn r14_a_look_for_more_validity_gives_a_shorter_token_to_the_others() {
    let store = MemoryStore::new();
    let hour = ScriptedResponse::status(429).with_header(http::header::RETRY_AFTER, "3600");
    let (throttled, healthy) =
        (Script::default().then_always(hour), Script::new([ScriptedResponse::token("one", 1000)]));
    let paused = process(&throttled, &store);
    store.set_fault(StoreFault::Down);
    paused.token().await.unwrap_err();
    store.set_fault(StoreFault::None);
    process(&healthy, &store).token().await.unwrap();
    advance(seconds(500.0)).await;
    let (long, any) = tokio::join!(paused.token_valid_for(seconds(800.0)), paused.token());
    assert_eq!(long.unwrap_err().kind(), ErrorKind::Throttled);
    let token = any.unwrap();
    assert_eq!(token.expose(), "one");
    assert!(paused.status().next_attempt_at.is_some(), "the cooldown goes on");
}

#[tokio::test(start_paused = true)]
async fn p8_the_rejection_of_a_token_that_was_too_short_reaches_the_store() {
    let script = Script::new([ScriptedResponse::token("one", 1000)]).then_always(ScriptedResponse::status(503));
    let store = MemoryStore::new();
    process(&script, &store).token().await.unwrap();
    advance(seconds(500.0)).await;
    let tokens = process(&script, &store);
    tokens.token_valid_for(seconds(800.0)).await.unwrap_err();
    let token = tokens.token().await.unwrap();
    sleep(seconds(31.0)).await;
    tokens.reject(&token);
    sleep(seconds(0.1)).await;
    assert!(store.entries()[0].1.access.is_none());
}

#[tokio::test(start_paused = true)]
async fn r10_a_rejection_during_a_cooldown_looks_for_the_token_of_another_process() {
    let store = MemoryStore::new();
    let script = Script::new([ScriptedResponse::token("one", 3000)]).then_always(ScriptedResponse::status(429));
    let tokens = process(&script, &store);
    let one = tokens.token().await.unwrap();
    advance(seconds(10.0)).await;
    tokens.renew().await.unwrap_err();
    let other = process(&Script::new([ScriptedResponse::token("two", 3000)]), &store);
    sleep(seconds(31.0)).await;
    other.renew().await.unwrap();
    sleep(seconds(1.0)).await;
    tokens.renew().await.ok();
    if tokens.cached().unwrap().ptr_eq(&one) {
        tokens.reject(&one);
        tokens.wait_idle(seconds(1.0)).await.unwrap();
    }
    assert_eq!(tokens.cached().unwrap().expose(), "two");
}

#[tokio::test(start_paused = true)]
async fn p5_a_refresh_token_that_came_back_is_saved_although_the_failure_is_not() {
    let store = MemoryStore::new();
    let script = Script::new([
        ScriptedResponse::json(200, r#"{"token":"one","expires_in":1000,"refresh":"r1"}"#),
        ScriptedResponse::error(Error::untrusted("unknown issuer")),
    ]);
    process(&script, &store).token().await.unwrap();
    advance(seconds(1000.0)).await;
    process(&script, &store).token().await.unwrap_err();
    script.push(ScriptedResponse::token("two", 1000));
    assert_eq!(process(&script, &store).token().await.unwrap().expose(), "two");
    assert_eq!(script.requests()[2].body(), b"by=r1");
}

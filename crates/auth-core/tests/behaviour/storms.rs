//! Many calls at once, or in a loop, never make more logins than needed.

use std::future::poll_fn;
use std::task::Poll;

use auth_core::ErrorKind;
use auth_testing::{MemoryStore, Script, ScriptedResponse, TestProvider};
use tokio::time::{Instant, advance, sleep};

use crate::support::{Server, manager, seconds};

#[tokio::test(start_paused = true)]
async fn s12_twenty_calls_of_renew_during_a_slow_login_make_one_login() {
    let server = Server::new("password", 1000, 6.0);
    let tokens = server.builder().build().unwrap();
    let first = tokens.token().await.unwrap();
    advance(seconds(10.0)).await;
    let start = Instant::now();
    let calls: Vec<_> = (0..20)
        .map(|number| {
            let tokens = tokens.clone();
            tokio::spawn(async move {
                sleep(seconds(f64::from(number) * 0.2)).await;
                tokens.renew().await.unwrap()
            })
        })
        .collect();
    for call in calls {
        assert!(!call.await.unwrap().ptr_eq(&first));
    }
    assert_eq!((server.logins(), start.elapsed()), (2, seconds(6.0)));
}

#[tokio::test(start_paused = true)]
async fn s12_renew_during_a_login_that_began_long_before_makes_another() {
    let server = Server::new("password", 1000, 10.0);
    let tokens = server.builder().build().unwrap();
    let login = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await.unwrap() }
    });
    sleep(seconds(8.0)).await;
    let renewed = tokens.renew().await.unwrap();
    assert!(!login.await.unwrap().ptr_eq(&renewed));
    assert_eq!(server.logins(), 2);
}

#[tokio::test(start_paused = true)]
async fn s12_more_validity_than_a_new_token_has_fails_at_once_from_the_second_call_on() {
    let server = Server::new("password", 60, 0.2);
    let tokens = server.builder().build().unwrap();
    let min_validity = seconds(59.9);
    assert_eq!(tokens.token_valid_for(min_validity).await.unwrap_err().kind(), ErrorKind::Misuse);
    let start = Instant::now();
    for _ in 0..300 {
        let error = tokens.token_valid_for(min_validity).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains("59.8 s"), "{error}");
    }
    assert_eq!((server.logins(), start.elapsed()), (1, seconds(0.0)));
    assert!(tokens.token_valid_for(seconds(59.5)).await.is_ok());
    advance(seconds(1.0)).await;
    assert_eq!(tokens.token_valid_for(seconds(59.8)).await.unwrap().expose(), "password-2", "as much as a new one has");

    // Also if all call at the same time: they share one login, and none of them starts another.
    let tokens = server.builder().build().unwrap();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::spawn(async move { tokens.token_valid_for(min_validity).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap_err();
    }
    assert_eq!(server.logins(), 3);
}

#[tokio::test(start_paused = true)]
async fn s12_a_token_from_the_store_does_not_show_how_long_a_new_one_is_valid() {
    let (server, store) = (Server::new("password", 1000, 0.0), MemoryStore::new());
    let process = || server.builder().with_store(store.shared()).build().unwrap();
    process().token().await.unwrap();
    advance(seconds(500.0)).await;
    let tokens = process();
    tokens.token().await.unwrap();
    assert_eq!(tokens.token_valid_for(seconds(900.0)).await.unwrap().expose(), "password-2");
}

#[tokio::test(start_paused = true)]
async fn r4_the_same_credentials_again_and_again_change_nothing() {
    let script = Script::default().then_always(ScriptedResponse::refusal());
    let tokens = manager(&script);
    let start = Instant::now();
    while start.elapsed() < seconds(600.0) {
        tokens.replace_credentials(TestProvider::new("password")).unwrap();
        tokens.token().await.unwrap_err();
        sleep(seconds(1.0)).await;
    }
    assert_eq!(script.requests().len(), 4);

    // A login that takes longer than the time between two replacements completes.
    let server = Server::new("password", 1000, 6.0);
    let tokens = server.builder().build().unwrap();
    let login = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await.unwrap() }
    });
    for _ in 0..10 {
        sleep(seconds(1.0)).await;
        tokens.replace_credentials(TestProvider::new("password")).unwrap();
    }
    assert_eq!((login.await.unwrap().expose(), server.logins()), ("password-1", 1));
}

#[tokio::test(start_paused = true)]
async fn r4_credentials_that_are_replaced_just_before_a_flight_takes_them_log_in_once() {
    let script = Script::default().then_always(ScriptedResponse::refusal());
    let tokens = manager(&script);
    let call = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    // On the only thread, these steps run between those of the flight's tasks.
    tokio::spawn(async move {
        for password in ["one", "two", "three", "wrong"] {
            tokens.replace_credentials(TestProvider::new(password)).unwrap();
            // `yield_now` would wait until all other tasks wait.
            let mut has_waited = false;
            poll_fn(|context| {
                context.waker().wake_by_ref();
                if std::mem::replace(&mut has_waited, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
    });
    call.await.unwrap().unwrap_err();
    let sent: Vec<_> = script.requests().iter().map(|request| request.body().to_vec()).collect();
    let last = sent.iter().filter(|body| **body == b"by=wrong").count();
    assert_eq!(last, 1, "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn f11_a_token_in_its_margin_serves_a_caller_that_needs_less_during_an_outage() {
    let script = Script::new([ScriptedResponse::token("old", 1000)]).then_always(ScriptedResponse::status(503));
    let tokens = manager(&script);
    tokens.token().await.unwrap();
    advance(seconds(975.0)).await;
    assert_eq!(tokens.token_valid_for(seconds(5.0)).await.unwrap().expose(), "old");
    tokens.token_valid_for(seconds(100.0)).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn r4_renew_with_wrong_credentials_never_returns_the_old_token() {
    let server = Server::new("password", 1000, 0.0);
    let tokens = server.builder().build().unwrap();
    let old = tokens.token().await.unwrap();
    tokens.replace_credentials(TestProvider::new("wrong")).unwrap();
    assert_eq!(tokens.renew().await.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(tokens.renew().await.unwrap_err().kind(), ErrorKind::Refused);
    assert!(tokens.token().await.unwrap().authorization() == old.authorization(), "it is still usable");
    assert_eq!((server.logins(), server.refusals()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn r4_r5_clients_do_not_return_from_a_pause_in_the_same_instant() {
    let throttled = || ScriptedResponse::status(429).with_header(http::header::RETRY_AFTER, "600");
    for failure in [throttled(), ScriptedResponse::refusal()] {
        let mut waits = Vec::new();
        for _ in 0..100 {
            let error = manager(&Script::new([failure.clone()])).token().await.unwrap_err();
            waits.push(error.retry_after().unwrap());
        }
        waits.sort_unstable();
        let (first, last) = (waits[0], waits[99]);
        let full = if first > seconds(100.0) { seconds(600.0) } else { seconds(60.0) };
        assert!(first >= full && last <= full.mul_f64(1.1), "{first:?} {last:?}");
        assert!(last - first > full.mul_f64(0.08), "{first:?} {last:?}");
    }

    // The same holds for a wait between two attempts of one login.
    let mut waits = Vec::new();
    for _ in 0..100 {
        let short = ScriptedResponse::status(429).with_header(http::header::RETRY_AFTER, "10");
        let start = Instant::now();
        manager(&Script::new([short, ScriptedResponse::token("t", 60)])).token().await.unwrap();
        waits.push(start.elapsed());
    }
    waits.sort_unstable();
    assert!(waits[0] >= seconds(10.0) && waits[99] - waits[0] > seconds(0.8), "{waits:?}");
}

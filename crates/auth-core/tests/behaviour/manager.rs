//! What callers of one manager see: replaced tokens, its status, its changes.

use auth_core::{ErrorKind, Freshness};
use auth_testing::{Script, ScriptedResponse};
use tokio::time::{advance, sleep};

use crate::support::{manager, seconds, slow};

#[tokio::test(start_paused = true)]
async fn a2_a_running_login_does_not_bring_a_rejected_token_back() {
    let script = Script::new([ScriptedResponse::token("old", 1000), slow("old", 1000), slow("new", 1000)]);
    let tokens = manager(&script);
    let old = tokens.token().await.unwrap();
    advance(seconds(810.0)).await;
    tokens.token().await.unwrap(); // starts the flight
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
    assert_eq!(tokens.cached().unwrap().expose(), "new", "a late reject must not remove the newer token");
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn o3_the_status_shows_freshness_generation_times_and_the_last_error() {
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
async fn o4_a_subscriber_receives_every_change_of_the_token() {
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

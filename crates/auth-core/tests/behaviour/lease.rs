//! Tests of the lease and of the refresh token that its holder uses, also if the holder fails.

use std::time::Duration;

use auth_core::store::{EntryUpdate, LeaseNumber, LeaseOutcome, TokenStore};
use auth_core::{Error, ErrorKind, Provider, Request, Response, Transport, async_trait};
use auth_testing::{MemoryStore, Script, ScriptedResponse, StoreFault, TestProvider};
use tokio::time::{Instant, advance, sleep};

use crate::store::{process, seconds, slow_token, token_of_each};

/// The lease for a login's deadline of 30 s and this store's timeout of 50 ms.
const LEASE: Duration = Duration::from_millis(37_700);

#[tokio::test(start_paused = true)]
async fn p3_only_its_owner_can_release_a_lease() {
    let store = MemoryStore::new();
    let name = store.sealing().entry_name("test", &TestProvider::new("password").identity().unwrap());
    let lease = || async { store.lease(&name, LeaseNumber(0), seconds(40)).await.unwrap().0 };
    let LeaseOutcome::Granted(first) = lease().await else { panic!("the lease is free") };
    assert!(matches!(lease().await, LeaseOutcome::Held(_)));
    store.release(&name, LeaseNumber(first.0 + 1)).await.unwrap();
    assert_eq!(lease().await, LeaseOutcome::Held(seconds(40)), "a number that was not granted cannot release it");
    advance(seconds(40)).await;
    let LeaseOutcome::Granted(second) = lease().await else { panic!("the first lease has ended") };
    assert!(second > first);
    store.release(&name, first).await.unwrap();
    assert!(matches!(lease().await, LeaseOutcome::Held(_)), "the number of an old lease cannot release it");
}

#[tokio::test(start_paused = true)]
async fn p3_a_killed_holder_delays_others_by_its_lease_at_most_and_not_while_a_token_is_usable() {
    let (script, store) = (Script::new([ScriptedResponse::token("one", 1000)]), MemoryStore::new());
    let survivor = process(&script, &store);
    survivor.token().await.unwrap();
    let (name, record) = store.entries().remove(0);
    let held = store.lease(&name, record.revision, LEASE).await.unwrap().0;
    assert!(matches!(held, LeaseOutcome::Granted(_)));

    advance(seconds(850)).await;
    let start = Instant::now();
    survivor.token().await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);

    store.clear();
    store.lease(&name, LeaseNumber(0), LEASE).await.unwrap();
    script.push(ScriptedResponse::token("two", 1000));
    let start = Instant::now();
    assert_eq!(process(&script, &store).token().await.unwrap().expose(), "two");
    assert!(start.elapsed() <= LEASE + seconds(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn p3_a_flight_that_panics_releases_its_lease() {
    let (script, store) = (Script::new([ScriptedResponse::token("two", 1000)]), MemoryStore::new());
    let builder = script.builder().with_transport(PanickingTransport).with_store(store.shared());
    assert_eq!(builder.build().unwrap().token().await.unwrap_err().kind(), ErrorKind::Unavailable);
    let start = Instant::now();
    process(&script, &store).token().await.unwrap();
    assert!(start.elapsed() < seconds(1), "{:?}", start.elapsed());
}

#[derive(Debug)]
struct PanickingTransport;

#[async_trait]
impl Transport for PanickingTransport {
    async fn send(&self, _: Request) -> Result<Response, Error> {
        panic!("this transport panics on purpose")
    }
}

#[tokio::test(start_paused = true)]
async fn p5_a_slow_writer_never_replaces_a_newer_token() {
    let (script, store) = (Script::new([ScriptedResponse::token("new", 1000)]), MemoryStore::new());
    let name = store.sealing().entry_name("test", &TestProvider::new("password").identity().unwrap());
    let LeaseOutcome::Granted(slow) = store.lease(&name, LeaseNumber(0), seconds(1)).await.unwrap().0 else {
        panic!("the lease is free")
    };
    advance(seconds(2)).await;
    process(&script, &store).token().await.unwrap();
    let before = store.load(&name).await.unwrap();
    let mut update = EntryUpdate::new(seconds(60));
    update.access = Some("old".into());
    assert!(!store.save(&name, slow, update).await.unwrap());
    assert_eq!(store.claim_refresh(&name, slow).await.unwrap().map(drop), None);
    assert_eq!(store.load(&name).await.unwrap().saved, before.saved);
}

/// A token that brings a refresh token with the same number.
fn rotating_response(number: u32) -> ScriptedResponse {
    let body =
        format!(r#"{{"token":"t{number}","expires_in":1000,"refresh":"r{number}","refresh_expires_in":100000}}"#);
    ScriptedResponse::json(200, &body).after(Duration::from_millis(100))
}

#[tokio::test(start_paused = true)]
async fn p5_a_rotated_refresh_token_survives_restarts_and_is_used_once() {
    let (script, store) = (Script::new((0..10).map(rotating_response)), MemoryStore::new());
    for _ in 0..5 {
        let processes: Vec<_> = (0..10).map(|_| process(&script, &store)).collect();
        token_of_each(&processes).await;
        advance(seconds(1000)).await;
    }
    let sent: Vec<_> =
        script.requests().iter().map(|request| String::from_utf8(request.body().to_vec()).unwrap()).collect();
    assert_eq!(sent, ["by=password", "by=r0", "by=r1", "by=r2", "by=r3"]);
}

#[tokio::test(start_paused = true)]
async fn p5_a_refresh_token_that_was_not_sent_is_saved_again() {
    let first = ScriptedResponse::json(200, r#"{"token":"t","expires_in":1000,"refresh":"r"}"#);
    let unsent = || ScriptedResponse::error(Error::unreachable("no route"));
    let script = Script::new([first, unsent(), unsent(), unsent(), ScriptedResponse::token("next", 1000)]);
    let store = MemoryStore::new();
    process(&script, &store).token().await.unwrap();
    advance(seconds(1000)).await;
    process(&script, &store).token().await.unwrap_err();
    sleep(seconds(60)).await;
    process(&script, &store).token().await.unwrap();
    assert_eq!(script.requests().last().unwrap().body(), b"by=r");
}

#[tokio::test(start_paused = true)]
async fn p3_a_short_store_outage_during_the_save_leaves_no_lease_behind() {
    let (script, store) = (Script::new([slow_token("one", 1000), slow_token("two", 1000)]), MemoryStore::new());
    let first = process(&script, &store);
    let login = tokio::spawn(async move { first.token().await.unwrap() });
    sleep(Duration::from_millis(200)).await;
    store.set_fault(StoreFault::Down);
    login.await.unwrap();
    sleep(Duration::from_millis(300)).await;
    store.set_fault(StoreFault::None);
    let start = Instant::now();
    process(&script, &store).token().await.unwrap();
    assert!(start.elapsed() < seconds(2), "waited {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn p5_a_claim_after_the_save_of_the_same_lease_takes_nothing() {
    let store = MemoryStore::new();
    let name = auth_core::store::EntryName::parse(&"0".repeat(32)).unwrap();
    let LeaseOutcome::Granted(lease) = store.lease(&name, LeaseNumber(0), seconds(40)).await.unwrap().0 else {
        panic!("the lease is free")
    };
    let mut update = EntryUpdate::new(seconds(60));
    update.access = Some("a".into());
    update.refresh = Some("next".into());
    assert!(store.save(&name, lease, update).await.unwrap());
    assert!(store.claim_refresh(&name, lease).await.unwrap().is_none());
}

//! The lease, and the refresh token that goes with it: who has them, and what is left when he is gone.

use std::time::Duration;

use auth_core::store::{EntryUpdate, LeaseNumber, LeaseOutcome, TokenStore};
use auth_core::{
    Error, ErrorKind, Login, Provider, Request, Response, TokenManager, TokenSource, Transport, async_trait,
};
use auth_testing::{MemoryStore, Script, ScriptedResponse, StoreFault, TestProvider, VirtualClock};
use tokio::time::{Instant, advance, sleep};

use crate::store::{all, process, seconds, slowly};

/// Of a login's deadline of 30 s and this store's timeout of 50 ms.
const LEASE: Duration = Duration::from_millis(37_700);

#[tokio::test(start_paused = true)]
async fn p3_a_lease_outlives_the_flight_and_is_its_owners_alone() {
    let store = MemoryStore::new();
    let name = store.sealing().entry_name("test", &TestProvider::new("password").identity().unwrap());
    let lease = || async { store.lease(&name, LeaseNumber(0), seconds(40)).await.unwrap().0 };
    let LeaseOutcome::Granted(first) = lease().await else { panic!("free") };
    assert!(matches!(lease().await, LeaseOutcome::Held(_)));
    store.release(&name, LeaseNumber(first.0 + 1)).await.unwrap();
    assert_eq!(lease().await, LeaseOutcome::Held(seconds(40)), "another cannot release it");
    advance(seconds(40)).await;
    let LeaseOutcome::Granted(second) = lease().await else { panic!("over") };
    assert!(second > first);
    store.release(&name, first).await.unwrap();
    assert!(matches!(lease().await, LeaseOutcome::Held(_)), "one who comes late cannot release it");
}

#[tokio::test(start_paused = true)]
async fn p3_a_dead_holder_delays_by_its_lease_and_not_at_all_beside_a_usable_token() {
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
async fn p3_a_flight_that_panics_gives_its_lease_back() {
    let (script, store) = (Script::new([ScriptedResponse::token("two", 1000)]), MemoryStore::new());
    let broken = TokenManager::with_store(
        Login::new(TestProvider::new("password"), Broken).with_clock(VirtualClock::new()),
        store.shared(),
    );
    assert_eq!(broken.token().await.unwrap_err().kind(), ErrorKind::Internal);
    let start = Instant::now();
    process(&script, &store).token().await.unwrap();
    assert!(start.elapsed() < seconds(1), "{:?}", start.elapsed());
}

#[derive(Debug)]
struct Broken;

#[async_trait]
impl Transport for Broken {
    async fn send(&self, _: Request) -> Result<Response, Error> {
        panic!("on purpose")
    }
}

#[tokio::test(start_paused = true)]
async fn p5_a_slow_writer_never_replaces_a_newer_token() {
    let (script, store) = (Script::new([ScriptedResponse::token("new", 1000)]), MemoryStore::new());
    let name = store.sealing().entry_name("test", &TestProvider::new("password").identity().unwrap());
    let LeaseOutcome::Granted(slow) = store.lease(&name, LeaseNumber(0), seconds(1)).await.unwrap().0 else {
        panic!("free")
    };
    advance(seconds(2)).await;
    process(&script, &store).token().await.unwrap();
    let before = store.load(&name).await.unwrap();
    let mut change = EntryUpdate::new(seconds(60));
    change.access = Some("old".into());
    assert!(!store.save(&name, slow, change).await.unwrap());
    assert_eq!(store.claim_refresh(&name, slow).await.unwrap().map(drop), None);
    assert_eq!(store.load(&name).await.unwrap().saved, before.saved);
}

#[tokio::test(start_paused = true)]
async fn p5_a_rotated_refresh_token_survives_restarts_and_is_used_by_one() {
    let answer = |number: u32| {
        let body =
            format!(r#"{{"token":"t{number}","expires_in":1000,"refresh":"r{number}","refresh_expires_in":100000}}"#);
        ScriptedResponse::json(200, &body).after(Duration::from_millis(100))
    };
    let (script, store) = (Script::new((0..10).map(answer)), MemoryStore::new());
    for _ in 0..5 {
        let processes: Vec<_> = (0..10).map(|_| process(&script, &store)).collect();
        all(&processes).await;
        advance(seconds(990)).await;
    }
    let sent: Vec<_> =
        script.requests().iter().map(|request| String::from_utf8(request.body().to_vec()).unwrap()).collect();
    assert_eq!(sent, ["by=password", "by=r0", "by=r1", "by=r2", "by=r3"]);
}

#[tokio::test(start_paused = true)]
async fn p5_a_refresh_token_that_was_not_sent_goes_back() {
    let first = ScriptedResponse::json(200, r#"{"token":"t","expires_in":1000,"refresh":"r"}"#);
    let unsent = || ScriptedResponse::error(Error::unreachable("no route"));
    let script = Script::new([first, unsent(), unsent(), unsent(), ScriptedResponse::token("next", 1000)]);
    let store = MemoryStore::new();
    process(&script, &store).token().await.unwrap();
    advance(seconds(990)).await;
    process(&script, &store).token().await.unwrap_err();
    sleep(seconds(60)).await;
    process(&script, &store).token().await.unwrap();
    assert_eq!(script.requests().last().unwrap().body(), b"by=r");
}

#[tokio::test(start_paused = true)]
async fn p3_a_blip_at_the_save_leaves_no_lease_that_nobody_holds() {
    let (script, store) = (Script::new([slowly("one", 1000), slowly("two", 1000)]), MemoryStore::new());
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
async fn p5_a_claim_that_comes_after_its_own_save_takes_nothing() {
    let store = MemoryStore::new();
    let name = auth_core::store::EntryName::parse(&"0".repeat(32)).unwrap();
    let LeaseOutcome::Granted(lease) = store.lease(&name, LeaseNumber(0), seconds(40)).await.unwrap().0 else {
        panic!("free")
    };
    let mut change = EntryUpdate::new(seconds(60));
    change.access = Some("a".into());
    change.refresh = Some("next".into());
    assert!(store.save(&name, lease, change).await.unwrap());
    assert!(store.claim_refresh(&name, lease).await.unwrap().is_none());
}

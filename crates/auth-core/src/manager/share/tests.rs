//! Managers that share a store, each for a process of its own.

mod lease;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, advance, sleep};

use super::lease_time;
use crate::error::ErrorKind;
use crate::login::Login;
use crate::manager::TokenManager;
use crate::policy::Policy;
use crate::source::TokenSource;
use crate::store::{EntryUpdate, LeaseNumber, LeaseOutcome, Sealing, SealingKeys, TokenStore};
use crate::testing::{MemoryStore, Script, ScriptedResponse, StoreFault, TestProvider, VirtualClock};

type Manager = TokenManager<TestProvider, Script>;

fn process(script: &Script, store: &MemoryStore) -> Manager {
    TokenManager::with_store(script.login(), store.shared())
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn slowly(token: &str, life: u64) -> ScriptedResponse {
    ScriptedResponse::token(token, life).after(Duration::from_millis(300))
}

async fn all(processes: &[Manager]) -> Vec<String> {
    let tokens = processes.iter().map(|process| {
        let process = process.clone();
        tokio::spawn(async move { process.token().await.unwrap().expose().to_owned() })
    });
    let tokens: Vec<_> = tokens.collect();
    let mut found = Vec::new();
    for token in tokens {
        found.push(token.await.unwrap());
    }
    found
}

#[tokio::test(start_paused = true)]
async fn p1_the_fleet_logs_in_once() {
    let (script, store) = (Script::new([slowly("one", 1000), slowly("two", 1000)]), MemoryStore::new());
    let processes: Vec<_> = (0..200).map(|_| process(&script, &store)).collect();
    assert_eq!(all(&processes).await, vec!["one"; 200]);
    assert_eq!(script.requests().len(), 1);

    advance(seconds(850)).await;
    assert_eq!(all(&processes).await, vec!["one"; 200], "stale: nobody waits");
    sleep(seconds(2)).await;
    assert_eq!(all(&processes).await, vec!["two"; 200]);
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn p1_a_token_of_another_process_is_taken_for_all_that_it_is() {
    let script = Script::new([ScriptedResponse::token("one", 1000)]);
    let store = MemoryStore::new();
    let first = process(&script, &store).token().await.unwrap();
    advance(seconds(100)).await;
    let second = process(&script, &store).token().await.unwrap();
    let close = |a: Duration, b: Duration| a.abs_diff(b) < Duration::from_millis(1);
    assert_eq!((first.lifetime(), first.scope()), (second.lifetime(), second.scope()));
    assert!(close(second.issued().since(&first.issued()), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn o3_what_the_store_knows_is_told_without_a_login() {
    let (script, store) = (Script::new([ScriptedResponse::token("one", 1000)]), MemoryStore::new());
    let other = process(&script, &store);
    other.recall().await.unwrap();
    assert!(other.cached().is_none() && other.status().last_error.is_none());

    process(&script, &store).token().await.unwrap();
    other.recall().await.unwrap();
    let token = other.cached().unwrap();
    assert_eq!((token.expose(), other.status().generation), ("one", 1));
    other.recall().await.unwrap();
    assert!(other.cached().unwrap().ptr_eq(&token), "one that is usable stays");

    other.reject(&token);
    other.recall().await.unwrap();
    assert!(other.cached().is_none(), "one that was rejected stays away");
    assert_eq!(script.requests().len(), 1);

    advance(seconds(975)).await;
    let late = process(&script, &store);
    late.recall().await.unwrap();
    assert!(late.cached().is_none(), "past its margin");

    script.push(ScriptedResponse::refusal());
    late.token().await.unwrap_err();
    let next = process(&script, &store);
    next.recall().await.unwrap();
    assert_eq!(next.status().last_error.unwrap().kind(), ErrorKind::Refused);
    assert!(next.status().next_attempt_at.is_some());

    store.set_fault(StoreFault::Down);
    let error = process(&script, &store).recall().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    TokenManager::new(script.login()).recall().await.unwrap();
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn r2_a_wish_for_a_new_token_leaves_the_old_one_where_it_fails() {
    let (script, store) = (Script::new([ScriptedResponse::token("one", 1000)]), MemoryStore::new());
    let (first, second) = (process(&script, &store), process(&script, &store));
    first.token().await.unwrap();
    advance(seconds(5)).await;
    assert_eq!(first.renew().await.unwrap().expose(), "one", "it is new");
    advance(seconds(1)).await;
    script.push(ScriptedResponse::token("two", 1000));
    assert_eq!(first.renew().await.unwrap().expose(), "two");
    assert_eq!(second.token().await.unwrap().expose(), "two", "for all");

    advance(seconds(6)).await;
    script.push(slowly("three", 1000));
    let both = tokio::join!(first.renew(), second.renew());
    assert_eq!((both.0.unwrap().expose(), both.1.unwrap().expose()), ("three", "three"), "one login for both");
    assert_eq!(script.requests().len(), 3);

    advance(seconds(6)).await;
    script.push(ScriptedResponse::refusal());
    assert_eq!(first.renew().await.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(first.token().await.unwrap().expose(), "three");
    assert_eq!(process(&script, &store).token().await.unwrap().expose(), "three", "nor is it lost to others");
    first.renew().await.unwrap_err();
    assert_eq!(script.requests().len(), 4, "a refusal is remembered");
}

#[tokio::test(start_paused = true)]
async fn f3_a_token_past_its_margin_is_not_taken_whatever_the_need() {
    let (script, store) =
        (Script::new([ScriptedResponse::token("one", 1000), ScriptedResponse::token("two", 1000)]), MemoryStore::new());
    process(&script, &store).token().await.unwrap();
    advance(seconds(975)).await;
    let token = process(&script, &store).token_valid_for(Duration::ZERO).await.unwrap();
    assert_eq!(token.expose(), "two");
}

#[tokio::test(start_paused = true)]
async fn p2_a_hit_makes_no_call() {
    let (script, store) = (Script::new([ScriptedResponse::token("one", 1000)]), MemoryStore::new());
    let tokens = process(&script, &store);
    tokens.token().await.unwrap();
    let calls = store.calls();
    for _ in 0..1000 {
        tokens.token().await.unwrap();
        tokens.cached().unwrap();
    }
    assert_eq!((calls, store.calls()), (2, 2), "a lease and a save for a life");
}

#[tokio::test(start_paused = true)]
async fn p4_a_store_that_is_out_is_felt_by_nobody() {
    for fault in [StoreFault::Down, StoreFault::Slow(seconds(5)), StoreFault::Slow(seconds(100_000))] {
        let script = Script::default().then_always(ScriptedResponse::token("own", 1000));
        let store = MemoryStore::new();
        store.set_fault(fault);
        let processes: Vec<_> = (0..5).map(|_| process(&script, &store)).collect();
        let start = Instant::now();
        all(&processes).await;
        assert!(start.elapsed() <= Duration::from_millis(51), "{fault:?}: {:?}", start.elapsed());
        assert_eq!(script.requests().len(), 5, "one login for each");
        all(&processes).await;
        assert_eq!(script.requests().len(), 5);

        store.set_fault(StoreFault::None);
        sleep(seconds(850)).await;
        all(&processes).await;
        sleep(seconds(45)).await;
        assert_eq!(script.requests().len(), 6, "{fault:?}: it is used again, without a restart");
    }
}

#[tokio::test(start_paused = true)]
async fn p4_a_store_that_falls_out_during_a_flight_costs_its_patience_once() {
    let store = MemoryStore::new();
    let answer = ScriptedResponse::json(200, r#"{"token":"one","life":1000,"refresh":"r1"}"#);
    let script = Script::new([answer.clone(), answer.clone(), answer]);
    process(&script, &store).token().await.unwrap();
    store.set_fault(StoreFault::Slow(Duration::from_millis(20)));
    advance(seconds(990)).await;
    let tokens = process(&script, &store);
    let waiting = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    // The lease is there, the claim is on its way.
    sleep(Duration::from_millis(39)).await;
    store.set_fault(StoreFault::Slow(seconds(5)));
    let start = Instant::now();
    waiting.await.unwrap().unwrap();
    assert!(start.elapsed() <= Duration::from_millis(60), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn p6_what_was_changed_moved_or_sealed_otherwise_is_a_miss() {
    let flip = |text: &crate::secret::Secret| {
        let mut bytes = text.expose().as_bytes().to_vec();
        let last = bytes.len() - 3;
        bytes[last] = if bytes[last] == b'A' { b'B' } else { b'A' };
        crate::secret::Secret::from(String::from_utf8(bytes).unwrap())
    };
    let later = |text: &crate::secret::Secret| format!("3{}", &text.expose()[1..]).into();
    type Tampering = Box<dyn Fn(&crate::secret::Secret) -> crate::secret::Secret>;
    let changes: Vec<(&str, Tampering)> = vec![
        ("a flipped bit", Box::new(flip)),
        ("an unknown version", Box::new(later)),
        ("unsealed", Box::new(|_| r#"0:{"token":"evil"}"#.into())),
        ("garbage", Box::new(|_| "garbage".into())),
        ("nothing", Box::new(|_| "".into())),
        ("an unknown key", Box::new(|text| text.expose().replacen("2:1:", "2:9:", 1).into())),
    ];
    for (what, change) in changes {
        let (script, store) = (
            Script::new([ScriptedResponse::token("one", 1000), ScriptedResponse::token("two", 1000)]),
            MemoryStore::new(),
        );
        process(&script, &store).token().await.unwrap();
        store.tamper(|record| record.access = record.access.as_ref().map(&change));
        assert_eq!(process(&script, &store).token().await.unwrap().expose(), "two", "{what}");
    }

    // Another identity's value under this name.
    let (script, store) =
        (Script::new([ScriptedResponse::token("one", 1000), ScriptedResponse::token("two", 1000)]), MemoryStore::new());
    process(&script, &store).token().await.unwrap();
    let stolen = store.entries()[0].1.access.clone();
    let other = Login::new(TestProvider::new("other"), script.clone()).with_clock(VirtualClock::new());
    let other = TokenManager::with_store(other, store.shared());
    other.token().await.unwrap();
    store.tamper(|record| record.access.clone_from(&stolen));
    script.push(ScriptedResponse::token("three", 1000));
    let other = Login::new(TestProvider::new("other"), script.clone()).with_clock(VirtualClock::new());
    assert_eq!(TokenManager::with_store(other, store.shared()).token().await.unwrap().expose(), "three");
}

#[tokio::test(start_paused = true)]
async fn p6_keys_change_without_a_miss() {
    let (one, two) =
        ("1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "2:AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let keys = |list: &str| Sealing::with_keys(SealingKeys::parse(&list.into()).unwrap());
    let store = MemoryStore::new();
    let rounds = [one.to_owned(), format!("{one},{two}"), format!("{two}\n{one}\n"), two.to_owned()];
    let logins = Script::default().then_always(ScriptedResponse::token("one", 1_000_000));
    let token = |list: String| process(&logins, &store.with_sealing(keys(&list)));
    for pair in rounds[..3].windows(2) {
        for list in [&pair[0], &pair[1], &pair[0]] {
            token(list.clone()).token().await.unwrap();
        }
    }
    assert_eq!(logins.requests().len(), 1);
    token(rounds[3].clone()).token().await.unwrap();
    assert_eq!(logins.requests().len(), 2, "the old key named the entry");
}

#[tokio::test(start_paused = true)]
async fn p6_an_entry_ends_and_tells_nothing() {
    let (script, store) = (Script::new([ScriptedResponse::token("sentinel-token", 1000)]), MemoryStore::new());
    process(&script, &store).token().await.unwrap();
    let (name, record) = store.entries().remove(0);
    let shown = format!("{name:?} {} {:?}", name.as_str(), record);
    let access = record.access.unwrap();
    for secret in ["sentinel", "password"] {
        assert!(!shown.contains(secret) && !access.expose().contains(secret));
    }
    advance(seconds(1001)).await;
    let other = Login::new(TestProvider::new("other"), script.clone()).with_clock(VirtualClock::new());
    TokenManager::with_store(other, store.shared()).token().await.unwrap_err();
    assert!(store.entries().iter().all(|(known, _)| *known != name));
}

#[tokio::test(start_paused = true)]
async fn p7_r4_the_fleet_remembers_refusals() {
    let script = Script::default().then_always(ScriptedResponse::refusal());
    let store = MemoryStore::new();
    let mut tried = Vec::new();
    let start = Instant::now();
    for _ in 0..600 {
        // A program that starts anew each second, as from cron.
        let process = process(&script, &store);
        let before = script.requests().len();
        let error = process.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(error.provider(), Some("test"));
        assert_eq!(error.status().map(|status| status.as_u16()), Some(401));
        if script.requests().len() > before {
            tried.push(start.elapsed().as_secs());
        } else {
            assert!(error.retry_after().is_some());
        }
        advance(seconds(1)).await;
    }
    assert_eq!(tried, [0, 60, 180, 420]);

    let right = TokenManager::with_store(
        Login::new(TestProvider::new("right"), Script::new([ScriptedResponse::token("one", 1000)]))
            .with_clock(VirtualClock::new()),
        store.shared(),
    );
    right.token().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn p7_s6_the_failure_of_one_is_told_to_all_who_wait() {
    let script = Script::default().then_always(ScriptedResponse::status(500).after(Duration::from_millis(100)));
    let store = MemoryStore::new();
    let processes: Vec<_> = (0..50).map(|_| process(&script, &store)).collect();
    let start = Instant::now();
    let waits: Vec<_> =
        processes.iter().cloned().map(|process| tokio::spawn(async move { process.token().await })).collect();
    for wait in waits {
        assert_eq!(wait.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert!(script.requests().len() <= 9, "{}", script.requests().len());
    assert!(start.elapsed() < seconds(10), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn p8_a_rejection_reaches_the_fleet_and_a_late_one_harms_nobody() {
    let (script, store) =
        (Script::new([ScriptedResponse::token("one", 1000), ScriptedResponse::token("two", 1000)]), MemoryStore::new());
    let (first, second) = (process(&script, &store), process(&script, &store));
    let (old, same) = (first.token().await.unwrap(), second.token().await.unwrap());
    first.reject(&old);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(process(&script, &store).token().await.unwrap().expose(), "two", "the rejected one is gone");
    assert_eq!(first.token().await.unwrap().expose(), "two");
    second.reject(&same);
    assert_eq!(second.token().await.unwrap().expose(), "two", "no login of its own");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(process(&script, &store).token().await.unwrap().expose(), "two", "the late one removed nothing");
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn p8_a_rejected_token_that_is_still_in_the_store_is_not_taken_again() {
    let (script, store) =
        (Script::new([ScriptedResponse::token("one", 1000), ScriptedResponse::token("two", 1000)]), MemoryStore::new());
    let tokens = process(&script, &store);
    let token = tokens.token().await.unwrap();
    store.set_fault(StoreFault::Down);
    tokens.reject(&token);
    sleep(Duration::from_millis(1)).await;
    store.set_fault(StoreFault::None);
    // Even where the entry was changed since.
    store.tamper(|record| record.revision.0 += 1);
    assert_eq!(tokens.token().await.unwrap().expose(), "two");
}

#[tokio::test(start_paused = true)]
async fn clocks_may_differ_and_the_store_may_lose_all() {
    let (script, store) =
        (Script::new([ScriptedResponse::token("one", 100), ScriptedResponse::token("two", 100)]), MemoryStore::new());
    process(&script, &store).token().await.unwrap();
    for seconds in [90, -90] {
        let clock = VirtualClock::new();
        clock.shift_wall(seconds);
        let other = TokenManager::with_store(script.login().with_clock(clock), store.shared());
        assert_eq!(other.token().await.unwrap().expose(), "one");
        assert_eq!(other.cached().unwrap().lifetime(), Duration::from_secs(100));
    }
    store.shift_clock(-3600);
    assert_eq!(
        process(&script, &store).token().await.unwrap().expose(),
        "two",
        "a token of the future is not believed"
    );
    store.clear();
    script.push(ScriptedResponse::token("three", 100));
    assert_eq!(process(&script, &store).token().await.unwrap().expose(), "three");
}

#[tokio::test(start_paused = true)]
async fn f9_more_validity_than_the_store_has_is_a_login() {
    let (script, store) =
        (Script::new([ScriptedResponse::token("one", 1000), ScriptedResponse::token("two", 1000)]), MemoryStore::new());
    process(&script, &store).token().await.unwrap();
    advance(seconds(300)).await;
    let tokens = process(&script, &store);
    assert_eq!(tokens.token_valid_for(seconds(600)).await.unwrap().expose(), "one");
    assert_eq!(tokens.token_valid_for(seconds(800)).await.unwrap().expose(), "two");
}

#[tokio::test(start_paused = true)]
async fn an_unsealed_store_works_too() {
    let (script, store) = (Script::new([ScriptedResponse::token("one", 1000)]), MemoryStore::sealed(Sealing::plain()));
    process(&script, &store).token().await.unwrap();
    assert_eq!(process(&script, &store).token().await.unwrap().expose(), "one");
    assert!(store.entries()[0].1.access.as_ref().unwrap().expose().starts_with(r#"{"token":"one""#));
}

#[tokio::test(start_paused = true)]
async fn new_credentials_have_an_entry_of_their_own() {
    let (script, store) =
        (Script::new([ScriptedResponse::token("one", 1000), ScriptedResponse::token("two", 1000)]), MemoryStore::new());
    let tokens = process(&script, &store);
    tokens.token().await.unwrap();
    tokens.replace_credentials(TestProvider::new("next"));
    tokens.token().await.unwrap();
    sleep(seconds(1)).await;
    assert_eq!(tokens.token().await.unwrap().expose(), "two");
    assert_eq!(store.entries().len(), 2);
    let old: Arc<dyn TokenSource> = Arc::new(process(&script, &store));
    assert_eq!(old.token().await.unwrap().expose(), "one");
}

#[tokio::test(start_paused = true)]
async fn f9_a_flight_for_a_lesser_need_is_not_taken_for_the_greater() {
    let (script, store) =
        (Script::new([ScriptedResponse::token("one", 1000), ScriptedResponse::token("two", 1000)]), MemoryStore::new());
    process(&script, &store).token().await.unwrap();
    advance(seconds(500)).await;
    let tokens = process(&script, &store);
    let (usable, long) = tokio::join!(tokens.token(), tokens.token_valid_for(seconds(800)));
    assert_eq!((usable.unwrap().expose(), long.unwrap().expose()), ("one", "two"));
}

#[tokio::test(start_paused = true)]
async fn r2_a_token_that_was_not_enough_before_is_found_again() {
    let script = Script::new([ScriptedResponse::token("one", 1000)]).then_always(ScriptedResponse::status(503));
    let store = MemoryStore::new();
    process(&script, &store).token().await.unwrap();
    advance(seconds(500)).await;
    let tokens = process(&script, &store);
    tokens.token_valid_for(seconds(800)).await.unwrap_err();
    sleep(seconds(40)).await;
    assert_eq!(tokens.token().await.unwrap().expose(), "one");
}

#[tokio::test(start_paused = true)]
async fn p8_a_failed_flight_without_the_store_does_not_part_a_token_from_its_number() {
    let (script, store) = (Script::new([ScriptedResponse::token("one", 1000)]), MemoryStore::new());
    let tokens = process(&script, &store);
    let one = tokens.token().await.unwrap();
    advance(seconds(850)).await;
    store.set_fault(StoreFault::Down);
    tokens.token().await.unwrap();
    // The login behind fails: the script has ended.
    sleep(seconds(20)).await;
    store.set_fault(StoreFault::None);
    tokens.reject(&one);
    sleep(Duration::from_millis(10)).await;
    assert!(store.entries()[0].1.access.is_none());
}

#[tokio::test(start_paused = true)]
async fn p8_a_token_whose_save_was_answered_late_can_be_rejected() {
    let (script, store) = (Script::new([slowly("one", 1000)]), MemoryStore::new());
    let tokens = process(&script, &store);
    let login = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await.unwrap() }
    });
    sleep(Duration::from_millis(200)).await;
    store.set_fault(StoreFault::Slow(Duration::from_millis(100)));
    let one = login.await.unwrap();
    sleep(seconds(1)).await;
    store.set_fault(StoreFault::None);
    assert!(store.entries()[0].1.access.is_some(), "it was saved");
    tokens.reject(&one);
    sleep(Duration::from_millis(10)).await;
    assert!(store.entries()[0].1.access.is_none());
}

#[tokio::test(start_paused = true)]
async fn p8_a_rejected_token_does_not_come_back_after_a_failed_login() {
    let (script, store) = (Script::new([ScriptedResponse::token("one", 1000)]), MemoryStore::new());
    let tokens = process(&script, &store);
    let one = tokens.token().await.unwrap();
    store.set_fault(StoreFault::Down);
    tokens.reject(&one);
    sleep(Duration::from_millis(10)).await;
    store.set_fault(StoreFault::None);
    tokens.token().await.unwrap_err();
    sleep(seconds(40)).await;
    // Another process fails as well.
    store.tamper(|record| record.revision.0 += 1);
    tokens.token().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn p7_r4_a_pause_of_weeks_is_remembered_and_so_is_the_one_before() {
    let week = seconds(7 * 24 * 3600);
    let policy = Policy::default().with_refusal_backoff(week, 4 * week);
    let (script, store) = (Script::default().then_always(ScriptedResponse::refusal()), MemoryStore::new());
    let mut days = Vec::new();
    for day in 0..60 {
        let login = script.login().with_policy(policy.clone());
        TokenManager::with_store(login, store.shared()).token().await.unwrap_err();
        if script.requests().len() > days.len() {
            days.push(day);
        }
        sleep(week / 7).await;
    }
    assert_eq!(days, [0, 7, 21, 49]);
}

#[tokio::test(start_paused = true)]
async fn s6_a_hung_login_server_costs_each_caller_one_deadline() {
    let hung = ScriptedResponse::error(crate::error::Error::unavailable("hung")).after(seconds(60));
    let (script, store) = (Script::default().then_always(hung), MemoryStore::new());
    let start = Instant::now();
    let waits = (0..50).map(|_| process(&script, &store)).map(|process| {
        tokio::spawn(async move {
            process.token().await.unwrap_err();
            start.elapsed()
        })
    });
    for wait in waits.collect::<Vec<_>>() {
        let waited = wait.await.unwrap();
        assert!(waited < seconds(35), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_may_have_no_deadline() {
    let (script, store) = (Script::default().then_always(ScriptedResponse::token("one", 1000)), MemoryStore::new());
    let login = script.login().with_policy(Policy::default().with_deadline(Duration::MAX));
    TokenManager::with_store(login, store.shared()).token().await.unwrap();
}

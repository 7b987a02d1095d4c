//! Tests of managers that share a store. Each manager stands for one process.

use std::time::Duration;

use auth_core::store::{Sealing, SealingKeys};
use auth_core::{Error, ErrorKind, Policy, Secret, TokenManager};
use auth_testing::{MemoryStore, Script, ScriptedResponse, StoreFault, TestProvider, VirtualClock};
use tokio::time::{Instant, advance, sleep};

pub(crate) type Manager = TokenManager;

pub(crate) fn process(script: &Script, store: &MemoryStore) -> Manager {
    script.builder().with_store(store.shared()).build().unwrap()
}

/// Returns a process with another password.
fn process_of(password: &str, script: &Script, store: &MemoryStore) -> Manager {
    script.builder_for(TestProvider::new(password)).with_store(store.shared()).build().unwrap()
}

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Returns a token after 300 ms.
pub(crate) fn slow_token(token: &str, lifetime: u64) -> ScriptedResponse {
    ScriptedResponse::token(token, lifetime).after(Duration::from_millis(300))
}

/// Calls `token` in all processes at the same time and returns the tokens.
pub(crate) async fn token_of_each(processes: &[Manager]) -> Vec<String> {
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
async fn p1_two_hundred_processes_make_one_login() {
    let (script, store) = (Script::new([slow_token("one", 1000), slow_token("two", 1000)]), MemoryStore::new());
    let processes: Vec<_> = (0..200).map(|_| process(&script, &store)).collect();
    assert_eq!(token_of_each(&processes).await, vec!["one"; 200]);
    assert_eq!(script.requests().len(), 1);

    advance(seconds(850)).await;
    assert_eq!(token_of_each(&processes).await, vec!["one"; 200], "a stale token is returned without waiting");
    sleep(seconds(2)).await;
    assert_eq!(token_of_each(&processes).await, vec!["two"; 200]);
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn p1_a_token_from_the_store_keeps_its_lifetime_and_issue_time() {
    let script = Script::new([ScriptedResponse::token("one", 1000)]);
    let store = MemoryStore::new();
    let first = process(&script, &store).token().await.unwrap();
    advance(seconds(100)).await;
    let second = process(&script, &store).token().await.unwrap();
    assert_eq!((first.lifetime(), first.scope()), (second.lifetime(), second.scope()));
    assert!(second.issued().since(&first.issued()) < Duration::from_millis(1));
}

#[tokio::test(start_paused = true)]
async fn o3_recall_loads_the_token_and_the_last_error_without_a_login() {
    let (script, store) = (Script::new([ScriptedResponse::token("one", 1000)]), MemoryStore::new());
    let other = process(&script, &store);
    other.recall().await.unwrap();
    assert!(other.cached().is_none() && other.status().last_error.is_none());

    process(&script, &store).token().await.unwrap();
    other.recall().await.unwrap();
    let token = other.cached().unwrap();
    assert_eq!((token.expose(), other.status().generation), ("one", 1));
    other.recall().await.unwrap();
    assert!(other.cached().unwrap().ptr_eq(&token), "a usable token is kept");

    other.reject(&token);
    other.recall().await.unwrap();
    assert!(other.cached().is_none(), "a rejected token is not loaded again");
    assert_eq!(script.requests().len(), 1);

    advance(seconds(975)).await;
    let late = process(&script, &store);
    late.recall().await.unwrap();
    assert!(late.cached().is_none(), "a token in its margin is not loaded");

    script.push(ScriptedResponse::refusal());
    late.token().await.unwrap_err();
    let next = process(&script, &store);
    next.recall().await.unwrap();
    assert_eq!(next.status().last_error.unwrap().kind(), ErrorKind::Refused);
    assert!(next.status().next_attempt_at.is_some());

    store.set_fault(StoreFault::Down);
    let error = process(&script, &store).recall().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    script.manager().recall().await.unwrap();
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn r2_a_renewal_that_fails_keeps_the_old_token() {
    let (script, store) = (Script::new([ScriptedResponse::token("one", 1000)]), MemoryStore::new());
    let (first, second) = (process(&script, &store), process(&script, &store));
    first.token().await.unwrap();
    advance(seconds(5)).await;
    assert_eq!(first.renew().await.unwrap().expose(), "one", "a token this new is not renewed");
    advance(seconds(1)).await;
    script.push(ScriptedResponse::token("two", 1000));
    assert_eq!(first.renew().await.unwrap().expose(), "two");
    assert_eq!(second.token().await.unwrap().expose(), "two", "the new token is shared");

    advance(seconds(6)).await;
    script.push(slow_token("three", 1000));
    let both = tokio::join!(first.renew(), second.renew());
    assert_eq!((both.0.unwrap().expose(), both.1.unwrap().expose()), ("three", "three"), "one login for both");
    assert_eq!(script.requests().len(), 3);

    advance(seconds(6)).await;
    script.push(ScriptedResponse::refusal());
    assert_eq!(first.renew().await.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(first.token().await.unwrap().expose(), "three");
    assert_eq!(
        process(&script, &store).token().await.unwrap().expose(),
        "three",
        "the old token is also kept in the store"
    );
    first.renew().await.unwrap_err();
    assert_eq!(script.requests().len(), 4, "a refusal is remembered");
}

#[tokio::test(start_paused = true)]
async fn f3_a_token_in_its_margin_is_not_loaded_even_for_zero_validity() {
    let (script, store) =
        (Script::new([ScriptedResponse::token("one", 1000), ScriptedResponse::token("two", 1000)]), MemoryStore::new());
    process(&script, &store).token().await.unwrap();
    advance(seconds(975)).await;
    let token = process(&script, &store).token_valid_for(Duration::ZERO).await.unwrap();
    assert_eq!(token.expose(), "two");
}

#[tokio::test(start_paused = true)]
async fn p2_a_hit_makes_no_call_to_the_store() {
    let (script, store) = (Script::new([ScriptedResponse::token("one", 1000)]), MemoryStore::new());
    let tokens = process(&script, &store);
    tokens.token().await.unwrap();
    let calls = store.calls();
    for _ in 0..1000 {
        tokens.token().await.unwrap();
        tokens.cached().unwrap();
    }
    assert_eq!((calls, store.calls()), (2, 2), "one lease and one save for each token");
}

#[tokio::test(start_paused = true)]
async fn p4_a_store_outage_delays_callers_by_one_timeout_and_is_no_error() {
    for fault in [StoreFault::Down, StoreFault::Slow(seconds(5)), StoreFault::Slow(seconds(100_000))] {
        let script = Script::default().then_always(ScriptedResponse::token("own", 1000));
        let store = MemoryStore::new();
        store.set_fault(fault);
        let processes: Vec<_> = (0..5).map(|_| process(&script, &store)).collect();
        let start = Instant::now();
        token_of_each(&processes).await;
        assert!(start.elapsed() <= Duration::from_millis(251), "{fault:?}: {:?}", start.elapsed());
        assert_eq!(script.requests().len(), 5, "one login for each process");
        token_of_each(&processes).await;
        assert_eq!(script.requests().len(), 5);

        store.set_fault(StoreFault::None);
        sleep(seconds(850)).await;
        token_of_each(&processes).await;
        sleep(seconds(45)).await;
        assert_eq!(script.requests().len(), 6, "{fault:?}: the store must be used again without a restart");
    }
}

#[tokio::test(start_paused = true)]
async fn p4_a_store_outage_during_a_flight_costs_one_timeout() {
    let store = MemoryStore::new();
    let response = ScriptedResponse::json(200, r#"{"token":"one","expires_in":1000,"refresh":"r1"}"#);
    let script = Script::new([response.clone(), response.clone(), response]);
    process(&script, &store).token().await.unwrap();
    store.set_fault(StoreFault::Slow(Duration::from_millis(20)));
    advance(seconds(990)).await;
    let tokens = process(&script, &store);
    let waiting = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    // At this time the lease is granted and the claim of the refresh token is under way.
    sleep(Duration::from_millis(39)).await;
    store.set_fault(StoreFault::Slow(seconds(5)));
    let start = Instant::now();
    waiting.await.unwrap().unwrap();
    assert!(start.elapsed() <= Duration::from_millis(260), "{:?}", start.elapsed());
}

/// Replaces one character near the end of a sealed value.
fn change_character(text: &Secret) -> Secret {
    let mut bytes = text.expose().as_bytes().to_vec();
    let position = bytes.len() - 3;
    bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
    Secret::from(String::from_utf8(bytes).unwrap())
}

#[tokio::test(start_paused = true)]
async fn p6_a_value_that_was_changed_moved_or_sealed_differently_is_a_miss() {
    type Change = fn(&Secret) -> Secret;
    let changes: [(&str, Change); 6] = [
        ("another character", change_character),
        ("an unknown version", |text| format!("3{}", &text.expose()[1..]).into()),
        ("unsealed", |_| r#"0:{"token":"evil"}"#.into()),
        ("garbage", |_| "garbage".into()),
        ("empty", |_| "".into()),
        ("an unknown key", |text| text.expose().replacen("2:1:", "2:9:", 1).into()),
    ];
    for (name, change) in changes {
        let (script, store) = (
            Script::new([ScriptedResponse::token("one", 1000), ScriptedResponse::token("two", 1000)]),
            MemoryStore::new(),
        );
        process(&script, &store).token().await.unwrap();
        store.tamper(|record| record.access = record.access.as_ref().map(change));
        assert_eq!(process(&script, &store).token().await.unwrap().expose(), "two", "{name}");
    }

    // The value of another identity, stored under the name of this one.
    let (script, store) =
        (Script::new([ScriptedResponse::token("one", 1000), ScriptedResponse::token("two", 1000)]), MemoryStore::new());
    process(&script, &store).token().await.unwrap();
    let stolen = store.entries()[0].1.access.clone();
    let other = process_of("other", &script, &store);
    other.token().await.unwrap();
    store.tamper(|record| record.access.clone_from(&stolen));
    script.push(ScriptedResponse::token("three", 1000));
    assert_eq!(process_of("other", &script, &store).token().await.unwrap().expose(), "three");
}

#[tokio::test(start_paused = true)]
async fn p6_keys_can_be_rotated_without_a_miss() {
    let (one, two) =
        ("1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "2:AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let store = MemoryStore::new();
    let rounds = [one.to_owned(), format!("{one},{two}"), format!("{two}\n{one}\n"), two.to_owned()];
    let logins = Script::default().then_always(ScriptedResponse::token("one", 1_000_000));
    let process_with_keys = |list: &str| {
        let keys = SealingKeys::parse(&list.into()).unwrap();
        process(&logins, &store.with_sealing(Sealing::with_keys(keys)))
    };
    for pair in rounds[..3].windows(2) {
        for list in [&pair[0], &pair[1], &pair[0]] {
            process_with_keys(list).token().await.unwrap();
        }
    }
    assert_eq!(logins.requests().len(), 1);
    process_with_keys(&rounds[3]).token().await.unwrap();
    assert_eq!(logins.requests().len(), 2, "the entry's name depended on the old key");
}

#[tokio::test(start_paused = true)]
async fn p6_an_entry_ends_and_contains_no_secret() {
    let (script, store) = (Script::new([ScriptedResponse::token("sentinel-token", 1000)]), MemoryStore::new());
    process(&script, &store).token().await.unwrap();
    let (name, record) = store.entries().remove(0);
    let shown = format!("{name:?} {} {:?}", name.as_str(), record);
    let access = record.access.unwrap();
    for secret in ["sentinel", "password"] {
        assert!(!shown.contains(secret) && !access.expose().contains(secret));
    }
    advance(seconds(1001)).await;
    process_of("other", &script, &store).token().await.unwrap_err();
    assert!(store.entries().iter().all(|(known, _)| *known != name));
}

#[tokio::test(start_paused = true)]
async fn p7_r4_all_processes_share_the_cooldown_of_a_refusal() {
    let script = Script::default().then_always(ScriptedResponse::refusal());
    let store = MemoryStore::new();
    let mut attempts = Vec::new();
    let start = Instant::now();
    for _ in 0..600 {
        // A new process each second, as if started by cron.
        let process = process(&script, &store);
        let before = script.requests().len();
        let error = process.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(error.provider(), Some("test"));
        assert_eq!(error.status().map(|status| status.as_u16()), Some(401));
        if script.requests().len() > before {
            attempts.push(start.elapsed().as_secs());
        } else {
            assert!(error.retry_after().is_some());
        }
        advance(seconds(1)).await;
    }
    for (attempt, (earliest, latest)) in attempts.iter().zip([(0, 0), (60, 67), (180, 200), (420, 465)]) {
        assert!((earliest..=latest).contains(attempt), "{attempts:?}");
    }
    assert_eq!(attempts.len(), 4, "{attempts:?}");

    let script = Script::new([ScriptedResponse::token("one", 1000)]);
    process_of("right", &script, &store).token().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn p7_s6_a_failure_in_one_process_is_shared_with_all_waiting_processes() {
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
async fn p8_a_reject_reaches_all_processes_and_a_late_one_removes_no_newer_token() {
    let (script, store) =
        (Script::new([ScriptedResponse::token("one", 1000), ScriptedResponse::token("two", 1000)]), MemoryStore::new());
    let (first, second) = (process(&script, &store), process(&script, &store));
    let (old, same) = (first.token().await.unwrap(), second.token().await.unwrap());
    first.reject(&old);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(process(&script, &store).token().await.unwrap().expose(), "two", "the rejected token is removed");
    assert_eq!(first.token().await.unwrap().expose(), "two");
    second.reject(&same);
    assert_eq!(second.token().await.unwrap().expose(), "two", "the second process makes no login");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(process(&script, &store).token().await.unwrap().expose(), "two", "the late reject removed nothing");
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn p8_a_rejected_token_that_is_still_in_the_store_is_not_used_again() {
    let (script, store) =
        (Script::new([ScriptedResponse::token("one", 1000), ScriptedResponse::token("two", 1000)]), MemoryStore::new());
    let tokens = process(&script, &store);
    let token = tokens.token().await.unwrap();
    store.set_fault(StoreFault::Down);
    tokens.reject(&token);
    sleep(Duration::from_millis(1)).await;
    store.set_fault(StoreFault::None);
    // This also holds if another process has changed the entry since.
    store.tamper(|record| record.revision.0 += 1);
    assert_eq!(tokens.token().await.unwrap().expose(), "two");
}

#[tokio::test(start_paused = true)]
async fn clocks_can_differ_and_the_store_can_lose_its_data() {
    let (script, store) =
        (Script::new([ScriptedResponse::token("one", 100), ScriptedResponse::token("two", 100)]), MemoryStore::new());
    process(&script, &store).token().await.unwrap();
    for seconds in [90, -90] {
        let clock = VirtualClock::new();
        clock.shift_wall(seconds);
        let other = script.builder().with_clock(clock).with_store(store.shared()).build().unwrap();
        assert_eq!(other.token().await.unwrap().expose(), "one");
        assert_eq!(other.cached().unwrap().lifetime(), Duration::from_secs(100));
    }
    store.shift_clock(-3600);
    assert_eq!(
        process(&script, &store).token().await.unwrap().expose(),
        "two",
        "a token that was saved in the future is not used"
    );
    store.clear();
    script.push(ScriptedResponse::token("three", 100));
    assert_eq!(process(&script, &store).token().await.unwrap().expose(), "three");
}

#[tokio::test(start_paused = true)]
async fn f9_more_validity_than_the_stored_token_has_leads_to_a_login() {
    let (script, store) =
        (Script::new([ScriptedResponse::token("one", 1000), ScriptedResponse::token("two", 1000)]), MemoryStore::new());
    process(&script, &store).token().await.unwrap();
    advance(seconds(300)).await;
    let tokens = process(&script, &store);
    assert_eq!(tokens.token_valid_for(seconds(600)).await.unwrap().expose(), "one");
    assert_eq!(tokens.token_valid_for(seconds(800)).await.unwrap().expose(), "two");
}

#[tokio::test(start_paused = true)]
async fn a_store_without_sealing_works_too() {
    let (script, store) = (Script::new([ScriptedResponse::token("one", 1000)]), MemoryStore::sealed(Sealing::plain()));
    process(&script, &store).token().await.unwrap();
    assert_eq!(process(&script, &store).token().await.unwrap().expose(), "one");
    assert!(store.entries()[0].1.access.as_ref().unwrap().expose().starts_with(r#"{"token":"one""#));
}

#[tokio::test(start_paused = true)]
async fn new_credentials_have_their_own_entry() {
    let (script, store) =
        (Script::new([ScriptedResponse::token("one", 1000), ScriptedResponse::token("two", 1000)]), MemoryStore::new());
    let tokens = process(&script, &store);
    tokens.token().await.unwrap();
    tokens.replace_credentials(TestProvider::new("next")).unwrap();
    tokens.token().await.unwrap();
    sleep(seconds(1)).await;
    assert_eq!(tokens.token().await.unwrap().expose(), "two");
    assert_eq!(store.entries().len(), 2);
    let old = process(&script, &store);
    assert_eq!(old.token().await.unwrap().expose(), "one");
}

#[tokio::test(start_paused = true)]
async fn f9_a_flight_for_less_validity_does_not_satisfy_a_caller_that_needs_more() {
    let (script, store) =
        (Script::new([ScriptedResponse::token("one", 1000), ScriptedResponse::token("two", 1000)]), MemoryStore::new());
    process(&script, &store).token().await.unwrap();
    advance(seconds(500)).await;
    let tokens = process(&script, &store);
    let (usable, long) = tokio::join!(tokens.token(), tokens.token_valid_for(seconds(800)));
    assert_eq!((usable.unwrap().expose(), long.unwrap().expose()), ("one", "two"));
}

#[tokio::test(start_paused = true)]
async fn r2_a_stored_token_that_was_too_short_for_one_call_serves_a_later_one() {
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
async fn p8_a_token_can_be_removed_after_a_flight_failed_during_a_store_outage() {
    let (script, store) = (Script::new([ScriptedResponse::token("one", 1000)]), MemoryStore::new());
    let tokens = process(&script, &store);
    let one = tokens.token().await.unwrap();
    advance(seconds(850)).await;
    store.set_fault(StoreFault::Down);
    tokens.token().await.unwrap();
    // The renewal in the background fails, because the script has no more responses.
    sleep(seconds(20)).await;
    store.set_fault(StoreFault::None);
    tokens.reject(&one);
    sleep(Duration::from_millis(10)).await;
    assert!(store.entries()[0].1.access.is_none());
}

#[tokio::test(start_paused = true)]
async fn p8_a_token_can_be_rejected_although_the_response_to_its_save_was_late() {
    let (script, store) = (Script::new([slow_token("one", 1000)]), MemoryStore::new());
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
    assert!(store.entries()[0].1.access.is_some(), "the token was saved");
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
    // Another process has failed too and has changed the entry.
    store.tamper(|record| record.revision.0 += 1);
    tokens.token().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn p7_r4_a_cooldown_of_weeks_is_remembered_and_still_doubles() {
    let week = seconds(7 * 24 * 3600);
    let policy = Policy::default().with_refusal_backoff(week, 4 * week);
    let (script, store) = (Script::default().then_always(ScriptedResponse::refusal()), MemoryStore::new());
    let mut days = Vec::new();
    for day in 0..60 {
        let builder = script.builder().with_policy(policy.clone()).with_store(store.shared());
        builder.build().unwrap().token().await.unwrap_err();
        if script.requests().len() > days.len() {
            days.push(day);
        }
        sleep(week / 7).await;
    }
    for (day, (earliest, latest)) in days.iter().zip([(0, 0), (7, 8), (21, 25), (49, 57)]) {
        assert!((earliest..=latest).contains(day), "{days:?}");
    }
    assert_eq!(days.len(), 4, "{days:?}");
}

#[tokio::test(start_paused = true)]
async fn s6_a_login_server_that_hangs_costs_each_caller_one_deadline() {
    let hung = ScriptedResponse::error(Error::unavailable("the server did not respond")).after(seconds(60));
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
async fn a_login_can_have_no_deadline() {
    let (script, store) = (Script::default().then_always(ScriptedResponse::token("one", 1000)), MemoryStore::new());
    let policy = Policy::default().with_deadline(Duration::MAX);
    script.builder().with_policy(policy).with_store(store.shared()).build().unwrap().token().await.unwrap();
}

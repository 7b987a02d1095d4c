//! The promises of every store.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use auth_core::store::{EntryName, EntryUpdate, LeaseNumber, LeaseOutcome, Record, Snapshot, TokenStore};
use auth_core::{AccessToken, Error, ErrorKind, Policy, Secret, TokenManager};
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::run;
use crate::{Script, ScriptedResponse, TestProvider};

const TTL: Duration = Duration::from_secs(60);
/// A lease that lasts for a few calls, even on a busy machine.
const LEASE_TTL: Duration = Duration::from_secs(3);
const SHORT_TTL: Duration = Duration::from_millis(800);
/// The limit for each call, and for work in the background.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The accepted error of a time to live, because a store may count whole seconds.
const ROUNDING: Duration = Duration::from_secs(1);

type Store = Arc<dyn TokenStore>;

/// Tests a store against its promises: P1, P3, P5, P7, P8 and S10, and P6 for the end of its entries.
///
/// It also makes a thousand random calls, which must have the same results as the methods of [`Record`].
///
/// `open` opens the store as another process would. It must open the same data each time, and must not block. The
/// entries have random names, so other programs may use the same data. Entries that remain expire within a minute. The
/// suite takes a few seconds of real time, and one more second for each millisecond that a call takes.
///
/// # Panics
/// At the first broken promise. The message starts with its number.
///
/// # Example
/// ```
/// use auth_testing::{MemoryStore, conformance};
///
/// let store = MemoryStore::new();
/// conformance::store(|| store.shared());
/// ```
pub fn store(open: impl Fn() -> Store) {
    // Calls must be able to run at the same instant, so one thread is not enough.
    run(Builder::new_multi_thread().worker_threads(8), async {
        p1_processes_share_entries(open(), open()).await;
        calls_match_record([open(), open()]).await;
        p3_leases(open(), open()).await;
        p6_entries_end(open()).await;
        p1_simultaneous_leases(&open).await;
        p5_simultaneous_calls(&open).await;
        p1_p7_p8_managers(&open).await;
    });
}

fn random_name() -> EntryName {
    named(&(0..32).map(|_| fastrand::digit(16)).collect::<String>())
}

fn named(digits: &str) -> EntryName {
    EntryName::parse(digits).unwrap_or_else(|| panic!("an entry's name must be 32 hexadecimal digits: {digits}"))
}

/// Takes the free lease of an entry. `known` is the revision that the caller has seen.
async fn take_lease(store: &Store, name: &EntryName, known: LeaseNumber, ttl: Duration) -> LeaseNumber {
    match completed(store.lease(name, known, ttl)).await.0 {
        LeaseOutcome::Granted(lease) => lease,
        outcome => panic!("P3: `lease` must grant a lease that is free, but returned {outcome:?}"),
    }
}

/// Saves an access token and a refresh token under a lease. Returns what `save` returned.
async fn save(store: &Store, name: &EntryName, lease: LeaseNumber, access: &str, ttl: Duration) -> bool {
    let mut update = EntryUpdate::new(ttl);
    update.access = Some(access.into());
    update.refresh = Some("refresh".into());
    completed(store.save(name, lease, update)).await
}

/// Saves under the current lease, which must succeed.
async fn save_as_holder(store: &Store, name: &EntryName, lease: LeaseNumber, access: &str, ttl: Duration) {
    let is_saved = save(store, name, lease, access, ttl).await;
    assert!(is_saved, "P5: `save` with the current lease must return true, but returned false");
}

async fn stored_access(store: &Store, name: &EntryName) -> Option<String> {
    completed(store.load(name)).await.access.map(|access| access.expose().to_owned())
}

/// Checks that one process finds everything that another process saved, and only under the same name.
async fn p1_processes_share_entries(first: Store, second: Store) {
    // Sealed values are long and consist of the characters of base64.
    let long = "Aa-Zz_09".repeat(2 << 10);
    let digits: String = (0..31).map(|_| fastrand::digit(16)).collect();
    // Names that differ only in the last digit, and only in the first digit.
    for (name, neighbour) in
        [(format!("{digits}0"), format!("{digits}1")), (format!("2{digits}"), format!("3{digits}"))]
    {
        let (name, neighbour) = (named(&name), named(&neighbour));
        let lease = take_lease(&first, &name, LeaseNumber(0), TTL).await;
        save_as_holder(&first, &name, lease, &long, TTL).await;
        let access = stored_access(&second, &name).await;
        assert!(
            access.as_ref() == Some(&long),
            "P1: another process must find the {} bytes that one has saved, but found {:?} bytes or other text",
            long.len(),
            access.map(|text| text.len())
        );
        assert_eq!(
            stored_access(&second, &neighbour).await,
            None,
            "S10: two names must not share an entry, but a token saved as {} was found as {}",
            name.as_str(),
            neighbour.as_str()
        );
    }
}

/// Makes many random calls from two processes, some with old lease numbers, and compares each with [`Record`].
async fn calls_match_record(stores: [Store; 2]) {
    let mut random = fastrand::Rng::new();
    let (name, mut record) = (random_name(), Record::default());
    // The lease that is held, and the index of the store that holds it.
    let mut held: Option<(LeaseNumber, usize)> = None;
    let mut granted = vec![LeaseNumber(0)];
    for step in 0..1000 {
        let caller = random.usize(..2);
        let recent = granted[granted.len() - 1 - random.usize(..granted.len().min(4))];
        let number = if random.bool() { recent } else { record.revision };
        let holder = held.filter(|(lease, _)| *lease == number).map(|(_, holder)| holder);
        // If a lease has ended and no newer one was granted, a store may accept or refuse a call under it. So such
        // calls are not made.
        let is_defined = holder.is_some() || number < record.lease_number;
        let store = &stores[holder.unwrap_or(caller)];
        match random.u8(..8) {
            0 => {
                let snapshot = completed(store.load(&name)).await;
                let expected = describe(&record.snapshot(SystemTime::now()));
                assert_eq!(describe(&snapshot), expected, "P1: `load` at step {step} (left) must return (right)");
            }
            1 | 2 => {
                let (outcome, snapshot) = completed(stores[caller].lease(&name, number, TTL)).await;
                let mut model = record.clone();
                let (expected, expected_snapshot) = model.lease(number, snapshot.now, held.map(|_| TTL));
                match (outcome, expected) {
                    (LeaseOutcome::Granted(new), LeaseOutcome::Granted(_)) => {
                        assert!(
                            new > record.lease_number,
                            "P5: lease numbers must rise, but {new:?} follows {:?} at step {step}",
                            record.lease_number
                        );
                        record.lease_number = new;
                        held = Some((new, caller));
                        granted.push(new);
                    }
                    (LeaseOutcome::Held(left), LeaseOutcome::Held(_)) => assert!(
                        left <= TTL + ROUNDING,
                        "P3: a lease of {TTL:?} must not be held for longer, but {left:?} are left at step {step}"
                    ),
                    (outcome, expected) => {
                        assert_eq!(outcome, expected, "P3: `lease` at step {step} (left) must return (right)")
                    }
                }
                assert_eq!(
                    describe(&snapshot),
                    describe(&expected_snapshot),
                    "P1: the snapshot of `lease` at step {step} (left) must be (right)"
                );
            }
            3 if is_defined => {
                let refresh = completed(store.claim_refresh(&name, number)).await;
                let expected = record.claim_refresh(number);
                assert_eq!(
                    exposed(&refresh),
                    exposed(&expected),
                    "P5: `claim_refresh` at step {step} (left) must return (right)"
                );
            }
            4 | 5 if is_defined => {
                let mut update = EntryUpdate::new(TTL);
                update.access = random_text(&mut random, "access", step);
                update.refresh = random_text(&mut random, "refresh", step);
                update.cooldown = random_text(&mut random, "cooldown", step);
                let is_saved = completed(store.save(&name, number, update.clone())).await;
                let expected = record.save(number, update);
                assert_eq!(is_saved, expected, "P5: `save` at step {step} (left) must return (right)");
                held.take_if(|(lease, _)| *lease == number);
            }
            6 => {
                completed(store.forget(&name, number)).await;
                record.forget(number);
            }
            7 => {
                completed(store.release(&name, number)).await;
                held.take_if(|(lease, _)| *lease == number);
            }
            _ => {}
        }
    }
    let count = granted.len() - 1;
    assert!(count >= 10, "P3: `lease` must grant a free lease, but of 1000 random calls only {count} were granted one");
}

/// Returns a text that is unique to this step, or none, at random.
fn random_text(random: &mut fastrand::Rng, kind: &str, step: usize) -> Option<Secret> {
    random.bool().then(|| Secret::from(format!("{kind}{step}")))
}

/// Checks that only its owner can release a lease, and that it lasts for its time and then expires without a call.
async fn p3_leases(first: Store, second: Store) {
    let name = random_name();
    let lease = take_lease(&first, &name, LeaseNumber(0), SHORT_TTL).await;
    completed(second.release(&name, LeaseNumber(lease.0 + 1))).await;
    let (outcome, _) = completed(second.lease(&name, LeaseNumber(0), SHORT_TTL)).await;
    let LeaseOutcome::Held(left) = outcome else {
        panic!("P3: a lease must be held until its owner releases it, but another process got {outcome:?}")
    };
    assert!(left <= SHORT_TTL + ROUNDING, "P3: a lease of {SHORT_TTL:?} must not last longer, but {left:?} are left");

    tokio::time::sleep(left + Duration::from_millis(50)).await;
    let next = take_lease(&second, &name, LeaseNumber(0), TTL).await;
    assert!(next > lease, "P5: lease numbers must rise, but {next:?} follows {lease:?}");
    let is_saved = save(&first, &name, lease, "late", TTL).await;
    assert!(!is_saved, "P5: `save` with a lease that was granted to another since must return false");
    completed(first.release(&name, lease)).await;
    let (outcome, _) = completed(first.lease(&name, LeaseNumber(0), TTL)).await;
    let LeaseOutcome::Held(left) = outcome else {
        panic!("P3: `release` with an old lease must not end a newer one, but the next call got {outcome:?}")
    };
    assert!(left + TIMEOUT > TTL, "P3: a lease of {TTL:?} must last as long, but only {left:?} are left");
    completed(second.release(&name, next)).await;
}

/// Checks that an entry stays for its time to live, even if a shorter lease follows, and then expires.
async fn p6_entries_end(store: Store) {
    let (lasting, ending) = (random_name(), random_name());
    let saved = take_lease(&store, &lasting, LeaseNumber(0), LEASE_TTL).await;
    save_as_holder(&store, &lasting, saved, "text", TTL).await;
    let lease = take_lease(&store, &ending, LeaseNumber(0), LEASE_TTL).await;
    save_as_holder(&store, &ending, lease, "text", SHORT_TTL).await;
    let lease = take_lease(&store, &lasting, saved, SHORT_TTL).await;
    completed(store.release(&lasting, lease)).await;

    let start = Instant::now();
    let store_start = completed(store.load(&ending)).await.now;
    while stored_access(&store, &ending).await.is_some() {
        assert!(
            start.elapsed() < TIMEOUT,
            "P6: an entry must end after its time to live of {SHORT_TTL:?}, but is still there after {TIMEOUT:?}"
        );
        tokio::time::sleep(SHORT_TTL / 4).await;
    }
    while completed(store.load(&lasting)).await.now <= store_start {
        assert!(
            start.elapsed() < TIMEOUT,
            "P6: the time in snapshots must move on, but has not changed within {TIMEOUT:?}"
        );
        tokio::time::sleep(SHORT_TTL / 4).await;
    }
    assert!(
        stored_access(&store, &lasting).await.is_some(),
        "P6: an entry must stay for its time to live of {TTL:?}, but is gone after {:?}",
        start.elapsed()
    );
}

/// Checks that simultaneous calls have the same results as calls one after the other.
async fn p5_simultaneous_calls(open: &impl Fn() -> Store) {
    let stores: [Store; 4] = std::array::from_fn(|_| open());
    for _ in 0..20 {
        let name = random_name();
        let old = take_lease(&stores[0], &name, LeaseNumber(0), TTL).await;
        save_as_holder(&stores[0], &name, old, "old", TTL).await;
        let lease = take_lease(&stores[0], &name, old, TTL).await;

        let claims = in_parallel(&stores, |store| {
            let name = name.clone();
            async move { completed(store.claim_refresh(&name, lease)).await.is_some() }
        });
        let claimed = claims.await.into_iter().filter(|is_claimed| *is_claimed).count();
        assert_eq!(claimed, 1, "P5: exactly one of 4 simultaneous calls of `claim_refresh` must get the refresh token");

        let changes = in_parallel(&stores, |store| {
            let name = name.clone();
            let is_holder = Arc::ptr_eq(&store, &stores[0]);
            async move {
                if is_holder {
                    save_as_holder(&store, &name, lease, "new", TTL).await;
                } else {
                    completed(store.forget(&name, old)).await;
                }
            }
        });
        changes.await;
        assert_eq!(
            stored_access(&stores[1], &name).await.as_deref(),
            Some("new"),
            "P8: `forget` with the number of an old token must not remove a newer token"
        );
    }
}

/// Calls the function with each store at the same time and returns the results.
async fn in_parallel<R, F>(stores: &[Store], act: impl Fn(Store) -> F) -> Vec<R>
where
    R: Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    let tasks: Vec<_> = stores.iter().map(|store| tokio::spawn(act(store.clone()))).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap_or_else(|error| panic!("a call to the store panicked: {error}")));
    }
    results
}

/// Checks that exactly one of many processes gets a lease that they request at the same time.
async fn p1_simultaneous_leases(open: &impl Fn() -> Store) {
    // The stores must outlive the loop: in some stores a lease ends when the process that holds it ends.
    let stores: Vec<_> = (0..50).map(|_| open()).collect();
    for _ in 0..10 {
        let name = random_name();
        let outcomes = in_parallel(&stores, |store| {
            let name = name.clone();
            async move { completed(store.lease(&name, LeaseNumber(0), TTL)).await.0 }
        });
        let outcomes = outcomes.await;
        let granted = outcomes.iter().filter(|outcome| matches!(outcome, LeaseOutcome::Granted(_))).count();
        assert_eq!(granted, 1, "P1: exactly one of 50 simultaneous calls of `lease` must be granted the lease");
    }
}

/// Checks managers that share the store. Each manager stands for one process.
async fn p1_p7_p8_managers(open: &impl Fn() -> Store) {
    // A random password, because other tests may use the same store.
    let password = random_name();
    let script = Script::new([ScriptedResponse::token("one", 600), ScriptedResponse::token("two", 600)])
        .then_always(ScriptedResponse::refusal());
    let process = || {
        // Each rejected token is replaced, even if it has just replaced another one.
        let policy = Policy::default().with_rejection_interval(Duration::ZERO);
        let builder = script.builder_for(TestProvider::new(password.as_str())).with_store(open()).with_policy(policy);
        builder.build().unwrap_or_else(|error| panic!("a manager with a transport can be built: {error}"))
    };
    let (first, second) = (process(), process());
    assert_eq!(outcome(first.token().await), Ok("one".into()), "P1: the first process must log in");
    assert_eq!(outcome(second.token().await), Ok("one".into()), "P1: a second process must use the first one's token");

    first.reject(&current(&first));
    assert_eq!(outcome(first.token().await), Ok("two".into()), "P8: a rejected token must not be used again");
    second.reject(&current(&second));
    assert_eq!(outcome(second.token().await), Ok("two".into()), "P8: a late reject must not remove a newer token");
    assert_eq!(script.requests().len(), 2, "P1: there must be one login for each token");

    let third = process();
    assert_eq!(outcome(third.token().await), Ok("two".into()), "P1: a third process must use the shared token");
    third.reject(&current(&third));
    // The manager reports the rejection to the store in the background.
    let start = Instant::now();
    while finds_token(process()).await {
        assert!(
            start.elapsed() < TIMEOUT,
            "P8: a rejected token must be removed from the store, but is still there after {TIMEOUT:?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(outcome(third.token().await), Err(ErrorKind::Refused), "P7: a refused login must be an error");
    assert_eq!(
        outcome(process().token().await),
        Err(ErrorKind::Refused),
        "P7: a new process must get the refusal that another one has saved"
    );
    assert_eq!(script.requests().len(), 3, "P7: a new process must not repeat a login that was just refused");
}

/// Returns the token's text or the kind of the error.
fn outcome(result: Result<AccessToken, Error>) -> Result<String, ErrorKind> {
    result.map(|token| token.expose().to_owned()).map_err(|error| error.kind())
}

/// Returns `true` if a process that has just started finds a token in the store.
async fn finds_token(tokens: TokenManager) -> bool {
    completed(tokens.recall()).await;
    tokens.cached().is_some()
}

fn current(tokens: &TokenManager) -> AccessToken {
    tokens.cached().unwrap_or_else(|| panic!("P1: a manager must keep the token that it has just returned"))
}

/// Waits for a call to the store, which must succeed in time.
async fn completed<R>(call: impl Future<Output = Result<R, Error>>) -> R {
    let result = timeout(TIMEOUT, call).await;
    let result =
        result.unwrap_or_else(|_| panic!("P4: a call to the store must return within {TIMEOUT:?}, but has not"));
    result.unwrap_or_else(|error| panic!("P1: a call to the store must succeed, but returned the error {error:?}"))
}

fn exposed(secret: &Option<Secret>) -> Option<&str> {
    secret.as_ref().map(Secret::expose)
}

/// Returns everything in a snapshot except the time, in a form that can be compared and shown.
fn describe(snapshot: &Snapshot) -> String {
    let Snapshot { revision, saved, access, cooldown, has_refresh, .. } = snapshot;
    format!("{revision:?} {saved:?} {:?} {:?} {has_refresh}", exposed(access), exposed(cooldown))
}

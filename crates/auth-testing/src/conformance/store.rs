//! What every store promises.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use auth_core::store::{EntryName, EntryUpdate, LeaseNumber, LeaseOutcome, Record, Snapshot, TokenStore};
use auth_core::{AccessToken, Error, ErrorKind, Login, Secret, TokenManager, TokenSource};
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::run;
use crate::{Script, ScriptedResponse, TestProvider, VirtualClock};

const TTL: Duration = Duration::from_secs(60);
/// Long enough for the calls between, on a busy machine.
const LEASE: Duration = Duration::from_secs(3);
const SHORT: Duration = Duration::from_millis(800);
/// For each call, and for what is done in the background.
const SOON: Duration = Duration::from_secs(10);
/// A store may count in seconds.
const ROUNDING: Duration = Duration::from_secs(1);

type Store = Arc<dyn TokenStore>;

/// Holds a store to its promises: P1, P3, P5, P7 and P8, that its entries end (P6), and that each call does what
/// [`Record`] does.
///
/// `open` opens it as another process would, over the same data each time, without waiting for anything. Names of
/// entries are random, and what is left behind ends by itself within a minute. Takes some seconds of real time, and one
/// for each millisecond that a call takes.
///
/// # Panics
/// With the number of the first promise that is broken, or what a call did that it should not.
pub fn store(open: impl Fn() -> Store) {
    // So many may run at the same instant.
    run(Builder::new_multi_thread().worker_threads(8), async {
        p1_one_data_for_all(open(), open()).await;
        each_call_does_what_a_record_does([open(), open()]).await;
        p3_a_lease(open(), open()).await;
        p6_an_entry_ends(open()).await;
        p1_one_of_many(&open).await;
        p5_at_once(&open).await;
        p1_p7_p8_managers(&open).await;
    });
}

fn any_name() -> EntryName {
    named(&(0..32).map(|_| fastrand::digit(16)).collect::<String>())
}

fn named(digits: &str) -> EntryName {
    EntryName::parse(digits).unwrap_or_else(|| panic!("32 digits are a name"))
}

/// A lease of an entry that nobody else has, and of which so much is known.
async fn leased(store: &Store, name: &EntryName, known: LeaseNumber, ttl: Duration) -> LeaseNumber {
    match answered(store.lease(name, known, ttl)).await.0 {
        LeaseOutcome::Granted(lease) => lease,
        held => panic!("P3: a lease that is free is given to who asks: {held:?}"),
    }
}

/// What is saved under a lease.
async fn saves(store: &Store, name: &EntryName, lease: LeaseNumber, text: &str, ttl: Duration) -> bool {
    let mut change = EntryUpdate::new(ttl);
    change.access = Some(text.into());
    change.refresh = Some("refresh".into());
    answered(store.save(name, lease, change)).await
}

async fn found(store: &Store, name: &EntryName) -> Option<String> {
    answered(store.load(name)).await.access.map(|access| access.expose().to_owned())
}

/// What one process saves, in full, another finds, under this name and no other.
async fn p1_one_data_for_all(first: Store, second: Store) {
    // As what is sealed: the letters of base64.
    let long = "Aa-Zz_09".repeat(2 << 10);
    let digits: String = (0..31).map(|_| fastrand::digit(16)).collect();
    for (name, neighbour) in
        [(format!("{digits}0"), format!("{digits}1")), (format!("2{digits}"), format!("3{digits}"))]
    {
        let (name, neighbour) = (named(&name), named(&neighbour));
        let lease = leased(&first, &name, LeaseNumber(0), TTL).await;
        assert!(saves(&first, &name, lease, &long, TTL).await, "P5: who holds the lease saves");
        let text = found(&second, &name).await;
        assert!(text.as_ref() == Some(&long), "P1: what one has saved, {} bytes, another process finds", long.len());
        assert_eq!(found(&second, &neighbour).await, None, "S10: two names, one entry");
    }
}

/// Many calls in any order, by two processes, some of which come late.
async fn each_call_does_what_a_record_does(stores: [Store; 2]) {
    let mut random = fastrand::Rng::new();
    let (name, mut record) = (any_name(), Record::default());
    // The lease and the process that has it.
    let (mut held, mut given) = (None::<(LeaseNumber, usize)>, vec![LeaseNumber(0)]);
    for step in 0..1000 {
        let at = format!("at step {step}");
        let any = random.usize(..2);
        let late = given[given.len() - 1 - random.usize(..given.len().min(4))];
        let lease_number = if random.bool() { late } else { record.revision };
        let holder = held.filter(|(lease, _)| *lease == lease_number).map(|(_, holder)| holder);
        // Whether a lease that has ended, and that none has followed, still counts is the store's affair.
        let is_settled = holder.is_some() || lease_number < record.lease_number;
        let store = &stores[holder.unwrap_or(any)];
        match random.u8(..8) {
            0 => {
                let snapshot = answered(store.load(&name)).await;
                assert_eq!(shown(&snapshot), shown(&record.snapshot(SystemTime::now())), "load {at}");
            }
            1 | 2 => {
                let (lease, snapshot) = answered(stores[any].lease(&name, lease_number, TTL)).await;
                let mut model = record.clone();
                let (expected, looked) = model.lease(lease_number, snapshot.now, held.map(|_| TTL));
                match (lease, expected) {
                    (LeaseOutcome::Granted(number), LeaseOutcome::Granted(_)) => {
                        assert!(number > record.lease_number, "P5: numbers rise, {at}");
                        record.lease_number = number;
                        held = Some((number, any));
                        given.push(number);
                    }
                    (LeaseOutcome::Held(left), LeaseOutcome::Held(_)) => {
                        assert!(left <= TTL + ROUNDING, "P3: held for {left:?} {at}")
                    }
                    (lease, expected) => assert_eq!(lease, expected, "lease {at}"),
                }
                assert_eq!(shown(&snapshot), shown(&looked), "lease {at}");
            }
            3 if is_settled => {
                let refresh = answered(store.claim_refresh(&name, lease_number)).await;
                assert_eq!(exposed(&refresh), exposed(&record.claim_refresh(lease_number)), "P5: claim {at}");
            }
            4 | 5 if is_settled => {
                let mut text = |what: &str| random.bool().then(|| Secret::from(format!("{what}{step}")));
                let mut change = EntryUpdate::new(TTL);
                change.access = text("access");
                change.refresh = text("refresh");
                change.cooldown = text("cooldown");
                let is_saved = answered(store.save(&name, lease_number, change.clone())).await;
                assert_eq!(is_saved, record.save(lease_number, change), "P5: save {at}");
                held.take_if(|(lease, _)| *lease == lease_number);
            }
            6 => {
                answered(store.forget(&name, lease_number)).await;
                record.forget(lease_number);
            }
            7 => {
                answered(store.release(&name, lease_number)).await;
                held.take_if(|(lease, _)| *lease == lease_number);
            }
            _ => {}
        }
    }
    assert!(given.len() > 10, "{} leases in all", given.len());
}

/// A lease is its owner's, lasts as long as was asked, and ends by itself.
async fn p3_a_lease(first: Store, second: Store) {
    let name = any_name();
    let lease = leased(&first, &name, LeaseNumber(0), SHORT).await;
    answered(second.release(&name, LeaseNumber(lease.0 + 1))).await;
    let (LeaseOutcome::Held(left), _) = answered(second.lease(&name, LeaseNumber(0), SHORT)).await else {
        panic!("P3: a lease is one process's")
    };
    assert!(left <= SHORT + ROUNDING, "P3: it lasts {left:?}");
    tokio::time::sleep(left + Duration::from_millis(50)).await;
    let next = leased(&second, &name, LeaseNumber(0), TTL).await;
    assert!(next > lease, "P5: numbers rise");
    assert!(!saves(&first, &name, lease, "late", TTL).await, "P5: who comes late saves nothing");
    answered(first.release(&name, lease)).await;
    let (LeaseOutcome::Held(left), _) = answered(first.lease(&name, LeaseNumber(0), TTL)).await else {
        panic!("P3: who comes late ends no other's lease")
    };
    assert!(left + SOON > TTL, "P3: of a lease of {TTL:?}, only {left:?} are left");
    answered(second.release(&name, next)).await;
}

/// An entry stays for its time, whatever happens to it meanwhile, and then it ends.
async fn p6_an_entry_ends(store: Store) {
    let (lasting, ending) = (any_name(), any_name());
    let saved = leased(&store, &lasting, LeaseNumber(0), LEASE).await;
    assert!(saves(&store, &lasting, saved, "text", TTL).await, "P5: who holds the lease saves");
    let lease = leased(&store, &ending, LeaseNumber(0), LEASE).await;
    assert!(saves(&store, &ending, lease, "text", SHORT).await, "P5: who holds the lease saves");
    let lease = leased(&store, &lasting, saved, SHORT).await;
    answered(store.release(&lasting, lease)).await;
    let (start, began) = (Instant::now(), answered(store.load(&ending)).await.now);
    while found(&store, &ending).await.is_some() {
        assert!(start.elapsed() < SOON, "P6: an entry with {SHORT:?} to live does not end");
        tokio::time::sleep(SHORT / 4).await;
    }
    while answered(store.load(&lasting)).await.now <= began {
        assert!(start.elapsed() < SOON, "P6: the store's clock stands still");
        tokio::time::sleep(SHORT / 4).await;
    }
    assert!(
        found(&store, &lasting).await.is_some(),
        "P6: an entry with {TTL:?} to live is gone after {:?}",
        start.elapsed()
    );
}

/// Calls at the same instant are as good as one after the other.
async fn p5_at_once(open: &impl Fn() -> Store) {
    let stores: [Store; 4] = std::array::from_fn(|_| open());
    for _ in 0..20 {
        let name = any_name();
        let old = leased(&stores[0], &name, LeaseNumber(0), TTL).await;
        assert!(saves(&stores[0], &name, old, "old", TTL).await, "P5: who holds the lease saves");
        let lease = leased(&stores[0], &name, old, TTL).await;

        let claims = all(&stores, |store| {
            let name = name.clone();
            async move { answered(store.claim_refresh(&name, lease)).await.is_some() }
        });
        let claimed = claims.await.into_iter().filter(|is_claimed| *is_claimed).count();
        assert_eq!(claimed, 1, "P5: so many have one refresh token");

        let changes = all(&stores, |store| {
            let name = name.clone();
            let is_holder = Arc::ptr_eq(&store, &stores[0]);
            async move {
                if is_holder {
                    assert!(saves(&store, &name, lease, "new", TTL).await, "P5: who holds the lease saves");
                } else {
                    answered(store.forget(&name, old)).await;
                }
            }
        });
        changes.await;
        assert_eq!(
            found(&stores[1], &name).await.as_deref(),
            Some("new"),
            "P8: what comes late forgets no newer token"
        );
    }
}

/// One task for each.
async fn all<R, F>(stores: &[Store], act: impl Fn(Store) -> F) -> Vec<R>
where
    R: Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    let tasks: Vec<_> = stores.iter().map(|store| tokio::spawn(act(store.clone()))).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap_or_else(|error| panic!("a call panicked: {error}")));
    }
    results
}

/// Of many who ask at once, one has the lease.
async fn p1_one_of_many(open: &impl Fn() -> Store) {
    // A lease may end with the process that has it.
    let stores: Vec<_> = (0..50).map(|_| open()).collect();
    for _ in 0..10 {
        let name = any_name();
        let leases = all(&stores, |store| {
            let name = name.clone();
            async move { answered(store.lease(&name, LeaseNumber(0), TTL)).await.0 }
        });
        let leases = leases.await;
        let granted = leases.iter().filter(|lease| matches!(lease, LeaseOutcome::Granted(_)));
        assert_eq!(granted.count(), 1, "P1: of fifty who ask at once, one has the lease");
    }
}

/// What managers make of it, each for a process of its own.
async fn p1_p7_p8_managers(open: &impl Fn() -> Store) {
    // Others may use the same store.
    let password = any_name();
    let script = Script::new([ScriptedResponse::token("one", 600), ScriptedResponse::token("two", 600)])
        .then_always(ScriptedResponse::refusal());
    let process = || {
        let login = Login::new(TestProvider::new(password.as_str()), script.clone()).with_clock(VirtualClock::new());
        TokenManager::with_store(login, open())
    };
    let (first, second) = (process(), process());
    let taken =
        |token: Result<AccessToken, Error>| token.map(|token| token.expose().to_owned()).map_err(|error| error.kind());
    assert_eq!(taken(first.token().await), Ok("one".into()));
    assert_eq!(taken(second.token().await), Ok("one".into()), "P1: a token of another process is taken");

    first.reject(&current(&first));
    assert_eq!(taken(first.token().await), Ok("two".into()), "P8: a rejected token does not come back");
    second.reject(&current(&second));
    assert_eq!(taken(second.token().await), Ok("two".into()), "P8: nor does it displace a newer one");
    assert_eq!(script.requests().len(), 2, "P1: one login for each token");

    let third = process();
    assert_eq!(taken(third.token().await), Ok("two".into()));
    third.reject(&current(&third));
    // It is told to the store in the background.
    let start = Instant::now();
    while has_token(process()).await {
        assert!(start.elapsed() < SOON, "P8: a rejected token stays in the store");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(taken(third.token().await), Err(ErrorKind::Refused));
    assert_eq!(taken(process().token().await), Err(ErrorKind::Refused), "P7: a refusal is remembered for all");
    assert_eq!(script.requests().len(), 3, "P7: and is tried once");
}

/// Whether a process that has just started would find a token.
async fn has_token(tokens: TokenManager<TestProvider, Script>) -> bool {
    answered(tokens.recall()).await;
    tokens.cached().is_some()
}

fn current(tokens: &impl TokenSource) -> AccessToken {
    tokens.cached().unwrap_or_else(|| panic!("a manager keeps the token that it gave"))
}

async fn answered<R>(call: impl Future<Output = Result<R, Error>>) -> R {
    let result = timeout(SOON, call).await.unwrap_or_else(|_| panic!("the store does not answer within {SOON:?}"));
    result.unwrap_or_else(|error| panic!("the store fails: {error:?}"))
}

fn exposed(secret: &Option<Secret>) -> Option<&str> {
    secret.as_ref().map(Secret::expose)
}

fn shown(snapshot: &Snapshot) -> String {
    let Snapshot { revision, saved, access, cooldown, has_refresh, .. } = snapshot;
    format!("{revision:?} {saved:?} {:?} {:?} {has_refresh}", exposed(access), exposed(cooldown))
}

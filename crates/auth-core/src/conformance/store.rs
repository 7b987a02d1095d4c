//! What every store promises.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::runtime;
use crate::error::{Error, ErrorKind};
use crate::manager::TokenManager;
use crate::secret::Secret;
use crate::source::TokenSource;
use crate::store::{Change, EntryName, Fence, Lease, Record, Snapshot, TokenStore};
use crate::testing::{Answer, Script, TestProvider};
use crate::token::AccessToken;

const TTL: Duration = Duration::from_secs(60);
/// Long enough for the calls between, on a busy machine.
const SHORT: Duration = Duration::from_millis(400);
/// For what is done in the background.
const SOON: Duration = Duration::from_secs(10);

type Store = Arc<dyn TokenStore>;

/// Holds a store to its promises: P1, P3, P5, P7 and P8, and that each call does what [`Record`] does.
///
/// `open` opens it as another process would, over the same data each time. Names of entries are random, and what is left
/// behind ends by itself. Takes some seconds of real time.
///
/// # Panics
/// With the number of the first promise that is broken, or what a call did that it should not.
pub fn store(open: impl Fn() -> Store) {
    runtime(false).block_on(async {
        each_call_does_what_a_record_does([open(), open()]).await;
        p3_a_lease(open(), open()).await;
        p1_one_of_many(&open).await;
        p1_p7_p8_managers(&open).await;
    });
}

fn any_name() -> EntryName {
    let digits: String = (0..32).map(|_| fastrand::digit(16)).collect();
    EntryName::parse(&digits).unwrap_or_else(|| panic!("32 digits are a name"))
}

/// Many calls in any order, by two processes, some of which come late.
async fn each_call_does_what_a_record_does(stores: [Store; 2]) {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let (name, mut record) = (any_name(), Record::default());
    // The lease and the process that has it.
    let (mut held, mut given) = (None::<(Fence, usize)>, vec![Fence(0)]);
    for step in 0..1500 {
        let at = format!("at step {step} of seed {seed}");
        let any = random.usize(..2);
        let late = given[given.len() - 1 - random.usize(..given.len().min(4))];
        let fence = if random.bool() { late } else { record.revision };
        let holder = held.filter(|(lease, _)| *lease == fence).map(|(_, holder)| holder);
        // Whether a lease that has ended, and that none has followed, still counts is the store's affair.
        let is_settled = holder.is_some() || fence < record.fence;
        let store = &stores[holder.unwrap_or(any)];
        match random.u8(..8) {
            0 => {
                let snapshot = answered(store.load(&name).await);
                assert_eq!(shown(&snapshot), shown(&record.snapshot(SystemTime::now())), "load {at}");
            }
            1 | 2 => {
                let (lease, snapshot) = answered(stores[any].lease(&name, fence, TTL).await);
                let mut model = record.clone();
                let (expected, looked) = model.lease(fence, snapshot.now, held.map(|_| TTL));
                match (lease, expected) {
                    (Lease::Granted(number), Lease::Granted(_)) => {
                        assert!(number > record.fence, "P5: numbers rise, {at}");
                        (record.fence, held) = (number, Some((number, any)));
                        given.push(number);
                    }
                    (Lease::Held(left), Lease::Held(_)) => assert!(left <= TTL, "P3: held for {left:?} {at}"),
                    (lease, expected) => assert_eq!(lease, expected, "lease {at}"),
                }
                assert_eq!(shown(&snapshot), shown(&looked), "lease {at}");
            }
            3 if is_settled => {
                let refresh = answered(store.claim_refresh(&name, fence).await);
                assert_eq!(exposed(&refresh), exposed(&record.claim_refresh(fence)), "P5: claim {at}");
            }
            4 | 5 if is_settled => {
                let mut text = |what: &str| random.bool().then(|| Secret::from(format!("{what}{step}")));
                let mut change = Change::lasting(TTL);
                (change.access, change.refresh, change.setback) = (text("access"), text("refresh"), text("setback"));
                let is_saved = answered(store.save(&name, fence, change.clone()).await);
                assert_eq!(is_saved, record.save(fence, change), "P5: save {at}");
                held.take_if(|(lease, _)| *lease == fence);
            }
            6 => {
                answered(store.forget(&name, fence).await);
                record.forget(fence);
            }
            7 => {
                answered(store.release(&name, fence).await);
                held.take_if(|(lease, _)| *lease == fence);
            }
            _ => {}
        }
    }
    assert!(given.len() > 20, "{} leases in all", given.len());
}

/// A lease is its owner's, and ends by itself.
async fn p3_a_lease(first: Store, second: Store) {
    let name = any_name();
    let (Lease::Granted(lease), _) = answered(first.lease(&name, Fence(0), SHORT).await) else {
        panic!("P3: the first to ask has the lease")
    };
    answered(second.release(&name, Fence(lease.0 + 1)).await);
    let (Lease::Held(left), _) = answered(second.lease(&name, Fence(0), SHORT).await) else {
        panic!("P3: a lease is one process's")
    };
    assert!(left <= SHORT, "P3: it lasts {left:?}");
    tokio::time::sleep(left + Duration::from_millis(50)).await;
    let (Lease::Granted(next), _) = answered(second.lease(&name, Fence(0), TTL).await) else {
        panic!("P3: a lease ends by itself")
    };
    assert!(next > lease, "P5: numbers rise");
    let mut change = Change::lasting(TTL);
    change.access = Some("late".into());
    assert!(!answered(first.save(&name, lease, change).await), "P5: who comes late saves nothing");
    answered(first.release(&name, lease).await);
    let again = answered(first.lease(&name, Fence(0), TTL).await).0;
    assert!(matches!(again, Lease::Held(_)), "P3: who comes late ends no other's lease");
    answered(second.release(&name, next).await);
}

/// Of many who ask at once, one has the lease.
async fn p1_one_of_many(open: &impl Fn() -> Store) {
    let name = any_name();
    let asked: Vec<_> = (0..50)
        .map(|_| {
            let (store, name) = (open(), name.clone());
            // With the store, since a lease may end with its process.
            tokio::spawn(async move { (answered(store.lease(&name, Fence(0), TTL).await).0, store) })
        })
        .collect();
    let mut leases = Vec::new();
    for asked in asked {
        leases.push(asked.await.unwrap_or_else(|error| panic!("a call panicked: {error}")));
    }
    let granted = leases.iter().filter(|(lease, _)| matches!(lease, Lease::Granted(_)));
    assert_eq!(granted.count(), 1, "P1: of fifty who ask at once, one has the lease");
}

/// What managers make of it, each for a process of its own.
async fn p1_p7_p8_managers(open: &impl Fn() -> Store) {
    // Others may use the same store.
    let password = any_name();
    let script = Script::new([Answer::token("one", 600), Answer::token("two", 600)]).then_always(Answer::refusal());
    let process = || {
        let login = script.login().with_provider(TestProvider::new(password.as_str()));
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
    answered(tokens.recall().await);
    tokens.cached().is_some()
}

fn current(tokens: &impl TokenSource) -> AccessToken {
    tokens.cached().unwrap_or_else(|| panic!("a manager keeps the token that it gave"))
}

fn answered<R>(result: Result<R, Error>) -> R {
    result.unwrap_or_else(|error| panic!("the store fails: {error:?}"))
}

fn exposed(secret: &Option<Secret>) -> Option<&str> {
    secret.as_ref().map(Secret::expose)
}

fn shown(snapshot: &Snapshot) -> String {
    let Snapshot { revision, saved, access, setback, has_refresh, .. } = snapshot;
    format!("{revision:?} {saved:?} {:?} {:?} {has_refresh}", exposed(access), exposed(setback))
}

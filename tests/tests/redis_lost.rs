//! The store in Redis where answers are lost and servers are not what they were.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use auth_all::core::Secret;
use auth_all::core::store::{EntryName, EntryUpdate, LeaseNumber, LeaseOutcome, TokenStore};
use auth_store_redis::{Builder, RedisStore};
use auth_tests::redis::RedisServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const TTL: Duration = Duration::from_secs(60);

fn builder(url: &str) -> Builder {
    RedisStore::builder().with_url(url).with_keys(KEY).with_timeout(Duration::from_secs(2))
}

fn name(digit: char) -> EntryName {
    EntryName::parse(&String::from(digit).repeat(32)).unwrap()
}

fn change(refresh: &str) -> EntryUpdate {
    let mut change = EntryUpdate::new(TTL);
    change.access = Some("access".into());
    change.refresh = Some(refresh.into());
    change
}

async fn granted(store: &RedisStore, known: LeaseNumber) -> LeaseNumber {
    match store.lease(&name('0'), known, TTL).await.unwrap().0 {
        LeaseOutcome::Granted(lease_number) => lease_number,
        other => panic!("{other:?}"),
    }
}

async fn command(server: &RedisServer, words: &[&str]) {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd(words[0]).arg(&words[1..]).exec_async(&mut connection).await.unwrap();
}

/// Passes everything on; where it is told to, it lets Redis do what comes next, and ends the connection instead of
/// giving the answer.
struct Proxy {
    port: u16,
    target: AtomicU16,
    is_armed: AtomicBool,
}

impl Proxy {
    async fn start(server: &RedisServer) -> Arc<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let proxy = Arc::new(Self { port, target: server.port().into(), is_armed: AtomicBool::new(false) });
        let own = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(own.clone().pass(client));
            }
        });
        proxy
    }

    async fn pass(self: Arc<Self>, client: TcpStream) {
        let server = TcpStream::connect(("127.0.0.1", self.target.load(Ordering::SeqCst))).await.unwrap();
        let ((mut up, mut down), (mut answers, mut questions)) = (client.into_split(), server.into_split());
        let forth = tokio::spawn(async move { tokio::io::copy(&mut up, &mut questions).await });
        let mut bytes = [0; 65536];
        while let Ok(count @ 1..) = answers.read(&mut bytes).await {
            if self.is_armed.swap(false, Ordering::SeqCst) || down.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
        forth.abort();
    }

    /// Loses the next answer.
    fn lose(&self) {
        self.is_armed.store(true, Ordering::SeqCst);
    }

    /// A store that has run every script before, so that each question is one message.
    async fn store(&self) -> RedisStore {
        let store = builder(&format!("redis://127.0.0.1:{}/0", self.port)).build().unwrap();
        let warm = name('f');
        store.load(&warm).await.unwrap();
        if let LeaseOutcome::Granted(lease) = store.lease(&warm, LeaseNumber(0), TTL).await.unwrap().0 {
            store.claim_refresh(&warm, lease).await.unwrap();
            store.save(&warm, lease, change("warm")).await.unwrap();
            store.release(&warm, lease).await.unwrap();
            store.forget(&warm, LeaseNumber(1)).await.unwrap();
        }
        store
    }
}

#[tokio::test]
async fn p3_a_lease_whose_answer_is_lost_is_the_askers_still() {
    let Some(server) = RedisServer::start() else { return };
    let proxy = Proxy::start(&server).await;
    let store = proxy.store().await;
    proxy.lose();
    let lease = granted(&store, LeaseNumber(0)).await;
    assert!(store.save(&name('0'), lease, change("r")).await.unwrap());
}

#[tokio::test]
async fn r8_a_save_whose_answer_is_lost_is_never_denied() {
    let Some(server) = RedisServer::start() else { return };
    let proxy = Proxy::start(&server).await;
    let (slow, other) = (proxy.store().await, builder(&server.url()).build().unwrap());
    let lease = granted(&slow, LeaseNumber(0)).await;
    proxy.lose();
    let saved = slow.save(&name('0'), lease, change("refresh")).await;
    // It was done: another takes the refresh token. Had the save been denied, both would use it.
    let next = granted(&other, lease).await;
    assert_eq!(other.claim_refresh(&name('0'), next).await.unwrap().as_ref().map(Secret::expose), Some("refresh"));
    assert!(saved.is_err(), "{saved:?}");
}

#[tokio::test]
async fn a_claim_whose_answer_is_lost_is_not_made_up_for() {
    let Some(server) = RedisServer::start() else { return };
    let proxy = Proxy::start(&server).await;
    let store = proxy.store().await;
    let lease = granted(&store, LeaseNumber(0)).await;
    store.save(&name('0'), lease, change("refresh")).await.unwrap();
    let lease = granted(&store, lease).await;
    proxy.lose();
    assert!(store.claim_refresh(&name('0'), lease).await.is_ok_and(|refresh| refresh.is_none()));
}

/// As when a name leads to the next master, and the old connection is alive.
#[tokio::test]
async fn p4_a_master_that_is_one_no_more_is_left() {
    let (Some(old), Some(new)) = (RedisServer::start(), RedisServer::start()) else { return };
    let proxy = Proxy::start(&old).await;
    let store = proxy.store().await;
    proxy.target.store(new.port(), Ordering::SeqCst);
    command(&old, &["REPLICAOF", "127.0.0.1", &new.port().to_string()]).await;
    sleep(Duration::from_millis(200)).await;
    granted(&store, LeaseNumber(0)).await;
}

#[tokio::test]
async fn p4_what_was_refused_once_is_asked_again() {
    let Some(server) = RedisServer::start() else { return };
    command(&server, &["ACL", "SETUSER", "auth", "on", ">pw", "~*", "+@all", "-select"]).await;
    let store = builder(&format!("redis://auth:pw@127.0.0.1:{}/1", server.port())).build().unwrap();
    store.load(&name('0')).await.unwrap_err();
    command(&server, &["ACL", "SETUSER", "auth", "+select"]).await;
    store.load(&name('0')).await.unwrap();
}

#[tokio::test]
async fn p4_out_of_memory_is_an_error_and_the_lease_can_be_given_back() {
    let Some(server) = RedisServer::start() else { return };
    let store = builder(&server.url()).build().unwrap();
    let lease = granted(&store, LeaseNumber(0)).await;
    command(&server, &["CONFIG", "SET", "maxmemory", "1"]).await;
    store.save(&name('0'), lease, change("r")).await.unwrap_err();
    store.release(&name('0'), lease).await.unwrap();
    command(&server, &["CONFIG", "SET", "maxmemory", "0"]).await;
    granted(&store, LeaseNumber(0)).await;
}

#[tokio::test]
async fn p4_a_cluster_that_hangs_is_given_up() {
    let Some(server) = RedisServer::start_with(&["--cluster-enabled", "yes"]) else { return };
    command(&server, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await;
    let store = builder(&format!("redis://127.0.0.1:{}", server.port())).with_cluster().build().unwrap();
    let start = std::time::Instant::now();
    while store.load(&name('0')).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(20), "the cluster does not start");
        sleep(Duration::from_millis(100)).await;
    }
    server.hang();
    let hung = tokio::time::timeout(Duration::from_secs(30), store.load(&name('0'))).await;
    server.go_on();
    assert!(hung.unwrap().is_err());
    store.load(&name('0')).await.unwrap();
}

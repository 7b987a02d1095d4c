//! The Redis store when responses are lost, servers change their role, or commands are refused.
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

fn update(refresh: &str) -> EntryUpdate {
    let mut update = EntryUpdate::new(TTL);
    update.access = Some("access".into());
    update.refresh = Some(refresh.into());
    update
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

/// A proxy that can lose a response: Redis runs the command, and the client sees a closed connection instead of the
/// response.
struct Proxy {
    port: u16,
    target: AtomicU16,
    loses_next: AtomicBool,
}

impl Proxy {
    async fn start(server: &RedisServer) -> Arc<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let proxy = Arc::new(Self { port, target: server.port().into(), loses_next: AtomicBool::new(false) });
        let accepting = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().forward(client));
            }
        });
        proxy
    }

    async fn forward(self: Arc<Self>, client: TcpStream) {
        let server = TcpStream::connect(("127.0.0.1", self.target.load(Ordering::SeqCst))).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let requests = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
        let mut bytes = [0; 65536];
        while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
            if self.loses_next.swap(false, Ordering::SeqCst) || to_client.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
        requests.abort();
    }

    /// Makes the proxy lose the next response.
    fn lose_next_response(&self) {
        self.loses_next.store(true, Ordering::SeqCst);
    }

    /// Returns a store that has run every script once, so that each later call is one message (`EVALSHA`).
    async fn store(&self) -> RedisStore {
        let store = builder(&format!("redis://127.0.0.1:{}/0", self.port)).build().unwrap();
        let warm = name('f');
        store.load(&warm).await.unwrap();
        if let LeaseOutcome::Granted(lease) = store.lease(&warm, LeaseNumber(0), TTL).await.unwrap().0 {
            store.claim_refresh(&warm, lease).await.unwrap();
            store.save(&warm, lease, update("warm")).await.unwrap();
            store.release(&warm, lease).await.unwrap();
            store.forget(&warm, LeaseNumber(1)).await.unwrap();
        }
        store
    }
}

#[tokio::test]
async fn p3_a_lease_whose_response_is_lost_belongs_to_its_requester() {
    let Some(server) = RedisServer::start() else { return };
    let proxy = Proxy::start(&server).await;
    let store = proxy.store().await;
    proxy.lose_next_response();
    let lease = granted(&store, LeaseNumber(0)).await;
    assert!(store.save(&name('0'), lease, update("r")).await.unwrap());
}

#[tokio::test]
async fn r8_a_save_whose_response_is_lost_is_not_reported_as_superseded() {
    let Some(server) = RedisServer::start() else { return };
    let proxy = Proxy::start(&server).await;
    let (slow, other) = (proxy.store().await, builder(&server.url()).build().unwrap());
    let lease = granted(&slow, LeaseNumber(0)).await;
    proxy.lose_next_response();
    let saved = slow.save(&name('0'), lease, update("refresh")).await;
    // Redis ran the save, so another process claims the refresh token. If the save returned `false` here, this process
    // would keep its copy of the refresh token, and both would use it.
    let next = granted(&other, lease).await;
    assert_eq!(other.claim_refresh(&name('0'), next).await.unwrap().as_ref().map(Secret::expose), Some("refresh"));
    assert!(saved.is_err(), "{saved:?}");
}

#[tokio::test]
async fn a_claim_whose_response_is_lost_returns_no_refresh_token() {
    let Some(server) = RedisServer::start() else { return };
    let proxy = Proxy::start(&server).await;
    let store = proxy.store().await;
    let lease = granted(&store, LeaseNumber(0)).await;
    store.save(&name('0'), lease, update("refresh")).await.unwrap();
    let lease = granted(&store, lease).await;
    proxy.lose_next_response();
    assert!(store.claim_refresh(&name('0'), lease).await.is_ok_and(|refresh| refresh.is_none()));
}

/// The host name resolves to a new master, but the connection to the old one, now a replica, is still open.
#[tokio::test]
async fn p4_a_store_leaves_a_master_that_became_a_replica() {
    let (Some(old), Some(new)) = (RedisServer::start(), RedisServer::start()) else { return };
    let proxy = Proxy::start(&old).await;
    let store = proxy.store().await;
    proxy.target.store(new.port(), Ordering::SeqCst);
    command(&old, &["REPLICAOF", "127.0.0.1", &new.port().to_string()]).await;
    sleep(Duration::from_millis(200)).await;
    granted(&store, LeaseNumber(0)).await;
}

#[tokio::test]
async fn p4_a_refused_connection_is_retried_on_the_next_call() {
    let Some(server) = RedisServer::start() else { return };
    command(&server, &["ACL", "SETUSER", "auth", "on", ">pw", "~*", "+@all", "-select"]).await;
    let store = builder(&format!("redis://auth:pw@127.0.0.1:{}/1", server.port())).build().unwrap();
    store.load(&name('0')).await.unwrap_err();
    command(&server, &["ACL", "SETUSER", "auth", "+select"]).await;
    store.load(&name('0')).await.unwrap();
}

#[tokio::test]
async fn p4_a_lease_can_be_released_when_redis_is_out_of_memory() {
    let Some(server) = RedisServer::start() else { return };
    let store = builder(&server.url()).build().unwrap();
    let lease = granted(&store, LeaseNumber(0)).await;
    command(&server, &["CONFIG", "SET", "maxmemory", "1"]).await;
    store.save(&name('0'), lease, update("r")).await.unwrap_err();
    store.release(&name('0'), lease).await.unwrap();
    command(&server, &["CONFIG", "SET", "maxmemory", "0"]).await;
    granted(&store, LeaseNumber(0)).await;
}

#[tokio::test]
async fn p4_a_call_to_a_hanging_cluster_times_out() {
    let Some(server) = RedisServer::start_with(&["--cluster-enabled", "yes"]) else { return };
    command(&server, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await;
    let store = builder(&format!("redis://127.0.0.1:{}", server.port())).with_cluster().build().unwrap();
    let start = std::time::Instant::now();
    while store.load(&name('0')).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(20), "the cluster does not start");
        sleep(Duration::from_millis(100)).await;
    }
    server.suspend();
    let result = tokio::time::timeout(Duration::from_secs(30), store.load(&name('0'))).await;
    server.resume();
    assert!(result.unwrap().is_err());
    store.load(&name('0')).await.unwrap();
}

//! The Redis store, call by call, compared with [`Record`], which defines what each call does.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth_all::core::store::{EntryName, EntryUpdate, LeaseNumber, LeaseOutcome, Record, Snapshot, TokenStore};
use auth_all::core::{ErrorKind, Secret};
use auth_store_redis::{Builder, RedisStore};
use auth_testing::{Script, ScriptedResponse, TestProvider};
use auth_tests::redis::RedisServer;
use tempfile::TempDir;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const TTL: Duration = Duration::from_secs(60);

fn builder(url: &str) -> Builder {
    // Much longer than Redis needs on a busy machine.
    RedisStore::builder().with_url(url).with_keys(KEY).with_timeout(Duration::from_secs(2))
}

fn store(server: &RedisServer) -> RedisStore {
    builder(&server.url()).build().unwrap()
}

fn name(digit: u8) -> EntryName {
    EntryName::parse(&format!("{digit:02x}").repeat(16)).unwrap()
}

fn update(access: Option<&str>, refresh: Option<&str>) -> EntryUpdate {
    let mut update = EntryUpdate::new(TTL);
    update.access = access.map(Secret::from);
    update.refresh = refresh.map(Secret::from);
    update
}

async fn granted(store: &RedisStore, name: &EntryName, known: LeaseNumber) -> LeaseNumber {
    match store.lease(name, known, TTL).await.unwrap().0 {
        LeaseOutcome::Granted(lease_number) => lease_number,
        other => panic!("{other:?}"),
    }
}

fn describe(snapshot: &Snapshot) -> String {
    let text = |part: &Option<Secret>| part.as_ref().map(|part| part.expose().to_owned());
    let Snapshot { revision, saved, access, cooldown, has_refresh, .. } = snapshot;
    format!("{revision:?} {saved:?} {:?} {:?} {has_refresh}", text(access), text(cooldown))
}

/// Opens a connection for raw commands, as another program would send them.
async fn raw_connection(server: &RedisServer) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(server.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn command(server: &RedisServer, words: &[&str]) -> redis::Value {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut raw_connection(server).await).await.unwrap()
}

/// Makes thousands of random calls, many of them with an outdated lease number, and compares each result with `Record`.
#[tokio::test]
async fn the_scripts_do_the_same_as_record() {
    let Some(server) = RedisServer::start() else { return };
    let store = store(&server);
    let mut random = fastrand::Rng::with_seed(7);
    let mut record = Record::default();
    let mut held: Option<LeaseNumber> = None;
    let mut granted = vec![LeaseNumber(0)];
    let name = name(1);
    for step in 0..3000 {
        let lease_number = granted[granted.len() - 1 - random.usize(..granted.len().min(4))];
        let text = |random: &mut fastrand::Rng, what| random.bool().then(|| Secret::from(format!("{what}{step}")));
        match random.u8(..7) {
            0 => {
                let snapshot = store.load(&name).await.unwrap();
                assert_eq!(describe(&snapshot), describe(&record.snapshot(SystemTime::now())), "load at {step}");
            }
            1 | 2 => {
                let (lease, snapshot) = store.lease(&name, lease_number, TTL).await.unwrap();
                let mut known = record.clone();
                let (expected, expected_snapshot) = known.lease(lease_number, snapshot.now, held.map(|_| TTL));
                match (lease, expected) {
                    (LeaseOutcome::Granted(number), LeaseOutcome::Granted(_)) => {
                        assert!(number > record.lease_number, "lease numbers increase");
                        record.lease_number = number;
                        held = Some(number);
                        granted.push(number);
                    }
                    (LeaseOutcome::Held(left), LeaseOutcome::Held(_)) => assert!(left <= TTL),
                    (lease, expected) => assert_eq!(lease, expected, "lease at {step}"),
                }
                assert_eq!(describe(&snapshot), describe(&expected_snapshot), "lease at {step}");
            }
            3 => {
                let refresh = store.claim_refresh(&name, lease_number).await.unwrap();
                let expected = record.claim_refresh(lease_number);
                assert_eq!(refresh.as_ref().map(Secret::expose), expected.as_ref().map(Secret::expose), "at {step}");
            }
            4 | 5 => {
                let mut update = update(None, None);
                update.access = text(&mut random, "access");
                update.refresh = text(&mut random, "refresh");
                update.cooldown = text(&mut random, "cooldown");
                let is_saved = store.save(&name, lease_number, update.clone()).await.unwrap();
                assert_eq!(is_saved, record.save(lease_number, update), "save at {step}");
                held.take_if(|held| is_saved && *held == lease_number);
            }
            _ if random.bool() => {
                store.forget(&name, lease_number).await.unwrap();
                record.forget(lease_number);
            }
            _ => {
                store.release(&name, lease_number).await.unwrap();
                held.take_if(|held| *held == lease_number);
            }
        }
    }
    assert!(granted.len() > 50, "{}", granted.len());
}

#[tokio::test]
async fn p3_a_lease_expires_and_only_its_holder_releases_it_earlier() {
    let Some(server) = RedisServer::start() else { return };
    let (first, second, name) = (store(&server), store(&server), name(1));
    let short = Duration::from_millis(300);
    let LeaseOutcome::Granted(lease) = first.lease(&name, LeaseNumber(0), short).await.unwrap().0 else {
        panic!("the lease is free")
    };
    second.release(&name, LeaseNumber(lease.0 + 1)).await.unwrap();
    let LeaseOutcome::Held(left) = second.lease(&name, LeaseNumber(0), short).await.unwrap().0 else {
        panic!("the lease is held")
    };
    assert!(left <= short);
    tokio::time::sleep(left + Duration::from_millis(20)).await;
    let next = granted(&second, &name, LeaseNumber(0)).await;
    first.release(&name, lease).await.unwrap();
    assert!(matches!(first.lease(&name, LeaseNumber(0), short).await.unwrap().0, LeaseOutcome::Held(_)));
    assert!(next > lease);
}

#[tokio::test]
async fn p6_every_key_expires_and_contains_no_credential() {
    let Some(server) = RedisServer::start() else { return };
    let script = Script::new([ScriptedResponse::token("sentinel-token", 1000), ScriptedResponse::refusal()]);
    for password in ["sentinel-password", "sentinel-wrong"] {
        let builder = script.builder_for(TestProvider::new(password)).with_store(Arc::new(store(&server)));
        let _ = builder.build().unwrap().token().await;
    }
    let store = store(&server);
    granted(&store, &name(7), LeaseNumber(0)).await;
    let mut connection = raw_connection(&server).await;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    assert_eq!(keys.len(), 4, "{keys:?}");
    for key in keys {
        let ttl: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
        assert!(ttl > 0, "{key} does not expire");
        assert!(key.starts_with("auth:v2:{") && !key.contains("sentinel"), "{key}");
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut connection).await.unwrap();
        if kind == "hash" {
            let fields: Vec<String> = redis::cmd("HGETALL").arg(&key).query_async(&mut connection).await.unwrap();
            assert!(fields.iter().all(|field| !field.contains("sentinel")));
        }
    }
}

#[tokio::test]
async fn p4_a_garbage_entry_is_a_miss_and_the_next_save_repairs_it() {
    let Some(server) = RedisServer::start() else { return };
    let (store, name) = (store(&server), name(1));
    let key = format!("auth:v2:{{{}}}", name.as_str());
    let lease_key = format!("{key}:lease");
    let garbage: [&[&[&str]]; 9] = [
        &[&["SET", &key, "garbage"]],
        &[&["LPUSH", &key, "a", "b"]],
        &[&["SET", &lease_key, "forever"]],
        &[&["SET", &lease_key, "long", "PX", "99999999999"]],
        &[&["LPUSH", &lease_key, "a"]],
        &[&["HSET", &key, "lease_number", "99999999999999999999999", "revision", "x", "saved", "-1"]],
        &[&["HSET", &key, "lease_number", "nan", "revision", "inf", "saved", "1e300", "access", "\u{0}\u{ff}"]],
        &[&["HSET", &key, "lease_number", "-0", "revision", "-0", "saved", "-0"]],
        &[&["HSET", &key, "lease_number", "7", "revision", "7", "saved", "7"], &["SADD", &lease_key, "x"]],
    ];
    for commands in garbage {
        command(&server, &["FLUSHALL"]).await;
        for words in commands {
            command(&server, words).await;
        }
        let loaded = store.load(&name).await.unwrap();
        let lease = granted(&store, &name, loaded.revision).await;
        assert!(store.save(&name, lease, update(Some("good"), None)).await.unwrap(), "{commands:?}");
        let loaded = store.load(&name).await.unwrap();
        assert_eq!(loaded.access.unwrap().expose(), "good");
        assert_eq!(loaded.saved, lease);
        let ttl = command(&server, &["PTTL", &key]).await;
        assert!(matches!(ttl, redis::Value::Int(left) if left > 0), "{ttl:?}");
        granted(&store, &name, lease).await;
    }
    let mut connection = raw_connection(&server).await;
    command(&server, &["FLUSHALL"]).await;
    let binary: &[u8] = &[0xff, 0xfe, 0x00, 0x80];
    let mut write = redis::cmd("HSET");
    write.arg(&key).arg("revision").arg(5).arg("saved").arg(5).arg("access").arg(binary).arg("refresh").arg(binary);
    write.exec_async(&mut connection).await.unwrap();
    assert!(store.load(&name).await.unwrap().access.is_some());
    let lease = granted(&store, &name, LeaseNumber(5)).await;
    assert!(store.claim_refresh(&name, lease).await.unwrap().is_some());
}

#[tokio::test]
async fn an_abandoned_lease_request_does_not_hold_the_lease() {
    let Some(server) = RedisServer::start() else { return };
    let timeout = Duration::from_millis(50);
    let store = Arc::new(builder(&server.url()).with_timeout(timeout).build().unwrap());
    let name = name(1);
    store.load(&name).await.unwrap();
    server.suspend();
    let late = tokio::spawn({
        let (store, name) = (store.clone(), name.clone());
        async move { store.lease(&name, LeaseNumber(0), TTL).await }
    });
    tokio::time::sleep(6 * timeout).await;
    // The process that requested the lease ends while its request is still in the queue of Redis. Redis then runs the
    // request, and without a check of its age the lease would be held until it expires.
    late.abort();
    server.resume();
    granted(&store, &name, LeaseNumber(0)).await;
}

#[tokio::test]
async fn p4_a_lost_connection_is_replaced() {
    let Some(mut server) = RedisServer::start() else { return };
    let (store, name) = (store(&server), name(1));
    granted(&store, &name, LeaseNumber(0)).await;
    server.restart();
    granted(&store, &name, LeaseNumber(0)).await;
    command(&server, &["CLIENT", "KILL", "TYPE", "normal"]).await;
    store.load(&name).await.unwrap();
    server.stop();
    assert_eq!(store.load(&name).await.unwrap_err().kind(), ErrorKind::Unavailable);
    server.restart();
    store.load(&name).await.unwrap();
}

/// A connection belongs to the runtime that opened it, so a new runtime needs a new connection.
#[test]
fn s8_a_store_works_on_one_runtime_after_another() {
    let Some(server) = RedisServer::start() else { return };
    let (store, name) = (store(&server), name(1));
    for _ in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(store.load(&name)).unwrap();
    }
}

#[tokio::test]
async fn an_acl_user_needs_few_rights_and_errors_contain_no_password() {
    let Some(server) = RedisServer::start() else { return };
    let rules = "ACL SETUSER auth on >sentinel-password ~auth:* +@scripting +time +type +del +hmget +hget +hset +hdel \
                 +set +get +pttl +pexpire";
    command(&server, &rules.split(' ').collect::<Vec<_>>()).await;
    let with_password =
        |password: &str| builder(&server.url()).with_username("auth").with_password(password).build().unwrap();
    let (good, name) = (with_password("sentinel-password"), name(1));
    let lease = granted(&good, &name, LeaseNumber(0)).await;
    good.save(&name, lease, update(Some("a"), Some("b"))).await.unwrap();
    good.claim_refresh(&name, granted(&good, &name, lease).await).await.unwrap().unwrap();
    good.forget(&name, lease).await.unwrap();

    let url = format!("redis://auth:sentinel-password@127.0.0.1:{}/0", server.port());
    builder(&url).build().unwrap().load(&name).await.unwrap();

    let error = with_password("sentinel-wrong").load(&name).await.unwrap_err();
    let text = format!("{error:?} {:?} {:?}", with_password("sentinel-wrong"), builder(&url));
    assert!(!text.contains("sentinel") && text.contains("authentication failed"), "{text}");
    let other = builder(&server.url()).with_username("auth").with_password("sentinel-password").with_prefix("other");
    let error = other.build().unwrap().load(&name).await.unwrap_err();
    assert!(format!("{error:?}").contains("NOPERM"), "{error:?}");
}

#[test]
fn setting_errors_contain_the_name_and_never_the_value() {
    let redis = || RedisStore::builder().with_url("redis://127.0.0.1/0");
    for (builder, setting, words) in [
        (RedisStore::builder().with_keys(KEY), "url", "AUTH_REDIS_URL"),
        (redis(), "keys", "dangerously_unsealed"),
        (redis().with_keys("sentinel"), "keys", "openssl rand -base64 32"),
        (redis().with_keys(KEY).dangerously_unsealed(), "keys", "dangerously_unsealed"),
        (redis().with_keys_file("/nowhere"), "keys_file", "AUTH_REDIS_KEYS_FILE"),
        (builder("http://sentinel"), "url", "rediss://"),
        (builder("sentinel"), "url", "redis+unix"),
        (builder("rediss://127.0.0.1").with_ca_file("/nowhere"), "ca_file", "AUTH_REDIS_CA_FILE"),
        (redis().with_keys(KEY).with_prefix("{a}"), "prefix", "no braces"),
        (redis().with_keys(KEY).with_timeout(Duration::MAX), "timeout_ms", "between 10 and 2000"),
        (redis().with_keys(KEY).with_timeout(Duration::ZERO), "timeout_ms", "AUTH_REDIS_TIMEOUT_MS"),
    ] {
        let error = builder.build().unwrap_err();
        let text = format!("{error:?}");
        assert_eq!((error.kind(), error.setting()), (ErrorKind::Misconfigured, Some(setting)), "{text}");
        assert!(text.contains(words) && !text.contains("sentinel"), "{text}");
    }
    redis().dangerously_unsealed().build().unwrap();
}

#[tokio::test]
async fn tls_connections_verify_the_certificate() {
    let (ca_key, key) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
    let mut params = rcgen::CertificateParams::new([]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(params, ca_key);
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let home = tempfile::tempdir().unwrap();
    let certificate = write_file(&home, "cert.pem", &certificate.pem());
    let key = write_file(&home, "key.pem", &key.serialize_pem());
    let ca = write_file(&home, "ca.pem", &ca.pem());
    let options = ["--port", "0", "--tls-port", "{port}", "--tls-auth-clients", "no"];
    let files = ["--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    let Some(server) = RedisServer::start_with(&[&options[..], &files[..]].concat()) else { return };

    let (at, name) = (|host: &str| builder(&format!("rediss://{host}:{}/0", server.port())), name(1));
    let store = at("localhost").with_ca_file(&ca).build().unwrap();
    granted(&store, &name, LeaseNumber(0)).await;
    for (case, builder) in [
        ("an unknown issuer", at("localhost")),
        ("another host", at("127.0.0.1").with_ca_file(&ca)),
        ("no TLS", builder(&server.url())),
    ] {
        let error = builder.build().unwrap().load(&name).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{case}: {error:?}");
    }
    let cluster = ["--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-announce-hostname", "localhost"];
    let cluster = [&cluster[..], &["--cluster-preferred-endpoint-type", "hostname"], &options, &files].concat();
    let Some(server) = RedisServer::start_with(&cluster) else { return };
    let at = format!("rediss://localhost:{}", server.port());
    // The cluster has no slots, so both calls fail. Only a client that trusts the certificate gets to that error.
    let trusting = builder(&at).with_cluster().with_ca_file(&ca).build().unwrap().load(&name).await.unwrap_err();
    assert!(!format!("{trusting:?}").contains("certificate"), "{trusting:?}");
    let untrusting = builder(&at).with_cluster().build().unwrap().load(&name).await.unwrap_err();
    assert!(format!("{untrusting:?}").contains("certificate"), "{untrusting:?}");

    let plain = builder("redis://localhost").with_ca_file(&ca).build();
    assert_eq!(plain.unwrap_err().setting(), Some("ca_file"), "a CA file without TLS is an error");
}

#[tokio::test]
async fn a_cluster_keeps_an_entry_and_its_lease_on_one_node() {
    let Some(server) = RedisServer::start_with(&["--cluster-enabled", "yes"]) else { return };
    command(&server, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await;
    let start = std::time::Instant::now();
    loop {
        let info: String = redis::from_redis_value(command(&server, &["CLUSTER", "INFO"]).await).unwrap();
        if info.contains("cluster_state:ok") {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{info}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let url = format!("redis://127.0.0.1:{}", server.port());
    let store = builder(&url).with_cluster().build().unwrap();
    for digit in 0..20 {
        let name = name(digit);
        let lease = granted(&store, &name, LeaseNumber(0)).await;
        assert!(store.save(&name, lease, update(Some("a"), Some("r"))).await.unwrap());
        let lease = granted(&store, &name, lease).await;
        assert_eq!(store.claim_refresh(&name, lease).await.unwrap().unwrap().expose(), "r");
        assert_eq!(store.load(&name).await.unwrap().access.unwrap().expose(), "a");
    }
}

#[tokio::test]
async fn a_store_follows_a_sentinel_to_the_next_master() {
    let Some(mut master) = RedisServer::start() else { return };
    let port = master.port().to_string();
    let Some(_replica) = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]) else { return };
    let home = tempfile::tempdir().unwrap();
    let settings = home.path().join("sentinel.conf");
    let lines = format!(
        "sentinel monitor auth 127.0.0.1 {port} 1\nsentinel down-after-milliseconds auth 300\n\
         sentinel failover-timeout auth 2000\n"
    );
    std::fs::write(&settings, lines).unwrap();
    let Some(sentinel) = RedisServer::start_with(&[settings.to_str().unwrap(), "--sentinel"]) else { return };
    let store = builder(&sentinel.url()).with_sentinel_master("auth").build().unwrap();
    let name = name(1);
    let lease = granted(&store, &name, LeaseNumber(0)).await;
    assert!(store.save(&name, lease, update(Some("a"), None)).await.unwrap());
    // Failover works only after the sentinel has found the replica and the replica has the entry.
    wait_for(&sentinel, &["INFO", "sentinel"], |info| info.contains("slaves=1")).await;
    wait_for(&master, &["INFO", "replication"], |info| info.contains("state=online")).await;
    command(&master, &["WAIT", "1", "5000"]).await;

    master.stop();
    let start = std::time::Instant::now();
    let next_lease = loop {
        if let Ok((LeaseOutcome::Granted(next), _)) = store.lease(&name, lease, TTL).await {
            break next;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "no new master within 60 s");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(next_lease > lease);
    assert_eq!(store.load(&name).await.unwrap().access.unwrap().expose(), "a");
    assert!(store.save(&name, next_lease, update(Some("b"), None)).await.unwrap());
}

/// Writes a file and returns its path.
fn write_file(dir: &TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Repeats a command until its output is as expected.
async fn wait_for(server: &RedisServer, words: &[&str], is_ready: impl Fn(&str) -> bool) {
    let start = std::time::Instant::now();
    loop {
        let info: String = redis::from_redis_value(command(server, words).await).unwrap();
        if is_ready(&info) {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{info}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

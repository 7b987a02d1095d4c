//! Sharing a token between real processes.
//!
//! Each test prints a table row: scenario, rounds, logins, errors that callers got, longest wait of a caller.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::{Duration, Instant};

use auth_sandbox::{Api, CLIENT_SECRET, Fault, PASSWORD, Sandbox, USERNAME};
use auth_tests::fleet::{Fleet, Summary, WorkerResponse, request_all};
use auth_tests::redis::RedisServer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const MANY: usize = 200;

/// Limits these tests to two at a time, because their time limits assume that each process gets a core.
static TEST_SLOTS: Semaphore = Semaphore::const_new(2);

/// Returns `long` in `cargo xtask release-checks`, else `short`.
fn rounds(short: usize, long: usize) -> usize {
    if std::env::var_os("AUTH_TESTS_FULL").is_some() { long } else { short }
}

fn fleet(sandbox: &Sandbox, provider: &'static str, store: &'static str) -> Fleet {
    let env = sandbox.env().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let deadline = Duration::from_secs(30);
    Fleet { program: env!("CARGO_BIN_EXE_fleet-worker"), provider, store, deadline, env }
}

fn on_redis(sandbox: &Sandbox, provider: &'static str, url: &str) -> Fleet {
    fleet(sandbox, provider, "redis").with("AUTH_REDIS_URL", url).with("AUTH_REDIS_KEYS", KEY)
}

fn on_files(sandbox: &Sandbox, provider: &'static str) -> (Fleet, TempDir) {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("tokens");
    (fleet(sandbox, provider, "file").with("AUTH_CACHE_DIR", dir.to_str().unwrap()), home)
}

fn logins(sandbox: &Sandbox, api: Api) -> u64 {
    sandbox.counters(api).requests
}

/// Runs many processes that request a token at the same time: first cold, without any token, then stale, with a token
/// past its refresh point.
async fn check_cold_and_stale(sandbox: &Sandbox, fleet: &Fleet, store: &str) {
    let lifetime = Duration::from_secs(20);
    sandbox.set_lifetime(Api::Cambyopro, lifetime);
    let mut workers = fleet.start_many(MANY).await;
    let start = Instant::now();
    let cold = request_all(&mut workers, "token").await;
    let mut summary = Summary::new(&format!("{MANY} cold processes, {store}"));
    summary.rounds = 1;
    summary.logins = logins(sandbox, Api::Cambyopro);
    summary.add(&cold);
    summary.report();
    assert!(cold.iter().all(|response| response.result == cold[0].result), "all get the same token");
    assert_eq!(summary.logins, 1);

    // The token is stale after 16 s at the latest, and usable for 18 s.
    sleep(Duration::from_millis(16_100).saturating_sub(start.elapsed())).await;
    let stale = request_all(&mut workers, "token").await;
    let mut summary = Summary::new(&format!("{MANY} stale processes, {store}"));
    summary.rounds = 1;
    summary.add(&stale);
    let next = request_all(&mut workers, "next").await;
    summary.logins = logins(sandbox, Api::Cambyopro) - 1;
    summary.report();
    assert!(stale.iter().all(|response| response.result == cold[0].result), "no caller waits for the refresh");
    assert!(next.iter().all(|response| response.result == next[0].result && response.result != cold[0].result));
    assert_eq!(summary.logins, 1);
}

#[tokio::test]
async fn p1_two_hundred_processes_on_redis_log_in_once() {
    let _slot = TEST_SLOTS.acquire().await.unwrap();
    let Some(server) = RedisServer::start() else { return };
    let sandbox = Sandbox::start().unwrap();
    let fleet = on_redis(&sandbox, "cambyopro", &server.url());
    // Only root can raise the priority of Redis. At the normal one, Redis waits for a core as long as the 200 workers.
    let has_priority = rustix::process::geteuid().is_root();
    let fleet = if has_priority { fleet } else { fleet.with("AUTH_REDIS_TIMEOUT_MS", "2000") };
    check_cold_and_stale(&sandbox, &fleet, "Redis").await;
}

#[tokio::test]
async fn p9_two_hundred_processes_on_files_log_in_once() {
    let _slot = TEST_SLOTS.acquire().await.unwrap();
    let sandbox = Sandbox::start().unwrap();
    let (fleet, _home) = on_files(&sandbox, "cambyopro");
    check_cold_and_stale(&sandbox, &fleet, "files").await;
}

/// Kills the holder of the lease at a random instant, in several sessions at the same time.
///
/// The next process must continue, and no refresh token may be used twice: the sandbox refuses it the second time, as a
/// server with refresh token rotation does (RFC 9700, section 4.14.2).
async fn check_killed_holders(sandbox: &Sandbox, fleet: Fleet, sessions: usize, rounds: usize, store: &str) {
    sandbox.set_refresh_rotation(true);
    sandbox.set_lifetime(Api::Voipex, Duration::from_secs(1));
    sandbox.fail_always(Api::Voipex, Fault::Latency(Duration::from_millis(30)));
    let fleet = Fleet { deadline: Duration::from_secs(1), ..fleet };
    let sessions: Vec<_> = (0..sessions)
        .map(|number| fleet.clone().with("AUTH_REDIS_PREFIX", &format!("session-{number}")))
        .map(|fleet| tokio::spawn(kill_holders(fleet, rounds)))
        .collect();
    let mut summary = Summary::new(&format!("kill -9 of the holder, {store}"));
    for session in sessions {
        let responses = session.await.unwrap();
        summary.rounds += responses.len();
        summary.add(&responses);
    }
    let counters = sandbox.counters(Api::Voipex);
    summary.logins = counters.logins + counters.refreshes;
    summary.report();
    assert_eq!(counters.refusals, 0, "no refresh token is used twice");
    assert!(counters.refreshes > summary.rounds as u64 / 4, "sessions survive: {counters:?}");
    // The killed holder's lease lasts 2.25 s, and the login that follows takes a second at most.
    assert!(summary.longest_wait() < Duration::from_secs(4), "{summary}");
}

/// Runs one session and returns the responses of the processes that took over.
async fn kill_holders(fleet: Fleet, rounds: usize) -> Vec<WorkerResponse> {
    let mut responses = Vec::new();
    for _ in 0..rounds {
        let (mut holder, mut other) = (fleet.start().await, fleet.start().await);
        holder.send("token").await;
        sleep(Duration::from_millis(fastrand::u64(0..20))).await;
        other.send("token").await;
        sleep(Duration::from_millis(fastrand::u64(0..80))).await;
        holder.kill().await;
        responses.push(other.response().await);
        // The token must expire before the next round.
        sleep(Duration::from_millis(1000)).await;
    }
    responses
}

#[tokio::test]
async fn p3_a_process_takes_over_from_a_killed_lease_holder() {
    let _slot = TEST_SLOTS.acquire().await.unwrap();
    let Some(server) = RedisServer::start() else { return };
    let sandbox = Sandbox::start().unwrap();
    check_killed_holders(&sandbox, on_redis(&sandbox, "voipex", &server.url()), 8, rounds(6, 25), "Redis").await;
}

#[tokio::test]
async fn p9_a_process_takes_over_from_a_killed_lock_holder() {
    let _slot = TEST_SLOTS.acquire().await.unwrap();
    let sandbox = Sandbox::start().unwrap();
    let (fleet, _home) = on_files(&sandbox, "voipex");
    check_killed_holders(&sandbox, fleet, 1, rounds(12, 50), "files").await;
}

const FEW: usize = 20;

/// Runs cold processes during a fault of the store, then stale ones after `repair`.
async fn check_outage(fault: &str, sandbox: &Sandbox, fleet: &Fleet, repair: impl AsyncFnOnce()) {
    sandbox.set_lifetime(Api::Cambyopro, Duration::from_secs(7));
    let mut workers = fleet.start_many(FEW).await;
    let before = logins(sandbox, Api::Cambyopro);
    let start = Instant::now();
    let cold = request_all(&mut workers, "token").await;
    let mut summary = Summary::new(&format!("{FEW} cold processes, Redis {fault}"));
    summary.rounds = 1;
    summary.logins = logins(sandbox, Api::Cambyopro) - before;
    summary.add(&cold);
    summary.report();
    assert!(summary.logins <= FEW as u64, "at most one login per process and token lifetime");
    assert!(summary.longest_wait() < Duration::from_millis(2500), "no caller waits for Redis: {summary}");

    repair().await;
    // The token is stale after 5.6 s at the latest.
    sleep(Duration::from_millis(5700).saturating_sub(start.elapsed())).await;
    let before = logins(sandbox, Api::Cambyopro);
    let next = request_all(&mut workers, "next").await;
    let mut summary = Summary::new(&format!("the same processes after recovery, Redis {fault}"));
    summary.rounds = 1;
    summary.logins = logins(sandbox, Api::Cambyopro) - before;
    summary.add(&next);
    summary.report();
    // Some workers may miss the timeout of Redis, because the test's own proxy also waits for a core.
    assert!((1..=FEW as u64 / 4).contains(&summary.logins), "processes share again without a restart: {summary}");
}

#[tokio::test]
async fn p4_a_stopped_redis_delays_no_caller() {
    let _slot = TEST_SLOTS.acquire().await.unwrap();
    let Some(mut server) = RedisServer::start() else { return };
    let sandbox = Sandbox::start().unwrap();
    let fleet = on_redis(&sandbox, "cambyopro", &server.url());
    server.stop();
    check_outage("stopped", &sandbox, &fleet, async || server.restart()).await;
}

#[tokio::test]
async fn p4_a_hanging_redis_delays_no_caller() {
    let _slot = TEST_SLOTS.acquire().await.unwrap();
    let Some(server) = RedisServer::start() else { return };
    let sandbox = Sandbox::start().unwrap();
    server.suspend();
    check_outage("hanging (SIGSTOP)", &sandbox, &on_redis(&sandbox, "cambyopro", &server.url()), async || {
        server.resume()
    })
    .await;
}

#[tokio::test]
async fn p4_a_redis_that_is_five_seconds_slow_delays_no_caller() {
    let _slot = TEST_SLOTS.acquire().await.unwrap();
    let Some(server) = RedisServer::start() else { return };
    let sandbox = Sandbox::start().unwrap();
    let (delay, slow) = tokio::sync::watch::channel(Duration::from_secs(5));
    let port = slow_proxy(server.port(), slow).await;
    let fleet = on_redis(&sandbox, "cambyopro", &format!("redis://127.0.0.1:{port}/0"));
    check_outage("slow by 5 s", &sandbox, &fleet, async || delay.send(Duration::ZERO).unwrap()).await;
}

/// Starts a proxy to this port that delays each response. Returns the proxy's port.
async fn slow_proxy(port: u16, delay: tokio::sync::watch::Receiver<Duration>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let proxy_port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let delay = delay.clone();
            tokio::spawn(async move {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let requests = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
                    let wait = *delay.borrow();
                    sleep(wait).await;
                    if to_client.write_all(&bytes[..count]).await.is_err() {
                        break;
                    }
                }
                requests.abort();
            });
        }
    });
    proxy_port
}

async fn command(url: &str, words: &[&str]) -> redis::Value {
    let mut connection = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await.unwrap()
}

async fn keys(url: &str) -> Vec<String> {
    redis::from_redis_value(command(url, &["KEYS", "*"]).await).unwrap()
}

#[tokio::test]
async fn p4_garbage_in_redis_delays_no_caller() {
    let _slot = TEST_SLOTS.acquire().await.unwrap();
    let Some(server) = RedisServer::start() else { return };
    let (sandbox, url) = (Sandbox::start().unwrap(), server.url());
    let fleet = on_redis(&sandbox, "cambyopro", &url);
    fleet.start().await.request("token").await.result.unwrap();
    let key = keys(&url).await.remove(0);
    for field in ["lease_number", "revision", "saved", "access", "refresh", "cooldown"] {
        command(&url, &["HSET", &key, field, "garbage"]).await;
    }
    command(&url, &["SET", &format!("{key}:lease"), "garbage"]).await;
    // Then a key of the wrong type, which the processes must also survive.
    let replace_with_list = async || {
        command(&url, &["DEL", &key]).await;
        command(&url, &["LPUSH", &key, "garbage"]).await;
    };
    check_outage("full of garbage", &sandbox, &fleet, replace_with_list).await;
}

#[tokio::test]
async fn p4_processes_share_a_token_after_redis_loses_its_data() {
    let _slot = TEST_SLOTS.acquire().await.unwrap();
    let Some(mut server) = RedisServer::start() else { return };
    let sandbox = Sandbox::start().unwrap();
    let fleet = on_redis(&sandbox, "cambyopro", &server.url());
    check_outage("restarted without its data", &sandbox, &fleet, async || server.restart()).await;
}

#[tokio::test]
async fn processes_whose_clocks_differ_by_ninety_seconds_share_a_token() {
    let _slot = TEST_SLOTS.acquire().await.unwrap();
    let Some(server) = RedisServer::start() else { return };
    let sandbox = Sandbox::start().unwrap();
    let lifetime = Duration::from_secs(60);
    let mut summary = Summary::new("two processes, clocks 90 s apart");
    // Zoqq states the expiry as an instant, Cambyopro as a duration.
    for (provider, api) in [("zoqq", Api::Zoqq), ("cambyopro", Api::Cambyopro)] {
        sandbox.set_lifetime(api, lifetime);
        let fleet = on_redis(&sandbox, provider, &server.url());
        for (first, second) in [(0, 90), (0, -90), (-45, 45)] {
            let fleet = fleet.clone().with("AUTH_REDIS_PREFIX", &format!("{first}{second}"));
            let (mut one, mut two) =
                (fleet.start_with_clock_offset(first).await, fleet.start_with_clock_offset(second).await);
            let responses = [one.request("token").await, two.request("token").await, one.request("token").await];
            assert!(responses.iter().all(|response| response.result == responses[0].result));
            summary.rounds += 1;
            summary.add(&responses);
        }
        summary.logins += logins(&sandbox, api);
    }
    summary.report();
    assert_eq!(summary.logins, 6);
}

#[tokio::test]
async fn p7_p8_processes_share_refusals_and_rejections() {
    let _slot = TEST_SLOTS.acquire().await.unwrap();
    let Some(server) = RedisServer::start() else { return };
    let sandbox = Sandbox::start().unwrap();
    let wrong = on_redis(&sandbox, "voipex", &server.url()).with("VOIPEX_PASSWORD", "wrong");
    for response in request_all(&mut wrong.start_many(FEW).await, "token").await {
        assert!(response.result.unwrap_err().contains("Refused"));
    }
    assert_eq!(logins(&sandbox, Api::Voipex), 1, "processes with a wrong password must not lock the account");

    let fleet = on_redis(&sandbox, "cambyopro", &server.url());
    let mut workers = fleet.start_many(FEW).await;
    let first = request_all(&mut workers, "token").await;
    sandbox.revoke_all(Api::Cambyopro);
    let second = request_all(&mut workers, "reject").await;
    assert!(second.iter().all(|response| response.result == second[0].result && response.result != first[0].result));
    assert_eq!(logins(&sandbox, Api::Cambyopro), 2);
}

/// Searches every command that Redis received (`MONITOR`) and everything that it writes to disk (`SAVE`).
#[tokio::test]
async fn k1_p6_commands_and_dumps_of_redis_contain_no_secret() {
    let _slot = TEST_SLOTS.acquire().await.unwrap();
    let Some(server) = RedisServer::start() else { return };
    let (sandbox, url) = (Sandbox::start().unwrap(), server.url());
    let mut monitor = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    monitor.write_all(b"MONITOR\r\n").await.unwrap();

    sandbox.set_lifetime(Api::Voipex, Duration::from_secs(1));
    let mut secrets: Vec<String> = [PASSWORD, USERNAME, CLIENT_SECRET, "sandbox-refresh-"].map(str::to_owned).into();
    let mut responses: Vec<WorkerResponse> = Vec::new();
    let fleet = on_redis(&sandbox, "voipex", &url);
    for _ in 0..3 {
        responses.push(fleet.start().await.request("token").await);
        sleep(Duration::from_secs(1)).await;
    }
    responses.push(on_redis(&sandbox, "cambyopro", &url).start().await.request("token").await);
    for provider in ["zoqq", "roecny"] {
        responses.push(on_redis(&sandbox, provider, &url).start().await.request("token").await);
    }
    on_redis(&sandbox, "voipex", &url).with("VOIPEX_PASSWORD", "sentinel-wrong").start().await.request("token").await;
    assert!(sandbox.counters(Api::Voipex).refreshes >= 2);
    secrets.extend(responses.into_iter().map(|response| response.result.unwrap()));
    secrets.extend([auth_sandbox::API_KEY, "sentinel-wrong"].map(str::to_owned));

    command(&url, &["SAVE"]).await;
    command(&url, &["ECHO", "the end"]).await;
    let mut transcript = Vec::new();
    let mut bytes = [0; 65536];
    while !String::from_utf8_lossy(&transcript).contains("the end") {
        let count = monitor.read(&mut bytes).await.unwrap();
        transcript.extend_from_slice(&bytes[..count]);
    }
    let dump = std::fs::read(server.dir().join("dump.rdb")).unwrap();
    let text = String::from_utf8_lossy(&transcript).into_owned() + &String::from_utf8_lossy(&dump);
    assert!(text.contains("EVALSHA") && dump.len() > 1000, "the transcript and the dump contain data");
    for secret in &secrets {
        assert!(!text.contains(secret), "{secret}");
    }
    println!("| {} secrets, none found in a MONITOR transcript and a dump of {} bytes |", secrets.len(), text.len());
}

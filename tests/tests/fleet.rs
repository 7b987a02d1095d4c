//! Proof by real processes. Each test prints a row: what, rounds, logins, errors a caller saw, longest wait.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::{Duration, Instant};

use auth_sandbox::{Api, CLIENT_SECRET, Fault, PASSWORD, Sandbox, USERNAME};
use auth_tests::fleet::{Answer, Fleet, Row, ask_all};
use auth_tests::redis::RedisServer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const MANY: usize = 200;

/// Two of these tests at a time, however many threads the harness has: their limits are for processes that get a core.
static TURNS: Semaphore = Semaphore::const_new(2);

/// `long` in `cargo xtask release-checks`, else `short`.
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

/// Cold: all ask at once, and there is nothing. Stale: all have a token past its refresh point.
async fn cold_and_stale(sandbox: &Sandbox, fleet: &Fleet, store: &str) {
    let lifetime = Duration::from_secs(20);
    sandbox.set_lifetime(Api::Cambyopro, lifetime);
    let mut workers = fleet.start_many(MANY).await;
    let start = Instant::now();
    let cold = ask_all(&mut workers, "token").await;
    let mut row = Row::new(&format!("{MANY} cold processes, {store}"));
    row.rounds = 1;
    row.logins = logins(sandbox, Api::Cambyopro);
    row.count(&cold);
    row.report();
    assert!(cold.iter().all(|answer| answer.result == cold[0].result), "one token for all");
    assert_eq!(row.logins, 1);

    // Stale after 16 s at the latest, usable for 18 s.
    sleep(Duration::from_millis(16_100).saturating_sub(start.elapsed())).await;
    let stale = ask_all(&mut workers, "token").await;
    let mut row = Row::new(&format!("{MANY} stale processes, {store}"));
    row.rounds = 1;
    row.count(&stale);
    let next = ask_all(&mut workers, "next").await;
    row.logins = logins(sandbox, Api::Cambyopro) - 1;
    row.report();
    assert!(stale.iter().all(|answer| answer.result == cold[0].result), "nobody waits");
    assert!(next.iter().all(|answer| answer.result == next[0].result && answer.result != cold[0].result));
    assert_eq!(row.logins, 1);
}

#[tokio::test]
async fn p1_two_hundred_processes_cold_and_stale() {
    let _turn = TURNS.acquire().await.unwrap();
    let Some(server) = RedisServer::start() else { return };
    let sandbox = Sandbox::start().unwrap();
    let fleet = on_redis(&sandbox, "cambyopro", &server.url());
    // Without the right to give it precedence, Redis waits for a core as long as any of the 200.
    let may_precede = rustix::process::geteuid().is_root();
    let fleet = if may_precede { fleet } else { fleet.with("AUTH_REDIS_TIMEOUT_MS", "2000") };
    cold_and_stale(&sandbox, &fleet, "Redis").await;
}

#[tokio::test]
async fn p9_two_hundred_processes_cold_and_stale() {
    let _turn = TURNS.acquire().await.unwrap();
    let sandbox = Sandbox::start().unwrap();
    let (fleet, _home) = on_files(&sandbox, "cambyopro");
    cold_and_stale(&sandbox, &fleet, "files").await;
}

/// The holder of the lease is killed at any instant; the next process goes on, and no refresh token is used twice, which
/// would end the session (the sandbox refuses it then).
async fn killed(sandbox: &Sandbox, fleet: Fleet, chains: usize, rounds: usize, store: &str) {
    sandbox.set_refresh_rotation(true);
    sandbox.set_lifetime(Api::Voipex, Duration::from_secs(1));
    sandbox.fail_always(Api::Voipex, Fault::Latency(Duration::from_millis(30)));
    let chain = |number: usize| {
        let fleet = Fleet { deadline: Duration::from_secs(1), ..fleet.clone() };
        let fleet = fleet.with("AUTH_REDIS_PREFIX", &format!("chain-{number}"));
        async move {
            let mut answers = Vec::new();
            for _ in 0..rounds {
                let (mut holder, mut other) = (fleet.start().await, fleet.start().await);
                holder.tell("token").await;
                sleep(Duration::from_millis(fastrand::u64(0..20))).await;
                other.tell("token").await;
                sleep(Duration::from_millis(fastrand::u64(0..80))).await;
                holder.kill().await;
                answers.push(other.answer().await);
                // Its life is over before the next round.
                sleep(Duration::from_millis(1000)).await;
            }
            answers
        }
    };
    let chains: Vec<_> = (0..chains).map(|number| tokio::spawn(chain(number))).collect();
    let mut row = Row::new(&format!("kill -9 of the holder, {store}"));
    for chain in chains {
        let answers = chain.await.unwrap();
        row.rounds += answers.len();
        row.count(&answers);
    }
    let counters = sandbox.counters(Api::Voipex);
    row.logins = counters.logins + counters.refreshes;
    row.report();
    assert_eq!(counters.refusals, 0, "no refresh token is used twice");
    assert!(counters.refreshes > row.rounds as u64 / 4, "sessions survive: {counters:?}");
    // A lease of 1.45 s, and a login of a second at most.
    assert!(row.longest() < Duration::from_secs(4), "{row}");
}

#[tokio::test]
async fn p3_the_holder_of_the_lease_is_killed() {
    let _turn = TURNS.acquire().await.unwrap();
    let Some(server) = RedisServer::start() else { return };
    let sandbox = Sandbox::start().unwrap();
    killed(&sandbox, on_redis(&sandbox, "voipex", &server.url()), 8, rounds(6, 25), "Redis").await;
}

#[tokio::test]
async fn p9_the_holder_of_the_lock_is_killed() {
    let _turn = TURNS.acquire().await.unwrap();
    let sandbox = Sandbox::start().unwrap();
    let (fleet, _home) = on_files(&sandbox, "voipex");
    killed(&sandbox, fleet, 1, rounds(12, 50), "files").await;
}

const FEW: usize = 20;

/// Cold processes while something is wrong with the store, then stale ones after it is well again.
async fn outage(what: &str, sandbox: &Sandbox, fleet: &Fleet, mend: impl AsyncFnOnce()) {
    sandbox.set_lifetime(Api::Cambyopro, Duration::from_secs(7));
    let mut workers = fleet.start_many(FEW).await;
    let before = logins(sandbox, Api::Cambyopro);
    let start = Instant::now();
    let cold = ask_all(&mut workers, "token").await;
    let mut row = Row::new(&format!("{FEW} cold processes, Redis {what}"));
    row.rounds = 1;
    row.logins = logins(sandbox, Api::Cambyopro) - before;
    row.count(&cold);
    row.report();
    assert!(row.logins <= FEW as u64, "one login for each process and life");
    assert!(row.longest() < Duration::from_millis(2500), "nobody waits for it: {row}");

    mend().await;
    // Stale after 5.6 s at the latest.
    sleep(Duration::from_millis(5700).saturating_sub(start.elapsed())).await;
    let before = logins(sandbox, Api::Cambyopro);
    let next = ask_all(&mut workers, "next").await;
    let mut row = Row::new(&format!("the same when it is well again, after Redis {what}"));
    row.rounds = 1;
    row.logins = logins(sandbox, Api::Cambyopro) - before;
    row.count(&next);
    row.report();
    // The test's own part of the way to Redis waits for a core like all others: some may miss their 50 ms.
    assert!((1..=FEW as u64 / 4).contains(&row.logins), "without a restart: {row}");
}

#[tokio::test]
async fn p4_redis_is_stopped() {
    let _turn = TURNS.acquire().await.unwrap();
    let Some(mut server) = RedisServer::start() else { return };
    let sandbox = Sandbox::start().unwrap();
    let fleet = on_redis(&sandbox, "cambyopro", &server.url());
    server.stop();
    outage("stopped", &sandbox, &fleet, async || server.restart()).await;
}

#[tokio::test]
async fn p4_redis_hangs() {
    let _turn = TURNS.acquire().await.unwrap();
    let Some(server) = RedisServer::start() else { return };
    let sandbox = Sandbox::start().unwrap();
    server.hang();
    outage("hung (SIGSTOP)", &sandbox, &on_redis(&sandbox, "cambyopro", &server.url()), async || server.go_on()).await;
}

#[tokio::test]
async fn p4_redis_is_slow_by_five_seconds() {
    let _turn = TURNS.acquire().await.unwrap();
    let Some(server) = RedisServer::start() else { return };
    let sandbox = Sandbox::start().unwrap();
    let (delay, slow) = tokio::sync::watch::channel(Duration::from_secs(5));
    let port = slowed(server.port(), slow).await;
    let fleet = on_redis(&sandbox, "cambyopro", &format!("redis://127.0.0.1:{port}/0"));
    outage("slow by 5 s", &sandbox, &fleet, async || delay.send(Duration::ZERO).unwrap()).await;
}

/// Passes everything on to the port, what comes back only after the delay.
async fn slowed(port: u16, delay: tokio::sync::watch::Receiver<Duration>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let delay = delay.clone();
            tokio::spawn(async move {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let ((mut up, mut down), (mut answers, mut questions)) = (client.into_split(), server.into_split());
                let forth = tokio::spawn(async move { tokio::io::copy(&mut up, &mut questions).await });
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = answers.read(&mut bytes).await {
                    let wait = *delay.borrow();
                    sleep(wait).await;
                    if down.write_all(&bytes[..count]).await.is_err() {
                        break;
                    }
                }
                forth.abort();
            });
        }
    });
    own
}

async fn command(url: &str, words: &[&str]) -> redis::Value {
    let mut connection = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await.unwrap()
}

async fn keys(url: &str) -> Vec<String> {
    redis::from_redis_value(command(url, &["KEYS", "*"]).await).unwrap()
}

#[tokio::test]
async fn p4_redis_is_full_of_garbage() {
    let _turn = TURNS.acquire().await.unwrap();
    let Some(server) = RedisServer::start() else { return };
    let (sandbox, url) = (Sandbox::start().unwrap(), server.url());
    let fleet = on_redis(&sandbox, "cambyopro", &url);
    fleet.start().await.ask("token").await.result.unwrap();
    let key = keys(&url).await.remove(0);
    for field in ["lease_number", "revision", "saved", "access", "refresh", "cooldown"] {
        command(&url, &["HSET", &key, field, "garbage"]).await;
    }
    command(&url, &["SET", &format!("{key}:lease"), "garbage"]).await;
    let wrong_kind = async || {
        command(&url, &["DEL", &key]).await;
        command(&url, &["LPUSH", &key, "garbage"]).await;
    };
    outage("full of garbage", &sandbox, &fleet, wrong_kind).await;
}

#[tokio::test]
async fn p4_redis_is_restarted_empty() {
    let _turn = TURNS.acquire().await.unwrap();
    let Some(mut server) = RedisServer::start() else { return };
    let sandbox = Sandbox::start().unwrap();
    let fleet = on_redis(&sandbox, "cambyopro", &server.url());
    outage("well, and restarted empty then", &sandbox, &fleet, async || server.restart()).await;
}

#[tokio::test]
async fn clocks_of_two_processes_differ_by_ninety_seconds() {
    let _turn = TURNS.acquire().await.unwrap();
    let Some(server) = RedisServer::start() else { return };
    let sandbox = Sandbox::start().unwrap();
    let lifetime = Duration::from_secs(60);
    let mut row = Row::new("two processes, clocks 90 s apart");
    // Zoqq states the end as an instant, Cambyopro as a duration.
    for (provider, api) in [("zoqq", Api::Zoqq), ("cambyopro", Api::Cambyopro)] {
        sandbox.set_lifetime(api, lifetime);
        let fleet = on_redis(&sandbox, provider, &server.url());
        for (first, second) in [(0, 90), (0, -90), (-45, 45)] {
            let fleet = fleet.clone().with("AUTH_REDIS_PREFIX", &format!("{first}{second}"));
            let (mut one, mut two) = (fleet.start_at(first).await, fleet.start_at(second).await);
            let answers = [one.ask("token").await, two.ask("token").await, one.ask("token").await];
            assert!(answers.iter().all(|answer| answer.result == answers[0].result));
            row.rounds += 1;
            row.count(&answers);
        }
        row.logins += logins(&sandbox, api);
    }
    row.report();
    assert_eq!(row.logins, 6);
}

#[tokio::test]
async fn p7_p8_refusals_and_rejections_reach_other_processes() {
    let _turn = TURNS.acquire().await.unwrap();
    let Some(server) = RedisServer::start() else { return };
    let sandbox = Sandbox::start().unwrap();
    let wrong = on_redis(&sandbox, "voipex", &server.url()).with("VOIPEX_PASSWORD", "wrong");
    for answer in ask_all(&mut wrong.start_many(FEW).await, "token").await {
        assert!(answer.result.unwrap_err().contains("Refused"));
    }
    assert_eq!(logins(&sandbox, Api::Voipex), 1, "a loop of wrong passwords cannot lock the account");

    let fleet = on_redis(&sandbox, "cambyopro", &server.url());
    let mut workers = fleet.start_many(FEW).await;
    let first = ask_all(&mut workers, "token").await;
    sandbox.revoke_all(Api::Cambyopro);
    let second = ask_all(&mut workers, "reject").await;
    assert!(second.iter().all(|answer| answer.result == second[0].result && answer.result != first[0].result));
    assert_eq!(logins(&sandbox, Api::Cambyopro), 2);
}

/// Everything that Redis was told, and everything that it would write to a disk.
#[tokio::test]
async fn k1_p6_a_transcript_and_a_dump_hold_no_secret() {
    let _turn = TURNS.acquire().await.unwrap();
    let Some(server) = RedisServer::start() else { return };
    let (sandbox, url) = (Sandbox::start().unwrap(), server.url());
    let mut monitor = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    monitor.write_all(b"MONITOR\r\n").await.unwrap();

    sandbox.set_lifetime(Api::Voipex, Duration::from_secs(1));
    let mut secrets: Vec<String> = [PASSWORD, USERNAME, CLIENT_SECRET, "sandbox-refresh-"].map(str::to_owned).into();
    let mut answers: Vec<Answer> = Vec::new();
    let fleet = on_redis(&sandbox, "voipex", &url);
    for _ in 0..3 {
        answers.push(fleet.start().await.ask("token").await);
        sleep(Duration::from_secs(1)).await;
    }
    answers.push(on_redis(&sandbox, "cambyopro", &url).start().await.ask("token").await);
    for provider in ["zoqq", "roecny"] {
        answers.push(on_redis(&sandbox, provider, &url).start().await.ask("token").await);
    }
    on_redis(&sandbox, "voipex", &url).with("VOIPEX_PASSWORD", "sentinel-wrong").start().await.ask("token").await;
    assert!(sandbox.counters(Api::Voipex).refreshes >= 2);
    secrets.extend(answers.into_iter().map(|answer| answer.result.unwrap()));
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
    assert!(text.contains("EVALSHA") && dump.len() > 1000, "there is something to search");
    for secret in &secrets {
        assert!(!text.contains(secret), "{secret}");
    }
    println!("| {} secrets searched for in a MONITOR transcript and a dump of {} bytes |", secrets.len(), text.len());
}

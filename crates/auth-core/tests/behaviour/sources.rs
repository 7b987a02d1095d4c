//! Credentials that a source returns, and that change while a manager runs.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use auth_core::credentials::{from_async_fn, from_file, from_fn, from_json_file};
use auth_core::http::{HeaderMap, StatusCode};
use auth_core::{
    CredentialSource, Error, ErrorKind, Policy, Provider, Request, Response, SecretBytes, TokenPool, Transport,
    async_trait,
};
use auth_testing::{MemoryStore, Script, ScriptedResponse, TestProvider, VirtualClock};
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::time::{Instant, advance, sleep};

use crate::support::{Server, seconds};

/// A source whose password a test sets. It counts its calls, and the refusals of which it was told.
#[derive(Debug, Clone, Default)]
struct Vault(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// `None` is a failure of the source.
    password: Option<String>,
    calls: usize,
    told: Vec<ErrorKind>,
}

impl Vault {
    fn new(password: &str) -> Self {
        let vault = Self::default();
        vault.set(Some(password));
        vault
    }

    fn set(&self, password: Option<&str>) {
        self.0.lock().unwrap().password = password.map(str::to_owned);
    }

    fn calls(&self) -> usize {
        self.0.lock().unwrap().calls
    }

    fn told(&self) -> Vec<ErrorKind> {
        self.0.lock().unwrap().told.clone()
    }
}

#[async_trait]
impl CredentialSource for Vault {
    async fn provider(&self, refused: Option<&Error>) -> Result<Arc<dyn Provider>, Error> {
        let mut state = self.0.lock().unwrap();
        state.calls += 1;
        state.told.extend(refused.map(Error::kind));
        match &state.password {
            Some(password) => Ok(Arc::new(TestProvider::new(password))),
            None => Err(Error::source_failed(std::io::Error::other("the vault is sealed"))),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_is_asked_before_each_login_and_never_for_a_hit() {
    let (server, vault) = (Server::new("one", 1000, 0.0), Vault::new("one"));
    let tokens = server.builder_for(vault.clone()).build().unwrap();
    assert_eq!((vault.calls(), tokens.status().provider), (0, "unknown"));
    for _ in 0..100 {
        assert_eq!(tokens.token().await.unwrap().expose(), "one-1");
    }
    assert_eq!((vault.calls(), tokens.status().provider), (1, "test"));
    server.set_password("two");
    vault.set(Some("two"));
    advance(seconds(810.0)).await;
    assert_eq!(tokens.token().await.unwrap().expose(), "one-1");
    sleep(seconds(0.1)).await;
    assert_eq!(tokens.token().await.unwrap().expose(), "two-2");
    assert_eq!((vault.calls(), vault.told().len(), server.refusals()), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_rotations_cost_no_caller_an_error() {
    let (server, vault) = (Server::new("0", 10, 0.05), Vault::new("0"));
    let tokens = server.builder_for(vault.clone()).build().unwrap();
    for rotation in 1..=1000 {
        for _ in 0..1000 {
            tokens.token().await.unwrap();
            sleep(seconds(0.001)).await;
        }
        let password = rotation.to_string();
        server.set_password(&password);
        vault.set(Some(&password));
    }
    assert!(server.logins() <= 1000 && server.logins() > 100, "{} logins", server.logins());
    assert_eq!(server.refusals(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_between_the_source_and_the_login_is_tried_again_at_once() {
    let server = Server::new("new", 1000, 0.0);
    let passwords = Arc::new(Mutex::new(vec!["new", "old"]));
    let source = from_async_fn(move || {
        let password = passwords.lock().unwrap().pop().unwrap();
        async move { Ok(TestProvider::new(password)) }
    });
    let tokens = server.builder_for(source).build().unwrap();
    assert_eq!(tokens.token().await.unwrap().expose(), "new-1");
    assert_eq!(server.refusals(), 1);
    assert!(tokens.status().last_error.is_none());
}

#[tokio::test(start_paused = true)]
async fn r4_a_mount_that_is_90_s_late_costs_at_most_two_refused_logins() {
    let (server, vault) = (Server::new("new", 1000, 0.0), Vault::new("old"));
    let tokens = server.builder_for(vault.clone()).build().unwrap();
    let start = Instant::now();
    while start.elapsed() < seconds(90.0) {
        assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Refused);
        sleep(seconds(0.05)).await;
    }
    assert!(vault.calls() <= 95, "{} calls of the source in 90 s", vault.calls());
    assert_eq!(vault.told(), [ErrorKind::Refused; 2], "each refusal is told once");
    vault.set(Some("new"));
    let change = Instant::now();
    while tokens.token().await.is_err() {
        sleep(seconds(0.01)).await;
    }
    assert!(change.elapsed() <= seconds(1.0), "{:?}", change.elapsed());
    assert_eq!((server.refusals(), server.logins()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn r4_two_wrong_sets_that_take_turns_are_paused_like_one() {
    let (server, vault) = (Server::new("right", 1000, 0.0), Vault::new("a"));
    let tokens = server.builder_for(vault.clone()).build().unwrap();
    for second in 0..600 {
        vault.set(Some(["a", "b"][second % 2]));
        tokens.token().await.unwrap_err();
        sleep(seconds(1.0)).await;
    }
    assert!((4..=8).contains(&server.refusals()), "{} logins", server.refusals());
    vault.set(Some("right"));
    assert_eq!(tokens.token().await.unwrap().expose(), "right-1");
}

/// Responds with a refusal to one password, and with a 503 to any other.
#[derive(Debug, Default)]
struct RefusesOne(AtomicUsize);

#[async_trait]
impl Transport for RefusesOne {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let (status, body) = if request.body() == b"by=refused" {
            self.0.fetch_add(1, Ordering::SeqCst);
            (StatusCode::UNAUTHORIZED, r#"{"error":"refused"}"#)
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "")
        };
        Ok(Response::new(status, HeaderMap::new(), SecretBytes::from(body.as_bytes().to_vec())))
    }
}

#[tokio::test(start_paused = true)]
async fn r4_other_credentials_do_not_end_the_pause_of_the_refused_ones() {
    let transport = Arc::new(RefusesOne::default());
    let vault = Vault::new("refused");
    let builder = Script::default().builder_for(vault.clone()).with_transport(transport.clone());
    let tokens = builder.build().unwrap();
    let start = Instant::now();
    let mut is_turn = false;
    while start.elapsed() < seconds(600.0) {
        vault.set(Some(if is_turn { "refused" } else { "in an outage" }));
        is_turn = !is_turn;
        tokens.token().await.unwrap_err();
        sleep(seconds(1.0)).await;
    }
    assert!(transport.0.load(Ordering::SeqCst) <= 4, "{} refused logins", transport.0.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_failed_is_told_of_the_refusal_again() {
    let (server, vault) = (Server::new("right", 1000, 0.0), Vault::new("wrong"));
    let tokens = server.builder_for(Failing(vault.clone())).build().unwrap();
    tokens.token().await.unwrap_err();
    assert_eq!(vault.told().len(), 1);
    sleep(seconds(1.0)).await;
    tokens.token().await.unwrap_err();
    assert_eq!(vault.told().len(), 2, "the first call failed");
    sleep(seconds(1.0)).await;
    tokens.token().await.unwrap_err();
    assert_eq!(vault.told().len(), 2);
}

/// A source that fails when it is told of a refusal for the first time.
#[derive(Debug)]
struct Failing(Vault);

#[async_trait]
impl CredentialSource for Failing {
    async fn provider(&self, refused: Option<&Error>) -> Result<Arc<dyn Provider>, Error> {
        let provider = self.0.provider(refused).await;
        if refused.is_some() && self.0.told().len() == 1 {
            return Err(Error::source_failed(std::io::Error::other("the vault is sealed")));
        }
        provider
    }
}

#[test]
fn a_slow_closure_is_heard_although_a_look_does_not_wait_for_it() {
    let (server, calls) = (Server::new("right", 1000, 0.0), Arc::new(AtomicUsize::new(0)));
    let counted = calls.clone();
    let source = from_fn(move || {
        if counted.fetch_add(1, Ordering::SeqCst) < 2 {
            return Ok(TestProvider::new("wrong"));
        }
        thread::sleep(seconds(2.5));
        Ok(TestProvider::new("right"))
    });
    let tokens = server.builder_for(source).build().unwrap();
    tokens.blocking_token().unwrap_err();
    let start = std::time::Instant::now();
    while tokens.blocking_token().is_err() {
        assert!(start.elapsed() < seconds(8.0));
        thread::sleep(seconds(0.1));
    }
    assert_eq!((calls.load(Ordering::SeqCst), server.refusals()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn r4_credentials_that_were_accepted_since_their_refusal_are_tried_at_once() {
    let (server, vault) = (Server::new("later", 1000, 0.0), Vault::new("a"));
    let tokens = server.builder_for(vault.clone()).build().unwrap();
    tokens.token().await.unwrap_err();
    server.set_password("a");
    sleep(seconds(70.0)).await;
    assert_eq!(tokens.token().await.unwrap().expose(), "a-1");
    vault.set(Some("b"));
    advance(seconds(1000.0)).await;
    tokens.token().await.unwrap_err();
    vault.set(Some("a"));
    sleep(seconds(1.0)).await;
    assert_eq!(tokens.token().await.unwrap().expose(), "a-2");
}

#[tokio::test(start_paused = true)]
async fn r4_an_outage_is_not_remembered_as_a_refusal_of_the_credentials() {
    let down = ScriptedResponse::status(503);
    let script = Script::new([down.clone(), down.clone(), down, ScriptedResponse::refusal()]);
    let vault = Vault::new("a");
    let tokens = script.builder_for(vault.clone()).build().unwrap();
    tokens.token().await.unwrap_err();
    vault.set(Some("b"));
    sleep(seconds(30.0)).await;
    assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Refused);
    vault.set(Some("a"));
    script.push(ScriptedResponse::token("t", 1000));
    sleep(seconds(1.0)).await;
    tokens.token().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn p7_a_refusal_from_the_store_is_not_told_to_the_source() {
    let (server, store) = (Server::new("right", 1000, 0.0), MemoryStore::new());
    let process = |vault: &Vault| server.builder_for(vault.clone()).with_store(store.shared()).build().unwrap();
    process(&Vault::new("wrong")).token().await.unwrap_err();
    let vault = Vault::new("wrong");
    let tokens = process(&vault);
    assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!((vault.calls(), vault.told().len(), server.refusals()), (1, 0, 1));
    vault.set(Some("right"));
    sleep(seconds(1.0)).await;
    assert_eq!(tokens.token().await.unwrap().expose(), "right-1");
}

#[tokio::test(start_paused = true)]
async fn r2_a_source_that_fails_displaces_no_usable_token() {
    let (server, vault) = (Server::new("one", 1000, 0.0), Vault::new("one"));
    let tokens = server.builder_for(vault.clone()).build().unwrap();
    tokens.token().await.unwrap();
    vault.set(None);
    advance(seconds(810.0)).await;
    for _ in 810..998 {
        assert_eq!(tokens.token().await.unwrap().expose(), "one-1");
        advance(seconds(1.0)).await;
    }
    advance(seconds(2.0)).await;
    sleep(seconds(31.0)).await;
    let error = tokens.token().await.unwrap_err();
    assert_eq!((error.kind(), error.provider()), (ErrorKind::Unavailable, Some("test")));
    assert!(format!("{error:?}").contains("the vault is sealed"), "{error:?}");
    assert!(error.retry_after().unwrap() <= seconds(30.0));
    vault.set(Some("one"));
    sleep(seconds(31.0)).await;
    assert_eq!(tokens.token().await.unwrap().expose(), "one-2");
}

#[tokio::test(start_paused = true)]
async fn r4_a_source_that_fails_during_a_pause_hides_no_refusal_and_ends_no_pause() {
    let (server, vault) = (Server::new("right", 1000, 0.0), Vault::new("wrong"));
    let tokens = server.builder_for(vault.clone()).build().unwrap();
    tokens.token().await.unwrap_err();
    vault.set(None);
    for _ in 0..50 {
        sleep(seconds(1.0)).await;
        assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Refused);
    }
    assert_eq!(server.refusals(), 1);
}

#[tokio::test(start_paused = true)]
async fn s7_a_panic_of_the_source_is_an_outage_and_says_so() {
    let server = Server::new("one", 1000, 0.0);
    let calls = AtomicUsize::new(0);
    let source = from_fn(move || {
        assert!(calls.fetch_add(1, Ordering::SeqCst) > 0, "this source panics on purpose");
        Ok(TestProvider::new("one"))
    });
    let tokens = server.builder_for(source).build().unwrap();
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("the source of the credentials panicked"), "{error}");
    sleep(seconds(1.0)).await;
    assert_eq!(tokens.token().await.unwrap().expose(), "one-1");
}

#[tokio::test(start_paused = true)]
async fn s6_a_source_that_hangs_ends_with_the_deadline() {
    let hung = from_async_fn(|| async {
        sleep(seconds(3600.0)).await;
        Ok(TestProvider::new("one"))
    });
    let tokens = Server::new("one", 1000, 0.0).builder_for(hung).build().unwrap();
    let start = Instant::now();
    let error = tokens.token().await.unwrap_err();
    assert_eq!((error.kind(), start.elapsed()), (ErrorKind::Unavailable, seconds(30.0)));
    assert!(error.to_string().contains("did not respond in time"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn s6_a_source_that_hangs_during_a_pause_delays_callers_by_two_seconds() {
    let is_hung = Arc::new(Mutex::new(false));
    let source = {
        let is_hung = is_hung.clone();
        from_async_fn(move || {
            let wait = if *is_hung.lock().unwrap() { 3600.0 } else { 0.0 };
            async move {
                sleep(seconds(wait)).await;
                Ok(TestProvider::new("wrong"))
            }
        })
    };
    let tokens = Server::new("right", 1000, 0.0).builder_for(source).build().unwrap();
    tokens.token().await.unwrap_err();
    *is_hung.lock().unwrap() = true;
    sleep(seconds(1.0)).await;
    let start = Instant::now();
    assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(start.elapsed(), seconds(2.0));
}

#[test]
fn s9_a_closure_that_blocks_delays_no_other_account_and_has_one_thread() {
    let (calls, server) = (Arc::new(AtomicUsize::new(0)), Server::new("one", 1000, 0.0));
    let counted = calls.clone();
    let blocking = from_fn(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        thread::sleep(seconds(2.0));
        Ok(TestProvider::new("one"))
    });
    let policy = Policy::default().with_deadline(seconds(0.2)).with_backoff(seconds(0.0), seconds(0.0));
    let blocked = server.builder_for(blocking).with_policy(policy).build().unwrap();
    let start = std::time::Instant::now();
    for _ in 0..4 {
        blocked.blocking_token().unwrap_err();
    }
    assert!(start.elapsed() < seconds(1.5), "{:?}", start.elapsed());
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let other = server.builder_for(TestProvider::new("one")).build().unwrap();
    other.blocking_token().unwrap();
    assert!(start.elapsed() < seconds(1.7), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn credentials_of_a_source_cannot_be_replaced_by_hand() {
    let tokens = Server::new("one", 1000, 0.0).builder_for(Vault::new("one")).build().unwrap();
    let error = tokens.replace_credentials(TestProvider::new("two")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert_eq!(tokens.token().await.unwrap().expose(), "one-1");
}

#[tokio::test(start_paused = true)]
async fn r8_the_refresh_token_of_the_old_credentials_is_not_used_for_the_new_ones() {
    let response = r#"{"token":"t","expires_in":1000,"refresh":"r1"}"#;
    let script = Script::default().then_always(ScriptedResponse::json(200, response));
    let vault = Vault::new("one");
    let tokens = script.builder_for(vault.clone()).build().unwrap();
    tokens.token().await.unwrap();
    advance(seconds(1000.0)).await;
    tokens.token().await.unwrap();
    vault.set(Some("two"));
    advance(seconds(1000.0)).await;
    tokens.token().await.unwrap();
    let bodies: Vec<_> = script.requests().iter().map(|request| request.body().to_vec()).collect();
    assert_eq!(bodies, [&b"by=one"[..], b"by=r1", b"by=two"]);
}

#[tokio::test(start_paused = true)]
async fn r8_a_source_that_panics_does_not_cost_the_refresh_token() {
    let response = r#"{"token":"t","expires_in":1000,"refresh":"r1"}"#;
    let script = Script::default().then_always(ScriptedResponse::json(200, response));
    let calls = AtomicUsize::new(0);
    let source = from_async_fn(move || {
        assert!(calls.fetch_add(1, Ordering::SeqCst) != 1, "this source panics on purpose");
        async { Ok(TestProvider::new("one")) }
    });
    let tokens = script.builder_for(source).build().unwrap();
    tokens.token().await.unwrap();
    advance(seconds(1000.0)).await;
    tokens.token().await.unwrap_err();
    sleep(seconds(1.0)).await;
    tokens.token().await.unwrap();
    assert_eq!(script.requests()[1].body(), b"by=r1");
}

#[tokio::test(start_paused = true)]
async fn r8_a_source_that_fails_does_not_cost_the_refresh_token() {
    let response = r#"{"token":"t","expires_in":1000,"refresh":"r1"}"#;
    let script = Script::default().then_always(ScriptedResponse::json(200, response));
    let vault = Vault::new("one");
    let tokens = script.builder_for(vault.clone()).build().unwrap();
    tokens.token().await.unwrap();
    advance(seconds(1000.0)).await;
    vault.set(None);
    tokens.token().await.unwrap_err();
    vault.set(Some("one"));
    sleep(seconds(1.0)).await;
    tokens.token().await.unwrap();
    assert_eq!(script.requests()[1].body(), b"by=r1");
}

#[tokio::test(start_paused = true)]
async fn p1_processes_whose_sources_agree_share_a_token() {
    let (server, store) = (Server::new("one", 1000, 0.0), MemoryStore::new());
    for _ in 0..3 {
        let tokens = server.builder_for(Vault::new("one")).with_store(store.shared()).build().unwrap();
        tokens.recall().await.unwrap();
        assert_eq!(tokens.token().await.unwrap().expose(), "one-1");
    }
    assert_eq!(server.logins(), 1);
    let tokens = server.builder_for(Vault::new("one")).with_store(store.shared()).build().unwrap();
    tokens.recall().await.unwrap();
    assert_eq!(tokens.cached().unwrap().expose(), "one-1", "`recall` asks a source that was never asked");
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_file_is_read_before_each_login_and_a_broken_one_displaces_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    write(&path, "\u{feff}one\r\n".as_bytes());
    let source = from_file(path.clone(), |password| Ok(TestProvider::new(password.expose())));
    let server = Server::new("one", 1000, 0.0);
    let tokens = server.builder_for(source).build().unwrap();
    assert_eq!(tokens.token().await.unwrap().expose(), "one-1");
    advance(seconds(850.0)).await;

    let broken: [(&str, &dyn Fn()); 5] = [
        ("is empty", &|| write(&path, b"\n")),
        ("is not UTF-8 text", &|| write(&path, b"\xff\xfe")),
        ("is longer than 64 KiB", &|| write(&path, &[b'x'; 70_000])),
        ("cannot be read", &|| fs::remove_file(&path).unwrap()),
        ("cannot be read", &|| fs::create_dir(&path).unwrap()),
    ];
    for (problem, damage) in broken {
        damage();
        assert_eq!(tokens.token().await.unwrap().expose(), "one-1", "{problem}");
        tokens.wait_idle(seconds(5.0)).await.unwrap();
        let error = tokens.status().last_error.unwrap();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains(problem), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        sleep(seconds(20.0)).await;
    }
    fs::remove_dir(&path).unwrap();
    write(&path, b"two\n");
    server.set_password("two");
    sleep(seconds(80.0)).await;
    assert_eq!(tokens.token().await.unwrap().expose(), "two-2");
    assert_eq!(server.refusals(), 0);
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn a_symbolic_link_that_is_swapped_has_effect() {
    use std::os::unix::fs::symlink;

    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for name in ["one", "two"] {
        write(&at(name), name.as_bytes());
    }
    symlink(at("one"), at("current")).unwrap();
    let server = Server::new("one", 1000, 0.0);
    let source = from_file(at("current"), |password| Ok(TestProvider::new(password.expose())));
    let tokens = server.builder_for(source).build().unwrap();
    tokens.token().await.unwrap();
    server.set_password("two");
    symlink(at("two"), at("next")).unwrap();
    fs::rename(at("next"), at("current")).unwrap();
    advance(seconds(1000.0)).await;
    assert_eq!(tokens.token().await.unwrap().expose(), "two-2");
}

#[derive(Deserialize)]
struct Settings {
    password: String,
}

#[tokio::test(start_paused = true)]
async fn k1_a_half_written_json_file_displaces_nothing_and_is_not_quoted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("api.json");
    write(&path, br#"{"password":"one"}"#);
    let source = from_json_file(path.clone(), |settings: Settings| Ok(TestProvider::new(&settings.password)));
    let tokens = Server::new("one", 1000, 0.0).builder_for(source).build().unwrap();
    tokens.token().await.unwrap();
    advance(seconds(850.0)).await;
    for text in [r#"{"password":"SENTINEL"#, r#"{"password":["SENTINEL"]}"#, r#""SENTINEL""#] {
        write(&path, text.as_bytes());
        sleep(seconds(20.0)).await;
        assert_eq!(tokens.token().await.unwrap().expose(), "one-1");
        tokens.wait_idle(seconds(5.0)).await.unwrap();
        let error = tokens.status().last_error.unwrap();
        assert!(error.to_string().contains("check line 1, column"), "{error}");
        assert!(!format!("{error} {error:?}").contains("SENTINEL"), "{error:?}");
    }
}

/// Returns a pool of 16 accounts whose passwords are in a map, and a counter of the reads of the map.
fn pool_over(server: &Server, passwords: &Arc<Mutex<HashMap<u32, String>>>) -> (TokenPool<u32>, Arc<AtomicUsize>) {
    let reads = Arc::new(AtomicUsize::new(0));
    let (passwords, counter) = (passwords.clone(), reads.clone());
    let pool = TokenPool::builder(move |tenant: u32| {
        let (passwords, counter) = (passwords.clone(), counter.clone());
        from_async_fn(move || {
            counter.fetch_add(1, Ordering::SeqCst);
            let password = passwords.lock().unwrap().get(&tenant).cloned();
            async move {
                sleep(seconds(0.1)).await;
                let password = password.ok_or_else(|| Error::misconfigured("tenant", "is unknown"))?;
                Ok(TestProvider::new(&password))
            }
        })
    });
    let pool = pool.with_transport(server.clone()).with_clock(VirtualClock::new()).with_runtime(Handle::current());
    (pool.with_capacity(16).build(), reads)
}

#[tokio::test(start_paused = true)]
async fn a_pool_asks_the_source_of_a_new_tenant_once_and_inside_the_flight() {
    let server = Server::new("one", 1000, 0.0);
    let passwords = Arc::new(Mutex::new(HashMap::from([(1, "one".to_owned())])));
    let (pool, reads) = pool_over(&server, &passwords);
    let managers: Vec<_> = (0..100).map(|_| pool.get(&1).unwrap()).collect();
    assert_eq!(reads.load(Ordering::SeqCst), 0, "`get` alone reads nothing");
    let calls: Vec<_> = managers.into_iter().map(|tokens| tokio::spawn(async move { tokens.token().await })).collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!((reads.load(Ordering::SeqCst), server.logins()), (1, 1));

    // An unknown tenant is asked for again after the backoff of an outage, whatever the kind of the error is.
    for _ in 0..1000 {
        assert_eq!(pool.token(&2).await.unwrap_err().setting(), Some("tenant"));
    }
    assert_eq!(reads.load(Ordering::SeqCst), 2);
    passwords.lock().unwrap().insert(2, "one".to_owned());
    sleep(seconds(1.0)).await;
    pool.token(&2).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_was_dropped_comes_back_with_its_new_secret() {
    let server = Server::new("old", 1000, 0.0);
    let passwords = Arc::new(Mutex::new((1..100).map(|tenant| (tenant, "old".to_owned())).collect()));
    let (pool, _) = pool_over(&server, &passwords);
    pool.token(&1).await.unwrap();
    for tenant in 2..60 {
        pool.token(&tenant).await.unwrap();
        sleep(seconds(1.0)).await;
    }
    assert!(pool.cached(&1).is_none(), "the tenant was dropped");
    server.set_password("new");
    passwords.lock().unwrap().insert(1, "new".to_owned());
    assert!(pool.token(&1).await.unwrap().expose().starts_with("new-"));
    assert_eq!(server.refusals(), 0);
}

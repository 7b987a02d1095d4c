//! O1: the `tracing` events of a manager.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::{TokenManager, TokenPool, credentials};
use auth_testing::{Script, ScriptedResponse, TestProvider};
use tracing::span::Id;
use tracing::subscriber::DefaultGuard;
use tracing::{Level, Subscriber, debug_span};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Logs this thread's events, down to `level`, until the guard is dropped.
    fn log(level: Level) -> (Self, DefaultGuard) {
        let lines = Self::default();
        let subscriber = tracing_subscriber::fmt().with_max_level(level).with_writer(lines.clone());
        let subscriber = subscriber.with_ansi(false).without_time().finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    /// Returns the lines written since the last call.
    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn o1_a_flight_logs_its_start_its_attempts_and_its_end() {
    let (lines, _guard) = Lines::log(Level::TRACE);
    let script = Script::new([
        ScriptedResponse::status(503),
        ScriptedResponse::token("SENTINEL", 100),
        ScriptedResponse::refusal(),
    ]);
    let tokens = script.manager();
    let token = tokens.token().await.unwrap();
    let logged = lines.take();
    let span = r#"DEBUG flight{provider="test" reason="cold"}: auth::flight: "#;
    assert_eq!(logged.len(), 3, "{logged:#?}");
    assert!(logged.iter().all(|line| line.starts_with(span)), "{logged:#?}");
    assert!(logged[0].ends_with("flight started"));
    assert!(
        logged[1].contains("attempt failed provider=\"test\" attempt=1 wait_ms=") && logged[1].contains("HTTP 503")
    );
    assert!(logged[2].contains(r#"flight ended outcome="ok" attempts=2 duration_ms="#), "{logged:#?}");

    for _ in 0..1000 {
        tokens.token().await.unwrap();
    }
    assert_eq!(lines.take(), [""; 0], "a hit logs nothing");

    tokens.reject(&token);
    tokens.token().await.unwrap_err();
    let logged = lines.take();
    assert_eq!(logged.len(), 2, "{logged:#?}");
    assert!(logged[0].contains(r#"reason="rejected""#));
    assert!(logged[1].starts_with("WARN") || logged[1].starts_with(" WARN"), "{logged:#?}");
    assert!(
        logged[1].contains(r#"outcome="refused" attempts=1"#) && logged[1].contains("next_attempt_ms=6"),
        "{logged:#?}"
    );

    tokio::time::sleep(Duration::from_secs(10)).await;
    for _ in 0..1000 {
        tokens.token().await.unwrap_err();
    }
    assert_eq!(lines.take(), [""; 0], "a call during a cooldown logs nothing");
}

#[tokio::test(start_paused = true)]
async fn o1_a_flight_counts_the_login_with_the_rotated_credentials() {
    let (lines, _guard) = Lines::log(Level::DEBUG);
    let script = Script::new([ScriptedResponse::refusal(), ScriptedResponse::token("one", 60)]);
    let passwords = Mutex::new(vec!["new", "old"]);
    let source = credentials::from_async_fn(move || {
        let password = passwords.lock().unwrap().pop().unwrap();
        async move { Ok(TestProvider::new(password)) }
    });
    script.builder_for(source).build().unwrap().token().await.unwrap();
    let logged = lines.take();
    assert!(logged.last().unwrap().contains(r#"flight ended outcome="ok" attempts=2"#), "{logged:#?}");
}

#[tokio::test(start_paused = true)]
async fn o1_a_warning_names_the_tenant_without_any_span() {
    let (lines, _guard) = Lines::log(Level::WARN);
    let script = Script::default().then_always(ScriptedResponse::refusal());
    let account = |tenant: u32| TestProvider::new(&format!("password {tenant}"));
    let pool = TokenPool::builder(account).with_transport(script).with_runtime(tokio::runtime::Handle::current());
    let pool = pool.with_label(|tenant| format!("tenant {tenant}")).build();
    for tenant in 0..500 {
        pool.token(&tenant).await.unwrap_err();
    }
    let logged = lines.take();
    assert_eq!(logged.len(), 500);
    for (tenant, line) in logged.iter().enumerate() {
        assert!(line.contains(&format!("label=\"tenant {tenant}\" outcome=\"refused\"")), "{line}");
    }
}

#[test]
fn o1_a_login_on_another_thread_logs_to_the_subscriber_of_its_caller() {
    let (lines, _guard) = Lines::log(Level::WARN);
    let script = Script::default().then_always(ScriptedResponse::refusal());
    let tokens = TokenManager::builder(TestProvider::new("password")).with_transport(script).build().unwrap();
    tokens.blocking_token().unwrap_err();
    assert_eq!(lines.take().len(), 1);
}

/// Records which span follows from which, by their names.
#[derive(Clone, Default)]
struct Followers(Arc<Mutex<Vec<(String, String)>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Followers {
    fn on_follows_from(&self, span: &Id, follows: &Id, context: Context<'_, S>) {
        let name = |id| context.span(id).unwrap().name().to_owned();
        self.0.lock().unwrap().push((name(span), name(follows)));
    }
}

#[test]
fn o1_the_span_of_a_flight_follows_from_the_span_of_its_caller() {
    let followers = Followers::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(followers.clone()));
    let script = Script::default().then_always(ScriptedResponse::token("one", 100));
    let tokens = TokenManager::builder(TestProvider::new("password")).with_transport(script).build().unwrap();
    debug_span!("order").in_scope(|| tokens.blocking_token()).unwrap();
    assert_eq!(*followers.0.lock().unwrap(), [("flight".to_owned(), "order".to_owned())]);
}

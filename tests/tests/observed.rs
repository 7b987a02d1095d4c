//! O1: the `tracing` events of a manager.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_testing::{Script, ScriptedResponse};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
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
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(lines.clone())
        .with_ansi(false)
        .without_time()
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

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
        logged[1].contains(r#"outcome="refused" attempts=1"#) && logged[1].contains("next_attempt_ms=60000"),
        "{logged:#?}"
    );

    tokio::time::sleep(Duration::from_secs(10)).await;
    for _ in 0..1000 {
        tokens.token().await.unwrap_err();
    }
    assert_eq!(lines.take(), [""; 0], "a call during a cooldown logs nothing");
}

//! Runs the scenarios of `scenarios.txt` on a paused clock.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::http::header::RETRY_AFTER;
use auth_core::{CredentialSource, Error, ErrorKind, Provider, async_trait};
use auth_testing::{Script, ScriptedResponse, TestProvider, VirtualClock};
use tokio::time::{Instant, sleep_until};

const SCENARIOS: &str = include_str!("scenarios.txt");

fn seconds(word: &str) -> Duration {
    Duration::from_secs(word.parse().unwrap())
}

fn response(words: &[&str]) -> ScriptedResponse {
    match words {
        ["token", name, lifetime] => ScriptedResponse::token(name, lifetime.parse().unwrap()),
        ["token", name, lifetime, "after", delay] => {
            ScriptedResponse::token(name, lifetime.parse().unwrap()).after(seconds(delay))
        }
        ["status", code] => ScriptedResponse::status(code.parse().unwrap()),
        ["status", code, "retry-after", wait] => {
            ScriptedResponse::status(code.parse().unwrap()).with_header(RETRY_AFTER, wait)
        }
        ["refusal"] => ScriptedResponse::refusal(),
        _ => panic!("unknown response after `server`: {words:?}"),
    }
}

fn kind(word: &str) -> ErrorKind {
    match word {
        "refused" => ErrorKind::Refused,
        "throttled" => ErrorKind::Throttled,
        "unavailable" => ErrorKind::Unavailable,
        "malformed" => ErrorKind::Malformed,
        _ => panic!("unknown kind of error: {word}"),
    }
}

/// Returns the passwords of a list in order, and the last one for ever.
#[derive(Debug, Clone)]
struct Source(Arc<Mutex<VecDeque<String>>>);

impl Source {
    fn set(&self, password: &str) {
        *self.0.lock().unwrap() = VecDeque::from([password.to_owned()]);
    }
}

#[async_trait]
impl CredentialSource for Source {
    async fn provider(&self, _: Option<&Error>) -> Result<Arc<dyn Provider>, Error> {
        let mut passwords = self.0.lock().unwrap();
        let password = if passwords.len() > 1 { passwords.pop_front() } else { passwords.front().cloned() }.unwrap();
        if password == "failure" {
            return Err(Error::source_failed(std::io::Error::other("the file is missing")));
        }
        Ok(Arc::new(TestProvider::new(&password)))
    }
}

async fn run(name: &str, lines: &[Vec<&str>]) {
    let servers = lines.iter().filter(|words| words[0] == "server");
    let responses: Vec<_> = servers.map(|words| response(&words[1..])).collect();
    let script = Script::new(responses.clone()).then_always(responses.last().unwrap().clone());
    let clock = VirtualClock::new();
    let names = lines.iter().filter(|words| words[0] == "source").map(|words| words[1].to_owned());
    let source = Source(Arc::new(Mutex::new(names.collect())));
    let builder =
        if source.0.lock().unwrap().is_empty() { script.builder() } else { script.builder_for(source.clone()) };
    let tokens = builder.with_clock(clock.clone()).build().unwrap();
    let start = Instant::now();

    for words in lines.iter().filter(|words| words[0] == "at") {
        sleep_until(start + seconds(words[1])).await;
        match words[2..] {
            ["token", expected, "logins", count, ref by @ ..] => {
                let token = tokens.token().await.unwrap_or_else(|error| panic!("{name}, {words:?}: {error}"));
                if let ["by", second] = by {
                    assert_eq!(start.elapsed(), seconds(second), "{name}, {words:?}");
                }
                settle().await;
                assert_eq!(
                    (token.expose(), script.requests().len()),
                    (expected, count.parse().unwrap()),
                    "{name}, {words:?}"
                );
            }
            ["error", error, "logins", count] => {
                let got = tokens.token().await.map(drop).unwrap_err();
                let expected = (kind(error), count.parse().unwrap());
                assert_eq!((got.kind(), script.requests().len()), expected, "{name}, {words:?}");
            }
            ["reject"] => tokens.reject(&tokens.cached().unwrap()),
            ["wall", shift] => clock.shift_wall(shift.parse().unwrap()),
            ["same", "credentials"] => tokens.replace_credentials(TestProvider::new("password")).unwrap(),
            ["source", next] => source.set(next),
            ["credentials"] => tokens.replace_credentials(TestProvider::new("other")).unwrap(),
            _ => panic!("unknown step after `at`: {words:?}"),
        }
    }
}

/// Lets a login in the background send its first request.
async fn settle() {
    tokio::time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn all_scenarios_pass() {
    let lines = SCENARIOS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut scenarios: Vec<(&str, Vec<Vec<&str>>)> = Vec::new();
    for line in lines {
        match line.strip_prefix("scenario ") {
            Some(name) => scenarios.push((name, Vec::new())),
            None => scenarios.last_mut().unwrap().1.push(line.split(' ').collect()),
        }
    }
    for (name, lines) in &scenarios {
        run(name, lines).await;
    }
    assert!(scenarios.len() >= 10);
}

//! One process of a fleet, for tests: does what it is told on stdin, a line each, and tells on stdout what came of it.
//!
//! Its first arguments are the provider's name and the store's (`redis`, `file` or `none`), configured by the
//! environment; then the deadline of a login in milliseconds, and how many seconds its wall clock is off.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use auth_all::ProviderConfig;
use auth_all::core::store::TokenStore;
use auth_all::core::{AccessToken, Clock, Error, Login, Moment, Policy, Provider, ReqwestTransport, SystemClock};
use auth_all::core::{TokenManager, TokenSource};
use auth_store_file::FileStore;
use auth_store_redis::RedisStore;

type Manager = TokenManager<Arc<dyn Provider>, ReqwestTransport>;

#[derive(Debug)]
struct OffClock(i64);

impl Clock for OffClock {
    fn now(&self) -> Moment {
        let now = SystemClock.now();
        let by = Duration::from_secs(self.0.unsigned_abs());
        let wall: SystemTime = if self.0 < 0 { now.wall - by } else { now.wall + by };
        Moment { wall, ..now }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let tokens = match manager(&arguments) {
        Ok(tokens) => tokens,
        Err(error) => return say(&format!("misconfigured {error}")),
    };
    say("ready");
    let mut last = None;
    // The lines come from a thread, so that what runs behind the calls goes on between them.
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        std::io::stdin().lock().lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    while let Some(line) = lines.recv().await {
        let start = Instant::now();
        let result = match line.as_str() {
            "token" => tokens.token().await,
            "next" => next(&tokens, last.as_ref()).await,
            "reject" => {
                last.iter().for_each(|token| tokens.reject(token));
                tokens.token().await
            }
            _ => Err(Error::misconfigured("command", "is not known")),
        };
        let took = start.elapsed().as_millis();
        match result {
            Ok(token) => {
                say(&format!("ok {took} {}", token.expose()));
                last = Some(token);
            }
            Err(error) => say(&format!("err {took} {error:?}")),
        }
    }
}

fn manager(arguments: &[String]) -> Result<Manager, Error> {
    let [provider, store, deadline, clock] = arguments else {
        return Err(Error::misconfigured("arguments", "are not four"));
    };
    let number = |text: &String| text.parse::<i64>().map_err(|_| Error::misconfigured("arguments", "are no numbers"));
    let store: Option<Arc<dyn TokenStore>> = match store.as_str() {
        "redis" => Some(Arc::new(RedisStore::from_env()?)),
        "file" => Some(Arc::new(FileStore::from_env()?)),
        _ => None,
    };
    let provider = ProviderConfig::from_env(provider)?.build()?;
    let login = Login::new(provider, ReqwestTransport::new()?)
        .with_policy(Policy::default().with_deadline(Duration::from_millis(number(deadline)?.unsigned_abs())))
        .with_clock(OffClock(number(clock)?));
    Ok(match store {
        Some(store) => TokenManager::with_store(login, store),
        None => TokenManager::new(login),
    })
}

/// Asks, as a busy program does, until there is another token than the last.
async fn next(tokens: &Manager, last: Option<&AccessToken>) -> Result<AccessToken, Error> {
    loop {
        let token = tokens.token().await?;
        if last.is_none_or(|last| last.expose() != token.expose()) {
            return Ok(token);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}");
    let _ = stdout.flush();
}

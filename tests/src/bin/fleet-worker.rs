//! One process of a fleet, for tests.
//!
//! Reads one command per line from stdin, runs it, and writes one result line to stdout.
//!
//! Arguments: the provider's name, the store (`redis`, `file` or `none`), the deadline of a login in milliseconds, and
//! the offset of the wall clock in seconds. Settings of the provider and the store come from environment variables.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use auth_all::ProviderConfig;
use auth_all::core::store::TokenStore;
use auth_all::core::{AccessToken, Clock, Error, Moment, Policy, SystemClock, TokenManager};
use auth_store_file::FileStore;
use auth_store_redis::RedisStore;

#[derive(Debug)]
/// The system clock, with the wall clock off by this many seconds.
struct SkewedClock(i64);

impl Clock for SkewedClock {
    fn now(&self) -> Moment {
        let now = SystemClock.now();
        let offset = Duration::from_secs(self.0.unsigned_abs());
        let wall: SystemTime = if self.0 < 0 { now.wall - offset } else { now.wall + offset };
        Moment { wall, ..now }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let tokens = match manager(&arguments) {
        Ok(tokens) => tokens,
        Err(error) => return print_line(&format!("misconfigured {error}")),
    };
    print_line("ready");
    let mut last = None;
    // A thread reads stdin, because a blocking read here would stop background refreshes between two commands.
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        std::io::stdin().lock().lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    while let Some(line) = lines.recv().await {
        let start = Instant::now();
        let result = match line.as_str() {
            "token" => tokens.token().await,
            "next" => next_token(&tokens, last.as_ref()).await,
            "reject" => {
                last.iter().for_each(|token| tokens.reject(token));
                tokens.token().await
            }
            _ => Err(Error::misconfigured("command", "is unknown")),
        };
        let took = start.elapsed().as_millis();
        match result {
            Ok(token) => {
                print_line(&format!("ok {took} {}", token.expose()));
                last = Some(token);
            }
            Err(error) => print_line(&format!("err {took} {error:?}")),
        }
    }
}

fn manager(arguments: &[String]) -> Result<TokenManager, Error> {
    let [provider, store, deadline, clock] = arguments else {
        return Err(Error::misconfigured("arguments", "must be four"));
    };
    let store: Option<Arc<dyn TokenStore>> = match store.as_str() {
        "redis" => Some(Arc::new(RedisStore::from_env()?)),
        "file" => Some(Arc::new(FileStore::from_env()?)),
        _ => None,
    };
    let provider = ProviderConfig::from_env(provider)?.build()?;
    let builder = TokenManager::builder(provider)
        .with_policy(Policy::default().with_deadline(Duration::from_millis(parse_number(deadline)?.unsigned_abs())))
        .with_clock(SkewedClock(parse_number(clock)?));
    match store {
        Some(store) => builder.with_store(store).build(),
        None => builder.build(),
    }
}

fn parse_number(text: &str) -> Result<i64, Error> {
    text.parse().map_err(|_| Error::misconfigured("arguments", "must be numbers"))
}

/// Requests tokens repeatedly, as a busy program does, until the token differs from the last one.
async fn next_token(tokens: &TokenManager, last: Option<&AccessToken>) -> Result<AccessToken, Error> {
    loop {
        let token = tokens.token().await?;
        if last.is_none_or(|last| last.expose() != token.expose()) {
            return Ok(token);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn print_line(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}");
    let _ = stdout.flush();
}

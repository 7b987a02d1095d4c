//! What every caller waits while tokens end and are replaced, beside the usual cache that renews once it has to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_testing::{Script, ScriptedResponse};
use auth_core::{SystemClock, TokenManager, TokenSource};
use http::HeaderValue;
use tokio::runtime::Builder;
use tokio::sync::RwLock;

use crate::Result;

pub(crate) const RUN: Duration = Duration::from_secs(7);
const TASKS: usize = 64;
const LIFE: Duration = Duration::from_secs(2);
const LATENCY: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(1);
/// The slowest caller of each such step is kept.
pub(crate) const STEP: Duration = Duration::from_millis(20);

/// The slowest caller in each step of the run, from the first token on.
#[derive(Debug)]
pub(crate) struct Latencies {
    pub(crate) managed: Vec<Duration>,
    pub(crate) by_hand: Vec<Duration>,
}

pub(crate) fn under_load() -> Result<Latencies> {
    let script = Script::default().then_always(ScriptedResponse::token("fake-token", LIFE.as_secs()).after(LATENCY));
    let tokens = TokenManager::new(script.login().with_clock(SystemClock));
    let managed = slowest(move || {
        let tokens = tokens.clone();
        async move { tokens.token().await.ok().map(|token| token.authorization().clone()) }
    })?;
    let cache = Arc::new(RwLock::new(None));
    let by_hand = slowest(move || {
        let cache = cache.clone();
        async move { by_hand(&cache).await }
    })?;
    Ok(Latencies { managed, by_hand })
}

async fn by_hand(cache: &RwLock<Option<(String, Instant)>>) -> Option<HeaderValue> {
    let usable = |entry: &Option<(String, Instant)>| match entry {
        Some((token, until)) if Instant::now() < *until => HeaderValue::from_str(token).ok(),
        _ => None,
    };
    if let Some(header) = usable(&*cache.read().await) {
        return Some(header);
    }
    let mut entry = cache.write().await;
    if let Some(header) = usable(&entry) {
        return Some(header);
    }
    tokio::time::sleep(LATENCY).await;
    *entry = Some(("Bearer fake-token".to_owned(), Instant::now() + LIFE - LIFE / 10));
    usable(&entry)
}

/// Lets many tasks call again and again.
fn slowest<F>(call: impl Fn() -> F + Clone + Send + Sync + 'static) -> Result<Vec<Duration>>
where
    F: Future<Output = Option<HeaderValue>> + Send + 'static,
{
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        call().await;
        let start = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let call = call.clone();
                tokio::spawn(async move {
                    let mut slowest = vec![Duration::ZERO; RUN.div_duration_f64(STEP) as usize];
                    loop {
                        let before = Instant::now();
                        let header = call().await;
                        let step = (before - start).div_duration_f64(STEP) as usize;
                        let Some(slowest) = slowest.get_mut(step) else { break };
                        assert!(header.is_some(), "a caller got no token");
                        *slowest = before.elapsed().max(*slowest);
                        tokio::time::sleep(PAUSE).await;
                    }
                    slowest
                })
            })
            .collect();
        let mut slowest = vec![Duration::ZERO; RUN.div_duration_f64(STEP) as usize];
        for task in tasks {
            for (all, own) in slowest.iter_mut().zip(task.await?) {
                *all = own.max(*all);
            }
        }
        Ok(slowest)
    })
}

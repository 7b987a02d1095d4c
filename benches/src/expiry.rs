//! Measures how long callers wait while tokens expire, with a manager and with a usual hand-written cache.

use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_core::SystemClock;
use auth_testing::{Script, ScriptedResponse};
use http::HeaderValue;
use tokio::runtime::Builder;
use tokio::sync::RwLock;

use crate::Result;

pub(crate) const RUN: Duration = Duration::from_secs(7);
const TASKS: usize = 64;
const LIFETIME: Duration = Duration::from_secs(2);
const LATENCY: Duration = Duration::from_millis(200);
const CALL_INTERVAL: Duration = Duration::from_millis(1);
/// The resolution of the chart: the slowest call of each step is kept.
pub(crate) const STEP: Duration = Duration::from_millis(20);

/// The slowest call in each step of the run. The run starts with the first token.
#[derive(Debug)]
pub(crate) struct Latencies {
    pub(crate) managed: Vec<Duration>,
    pub(crate) hand_written: Vec<Duration>,
}

pub(crate) fn under_load() -> Result<Latencies> {
    let script =
        Script::default().then_always(ScriptedResponse::token("fake-token", LIFETIME.as_secs()).after(LATENCY));
    let tokens = script.builder().with_clock(SystemClock).build()?;
    let managed = slowest(move || {
        let tokens = tokens.clone();
        async move { tokens.token().await.ok().map(|token| token.authorization().clone()) }
    })?;
    let cache = Arc::new(RwLock::new(None));
    let hand_written = slowest(move || {
        let cache = cache.clone();
        async move { hand_written(&cache).await }
    })?;
    Ok(Latencies { managed, hand_written })
}

/// A token and its expiry.
type Entry = Option<(String, Instant)>;

/// Returns a header from the usual hand-written cache: one lock, and a login under it once the token has expired.
async fn hand_written(cache: &RwLock<Entry>) -> Option<HeaderValue> {
    if let Some(header) = usable(&*cache.read().await) {
        return Some(header);
    }
    let mut entry = cache.write().await;
    if let Some(header) = usable(&entry) {
        return Some(header);
    }
    tokio::time::sleep(LATENCY).await;
    *entry = Some(("Bearer fake-token".to_owned(), Instant::now() + LIFETIME - LIFETIME / 10));
    usable(&entry)
}

fn usable(entry: &Entry) -> Option<HeaderValue> {
    match entry {
        Some((token, expiry)) if Instant::now() < *expiry => HeaderValue::from_str(token).ok(),
        _ => None,
    }
}

/// Returns the slowest call in each step while many tasks call in a loop.
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
                        tokio::time::sleep(CALL_INTERVAL).await;
                    }
                    slowest
                })
            })
            .collect();
        let mut slowest = vec![Duration::ZERO; RUN.div_duration_f64(STEP) as usize];
        for task in tasks {
            for (slowest, of_task) in slowest.iter_mut().zip(task.await?) {
                *slowest = of_task.max(*slowest);
            }
        }
        Ok(slowest)
    })
}

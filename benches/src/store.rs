//! Measures the cost of sharing a token: nothing on a hit, and a few Redis commands per token lifetime.

use std::sync::Arc;
use std::time::Instant;

use auth_core::store::TokenStore;
use auth_core::{SystemClock, TokenManager};
use auth_store_redis::RedisStore;
use auth_testing::{MemoryStore, Script, ScriptedResponse, TestProvider};
use auth_tests::redis::RedisServer;
use tokio::runtime::Builder;

use crate::{Result, Row, median};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const HITS: u32 = 2_000_000;
const ROUNDS: usize = 9;
const LIFETIMES: usize = 300;

type Manager = TokenManager;

/// Compares a hit of a manager with a store with the same hit without one.
pub(crate) fn hit() -> Result<Vec<Row>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let script = Script::default().then_always(ScriptedResponse::token("fake-token", 86_400));
    let unshared = script.builder().with_clock(SystemClock).build()?;
    let shared = script.builder().with_clock(SystemClock).with_store(MemoryStore::new().shared()).build()?;
    runtime.block_on(async { tokio::try_join!(unshared.token(), shared.token()) })?;
    let (mut without_store, mut with_store) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without_store.push(hits(&unshared));
        with_store.push(hits(&shared));
    }
    let floor = median(without_store);
    Ok(vec![
        Row::new("hit: cached(), without a store", floor, floor, None),
        Row::new("hit: cached(), with a store", median(with_store), floor, Some(1.05)),
    ])
}

fn hits(tokens: &Manager) -> f64 {
    let start = Instant::now();
    for _ in 0..HITS {
        std::hint::black_box(tokens.cached());
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(HITS)
}

/// The load on Redis in the lifetime of one token, for one kind of process.
pub(crate) struct Cost {
    pub(crate) process: &'static str,
    pub(crate) commands: f64,
    pub(crate) bytes: f64,
    pub(crate) milliseconds: f64,
}

/// Measures the load on Redis per token lifetime. Returns nothing if there is no `redis-server` on this machine.
pub(crate) fn per_lifetime() -> Result<Vec<Cost>> {
    let Some(server) = RedisServer::start() else { return Ok(Vec::new()) };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = redis::Client::open(server.url())?;
        let mut admin = client.get_multiplexed_async_connection().await?;
        let store = || -> Result<Arc<dyn TokenStore>> {
            Ok(Arc::new(RedisStore::builder().with_url(server.url()).with_keys(KEY).build()?))
        };
        let (first, second) = (store()?, store()?);
        // As long as a JWT of a provider.
        let body = format!(r#"{{"token":"{}","expires_in":1800,"refresh":"{}"}}"#, "t".repeat(900), "r".repeat(700));
        let mut costs = [("the process that logs in", Vec::new()), ("each other process", Vec::new())];
        for lifetime in 0..LIFETIMES {
            let script = Script::new([ScriptedResponse::json(200, &body)]);
            for ((_, samples), store) in costs.iter_mut().zip([&first, &second]) {
                let provider = TestProvider::new(&format!("password-{lifetime}"));
                let tokens = script.builder_for(provider).with_clock(SystemClock).with_store(store.clone()).build()?;
                let before = stats(&mut admin).await?;
                let start = Instant::now();
                tokens.token().await?;
                let milliseconds = start.elapsed().as_secs_f64() * 1e3;
                let after = stats(&mut admin).await?;
                samples.push((after.0 - before.0, after.1 - before.1, milliseconds));
            }
        }
        let overhead = stats_bytes(&mut admin).await?;
        Ok(costs
            .into_iter()
            .map(|(process, samples)| Cost {
                process,
                commands: median(samples.iter().map(|(commands, ..)| *commands).collect()),
                bytes: median(samples.iter().map(|(_, bytes, _)| *bytes).collect()) - overhead,
                milliseconds: median(samples.iter().map(|(.., milliseconds)| *milliseconds).collect()),
            })
            .collect())
    })
}

type Admin = redis::aio::MultiplexedConnection;

/// Returns the number of script calls, which are the only commands that clients send, and the bytes in both directions.
async fn stats(admin: &mut Admin) -> Result<(f64, f64)> {
    let info: String = redis::cmd("INFO").arg("everything").query_async(admin).await?;
    let read = |name: &str| -> f64 {
        let number = info.lines().find_map(|line| line.strip_prefix(name)?.split(',').next());
        number.and_then(|number| number.trim().parse().ok()).unwrap_or_default()
    };
    let bytes = read("total_net_input_bytes:") + read("total_net_output_bytes:");
    Ok((read("cmdstat_evalsha:calls="), bytes))
}

/// Returns the bytes that one call of [`stats`] adds to the figures.
async fn stats_bytes(admin: &mut Admin) -> Result<f64> {
    let before = stats(admin).await?.1;
    let after = stats(admin).await?.1;
    Ok(after - before)
}

//! What sharing a token costs: nothing on a hit, and a few commands of Redis for each token's life.

use std::sync::Arc;
use std::time::Instant;

use auth_core::store::TokenStore;
use auth_testing::{MemoryStore, Script, ScriptedResponse, TestProvider};
use auth_core::{SystemClock, TokenManager, TokenSource};
use auth_store_redis::RedisStore;
use auth_tests::redis::RedisServer;
use tokio::runtime::Builder;

use crate::{Result, Row, median};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const HITS: u32 = 2_000_000;
const ROUNDS: usize = 9;
const LIVES: usize = 300;

type Manager = TokenManager<TestProvider, Script>;

/// A hit beside the same one of a manager that shares nothing.
pub(crate) fn hit() -> Result<Vec<Row>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let script = Script::default().then_always(ScriptedResponse::token("fake-token", 86_400));
    let alone = TokenManager::new(script.login().with_clock(SystemClock));
    let sharing = TokenManager::with_store(script.login().with_clock(SystemClock), MemoryStore::new().shared());
    runtime.block_on(async { tokio::try_join!(alone.token(), sharing.token()) })?;
    let (mut floor, mut shared) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floor.push(hits(&alone));
        shared.push(hits(&sharing));
    }
    let floor = median(floor);
    let row = |name, nanoseconds, target| Row { name, nanoseconds, floor, target };
    Ok(vec![
        row("hit: cached(), sharing nothing", floor, None),
        row("hit: cached(), sharing through a store", median(shared), Some(1.05)),
    ])
}

fn hits(tokens: &Manager) -> f64 {
    let start = Instant::now();
    for _ in 0..HITS {
        std::hint::black_box(tokens.cached());
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(HITS)
}

/// What one token's life costs of Redis: for the process that logs in, and for each other one.
pub(crate) struct Cost {
    pub(crate) who: &'static str,
    pub(crate) commands: f64,
    pub(crate) bytes: f64,
    pub(crate) milliseconds: f64,
}

/// None where the tests are told to do without Redis.
pub(crate) fn lives() -> Result<Vec<Cost>> {
    let Some(server) = RedisServer::start() else { return Ok(Vec::new()) };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = redis::Client::open(server.url())?;
        let mut admin = client.get_multiplexed_async_connection().await?;
        let store = || -> Result<Arc<dyn TokenStore>> {
            Ok(Arc::new(RedisStore::builder().with_url(server.url()).with_keys(KEY).build()?))
        };
        let (first, second) = (store()?, store()?);
        // A token as long as a JWT is.
        let grant = format!(r#"{{"token":"{}","expires_in":1800,"refresh":"{}"}}"#, "t".repeat(900), "r".repeat(700));
        let mut costs = [("the process that logs in", Vec::new()), ("each other process", Vec::new())];
        for life in 0..LIVES {
            let script = Script::new([ScriptedResponse::json(200, &grant)]);
            for ((_, took), store) in costs.iter_mut().zip([&first, &second]) {
                let login = auth_core::Login::new(TestProvider::new(&format!("password-{life}")), script.clone());
                let tokens = TokenManager::with_store(login, store.clone());
                let before = stats(&mut admin).await?;
                let start = Instant::now();
                tokens.token().await?;
                let milliseconds = start.elapsed().as_secs_f64() * 1e3;
                let after = stats(&mut admin).await?;
                took.push((after.0 - before.0, after.1 - before.1, milliseconds));
            }
        }
        let own = own_bytes(&mut admin).await?;
        Ok(costs
            .into_iter()
            .map(|(who, took)| Cost {
                who,
                commands: median(took.iter().map(|(commands, ..)| *commands).collect()),
                bytes: median(took.iter().map(|(_, bytes, _)| *bytes).collect()) - own,
                milliseconds: median(took.iter().map(|(.., milliseconds)| *milliseconds).collect()),
            })
            .collect())
    })
}

type Admin = redis::aio::MultiplexedConnection;

/// The scripts that clients ran, which is all that they send, and the bytes that went either way.
async fn stats(admin: &mut Admin) -> Result<(f64, f64)> {
    let info: String = redis::cmd("INFO").arg("everything").query_async(admin).await?;
    let read = |name: &str| -> f64 {
        let number = info.lines().find_map(|line| line.strip_prefix(name)?.split(',').next());
        number.and_then(|number| number.trim().parse().ok()).unwrap_or_default()
    };
    let bytes = read("total_net_input_bytes:") + read("total_net_output_bytes:");
    Ok((read("cmdstat_evalsha:calls="), bytes))
}

/// What reading the figures costs by itself.
async fn own_bytes(admin: &mut Admin) -> Result<f64> {
    let (before, after) = (stats(admin).await?.1, stats(admin).await?.1);
    Ok(after - before)
}

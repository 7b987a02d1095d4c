//! Measures a hit: the time to get a header that is ready for a request from a token in memory.
//!
//! The floor is the work that every such cache must do: a pointer load, a clock read and a header clone. For many
//! accounts it is this work on as many separate allocations, most of which are not in the processor's cache.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use auth_core::{AccessToken, SystemClock, TokenManager, TokenPool, TokenSource};
use auth_testing::{Script, ScriptedResponse, TestProvider};
use http::HeaderValue;
use tokio::runtime::{Builder, Runtime};

use crate::{Result, Row, median};

const ROUNDS: usize = 15;
const CALLS: u32 = 200_000;
const ACCOUNTS: u32 = 10_000;
const TASKS: u32 = 256;
/// One more than arc-swap has slots for guards of one thread.
const HELD: usize = 9;

/// The usual hand-written cache: a token and its expiry under a lock.
type HandWritten = tokio::sync::RwLock<Option<(String, Instant)>>;

struct Subjects {
    tokens: TokenManager,
    object: Arc<dyn TokenSource>,
    pool: TokenPool<u32>,
    hand_written: HandWritten,
    floor: Floor,
    /// A floor for each account.
    floors: Vec<Arc<Floor>>,
}

/// What every cache of a token has.
struct Floor {
    swap: ArcSwapOption<u64>,
    header: HeaderValue,
}

impl Floor {
    fn new(bearer: &str) -> Result<Self> {
        let mut header = HeaderValue::from_str(bearer)?;
        header.set_sensitive(true);
        Ok(Self { swap: ArcSwapOption::from_pointee(7), header })
    }

    fn hit(&self) {
        black_box(self.swap.load().as_ref().map(|value| **value));
        black_box(Instant::now());
        black_box(self.header.clone());
    }
}

impl Subjects {
    fn new(runtime: &Runtime) -> Result<Self> {
        let bearer = format!("Bearer {}", "x".repeat(700));
        let script = Script::default().then_always(ScriptedResponse::token(&"x".repeat(700), 86_400));
        let tokens = script.builder().with_clock(SystemClock).build()?;
        let pool = TokenPool::builder(|key: u32| TestProvider::new(&key.to_string())).with_transport(script).build();
        runtime.block_on(async {
            tokens.token().await?;
            for key in 0..ACCOUNTS {
                pool.get(&key)?.token().await?;
            }
            Ok::<_, auth_core::Error>(())
        })?;
        Ok(Self {
            object: Arc::new(tokens.clone()),
            tokens,
            pool,
            floor: Floor::new(&bearer)?,
            floors: (0..ACCOUNTS).map(|_| Floor::new(&bearer).map(Arc::new)).collect::<Result<_>>()?,
            hand_written: HandWritten::new(Some((bearer, Instant::now() + Duration::from_secs(3600)))),
        })
    }

    fn cached(&self) {
        use_token(self.tokens.cached());
    }

    fn through_dyn(&self) {
        use_token(self.object.cached());
    }

    fn pooled(&self, key: u32) {
        use_token(self.pool.cached(&key));
    }

    async fn awaited(&self) {
        use_token(self.object.token().await.ok());
    }

    async fn hand_written(&self) {
        let guard = self.hand_written.read().await;
        if let Some((token, expiry)) = guard.as_ref()
            && Instant::now() < *expiry
        {
            black_box(HeaderValue::from_str(token).ok());
        }
    }
}

/// Copies the header of a token, as a request does.
fn use_token(token: Option<AccessToken>) {
    if let Some(token) = token {
        black_box(token.authorization().clone());
    }
}

/// Measures one task on one thread.
pub(crate) fn one_task() -> Result<Vec<Row>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let subjects = Subjects::new(&runtime)?;
    let mut figures: [Vec<f64>; 8] = Default::default();
    for _ in 0..ROUNDS {
        figures[0].push(time(|_| subjects.floor.hit()));
        figures[1].push(time(|_| subjects.cached()));
        figures[2].push(time(|_| subjects.through_dyn()));
        figures[3].push(runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..CALLS {
                subjects.awaited().await;
            }
            per_call(start.elapsed(), CALLS)
        }));
        figures[4].push(time(|call| subjects.pooled(account(call))));
        figures[5].push(runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..CALLS {
                subjects.hand_written().await;
            }
            per_call(start.elapsed(), CALLS)
        }));
        figures[6].push(time(|call| subjects.floors[account(call) as usize].hit()));
        let held: Vec<_> = (0..HELD).map(|_| subjects.tokens.cached()).collect();
        figures[7].push(time(|_| subjects.cached()));
        drop(held);
    }
    let [floor, cached, through_dyn, awaited, pooled, hand_written, floors, with_held] = figures.map(median);
    Ok(vec![
        Row::new("hit, one task: the floor", floor, floor, None),
        Row::new("hit, one task: cached()", cached, floor, Some(1.15)),
        Row::new("hit, one task: dyn TokenSource, cached()", through_dyn, floor, Some(1.15)),
        Row::new("hit, one task: dyn TokenSource, token().await", awaited, floor, Some(1.15)),
        Row::new("hit, one task: hand-written RwLock cache", hand_written, floor, None),
        Row::new("hit with nine tokens held (ratio to none held)", with_held, cached, Some(1.1)),
        Row::new("hit, 10,000 accounts in turn: the floor", floors, floors, None),
        Row::new("hit, 10,000 accounts in turn: TokenPool", pooled, floors, Some(1.3)),
    ])
}

/// Measures 256 tasks on two threads, all calling without a break.
pub(crate) fn two_threads() -> Result<Vec<Row>> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let subjects = Arc::new(Subjects::new(&runtime)?);
    let mut figures: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        figures[0].push(time_tasks(&runtime, &subjects, Call::Floor)?);
        figures[1].push(time_tasks(&runtime, &subjects, Call::Awaited)?);
        figures[2].push(time_tasks(&runtime, &subjects, Call::HandWritten)?);
    }
    let [floor, awaited, hand_written] = figures.map(median);
    Ok(vec![
        Row::new("hit, 256 tasks on two threads: the floor", floor, floor, None),
        Row::new("hit, 256 tasks on two threads: token().await", awaited, floor, Some(1.0)),
        Row::new("hit, 256 tasks on two threads: hand-written RwLock", hand_written, floor, None),
    ])
}

#[derive(Clone, Copy)]
enum Call {
    Floor,
    Awaited,
    HandWritten,
}

fn time_tasks(runtime: &Runtime, subjects: &Arc<Subjects>, call: Call) -> Result<f64> {
    const CALLS_EACH: u32 = 2_000;

    let elapsed = runtime.block_on(async {
        let start = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let subjects = subjects.clone();
                tokio::spawn(async move {
                    for _ in 0..CALLS_EACH {
                        match call {
                            Call::Floor => subjects.floor.hit(),
                            Call::Awaited => subjects.awaited().await,
                            Call::HandWritten => subjects.hand_written().await,
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await?;
        }
        Ok::<_, tokio::task::JoinError>(start.elapsed())
    })?;
    Ok(per_call(elapsed, TASKS * CALLS_EACH / 2))
}

/// Returns the account of a call, so that each comes once in ten thousand calls, in an order that looks random.
fn account(call: u32) -> u32 {
    call.wrapping_mul(7919) % ACCOUNTS
}

fn time(mut call: impl FnMut(u32)) -> f64 {
    let start = Instant::now();
    for number in 0..CALLS {
        call(number);
    }
    per_call(start.elapsed(), CALLS)
}

fn per_call(elapsed: Duration, calls: u32) -> f64 {
    elapsed.as_secs_f64() * 1e9 / f64::from(calls)
}

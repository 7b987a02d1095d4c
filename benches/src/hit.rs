//! Measures a hit: the time to get a header that is ready for a request from a token in memory.
//!
//! The floor is the work that every such cache must do: a pointer load, a clock read and a header clone.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use auth_core::{SystemClock, TokenManager, TokenPool, TokenSource};
use auth_testing::{Script, ScriptedResponse, TestProvider};
use http::HeaderValue;
use tokio::runtime::{Builder, Runtime};

use crate::{Result, Row, median};

const ROUNDS: usize = 15;
const CALLS: u32 = 200_000;
const ACCOUNTS: u32 = 10_000;
const TASKS: u32 = 256;

/// The usual hand-written cache: a token and its expiry under a lock.
type HandWritten = tokio::sync::RwLock<Option<(String, Instant)>>;

struct Subjects {
    tokens: TokenManager,
    object: Arc<dyn TokenSource>,
    pool: TokenPool<u32>,
    hand_written: HandWritten,
    header: HeaderValue,
    swap: ArcSwapOption<u64>,
}

impl Subjects {
    fn new(runtime: &Runtime) -> Result<Self> {
        let bearer = format!("Bearer {}", "x".repeat(700));
        let script = Script::default().then_always(ScriptedResponse::token(&"x".repeat(700), 86_400));
        let tokens = script.builder().with_clock(SystemClock).build()?;
        let pool =
            TokenPool::builder(|key: &u32| Ok(TestProvider::new(&key.to_string()))).with_transport(script).build();
        runtime.block_on(async {
            tokens.token().await?;
            for key in 0..ACCOUNTS {
                pool.get(&key)?.token().await?;
            }
            Ok::<_, auth_core::Error>(())
        })?;
        let mut header = HeaderValue::from_str(&bearer)?;
        header.set_sensitive(true);
        Ok(Self {
            object: Arc::new(tokens.clone()),
            tokens,
            pool,
            hand_written: HandWritten::new(Some((bearer, Instant::now() + Duration::from_secs(3600)))),
            header,
            swap: ArcSwapOption::from_pointee(7),
        })
    }

    fn floor(&self) {
        black_box(self.swap.load().as_ref().map(|value| **value));
        black_box(Instant::now());
        black_box(self.header.clone());
    }

    fn cached(&self) {
        black_box(self.tokens.cached().map(|token| token.authorization().clone()));
    }

    fn through_dyn(&self) {
        black_box(self.object.cached().map(|token| token.authorization().clone()));
    }

    fn pooled(&self, key: u32) {
        black_box(self.pool.cached(&key).map(|token| token.authorization().clone()));
    }

    async fn awaited(&self) {
        black_box(self.object.token().await.ok().map(|token| token.authorization().clone()));
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

/// Measures one task on one thread.
pub(crate) fn one_task() -> Result<Vec<Row>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let subjects = Subjects::new(&runtime)?;
    let mut figures: [Vec<f64>; 6] = Default::default();
    for _ in 0..ROUNDS {
        figures[0].push(time(|_| subjects.floor()));
        figures[1].push(time(|_| subjects.cached()));
        figures[2].push(time(|_| subjects.through_dyn()));
        figures[3].push(runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..CALLS {
                subjects.awaited().await;
            }
            per_call(start.elapsed(), CALLS)
        }));
        figures[4].push(time(|call| subjects.pooled(call.wrapping_mul(7919) % ACCOUNTS)));
        figures[5].push(runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..CALLS {
                subjects.hand_written().await;
            }
            per_call(start.elapsed(), CALLS)
        }));
    }
    let [floor, cached, through_dyn, awaited, pooled, hand_written] = figures.map(median);
    Ok(vec![
        Row::new("hit, one task: the floor", floor, floor, None),
        Row::new("hit, one task: cached()", cached, floor, Some(1.5)),
        Row::new("hit, one task: dyn TokenSource, cached()", through_dyn, floor, Some(1.7)),
        Row::new("hit, one task: dyn TokenSource, token().await", awaited, floor, Some(1.7)),
        Row::new("hit, one task: hand-written RwLock cache", hand_written, floor, None),
        // Compared with one account instead of with the floor.
        Row::new("hit, 10,000 accounts in a pool (ratio to one)", pooled, cached, Some(3.0)),
    ])
}

/// Measures 256 tasks on two threads, all calling without a break.
pub(crate) fn two_threads() -> Result<Vec<Row>> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let subjects = Arc::new(Subjects::new(&runtime)?);
    let mut figures: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        figures[0].push(time_tasks(&runtime, &subjects, |subjects| async move { subjects.floor() })?);
        figures[1].push(time_tasks(&runtime, &subjects, |subjects| async move { subjects.awaited().await })?);
        figures[2].push(time_tasks(&runtime, &subjects, |subjects| async move { subjects.hand_written().await })?);
    }
    let [floor, awaited, hand_written] = figures.map(median);
    Ok(vec![
        Row::new("hit, 256 tasks on two threads: the floor", floor, floor, None),
        Row::new("hit, 256 tasks on two threads: token().await", awaited, floor, Some(1.5)),
        Row::new("hit, 256 tasks on two threads: hand-written RwLock", hand_written, floor, None),
    ])
}

fn time_tasks<F>(runtime: &Runtime, subjects: &Arc<Subjects>, call: fn(Arc<Subjects>) -> F) -> Result<f64>
where
    F: Future<Output = ()> + Send + 'static,
{
    const CALLS_EACH: u32 = 2_000;

    let elapsed = runtime.block_on(async {
        let start = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let subjects = subjects.clone();
                tokio::spawn(async move {
                    for _ in 0..CALLS_EACH {
                        call(subjects.clone()).await;
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

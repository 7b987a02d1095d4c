//! Measures ten thousand tasks that request the first token at the same time.
//!
//! The floor is the latency of the server plus the time to wake ten thousand tasks with a [`Notify`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_testing::{Script, ScriptedResponse};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use crate::{Result, Row, median};

const ROUNDS: usize = 7;
const TASKS: usize = 10_000;
const LATENCY: Duration = Duration::from_millis(100);

pub(crate) fn cold() -> Result<Vec<Row>> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (mut notified, mut managed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        notified.push(time_notify(&runtime)?);
        managed.push(time_manager(&runtime)?);
    }
    let floor = median(notified);
    Ok(vec![
        Row::new("stampede of 10,000: latency and a bare Notify", floor, floor, None),
        Row::new("stampede of 10,000: the last caller of a manager", median(managed), floor, Some(1.2)),
    ])
}

fn time_notify(runtime: &Runtime) -> Result<f64> {
    let notify = Arc::new(Notify::new());
    runtime.block_on(async {
        let start = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let notify = notify.clone();
                tokio::spawn(async move { notify.notified().await })
            })
            .collect();
        tokio::time::sleep_until((start + LATENCY).into()).await;
        notify.notify_waiters();
        for task in tasks {
            task.await?;
        }
        Ok(nanoseconds(start))
    })
}

fn time_manager(runtime: &Runtime) -> Result<f64> {
    let script = Script::new([ScriptedResponse::token("fake-token", 86_400).after(LATENCY)]);
    let tokens = script.manager();
    let elapsed = runtime.block_on(async {
        let start = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let tokens = tokens.clone();
                tokio::spawn(async move { tokens.token().await.map(drop) })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok::<_, Box<dyn std::error::Error>>(nanoseconds(start))
    })?;
    assert_eq!(script.requests().len(), 1, "one request");
    Ok(elapsed)
}

fn nanoseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e9
}

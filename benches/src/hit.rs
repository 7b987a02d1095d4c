//! A token at hand, up to a header that is ready to be put on a request.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use auth_core::testing::{Answer, Script, TestProvider};
use auth_core::{SystemClock, TokenManager, TokenSource};
use http::HeaderValue;

pub(crate) type Manager = TokenManager<TestProvider, Script>;

const ROUNDS: usize = 15;
const CALLS: u32 = 300_000;

/// The usual hand-written cache.
type HandWritten = tokio::sync::RwLock<Option<(String, Instant)>>;

pub(crate) fn warm_manager(runtime: &tokio::runtime::Runtime) -> Result<Manager, auth_core::Error> {
    let script = Script::default().then_always(Answer::token(&"x".repeat(700), 86_400));
    let tokens = TokenManager::new(script.login().with_clock(SystemClock));
    runtime.block_on(tokens.token())?;
    Ok(tokens)
}

/// One figure a round and a subject, in nanoseconds a call.
pub(crate) fn measure() -> Result<Vec<(&'static str, f64)>, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tokens = warm_manager(&runtime)?;
    let object: Arc<dyn TokenSource> = Arc::new(tokens.clone());
    let bearer = format!("Bearer {}", "x".repeat(700));
    let mut header = HeaderValue::from_str(&bearer)?;
    header.set_sensitive(true);
    let swap = ArcSwapOption::from_pointee(7_u64);
    let hand_written: HandWritten =
        tokio::sync::RwLock::new(Some((bearer, Instant::now() + Duration::from_secs(3600))));

    let mut floor = || {
        black_box(swap.load().as_ref().map(|value| **value));
        black_box(Instant::now());
        black_box(header.clone());
    };
    let mut cached = || {
        black_box(tokens.cached().map(|token| token.authorization().clone()));
    };
    let mut through_dyn = || {
        black_box(object.cached().map(|token| token.authorization().clone()));
    };
    let names = ["floor", "cached", "dyn cached", "dyn token().await", "RwLock by hand"];
    let mut figures = names.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        figures[0].push(time(&mut floor));
        figures[1].push(time(&mut cached));
        figures[2].push(time(&mut through_dyn));
        figures[3].push(runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..CALLS {
                black_box(object.token().await.ok().map(|token| token.authorization().clone()));
            }
            per_call(start)
        }));
        figures[4].push(runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..CALLS {
                let guard = hand_written.read().await;
                if let Some((token, until)) = guard.as_ref()
                    && Instant::now() < *until
                {
                    black_box(HeaderValue::from_str(token).ok());
                }
            }
            per_call(start)
        }));
    }
    Ok(names.into_iter().zip(figures.map(median)).collect())
}

fn time(call: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    per_call(start)
}

fn per_call(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
}

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

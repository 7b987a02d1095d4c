//! Which flight waits for which, so that managers that wait for each other in a circle are told.
//!
//! A transport or a provider's source may itself ask a manager for a token. If that manager waits for the first one,
//! neither would ever end.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The number of a flight, unique in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FlightId(u64);

impl FlightId {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

// A task of a model may switch to another one while it is polled, so its thread-locals are per task.
#[cfg(shuttle)]
use shuttle::thread_local;

thread_local! {
    /// The flight whose code this thread runs now.
    static CURRENT: Cell<Option<FlightId>> = const { Cell::new(None) };
}

/// The waits of flights for other flights: who waits, and for whom.
static WAITS: Mutex<Vec<(FlightId, FlightId)>> = Mutex::new(Vec::new());

/// Returns `true` if the caller is code of a flight.
pub(super) fn is_in_flight() -> bool {
    CURRENT.with(Cell::get).is_some()
}

/// Runs `future` as code of a flight.
pub(super) async fn run_as<F: Future>(flight: FlightId, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let _reset = Reset(CURRENT.with(|current| current.replace(Some(flight))));
        future.as_mut().poll(context)
    })
    .await
}

/// Restores the flight of the thread, even after a panic.
struct Reset(Option<FlightId>);

impl Drop for Reset {
    fn drop(&mut self) {
        CURRENT.with(|current| current.set(self.0));
    }
}

/// A wait of one flight for another. It ends when it is dropped.
pub(super) struct Wait((FlightId, FlightId));

/// The wait would close a circle.
pub(super) struct Circle;

/// Records that the code of the current flight waits for `awaited`. Returns `None` if the caller is not in a flight.
pub(super) fn wait_for(awaited: FlightId) -> Result<Option<Wait>, Circle> {
    let Some(waiter) = CURRENT.with(Cell::get) else { return Ok(None) };
    let mut waits = WAITS.lock().unwrap_or_else(PoisonError::into_inner);
    if leads_to(&waits, awaited, waiter) {
        return Err(Circle);
    }
    waits.push((waiter, awaited));
    Ok(Some(Wait((waiter, awaited))))
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut waits = WAITS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = waits.iter().position(|wait| *wait == self.0) {
            waits.swap_remove(index);
        }
    }
}

/// Returns `true` if `from` is `to`, or waits for it, directly or through others. There is no circle among `waits`.
fn leads_to(waits: &[(FlightId, FlightId)], from: FlightId, to: FlightId) -> bool {
    from == to || waits.iter().any(|(waiter, awaited)| *waiter == from && leads_to(waits, *awaited, to))
}

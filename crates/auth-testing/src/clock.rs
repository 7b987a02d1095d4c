use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use auth_core::{Clock, Moment};
use tokio::time::Instant;

/// Tells tokio's time, which a test can pause and advance, on both clocks, and moves the wall clock apart from it.
///
/// Clones tell the same time.
#[derive(Debug, Clone)]
pub struct VirtualClock {
    start: Moment,
    wall_shift: Arc<AtomicI64>,
}

impl VirtualClock {
    /// Starts at an instant of 2026.
    #[must_use]
    pub fn new() -> Self {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_793_000_000);
        let start = Moment { monotonic: Instant::now().into_std(), wall };
        Self { start, wall_shift: Arc::default() }
    }

    /// Sets the wall clock forward, or back, by so many seconds. A suspend of two hours is a wall clock two hours ahead:
    /// the monotonic clock has stood still.
    pub fn shift_wall(&self, seconds: i64) {
        self.wall_shift.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Default for VirtualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Moment {
        let monotonic = Instant::now().into_std();
        let wall = self.start.wall + monotonic.duration_since(self.start.monotonic);
        let shift = self.wall_shift.load(Ordering::Relaxed);
        let by = Duration::from_secs(shift.unsigned_abs());
        Moment { monotonic, wall: if shift < 0 { wall - by } else { wall + by } }
    }
}

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use auth_core::{Clock, Moment};
use tokio::time::Instant;

/// Reads both clocks from tokio's time, which a test can pause and advance.
///
/// [`shift_wall`](Self::shift_wall) moves the wall clock alone. Clones share their time.
///
/// # Example
/// ```
/// use std::time::Duration;
///
/// use auth_core::Clock;
/// use auth_testing::VirtualClock;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
/// let clock = VirtualClock::new();
/// let start = clock.now();
/// tokio::time::advance(Duration::from_secs(3600)).await; // returns at once
/// assert_eq!(clock.now().since(&start), Duration::from_secs(3600));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct VirtualClock {
    start: Moment,
    wall_shift: Arc<AtomicI64>,
}

impl VirtualClock {
    /// Creates a clock whose wall time starts on a fixed day in 2026.
    ///
    /// # Example
    /// ```
    /// use auth_testing::{Script, VirtualClock};
    ///
    /// let tokens = Script::default().builder().with_clock(VirtualClock::new()).build()?;
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn new() -> Self {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_793_000_000);
        let start = Moment { monotonic: Instant::now().into_std(), wall };
        Self { start, wall_shift: Arc::default() }
    }

    /// Sets the wall clock forward by this number of seconds, or back if the number is negative.
    ///
    /// The monotonic clock does not move. So `shift_wall(7200)` looks like a suspend of two hours.
    ///
    /// # Example
    /// ```
    /// use std::time::Duration;
    ///
    /// use auth_core::Clock;
    /// use auth_testing::VirtualClock;
    ///
    /// let clock = VirtualClock::new();
    /// let before = clock.now();
    /// clock.shift_wall(7200);
    /// assert!(clock.now().since(&before) >= Duration::from_secs(7200));
    /// ```
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
        let distance = Duration::from_secs(shift.unsigned_abs());
        Moment { monotonic, wall: if shift < 0 { wall - distance } else { wall + distance } }
    }
}

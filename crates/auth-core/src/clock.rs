//! The two clocks that decide about a token.

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime};

/// Holds one reading of both clocks.
///
/// The monotonic clock stands still while a machine is suspended; the wall clock can be set. Neither is trusted alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// What the monotonic clock said.
    pub monotonic: Instant,
    /// What the wall clock said.
    pub wall: SystemTime,
}

impl Moment {
    /// Tells how long ago `earlier` was, by whichever clock says more.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Duration {
        let monotonic = self.monotonic.saturating_duration_since(earlier.monotonic);
        let wall = self.wall.duration_since(earlier.wall).unwrap_or_default();
        monotonic.max(wall)
    }

    /// The instant so much later on both clocks.
    pub(crate) fn plus(&self, duration: Duration) -> Self {
        Self { monotonic: self.monotonic + duration, wall: self.wall + duration }
    }

    /// Tells whether neither clock has reached `instant`.
    pub(crate) fn is_before(&self, instant: &Self) -> bool {
        self.monotonic < instant.monotonic && self.wall < instant.wall
    }
}

/// Reads both clocks; the seam through which a test sets the time.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Reads both clocks.
    fn now(&self) -> Moment;
}

/// Reads the machine's clocks.
///
/// On Linux these are the coarse ones (a tick of 1 to 10 ms), which cost a quarter of the others: a token's life is
/// counted in seconds. They are not tokio's, so a test that pauses tokio's time sets a
/// [`VirtualClock`](crate::testing::VirtualClock).
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        system::now()
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::sync::LazyLock;
    use std::time::{Duration, Instant, SystemTime};

    use rustix::time::{ClockId, clock_gettime};

    use super::Moment;

    /// An `Instant` cannot be made of a clock's reading, but it can be moved by one.
    static START: LazyLock<(Instant, Duration)> = LazyLock::new(|| (Instant::now(), read(ClockId::MonotonicCoarse)));

    pub(super) fn now() -> Moment {
        let (start, reading) = &*START;
        Moment {
            monotonic: *start + read(ClockId::MonotonicCoarse).saturating_sub(*reading),
            wall: SystemTime::UNIX_EPOCH + read(ClockId::RealtimeCoarse),
        }
    }

    fn read(clock: ClockId) -> Duration {
        // Negative only before 1970.
        Duration::try_from(clock_gettime(clock)).unwrap_or_default()
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::time::{Instant, SystemTime};

    use super::Moment;

    pub(super) fn now() -> Moment {
        Moment { monotonic: Instant::now(), wall: SystemTime::now() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_that_says_more_wins() {
        let start = SystemClock.now();
        let second = Duration::from_secs(1);
        let later = |monotonic: Duration, wall: Duration| Moment {
            monotonic: start.monotonic + monotonic,
            wall: start.wall + wall,
        };
        assert_eq!(later(second, 5 * second).since(&start), 5 * second);
        assert_eq!(later(5 * second, second).since(&start), 5 * second);

        let set_back = Moment { monotonic: start.monotonic + second, wall: start.wall - 3600 * second };
        assert_eq!(set_back.since(&start), second);
        assert_eq!(start.since(&later(second, second)), Duration::ZERO);
    }

    #[test]
    fn the_system_clock_is_the_systems() {
        let now = SystemClock.now();
        let off = |ahead: Duration, behind: Duration| ahead.max(behind) < Duration::from_secs(1);
        let real = Instant::now();
        assert!(off(now.monotonic.saturating_duration_since(real), real.saturating_duration_since(now.monotonic)));
        let real = SystemTime::now();
        let between = |a: SystemTime, b: SystemTime| a.duration_since(b).unwrap_or_default();
        assert!(off(between(now.wall, real), between(real, now.wall)));
    }
}

//! The two clocks that decide how old a token is.

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime};

/// Holds one reading of the monotonic clock and of the wall clock.
///
/// The monotonic clock stops while a machine is suspended. The wall clock can be set back. So a token's age is measured
/// with both, and the larger value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The reading of the monotonic clock.
    pub monotonic: Instant,
    /// The reading of the wall clock.
    pub wall: SystemTime,
}

impl Moment {
    /// Returns the time since `earlier`: the larger of the two clocks' differences, zero if `earlier` is later.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use auth_core::{Clock, Moment, SystemClock};
    ///
    /// let start = SystemClock.now();
    /// let resumed = Moment { wall: start.wall + Duration::from_secs(3600), ..start };
    /// assert_eq!(resumed.since(&start), Duration::from_secs(3600)); // the machine was suspended for an hour
    /// ```
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Duration {
        let monotonic = self.monotonic.saturating_duration_since(earlier.monotonic);
        let wall = self.wall.duration_since(earlier.wall).unwrap_or_default();
        monotonic.max(wall)
    }

    /// Returns the moment `duration` later on both clocks.
    pub(crate) fn plus(&self, duration: Duration) -> Self {
        Self { monotonic: self.monotonic + duration, wall: self.wall + duration }
    }

    /// Returns `true` if neither clock has reached `instant`.
    #[inline]
    pub(crate) fn is_before(&self, instant: &Self) -> bool {
        self.monotonic < instant.monotonic && self.wall < instant.wall
    }
}

/// Reads the time. A test can replace it with a clock that it controls.
///
/// ```
/// use auth_core::{Clock, Moment};
///
/// #[derive(Debug)]
/// struct FixedClock(Moment);
///
/// impl Clock for FixedClock {
///     fn now(&self) -> Moment {
///         self.0
///     }
/// }
/// ```
pub trait Clock: Debug + Send + Sync + 'static {
    /// Returns the current reading of both clocks.
    fn now(&self) -> Moment;
}

/// Reads the operating system's clocks.
///
/// On Linux it reads the coarse clocks. They tick every 1 to 10 ms, which is enough for lifetimes in seconds, and a
/// reading costs a quarter of a precise one. It does not follow tokio's clock: a test that pauses tokio's time needs
/// the `VirtualClock` of the crate `auth-testing`.
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

    /// A precise `Instant` and the coarse reading that belongs to it.
    ///
    /// An `Instant` cannot be built from a clock's reading, but a duration can be added to one.
    static START: LazyLock<(Instant, Duration)> = LazyLock::new(|| (Instant::now(), read(ClockId::MonotonicCoarse)));

    pub(super) fn now() -> Moment {
        let (start, reading) = &*START;
        Moment {
            monotonic: *start + read(ClockId::MonotonicCoarse).saturating_sub(*reading),
            wall: SystemTime::UNIX_EPOCH + read(ClockId::RealtimeCoarse),
        }
    }

    fn read(clock: ClockId) -> Duration {
        // A negative reading means a wall clock before 1970.
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

    fn later(start: &Moment, monotonic: Duration, wall: Duration) -> Moment {
        Moment { monotonic: start.monotonic + monotonic, wall: start.wall + wall }
    }

    #[test]
    fn the_larger_difference_of_the_two_clocks_counts() {
        let start = SystemClock.now();
        let second = Duration::from_secs(1);
        assert_eq!(later(&start, second, 5 * second).since(&start), 5 * second);
        assert_eq!(later(&start, 5 * second, second).since(&start), 5 * second);

        let set_back = Moment { monotonic: start.monotonic + second, wall: start.wall - 3600 * second };
        assert_eq!(set_back.since(&start), second);
        assert_eq!(start.since(&later(&start, second, second)), Duration::ZERO);
    }

    #[test]
    fn the_system_clock_agrees_with_std() {
        let now = SystemClock.now();
        let monotonic = Instant::now();
        assert!(now.monotonic.max(monotonic) - now.monotonic.min(monotonic) < Duration::from_secs(1));
        let wall = SystemTime::now();
        let difference = now.wall.max(wall).duration_since(now.wall.min(wall)).unwrap();
        assert!(difference < Duration::from_secs(1));
    }
}

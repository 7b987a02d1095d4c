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
}

/// Reads both clocks; the seam through which a test sets the time.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Reads both clocks.
    fn now(&self) -> Moment;
}

/// Reads the machine's clocks.
///
/// The monotonic one is tokio's, which is the machine's own unless a test has paused it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment { monotonic: tokio::time::Instant::now().into_std(), wall: SystemTime::now() }
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
}

//! When a manager looks for news during a cooldown: for other credentials, or for the token of another process.

use std::time::Duration;

use crate::clock::Moment;

/// How often a source is asked while a refusal pauses logins.
const SOURCE_INTERVAL: Duration = Duration::from_secs(1);

/// The first and the longest wait between two reads of the store. Each wait is twice the previous one.
const FIRST_STORE_WAIT: Duration = Duration::from_secs(1);
const LONGEST_STORE_WAIT: Duration = Duration::from_secs(30);

/// The times of the next looks. They are kept from the first failure to the next success.
#[derive(Debug, Default)]
pub(super) struct Looks {
    source: Option<Moment>,
    store: Option<(Moment, Duration)>,
}

/// Where a manager may look for news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) at_source: bool,
    pub(super) in_store: bool,
}

impl Look {
    fn is_none(self) -> bool {
        !self.at_source && !self.in_store
    }
}

impl Looks {
    /// Starts the waits, unless they have started. A failure has just shown that there is no news.
    pub(super) fn start(&mut self, now: &Moment) {
        self.source = Some(now.plus(SOURCE_INTERVAL));
        self.store.get_or_insert((now.plus(FIRST_STORE_WAIT), FIRST_STORE_WAIT));
    }

    /// Returns the places of `possible` whose wait is over, or `None` if there is none.
    pub(super) fn due(&self, possible: Look, now: &Moment) -> Option<Look> {
        let is_over = |at: &Moment| now.monotonic >= at.monotonic;
        let look = Look {
            at_source: possible.at_source && self.source.as_ref().is_none_or(is_over),
            in_store: possible.in_store && self.store.as_ref().is_none_or(|(at, _)| is_over(at)),
        };
        (!look.is_none()).then_some(look)
    }

    /// Starts the next wait of each place that is looked at now.
    pub(super) fn record(&mut self, look: Look, now: &Moment) {
        if look.at_source {
            self.source = Some(now.plus(SOURCE_INTERVAL));
        }
        if look.in_store {
            let wait = self.store.map_or(FIRST_STORE_WAIT, |(_, wait)| (2 * wait).min(LONGEST_STORE_WAIT));
            self.store = Some((now.plus(wait), wait));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    const BOTH: Look = Look { at_source: true, in_store: true };

    /// Returns the seconds of the looks at one place, if somebody asks each second.
    fn looks(seconds: u64, possible: Look) -> Vec<u64> {
        let start = SystemClock.now();
        let mut looks = Looks::default();
        looks.start(&start);
        let mut times = Vec::new();
        for second in 0..seconds {
            let now = start.plus(Duration::from_secs(second));
            if let Some(look) = looks.due(possible, &now) {
                looks.record(look, &now);
                times.push(second);
            }
        }
        times
    }

    #[test]
    fn r14_the_store_is_read_after_1_2_4_and_up_to_30_s() {
        let in_store = Look { at_source: false, in_store: true };
        assert_eq!(looks(130, in_store), [1, 3, 7, 15, 31, 61, 91, 121]);
    }

    #[test]
    fn r4_a_source_is_asked_at_most_once_a_second() {
        let at_source = Look { at_source: true, in_store: false };
        assert_eq!(looks(5, at_source), [1, 2, 3, 4]);
        let (start, mut looks) = (SystemClock.now(), Looks::default());
        looks.start(&start);
        assert_eq!(looks.due(BOTH, &start.plus(Duration::from_millis(999))), None);
        assert_eq!(looks.due(BOTH, &start.plus(Duration::from_secs(1))), Some(BOTH));
    }

    #[test]
    fn r14_another_failure_does_not_start_the_waits_for_the_store_again() {
        let (start, mut looks) = (SystemClock.now(), Looks::default());
        looks.start(&start);
        looks.record(BOTH, &start);
        let later = start.plus(Duration::from_secs(2));
        looks.start(&later);
        assert_eq!(looks.due(BOTH, &later), Some(Look { at_source: false, in_store: true }));
    }
}

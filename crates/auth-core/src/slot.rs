//! The current token of a manager, which any number of threads read at the same time.

use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;

use crate::token::{AccessToken, Inner};

/// Enough for the threads that call for tokens at the same instant, and few enough for a pool of many accounts.
const COPIES: usize = 4;

/// Holds a manager's current token. A read takes no lock.
///
/// A read counts a reference to the token. If all threads used one counter, each read would wait for its cache line. So
/// there are several copies of a token, which share its text, and each thread reads the same one every time.
#[derive(Default)]
pub(crate) struct Slot([ArcSwapOption<Inner>; COPIES]);

impl Slot {
    #[inline]
    pub(crate) fn load(&self) -> Option<AccessToken> {
        self.0[copy_of_this_thread()].load_full().map(AccessToken)
    }

    /// Replaces all copies, one after the other. The caller holds the lock of the manager's state, so that two writers
    /// cannot mix their copies. For an instant, some threads still read the old token.
    pub(crate) fn store(&self, token: Option<&AccessToken>) {
        for copy in &self.0 {
            copy.store(token.map(AccessToken::copied));
        }
    }
}

#[inline]
fn copy_of_this_thread() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static COPY: usize = THREADS.fetch_add(1, Ordering::Relaxed) % COPIES;
    }
    COPY.with(|copy| *copy)
}

//! Replaces the part of the crate `arc-swap` that auth-core uses with a shuttle lock: each load and store is one step.
#![forbid(unsafe_code)]

use std::sync::Arc;

use shuttle::sync::Mutex;

/// An optional pointer that can be replaced.
pub struct ArcSwapOption<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for ArcSwapOption<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> ArcSwapOption<T> {
    /// Reads the pointer.
    pub fn load_full(&self) -> Option<Arc<T>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Replaces the pointer.
    pub fn store(&self, value: Option<Arc<T>>) {
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = value;
    }
}

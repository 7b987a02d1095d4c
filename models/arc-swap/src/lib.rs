//! Replaces the part of the crate `arc-swap` that auth-core uses with a shuttle lock: each load and store is one step.
#![forbid(unsafe_code)]

use std::fmt;
use std::ops::Deref;
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
    pub fn load(&self) -> Guard<Option<Arc<T>>> {
        Guard(self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone())
    }

    /// Replaces the pointer.
    pub fn store(&self, value: Option<Arc<T>>) {
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = value;
    }
}

/// A loaded value.
pub struct Guard<T>(T);

impl<T> Guard<T> {
    /// Wraps a value.
    pub fn from_inner(value: T) -> Self {
        Self(value)
    }

    /// Returns the value.
    pub fn into_inner(guard: Self) -> T {
        guard.0
    }
}

impl<T> Deref for Guard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Guard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

//! What a manager has last seen of its entry in a store.

#[cfg(feature = "store")]
use crate::store::{EntryName, LeaseNumber};

#[cfg(feature = "store")]
/// What a manager has last seen of its entry.
#[derive(Clone, Default)]
pub(super) struct StoreCursor {
    pub(super) name: Option<EntryName>,
    /// The number of the last change.
    pub(super) revision: LeaseNumber,
    /// The number under which the current token was saved; 0 if it is not in the store.
    pub(super) saved: LeaseNumber,
}

/// Empty, because there is no store.
#[cfg(not(feature = "store"))]
#[derive(Clone, Default)]
pub(super) struct StoreCursor {}

//! The place in a store up to which a manager has read.

#[cfg(feature = "store")]
use crate::store::{EntryName, LeaseNumber};

#[cfg(feature = "store")]
/// The last state of its entry that a manager has seen.
#[derive(Clone, Default)]
pub(super) struct StoreCursor {
    pub(super) name: Option<EntryName>,
    /// The number of the last change.
    pub(super) revision: LeaseNumber,
    /// The number under which the current token was saved; 0 if it is not in the store.
    pub(super) saved: LeaseNumber,
}

/// Without a store there is nothing to know.
#[cfg(not(feature = "store"))]
#[derive(Clone, Default)]
pub(super) struct StoreCursor {}

//! The names by which events, errors and metrics tell a manager from others.

use std::fmt;
use std::sync::Arc;

/// The provider's name, and the label that the program has given to the manager.
#[derive(Clone)]
pub(crate) struct Name {
    pub(crate) provider: &'static str,
    pub(crate) label: Option<Arc<str>>,
}

impl Name {
    /// Returns the label as a value of a `tracing` event. Without a label, the event has no such field.
    pub(crate) fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.provider, self.label)
    }
}

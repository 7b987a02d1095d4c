//! The names by which events, errors and metrics tell a manager from others.

use std::fmt;
use std::sync::{Arc, OnceLock};

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

/// The name of a provider that a source of credentials has not returned yet.
const UNKNOWN: &str = "unknown";

/// The name of a manager. The provider's name is known when its source has returned the first provider.
pub(crate) struct ManagerName {
    provider: OnceLock<&'static str>,
    label: Option<Arc<str>>,
}

impl ManagerName {
    pub(crate) fn new(label: Option<Arc<str>>) -> Self {
        Self { provider: OnceLock::new(), label }
    }

    /// Returns the name for this provider. The first one names the manager.
    pub(crate) fn of(&self, provider: &'static str) -> Name {
        self.provider.get_or_init(|| provider);
        Name { provider, label: self.label.clone() }
    }

    pub(crate) fn known_provider(&self) -> Option<&'static str> {
        self.provider.get().copied()
    }

    pub(crate) fn provider(&self) -> &'static str {
        self.known_provider().unwrap_or(UNKNOWN)
    }

    /// Returns the label as a value of a `tracing` event.
    pub(crate) fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    pub(crate) fn shared_label(&self) -> Option<Arc<str>> {
        self.label.clone()
    }
}

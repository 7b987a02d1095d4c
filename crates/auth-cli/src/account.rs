//! One account of a provider.

use std::sync::Arc;

use auth_all::ProviderConfig;
use auth_all::core::Provider;

use crate::failure::{Failure, Result};
use crate::setting::{Setting, is_secret};

/// An account, as it was named on the command line.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) provider: &'static str,
    /// Whether a profile of the config file stands behind it.
    pub(crate) is_profile: bool,
    /// All that the provider knows, in its order.
    pub(crate) settings: Vec<Setting>,
}

impl Account {
    /// Who it is, as the provider knows it.
    pub(crate) fn who(&self) -> Option<&str> {
        ["username", "client_id"].iter().find_map(|name| self.value(name))
    }

    /// A setting that is no secret.
    fn value(&self, setting: &str) -> Option<&str> {
        let setting = self.settings.iter().find(|known| known.name == setting && !is_secret(known.name))?;
        setting.found.as_ref().map(|(value, _)| value.expose())
    }

    /// Where its settings come from, each place once.
    pub(crate) fn origins(&self) -> Vec<&'static str> {
        let found = self.settings.iter().filter_map(|setting| setting.found.as_ref());
        let mut origins: Vec<_> = found.map(|(_, origin)| origin.name()).collect();
        origins.sort_unstable();
        origins.dedup();
        origins
    }

    /// What its variables begin with, in the environment of a command.
    pub(crate) fn prefix(&self) -> String {
        self.name.to_ascii_uppercase().replace('-', "_")
    }

    /// Checks the settings.
    pub(crate) fn provider(&self) -> Result<Arc<dyn Provider>> {
        let found = |name| self.settings.iter().find(|setting| setting.name == name)?.found.clone();
        let config = ProviderConfig::from_settings(self.provider, |name| Ok(found(name).map(|(value, _)| value)));
        config.and_then(ProviderConfig::build).map_err(|error| self.of(error.into()))
    }

    /// A failure of this account. An error of the library has the provider's name in front already.
    pub(crate) fn of(&self, failure: Failure) -> Failure {
        if self.name == self.provider { failure } else { failure.of(&self.name) }
    }
}

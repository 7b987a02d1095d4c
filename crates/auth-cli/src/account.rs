//! One account of a provider.

use std::sync::Arc;

use auth_all::ProviderConfig;
use auth_all::core::Provider;

use crate::error::{CliError, Result};
use crate::setting::{Setting, is_secret};

/// An account under the name that the command line gives it.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) provider: &'static str,
    /// Whether the name is a profile of the config file.
    pub(crate) is_profile: bool,
    /// All settings of the provider, set or not, in the provider's order.
    pub(crate) settings: Vec<Setting>,
}

impl Account {
    /// Returns the user name or the client id.
    pub(crate) fn user(&self) -> Option<&str> {
        ["username", "client_id"].iter().find_map(|name| self.value(name))
    }

    /// Returns the value of a setting, unless it is a secret.
    fn value(&self, setting: &str) -> Option<&str> {
        let setting = self.settings.iter().find(|known| known.name == setting && !is_secret(known.name))?;
        setting.found.as_ref().map(|(value, _)| value.expose())
    }

    /// Returns the places that the settings come from, each place once.
    pub(crate) fn origins(&self) -> Vec<&'static str> {
        let found = self.settings.iter().filter_map(|setting| setting.found.as_ref());
        let mut origins: Vec<_> = found.map(|(_, origin)| origin.name()).collect();
        origins.sort_unstable();
        origins.dedup();
        origins
    }

    /// Returns the prefix of the account's variables in the environment of a command.
    pub(crate) fn variable_prefix(&self) -> String {
        self.name.to_ascii_uppercase().replace('-', "_")
    }

    /// Validates the settings and builds the provider from them.
    pub(crate) fn provider(&self) -> Result<Arc<dyn Provider>> {
        let found = |name| self.settings.iter().find(|setting| setting.name == name)?.found.clone();
        let config = ProviderConfig::from_settings(self.provider, |name| Ok(found(name).map(|(value, _)| value)));
        config.and_then(ProviderConfig::build).map_err(|error| self.in_context(error.into()))
    }

    /// Prefixes an error with the profile's name. The library's errors start with the provider's name already.
    pub(crate) fn in_context(&self, error: CliError) -> CliError {
        if self.name == self.provider { error } else { error.in_context(&self.name) }
    }
}

//! Finds the account that PROVIDER names, by the name of a provider or of a profile, and its settings.

use auth_all::ProviderConfig;
use auth_all::core::Secret;

use crate::account::Account;
use crate::config::{Config, Profile};
use crate::error::{CliError, Result};
use crate::flags::Flags;
use crate::setting::{Origin, Setting, from_env, from_stdin, setting_names, variable};

/// Finds accounts by name.
pub(crate) struct Accounts<'a> {
    flags: &'a Flags,
    config: Config,
    /// The setting that was read from stdin, and its value.
    stdin: Option<(&'static str, Secret)>,
}

impl<'a> Accounts<'a> {
    pub(crate) fn new(flags: &'a Flags) -> Result<Self> {
        let stdin = flags.on_stdin().map(|setting| from_stdin(setting).map(|value| (setting, value))).transpose()?;
        Ok(Self { flags, config: Config::load()?, stdin })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the account of this name.
    pub(crate) fn account(&self, name: &str) -> Result<Account> {
        let profile = self.config.profile(name);
        let provider = profile.map_or(name, |profile| profile.provider);
        let Some(provider) = ProviderConfig::PROVIDERS.iter().find(|known| **known == provider) else {
            return Err(self.unknown(name));
        };
        let known = &setting_names(provider)[..];
        self.check_settings(provider, known, profile).map_err(|error| error.in_context(name))?;
        let settings = known.iter().map(|setting| {
            let found = self.find(provider, setting, profile).map_err(|error| error.in_context(name))?;
            Ok(Setting { name: setting, found })
        });
        let settings = CliError::collect(settings)?;
        Ok(Account { name: name.to_owned(), provider, is_profile: profile.is_some(), settings })
    }

    /// Returns the accounts of these names.
    pub(crate) fn accounts(&self, names: &[String]) -> Result<Vec<Account>> {
        self.check_flags(names)?;
        CliError::collect(names.iter().map(|name| self.account(name)))
    }

    /// Returns the given names.
    ///
    /// If there are none, returns every profile, and every provider of which a variable is set.
    pub(crate) fn names_or_all(&self, given: Vec<String>) -> Result<Vec<String>> {
        self.check_flags(&given)?;
        if !given.is_empty() {
            return Ok(given);
        }
        let has_variable = |provider: &&&str| {
            let settings = setting_names(provider);
            settings.iter().any(|setting| !matches!(from_env(&variable(provider, setting)), Ok(None)))
        };
        let by_env = ProviderConfig::PROVIDERS.iter().filter(has_variable).copied();
        let by_env = by_env.filter(|name| self.config.profile(name).is_none());
        let names: Vec<_> = by_env.chain(self.config.names()).map(str::to_owned).collect();
        if names.is_empty() {
            return Err(CliError::usage(
                "nothing is set up; set variables such as VOIPEX_USERNAME or write a profile: `auth --help` shows how",
            ));
        }
        Ok(names)
    }

    /// Refuses settings by flag or stdin for several accounts.
    fn check_flags(&self, names: &[String]) -> Result<()> {
        let has_flags = self.stdin.is_some() || self.flags.given().next().is_some();
        if has_flags && names.len() != 1 {
            return Err(CliError::usage("flags with settings apply to one account; name exactly one PROVIDER"));
        }
        Ok(())
    }

    fn unknown(&self, name: &str) -> CliError {
        let profiles = self.config.names().filter(|name| !ProviderConfig::PROVIDERS.contains(name));
        let names: Vec<_> = ProviderConfig::PROVIDERS.iter().copied().chain(profiles).collect();
        CliError::usage(format!("`{name}` is neither a provider nor a profile; known names: {}", names.join(", ")))
    }

    /// Refuses a setting that the provider does not have.
    fn check_settings(&self, provider: &str, known: &[&str], profile: Option<&Profile>) -> Result<()> {
        let by_flag = self.flags.given().map(|(setting, _)| setting).chain(self.stdin.as_ref().map(|(name, _)| *name));
        let by_profile = profile.into_iter().flat_map(Profile::settings);
        match by_flag.chain(by_profile).find(|setting| !known.contains(setting)) {
            None => Ok(()),
            Some(setting) => {
                let known = known.join(", ");
                Err(CliError::usage(format!("{provider} has no setting `{setting}`; its settings are: {known}")))
            }
        }
    }

    /// Finds a setting: on stdin, in a flag, in the environment or in the profile, in this order.
    fn find(&self, provider: &str, setting: &str, profile: Option<&Profile>) -> Result<Option<(Secret, Origin)>> {
        if let Some((_, value)) = self.stdin.as_ref().filter(|(name, _)| *name == setting) {
            return Ok(Some((value.clone(), Origin::Stdin)));
        }
        if let Some((_, value)) = self.flags.given().find(|(name, _)| *name == setting) {
            return Ok(Some((value.into(), Origin::Flag)));
        }
        let variable = variable(provider, setting);
        if let Some(value) = from_env(&variable)? {
            return Ok(Some((value, Origin::Environment(variable))));
        }
        let Some(value) = profile.and_then(|profile| profile.get(setting)) else { return Ok(None) };
        let secret =
            value.resolve(self.config.directory()).map_err(|error| error.in_context(&format!("`{setting}`")))?;
        Ok(Some((secret, Origin::Profile(value.kind()))))
    }
}

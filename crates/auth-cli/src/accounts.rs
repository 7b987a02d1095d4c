//! What PROVIDER means: a provider's name or a profile's, and what its settings are.

use auth_all::ProviderConfig;
use auth_all::core::Secret;

use crate::account::Account;
use crate::config::{Config, Profile};
use crate::failure::{Failure, Result};
use crate::flags::Flags;
use crate::setting::{Origin, Setting, from_env, from_stdin, setting_names, variable};

/// Finds accounts by name.
pub(crate) struct Accounts<'a> {
    flags: &'a Flags,
    config: Config,
    /// What was read from stdin, by the setting's name.
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

    /// The account of this name.
    pub(crate) fn one(&self, name: &str) -> Result<Account> {
        let profile = self.config.profile(name);
        let provider = profile.map_or(name, |profile| profile.provider);
        let Some(provider) = ProviderConfig::PROVIDERS.iter().find(|known| **known == provider) else {
            return Err(self.unknown(name));
        };
        let known = &setting_names(provider)[..];
        self.check_settings(provider, known, profile).map_err(|failure| failure.of(name))?;
        let settings = known.iter().map(|setting| {
            let found = self.find(provider, setting, profile).map_err(|failure| failure.of(name))?;
            Ok(Setting { name: setting, found })
        });
        let settings = Failure::all(settings)?;
        Ok(Account { name: name.to_owned(), provider, is_profile: profile.is_some(), settings })
    }

    /// The accounts of these names.
    pub(crate) fn named(&self, names: &[String]) -> Result<Vec<Account>> {
        self.check_flags(names)?;
        Failure::all(names.iter().map(|name| self.one(name)))
    }

    /// The names that were given, or those of all who have any setting at all: every profile, and the providers that the
    /// environment speaks of.
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
            return Err(Failure::usage(
                "nothing is set up: neither a variable such as VOIPEX_USERNAME nor a profile; `auth --help` shows both",
            ));
        }
        Ok(names)
    }

    /// Settings by flag are for one account.
    fn check_flags(&self, names: &[String]) -> Result<()> {
        let has_flags = self.stdin.is_some() || self.flags.given().next().is_some();
        if has_flags && names.len() != 1 {
            return Err(Failure::usage("settings by flag are for one PROVIDER: name it, and no other"));
        }
        Ok(())
    }

    fn unknown(&self, name: &str) -> Failure {
        let profiles = self.config.names().filter(|name| !ProviderConfig::PROVIDERS.contains(name));
        let names: Vec<_> = ProviderConfig::PROVIDERS.iter().copied().chain(profiles).collect();
        Failure::usage(format!("`{name}` is neither a provider nor a profile; known are: {}", names.join(", ")))
    }

    /// That nothing was given which the provider does not know.
    fn check_settings(&self, provider: &str, known: &[&str], profile: Option<&Profile>) -> Result<()> {
        let by_flag = self.flags.given().map(|(setting, _)| setting).chain(self.stdin.as_ref().map(|(name, _)| *name));
        let by_profile = profile.into_iter().flat_map(Profile::settings);
        match by_flag.chain(by_profile).find(|setting| !known.contains(setting)) {
            None => Ok(()),
            Some(setting) => {
                let known = known.join(", ");
                Err(Failure::usage(format!("{provider} has no setting `{setting}`; it has: {known}")))
            }
        }
    }

    /// By flag, else by the environment, else by the profile.
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
        let secret = value.resolve(self.config.directory()).map_err(|failure| failure.of(&format!("`{setting}`")))?;
        Ok(Some((secret, Origin::Profile(value.kind()))))
    }
}

//! What PROVIDER means: a provider's name or a profile's, and where each of its settings comes from.

use std::env;
use std::io::Read;
use std::sync::Arc;

use auth_all::ProviderConfig;
use auth_all::core::{Provider, Secret};
use serde::Deserialize;
use serde::de::value::{Error as ValueError, MapDeserializer};
use zeroize::Zeroizing;

use crate::args::Flags;
use crate::config::{Config, Profile};
use crate::failure::{Failure, Result, with_causes};
use crate::reference::Value;

/// The settings that are no secrets. A name that is not here counts as one, so a new secret cannot be forgotten.
const OPEN: [&str; 9] = [
    "base_url",
    "client_id",
    "client_id_field",
    "client_secret_field",
    "email",
    "login_path",
    "revision",
    "scope",
    "username",
];

pub(crate) fn is_secret(setting: &str) -> bool {
    !OPEN.contains(&setting)
}

/// The environment variable of a provider's setting.
pub(crate) fn variable(provider: &str, setting: &str) -> String {
    format!("{provider}_{setting}").to_ascii_uppercase()
}

/// One account of a provider.
#[derive(Debug)]
pub(crate) struct Account {
    /// As it was named on the command line.
    pub(crate) name: String,
    pub(crate) provider: &'static str,
    /// Whether a profile of the config file stands behind it.
    pub(crate) is_profile: bool,
    /// All that the provider knows, in its order.
    pub(crate) settings: Vec<Setting>,
}

#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) found: Option<(Secret, Origin)>,
}

/// Where a setting was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Stdin,
    Environment(String),
    /// A profile names this variable.
    Reference(String),
    /// In a profile, or where it says.
    Profile(&'static str),
}

/// Finds accounts by name.
pub(crate) struct Accounts<'a> {
    flags: &'a Flags,
    config: Config,
    /// What was read from stdin, by the setting's name.
    stdin: Option<(&'static str, Secret)>,
}

impl<'a> Accounts<'a> {
    pub(crate) fn new(flags: &'a Flags) -> Result<Self> {
        let stdin = flags.on_stdin().map(|setting| read_stdin(setting).map(|value| (setting, value))).transpose()?;
        Ok(Self { flags, config: Config::load()?, stdin })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The account of this name.
    pub(crate) fn one(&self, name: &str) -> Result<Account> {
        let profile = self.config.profile(name);
        let provider = profile.and_then(|profile| profile.provider.as_deref()).unwrap_or(name);
        let Some(provider) = ProviderConfig::PROVIDERS.iter().find(|known| **known == provider) else {
            return Err(self.unknown(name));
        };
        let known = ProviderConfig::settings(provider).unwrap_or_default();
        self.check(name, provider, known, profile)?;
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
        let has_variable = |provider: &str| {
            let settings = ProviderConfig::settings(provider).unwrap_or_default();
            settings.iter().any(|setting| from_env(&variable(provider, setting)).is_some())
        };
        let by_env =
            ProviderConfig::PROVIDERS.iter().filter(|provider| has_variable(provider)).map(|name| name.to_string());
        let mut names: Vec<_> = by_env.filter(|name| self.config.profile(name).is_none()).collect();
        names.extend(self.config.names().map(str::to_owned));
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
        let names: Vec<_> = ProviderConfig::PROVIDERS.iter().copied().chain(self.config.names()).collect();
        Failure::usage(format!("`{name}` is neither a provider nor a profile; known are: {}", names.join(", ")))
    }

    /// That nothing was given which the provider does not know.
    fn check(&self, name: &str, provider: &str, known: &[&str], profile: Option<&Profile>) -> Result<()> {
        let by_flag = self.flags.given().map(|(setting, _)| setting).chain(self.stdin.as_ref().map(|(name, _)| *name));
        let by_profile = profile.into_iter().flat_map(Profile::settings);
        match by_flag.chain(by_profile).find(|setting| !known.contains(setting)) {
            None => Ok(()),
            Some(setting) => Err(Failure::usage(format!(
                "{name}: {provider} has no setting `{setting}`; it has: {}",
                known.join(", ")
            ))),
        }
    }

    fn find(
        &self,
        provider: &str,
        setting: &'static str,
        profile: Option<&Profile>,
    ) -> Result<Option<(Secret, Origin)>> {
        if let Some((_, value)) = self.stdin.as_ref().filter(|(name, _)| *name == setting) {
            return Ok(Some((value.clone(), Origin::Stdin)));
        }
        if let Some((_, value)) = self.flags.given().find(|(name, _)| *name == setting) {
            return Ok(Some((value.into(), Origin::Flag)));
        }
        let variable = variable(provider, setting);
        if let Some(value) = from_env(&variable) {
            let value = value.map_err(|()| Failure::usage(format!("{variable} is not Unicode text")))?;
            return Ok(Some((value, Origin::Environment(variable))));
        }
        let Some(value) = profile.and_then(|profile| profile.get(setting)) else { return Ok(None) };
        let secret = value.resolve(self.config.directory()).map_err(|failure| failure.of(&format!("`{setting}`")))?;
        let origin = match value {
            Value::Env(variable) => Origin::Reference(variable.clone()),
            _ => Origin::Profile(value.kind()),
        };
        Ok(Some((secret, origin)))
    }
}

/// None where it is not set or empty.
fn from_env(variable: &str) -> Option<std::result::Result<Secret, ()>> {
    let value = env::var_os(variable).filter(|value| !value.is_empty())?;
    Some(value.into_string().map(Secret::from).map_err(|_| ()))
}

/// All of stdin but for one line end.
fn read_stdin(setting: &str) -> Result<Secret> {
    let mut text = Zeroizing::new(String::with_capacity(4096));
    let read = std::io::stdin().lock().take(64 * 1024).read_to_string(&mut text);
    read.map_err(|error| Failure::usage(format!("`{setting}` cannot be read from stdin: {error}")))?;
    let value = without_line_end(&text);
    if value.is_empty() {
        return Err(Failure::usage(format!("`{setting}` was to come from stdin, which is empty")));
    }
    Ok(value.into())
}

/// What programs put at the end of what they print.
pub(crate) fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

impl Account {
    /// Who it is, as the provider knows it.
    pub(crate) fn who(&self) -> Option<&str> {
        ["username", "client_id"].iter().find_map(|name| self.value(name))
    }

    /// A setting that is no secret.
    pub(crate) fn value(&self, setting: &str) -> Option<&str> {
        let setting = self.settings.iter().find(|known| known.name == setting && !is_secret(known.name))?;
        setting.found.as_ref().map(|(value, _)| value.expose())
    }

    /// Where its settings come from, each place once.
    pub(crate) fn origins(&self) -> Vec<&'static str> {
        let mut origins: Vec<_> = self
            .settings
            .iter()
            .filter_map(|setting| setting.found.as_ref())
            .map(|(_, origin)| origin.name())
            .collect();
        origins.sort_unstable();
        origins.dedup();
        origins
    }

    /// What its variables begin with, in the environment of a command.
    pub(crate) fn prefix(&self) -> String {
        self.name.to_ascii_uppercase().replace(|character: char| !character.is_ascii_alphanumeric(), "_")
    }

    /// Checks the settings.
    pub(crate) fn provider(&self) -> Result<Arc<dyn Provider>> {
        let given = self.settings.iter().filter_map(|setting| {
            let (value, _) = setting.found.as_ref()?;
            Some((setting.name, value.expose().to_owned()))
        });
        let settings = [("provider", self.provider.to_owned())].into_iter().chain(given);
        let config = ProviderConfig::deserialize(MapDeserializer::<_, ValueError>::new(settings));
        // What a parser says may quote the value.
        let config = config.map_err(|_| self.fault("`revision` is a word that this setting does not know"))?;
        config.build().map_err(|error| self.fault(&with_causes(&error)))
    }

    fn fault(&self, problem: &str) -> Failure {
        let failure = Failure::usage(problem);
        if self.name == self.provider { failure } else { failure.of(&self.name) }
    }
}

impl Origin {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Stdin => "stdin",
            Self::Environment(_) => "environment",
            Self::Reference(_) | Self::Profile(_) => "profile",
        }
    }

    /// With what is needed to find it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Flag | Self::Stdin => self.name().into(),
            Self::Environment(variable) => variable.clone(),
            Self::Reference(variable) => format!("profile, {variable}"),
            Self::Profile(kind) => format!("profile, {kind}"),
        }
    }
}

//! The config file: its profiles, and the permissions it must have.

mod value;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use auth_all::ProviderConfig;
use etcetera::BaseStrategy;
use zeroize::Zeroizing;

use crate::error::{CliError, Result};
use crate::setting::is_secret;
use value::ConfigValue;

/// The contents of the config file. Without a file, there are no profiles.
#[derive(Debug)]
pub(crate) struct Config {
    path: PathBuf,
    profiles: BTreeMap<String, Profile>,
}

/// The settings of one account.
#[derive(Debug)]
pub(crate) struct Profile {
    /// One of [`ProviderConfig::PROVIDERS`].
    pub(crate) provider: &'static str,
    settings: BTreeMap<String, ConfigValue>,
}

/// Returns the user's directories: by the XDG base directory specification, or by the rules of other systems.
pub(crate) fn base_dirs() -> Result<impl BaseStrategy> {
    etcetera::choose_base_strategy().map_err(|_| CliError::usage("there is no home directory; set HOME"))
}

impl Config {
    pub(crate) fn load() -> Result<Self> {
        // Without a home directory, there is no config file. That is not an error.
        let Ok(dirs) = base_dirs() else { return Ok(Self { path: PathBuf::new(), profiles: BTreeMap::new() }) };
        let path = dirs.config_dir().join("auth/config.toml");
        let profiles = load_profiles(&path).map_err(|error| error.in_context(&path.display().to_string()))?;
        Ok(Self { path, profiles })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the directory at which relative paths in the file start.
    pub(crate) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    pub(crate) fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.profiles.keys().map(String::as_str)
    }

    /// Returns the environment variables from which the profiles take secrets.
    pub(crate) fn secret_variables(&self) -> impl Iterator<Item = &str> {
        self.profiles.values().flat_map(Profile::secret_variables)
    }
}

impl Profile {
    pub(crate) fn settings(&self) -> impl Iterator<Item = &str> {
        self.settings.keys().map(String::as_str)
    }

    pub(crate) fn get(&self, setting: &str) -> Option<&ConfigValue> {
        self.settings.get(setting)
    }

    /// Returns the environment variables from which the profile takes secrets.
    fn secret_variables(&self) -> impl Iterator<Item = &str> {
        let secrets = self.settings.iter().filter(|(name, _)| is_secret(name));
        secrets.filter_map(|(_, value)| match value {
            ConfigValue::Env(variable) => Some(variable.as_str()),
            _ => None,
        })
    }

    /// Returns the name of a secret that the file itself contains.
    fn literal_secret(&self) -> Option<&str> {
        let mut secrets = self.settings.iter().filter(|(name, value)| is_secret(name) && value.is_literal());
        secrets.next().map(|(name, _)| name.as_str())
    }
}

fn load_profiles(path: &Path) -> Result<BTreeMap<String, Profile>> {
    let mut file = match open_regular_file(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(CliError::usage(format!("cannot be opened: {error}"))),
    };
    let permissions = Permissions::of(&file)?;
    let mut text = Zeroizing::new(String::with_capacity(64 * 1024));
    file.read_to_string(&mut text).map_err(|error| CliError::usage(format!("cannot be read: {error}")))?;
    let profiles = parse(&text)?;
    permissions.check(&profiles)?;
    Ok(profiles)
}

/// Opens a file. Other kinds are refused before they are opened: opening a named pipe could block forever.
fn open_regular_file(path: &Path) -> io::Result<File> {
    if fs::metadata(path)?.is_file() { File::open(path) } else { Err(io::Error::other("not a regular file")) }
}

fn parse(text: &str) -> Result<BTreeMap<String, Profile>> {
    let table: toml::Table = toml::from_str(text).map_err(|error| syntax_error(text, &error))?;
    let mut profiles = BTreeMap::new();
    for (key, value) in table {
        match (key.as_str(), value) {
            ("profile", toml::Value::Table(table)) => {
                for (name, value) in table {
                    let profile =
                        profile(&name, value).map_err(|error| error.in_context(&format!("profile {name}")))?;
                    profiles.insert(name, profile);
                }
            }
            _ => return Err(CliError::usage(format!("`{key}` is unknown; a profile starts with [profile.NAME]"))),
        }
    }
    Ok(profiles)
}

/// Returns the parser's message and the line. Its `Display` quotes the whole line, which may hold a secret.
fn syntax_error(text: &str, error: &toml::de::Error) -> CliError {
    let place = error.span().map_or(String::new(), |span| {
        let line = 1 + text[..span.start].matches('\n').count();
        format!("line {line}: ")
    });
    CliError::usage(format!("{place}{}", error.message()))
}

fn profile(name: &str, value: toml::Value) -> Result<Profile> {
    if !is_valid_name(name) {
        let text = "a profile name consists of letters, digits, `-` and `_`, and starts with a letter";
        return Err(CliError::usage(text));
    }
    let toml::Value::Table(mut table) = value else { return Err(CliError::usage("must be a table")) };
    let provider = provider(name, table.remove("provider"))?;
    let settings = table.into_iter().map(|(setting, value)| {
        let value = ConfigValue::parse(value).map_err(|error| error.in_context(&format!("`{setting}`")))?;
        Ok((setting, value))
    });
    Ok(Profile { provider, settings: settings.collect::<Result<_>>()? })
}

fn is_valid_name(name: &str) -> bool {
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.chars().all(is_allowed)
}

/// Returns the provider of a profile. A profile with the name of a provider must be an account of that provider.
fn provider(name: &str, value: Option<toml::Value>) -> Result<&'static str> {
    let by_name = ProviderConfig::PROVIDERS.iter().find(|known| **known == name);
    let given = value.map(|value| ProviderConfig::PROVIDERS.iter().find(|known| value.as_str() == Some(known)));
    match (by_name, given) {
        (Some(by_name), Some(Some(given))) if by_name != given => {
            Err(CliError::usage("the profile has the name of another provider"))
        }
        (_, Some(Some(given))) => Ok(given),
        (Some(by_name), None) => Ok(by_name),
        _ => {
            let known = ProviderConfig::PROVIDERS.join(", ");
            Err(CliError::usage(format!("`provider` must be one of: {known}")))
        }
    }
}

/// What other users may do with the config file.
#[derive(Debug)]
struct Permissions {
    is_readable: bool,
}

impl Permissions {
    /// Refuses a file that other users can change: they could send the credentials elsewhere, or have a command run.
    #[cfg(unix)]
    fn of(file: &File) -> Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = file.metadata().map_err(|error| CliError::usage(error.to_string()))?;
        if ![0, rustix::process::geteuid().as_raw()].contains(&metadata.uid()) {
            return Err(CliError::usage("the file belongs to another user"));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(CliError::usage("other users can change the file; run chmod go-w on it"));
        }
        Ok(Self { is_readable: metadata.mode() & 0o044 != 0 })
    }

    /// Accepts every file: on other systems, the user's directory is private by inheritance.
    #[cfg(not(unix))]
    fn of(_: &File) -> Result<Self> {
        Ok(Self { is_readable: false })
    }

    /// Refuses a secret in a file that other users can read.
    fn check(&self, profiles: &BTreeMap<String, Profile>) -> Result<()> {
        let literal = profiles.iter().find_map(|(name, profile)| Some((name, profile.literal_secret()?)));
        match literal.filter(|_| self.is_readable) {
            None => Ok(()),
            Some((name, setting)) => Err(CliError::usage(format!(
                "profile {name}: the file contains `{setting}`, and other users can read the file; run chmod 600 on \
                 it, or better use {{ env = ... }}, {{ file = ... }}, {{ command = [...] }} or {{ keyring = ... }}"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_place_and_contains_no_secret() {
        let cases = [
            ("[profile.a]\nprovider = \"zoqq\"\napi_key = \"sentinel", "line 3"),
            ("[profile.a]\nprovider = \"zoqq\"\nprovider = \"zoqq\"", "line 3"),
            ("[profile.a]\nprovider = \"zoqq\"\napi_key = 5", "`api_key`"),
            ("[profile.a]\nprovider = \"zoqq\"\napi_key = { enw = \"sentinel\" }", "env, file, command or keyring"),
            (
                "[profile.a]\nprovider = \"zoqq\"\napi_key = { env = \"A\", file = \"sentinel\" }",
                "env, file, command or keyring",
            ),
            ("[profile.a]\nprovider = \"zoqq\"\napi_key = { command = \"sentinel\" }", "a list of strings"),
            ("[profile.a]\nprovider = \"zoqq\"\napi_key = { command = [] }", "a list of strings"),
            ("[profile.\"a b\"]\n", "letters, digits"),
            ("[profile.1]\n", "starts with a letter"),
            ("[profile.zoqq]\nprovider = \"voipex\"", "another provider"),
            ("[profile.a]\nprovider = { env = \"A\" }", "must be one of: zoqq"),
            ("[profile.a]\nprovider = \"sentinel\"", "must be one of: zoqq"),
            ("[profile.a]\nusername = \"me\"", "must be one of: zoqq"),
            ("[profiles.a]\n", "`profiles` is unknown"),
            ("profile = 5\n", "`profile` is unknown"),
        ];
        for (text, expected) in cases {
            let message = format!("{:?}", parse(text).unwrap_err());
            assert!(message.contains(expected) && !message.contains("sentinel"), "{text}: {message}");
        }
    }

    #[test]
    fn a_literal_secret_is_refused_if_other_users_can_read_the_file() {
        let literal = parse("[profile.a]\nprovider = \"voipex\"\nusername = \"me\"\npassword = \"sentinel\"").unwrap();
        let message = format!("{:?}", Permissions { is_readable: true }.check(&literal).unwrap_err());
        assert!(
            message.contains("profile a: the file contains `password`") && !message.contains("sentinel"),
            "{message}"
        );
        assert!(Permissions { is_readable: false }.check(&literal).is_ok());
        let reference =
            parse("[profile.a]\nprovider = \"voipex\"\nusername = \"me\"\npassword = { env = \"P\" }").unwrap();
        assert!(Permissions { is_readable: true }.check(&reference).is_ok());
    }
}

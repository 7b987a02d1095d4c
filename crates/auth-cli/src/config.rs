//! The config file: profiles, and who may read and change it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use zeroize::Zeroizing;

use crate::account::is_secret;
use crate::failure::{Failure, Result};
use crate::reference::Value;

/// What the config file holds; nothing where there is none.
#[derive(Debug)]
pub(crate) struct Config {
    path: PathBuf,
    profiles: BTreeMap<String, Profile>,
}

/// One account's settings.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    pub(crate) provider: Option<String>,
    settings: BTreeMap<String, Value>,
}

/// A place of this user by the XDG base directories, or by what the system has instead.
pub(crate) fn places() -> Result<impl BaseStrategy> {
    etcetera::choose_base_strategy().map_err(|_| Failure::usage("there is no home directory: set HOME"))
}

impl Config {
    pub(crate) fn load() -> Result<Self> {
        let path = places()?.config_dir().join("auth/config.toml");
        let at = |failure: Failure| failure.of(&path.display().to_string());
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self { path, profiles: BTreeMap::new() }),
            Err(error) => return Err(at(Failure::usage(format!("cannot be opened: {error}")))),
        };
        let mode = Mode::of(&file).map_err(at)?;
        let mut text = Zeroizing::new(String::with_capacity(64 * 1024));
        file.read_to_string(&mut text).map_err(|error| at(Failure::usage(format!("cannot be read: {error}"))))?;
        let profiles = parse(&text).map_err(at)?;
        mode.check(&profiles).map_err(at)?;
        Ok(Self { path, profiles })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What relative paths in it start from.
    pub(crate) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    pub(crate) fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.profiles.keys().map(String::as_str)
    }
}

impl Profile {
    pub(crate) fn settings(&self) -> impl Iterator<Item = &str> {
        self.settings.keys().map(String::as_str)
    }

    pub(crate) fn get(&self, setting: &str) -> Option<&Value> {
        self.settings.get(setting)
    }

    /// A secret that stands in the file itself.
    fn literal_secret(&self) -> Option<&str> {
        let mut secrets = self.settings.iter().filter(|(name, value)| is_secret(name) && value.is_literal());
        secrets.next().map(|(name, _)| name.as_str())
    }
}

fn parse(text: &str) -> Result<BTreeMap<String, Profile>> {
    // A parser's error quotes the line, secrets and all: only its message is shown.
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(0, |span| text[..span.start].lines().count().max(1));
        Failure::usage(format!("line {line}: {}", error.message()))
    })?;
    let mut profiles = BTreeMap::new();
    for (key, value) in table {
        match (key.as_str(), value) {
            ("profile", toml::Value::Table(table)) => {
                for (name, value) in table {
                    let profile = profile(&name, value).map_err(|failure| failure.of(&format!("profile {name}")))?;
                    profiles.insert(name, profile);
                }
            }
            _ => return Err(Failure::usage(format!("`{key}` is unknown; a profile begins with [profile.NAME]"))),
        }
    }
    Ok(profiles)
}

fn profile(name: &str, value: toml::Value) -> Result<Profile> {
    let is_word = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) || !name.chars().all(is_word) {
        return Err(Failure::usage("a name is of letters, digits, - and _, and begins with a letter"));
    }
    let toml::Value::Table(table) = value else { return Err(Failure::usage("is not a table")) };
    let mut profile = Profile::default();
    for (setting, value) in table {
        match (setting.as_str(), value) {
            ("provider", toml::Value::String(provider)) => profile.provider = Some(provider),
            ("provider", _) => return Err(Failure::usage("`provider` must be a text")),
            (_, value) => {
                let value = Value::parse(value).map_err(|failure| failure.of(&format!("`{setting}`")))?;
                profile.settings.insert(setting, value);
            }
        }
    }
    let is_other = auth_all::ProviderConfig::PROVIDERS.contains(&name);
    if is_other && profile.provider.as_deref().is_some_and(|provider| provider != name) {
        return Err(Failure::usage("has the name of another provider"));
    }
    Ok(profile)
}

/// What others than the owner may do with the file.
#[derive(Debug)]
struct Mode {
    is_readable: bool,
}

impl Mode {
    /// Whoever can change the file can have the credentials sent elsewhere, or a command run.
    #[cfg(unix)]
    fn of(file: &File) -> Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = file.metadata().map_err(|error| Failure::usage(error.to_string()))?;
        if ![0, rustix::process::geteuid().as_raw()].contains(&metadata.uid()) {
            return Err(Failure::usage("it is another user's"));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(Failure::usage("others can change it: chmod go-w"));
        }
        Ok(Self { is_readable: metadata.mode() & 0o044 != 0 })
    }

    /// Elsewhere, a user's own files are his own by inheritance.
    #[cfg(not(unix))]
    fn of(_: &File) -> Result<Self> {
        Ok(Self { is_readable: false })
    }

    fn check(&self, profiles: &BTreeMap<String, Profile>) -> Result<()> {
        let literal = profiles.iter().find_map(|(name, profile)| Some((name, profile.literal_secret()?)));
        match literal.filter(|_| self.is_readable) {
            None => Ok(()),
            Some((name, setting)) => Err(Failure::usage(format!(
                "profile {name}: `{setting}` stands here as it is, and others can read the file: chmod 600, or better \
                 {{ env = ... }}, {{ file = ... }}, {{ command = [...] }} or {{ keyring = ... }}"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_wrong_is_told_where_and_without_its_secrets() {
        let cases = [
            ("[profile.a]\napi_key = \"sentinel", "line 2"),
            ("[profile.a]\napi_key = 5", "`api_key`"),
            ("[profile.a]\napi_key = { enw = \"sentinel\" }", "env, file, command or keyring"),
            ("[profile.a]\napi_key = { env = \"A\", file = \"sentinel\" }", "env, file, command or keyring"),
            ("[profile.a]\napi_key = { command = \"sentinel\" }", "a list of texts"),
            ("[profile.a]\napi_key = { command = [] }", "a list of texts"),
            ("[profile.\"a b\"]\n", "letters, digits"),
            ("[profile.1]\n", "begins with a letter"),
            ("[profile.zoqq]\nprovider = \"voipex\"", "another provider"),
            ("[profile.a]\nprovider = { env = \"A\" }", "`provider` must be a text"),
            ("[profiles.a]\n", "`profiles` is unknown"),
            ("profile = 5\n", "`profile` is unknown"),
        ];
        for (text, expected) in cases {
            let told = format!("{:?}", parse(text).unwrap_err());
            assert!(told.contains(expected) && !told.contains("sentinel"), "{text}: {told}");
        }
    }

    #[test]
    fn a_literal_secret_is_for_a_file_that_nobody_else_reads() {
        let literal = parse("[profile.a]\nusername = \"me\"\npassword = \"sentinel\"").unwrap();
        let told = format!("{:?}", Mode { is_readable: true }.check(&literal).unwrap_err());
        assert!(told.contains("profile a: `password`") && !told.contains("sentinel"), "{told}");
        assert!(Mode { is_readable: false }.check(&literal).is_ok());
        let reference = parse("[profile.a]\nusername = \"me\"\npassword = { env = \"P\" }").unwrap();
        assert!(Mode { is_readable: true }.check(&reference).is_ok());
    }

    #[test]
    fn what_is_not_known_to_be_open_is_a_secret() {
        for secret in ["password", "api_key", "client_secret", "something_new"] {
            assert!(is_secret(secret), "{secret}");
        }
    }
}

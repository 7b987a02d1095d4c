//! The config file: profiles, and who may read and change it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use auth_all::ProviderConfig;
use etcetera::BaseStrategy;
use zeroize::Zeroizing;

use crate::failure::{Failure, Result};
use crate::reference::Value;
use crate::setting::is_secret;

/// What the config file holds; nothing where there is none.
#[derive(Debug)]
pub(crate) struct Config {
    path: PathBuf,
    profiles: BTreeMap<String, Profile>,
}

/// One account's settings.
#[derive(Debug)]
pub(crate) struct Profile {
    /// One of those that there are.
    pub(crate) provider: &'static str,
    settings: BTreeMap<String, Value>,
}

/// A place of this user by the XDG base directories, or by what the system has instead.
pub(crate) fn places() -> Result<impl BaseStrategy> {
    etcetera::choose_base_strategy().map_err(|_| Failure::usage("there is no home directory: set HOME"))
}

impl Config {
    pub(crate) fn load() -> Result<Self> {
        // Without a home there is no such file.
        let Ok(places) = places() else { return Ok(Self { path: PathBuf::new(), profiles: BTreeMap::new() }) };
        let path = places.config_dir().join("auth/config.toml");
        let at = |failure: Failure| failure.of(&path.display().to_string());
        // What is no file, such as a pipe, might never answer.
        let file = fs::metadata(&path)
            .and_then(|found| if found.is_file() { File::open(&path) } else { Err(io::Error::other("it is no file")) });
        let mut file = match file {
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

    /// The variables that the profiles name for secrets.
    pub(crate) fn secret_variables(&self) -> impl Iterator<Item = &str> {
        self.profiles.values().flat_map(Profile::secret_variables)
    }
}

impl Profile {
    pub(crate) fn settings(&self) -> impl Iterator<Item = &str> {
        self.settings.keys().map(String::as_str)
    }

    pub(crate) fn get(&self, setting: &str) -> Option<&Value> {
        self.settings.get(setting)
    }

    /// The variables that it names for secrets.
    fn secret_variables(&self) -> impl Iterator<Item = &str> {
        let secrets = self.settings.iter().filter(|(name, _)| is_secret(name));
        secrets.filter_map(|(_, value)| if let Value::Env(variable) = value { Some(variable.as_str()) } else { None })
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
        let line = |span: Range<usize>| 1 + text[..span.start].matches('\n').count();
        let place = error.span().map_or(String::new(), |span| format!("line {}: ", line(span)));
        Failure::usage(format!("{place}{}", error.message()))
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
    let toml::Value::Table(mut table) = value else { return Err(Failure::usage("is not a table")) };
    let provider = provider(name, table.remove("provider"))?;
    let settings = table.into_iter().map(|(setting, value)| {
        let value = Value::parse(value).map_err(|failure| failure.of(&format!("`{setting}`")))?;
        Ok((setting, value))
    });
    Ok(Profile { provider, settings: settings.collect::<Result<_>>()? })
}

/// The provider of a profile of this name; one that is named like a provider is that provider's.
fn provider(name: &str, value: Option<toml::Value>) -> Result<&'static str> {
    let named = ProviderConfig::PROVIDERS.iter().find(|known| **known == name);
    let said = value.map(|value| ProviderConfig::PROVIDERS.iter().find(|known| value.as_str() == Some(known)));
    match (named, said) {
        (Some(named), Some(Some(said))) if named != said => Err(Failure::usage("it has the name of another provider")),
        (_, Some(Some(said))) => Ok(said),
        (Some(named), None) => Ok(named),
        _ => {
            let known = ProviderConfig::PROVIDERS.join(", ");
            Err(Failure::usage(format!("`provider` must be one of: {known}")))
        }
    }
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
            ("[profile.a]\nprovider = \"zoqq\"\napi_key = \"sentinel", "line 3"),
            ("[profile.a]\nprovider = \"zoqq\"\nprovider = \"zoqq\"", "line 3"),
            ("[profile.a]\nprovider = \"zoqq\"\napi_key = 5", "`api_key`"),
            ("[profile.a]\nprovider = \"zoqq\"\napi_key = { enw = \"sentinel\" }", "env, file, command or keyring"),
            (
                "[profile.a]\nprovider = \"zoqq\"\napi_key = { env = \"A\", file = \"sentinel\" }",
                "env, file, command or keyring",
            ),
            ("[profile.a]\nprovider = \"zoqq\"\napi_key = { command = \"sentinel\" }", "a list of texts"),
            ("[profile.a]\nprovider = \"zoqq\"\napi_key = { command = [] }", "a list of texts"),
            ("[profile.\"a b\"]\n", "letters, digits"),
            ("[profile.1]\n", "begins with a letter"),
            ("[profile.zoqq]\nprovider = \"voipex\"", "another provider"),
            ("[profile.a]\nprovider = { env = \"A\" }", "must be one of: zoqq"),
            ("[profile.a]\nprovider = \"sentinel\"", "must be one of: zoqq"),
            ("[profile.a]\nusername = \"me\"", "must be one of: zoqq"),
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
        let literal = parse("[profile.a]\nprovider = \"voipex\"\nusername = \"me\"\npassword = \"sentinel\"").unwrap();
        let told = format!("{:?}", Mode { is_readable: true }.check(&literal).unwrap_err());
        assert!(told.contains("profile a: `password`") && !told.contains("sentinel"), "{told}");
        assert!(Mode { is_readable: false }.check(&literal).is_ok());
        let reference =
            parse("[profile.a]\nprovider = \"voipex\"\nusername = \"me\"\npassword = { env = \"P\" }").unwrap();
        assert!(Mode { is_readable: true }.check(&reference).is_ok());
    }
}

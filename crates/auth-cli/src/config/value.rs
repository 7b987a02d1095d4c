//! The value of a setting in the config file: a string, or a reference to a value kept elsewhere.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use auth_all::core::Secret;

use crate::error::{CliError, Result};
use crate::setting::{from_env, read};

/// The value of a setting, or a reference to it.
#[derive(Debug)]
pub(crate) enum ConfigValue {
    Literal(Secret),
    Env(String),
    File(PathBuf),
    Command { program: String, arguments: Vec<String> },
    Keyring(String),
}

impl ConfigValue {
    pub(super) fn parse(value: toml::Value) -> Result<Self> {
        use toml::Value::{Array, String as Text, Table};
        let table = match value {
            Text(text) => return Ok(Self::Literal(text.into())),
            Table(table) => table,
            _ => return Err(CliError::usage("must be a string, or a reference such as { env = \"NAME\" }")),
        };
        let mut members = table.into_iter();
        match (members.next(), members.next()) {
            (Some((key, Text(name))), None) if key == "env" => Ok(Self::Env(name)),
            (Some((key, Text(path))), None) if key == "file" => Ok(Self::File(path.into())),
            (Some((key, Text(entry))), None) if key == "keyring" => Ok(Self::Keyring(entry)),
            (Some((key, Array(words))), None) if key == "command" => Self::command(words).ok_or_else(not_a_command),
            (Some((key, _)), None) if key == "command" => Err(not_a_command()),
            _ => Err(CliError::usage("must have exactly one key: env, file, command or keyring")),
        }
    }

    fn command(words: Vec<toml::Value>) -> Option<Self> {
        let mut words =
            words.into_iter().map(|word| if let toml::Value::String(word) = word { Some(word) } else { None });
        Some(Self::Command { program: words.next()??, arguments: words.collect::<Option<_>>()? })
    }

    pub(super) fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }

    /// Returns the kind of the value, for `auth check`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Literal(_) => "plain text",
            Self::Env(_) => "env",
            Self::File(_) => "file",
            Self::Command { .. } => "command",
            Self::Keyring(_) => "keyring",
        }
    }

    /// Gets the value. Relative paths start at `directory`.
    pub(crate) fn resolve(&self, directory: &Path) -> Result<Secret> {
        let (value, origin) = match self {
            Self::Literal(value) => (value.clone(), "the string".to_owned()),
            Self::Env(name) => {
                let value = from_env(name)?;
                return value.ok_or_else(|| CliError::usage(format!("the variable {name} is unset or empty")));
            }
            Self::File(path) => {
                let path = directory.join(expand_home(path));
                (read_file(&path)?, path.display().to_string())
            }
            Self::Command { program, arguments } => {
                (run(&program_path(directory, program), arguments)?, format!("the output of `{program}`"))
            }
            Self::Keyring(entry) => (from_keyring(entry)?, format!("the keyring entry `{entry}`")),
        };
        if value.is_empty() { Err(CliError::usage(format!("{origin} is empty"))) } else { Ok(value) }
    }
}

fn not_a_command() -> CliError {
    CliError::usage("`command` must be a list of strings that starts with the program")
}

/// Replaces a leading `~` with the user's home directory.
fn expand_home(path: &Path) -> PathBuf {
    let expanded = path.strip_prefix("~").ok().and_then(|rest| Some(etcetera::home_dir().ok()?.join(rest)));
    expanded.unwrap_or(path.to_owned())
}

/// Returns the path of a program.
///
/// A relative path starts at the config file's directory. If it started at the current directory, a program of the same
/// name in a directory that someone else controls would be run.
fn program_path(directory: &Path, program: &str) -> PathBuf {
    if program.contains('/') { directory.join(program) } else { program.into() }
}

fn read_file(path: &Path) -> Result<Secret> {
    let secret = fs::File::open(path).and_then(read);
    secret.map_err(|error| CliError::usage(format!("{} cannot be read: {error}", path.display())))
}

/// Runs a program and returns its stdout. Its stderr is the user's, because it may have to ask for something.
fn run(program: &Path, arguments: &[String]) -> Result<Secret> {
    let usage = |problem: &dyn Display| CliError::usage(format!("`{}` {problem}", program.display()));
    let mut command = Command::new(program);
    let child = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| usage(&format!("cannot be run: {error}")))?;
    let secret = child.stdout.take().map_or(Ok(Secret::default()), read);
    if secret.is_err() {
        // A program whose output is too long may run forever.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| usage(&format!("cannot be waited for: {error}")))?;
    let secret = secret.map_err(|error| usage(&format!("printed an unusable secret: {error}")))?;
    if status.success() { Ok(secret) } else { Err(usage(&format!("failed: {status}"))) }
}

#[cfg(feature = "keyring")]
fn from_keyring(entry: &str) -> Result<Secret> {
    let Some((service, user)) = entry.rsplit_once('/') else {
        return Err(CliError::usage("`keyring` must be \"SERVICE/USER\""));
    };
    let usage = |error: &keyring::Error| match error {
        keyring::Error::NoEntry => CliError::usage(format!("the keyring has no entry `{entry}`")),
        error => CliError::usage(format!("the keyring cannot be used: {error}")),
    };
    keyring::Entry::store_status().as_ref().map_err(usage)?;
    let found = keyring::Entry::new(service, user).and_then(|entry| entry.get_password());
    found.map(Secret::from).map_err(|error| usage(&error))
}

#[cfg(not(feature = "keyring"))]
fn from_keyring(_: &str) -> Result<Secret> {
    Err(CliError::usage("this `auth` was built without the feature `keyring`"))
}

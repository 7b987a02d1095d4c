//! A setting in the config file: as it stands, or a reference to where it is kept.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Failure, Result};
use crate::setting::{from_env, read};
use auth_all::core::Secret;

/// The value of a setting, or where to get it.
#[derive(Debug)]
pub(crate) enum Value {
    Literal(Secret),
    Env(String),
    File(PathBuf),
    Command { program: String, arguments: Vec<String> },
    Keyring(String),
}

impl Value {
    pub(crate) fn parse(value: toml::Value) -> Result<Self> {
        use toml::Value::{Array, String as Text, Table};
        let table = match value {
            Text(text) => return Ok(Self::Literal(text.into())),
            Table(table) => table,
            _ => return Err(Failure::usage("must be a text, or a reference such as { env = \"NAME\" }")),
        };
        let mut members = table.into_iter();
        match (members.next(), members.next()) {
            (Some((key, Text(name))), None) if key == "env" => Ok(Self::Env(name)),
            (Some((key, Text(path))), None) if key == "file" => Ok(Self::File(path.into())),
            (Some((key, Text(entry))), None) if key == "keyring" => Ok(Self::Keyring(entry)),
            (Some((key, Array(words))), None) if key == "command" => Self::command(words).ok_or_else(no_command),
            (Some((key, _)), None) if key == "command" => Err(no_command()),
            _ => Err(Failure::usage("must have one member: env, file, command or keyring")),
        }
    }

    fn command(words: Vec<toml::Value>) -> Option<Self> {
        let mut words =
            words.into_iter().map(|word| if let toml::Value::String(word) = word { Some(word) } else { None });
        Some(Self::Command { program: words.next()??, arguments: words.collect::<Option<_>>()? })
    }

    pub(crate) fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Literal(_) => "as it stands",
            Self::Env(_) => "env",
            Self::File(_) => "file",
            Self::Command { .. } => "command",
            Self::Keyring(_) => "keyring",
        }
    }

    /// Gets it; `directory` is what a relative path starts from.
    pub(crate) fn resolve(&self, directory: &Path) -> Result<Secret> {
        let (value, from) = match self {
            Self::Literal(value) => (value.clone(), "the text".to_owned()),
            Self::Env(name) => {
                let value = from_env(name)?;
                return value.ok_or_else(|| Failure::usage(format!("the variable {name} is not set, or empty")));
            }
            Self::File(path) => {
                let path = directory.join(at_home(path));
                (read_file(&path)?, path.display().to_string())
            }
            Self::Command { program, arguments } => {
                (run(&beside(directory, program), arguments)?, format!("`{program}`"))
            }
            Self::Keyring(entry) => (from_keyring(entry)?, format!("`{entry}` of the keyring")),
        };
        if value.is_empty() { Err(Failure::usage(format!("{from} gives nothing"))) } else { Ok(value) }
    }
}

fn no_command() -> Failure {
    Failure::usage("`command` must be a list of texts, the program first")
}

/// Of a user who writes `~/key`.
fn at_home(path: &Path) -> PathBuf {
    let home = path.strip_prefix("~").ok().and_then(|rest| Some(etcetera::home_dir().ok()?.join(rest)));
    home.unwrap_or(path.to_owned())
}

/// A program that is given by a relative path lies beside the config file, wherever `auth` is run.
fn beside(directory: &Path, program: &str) -> PathBuf {
    if program.contains('/') { directory.join(program) } else { program.into() }
}

fn read_file(path: &Path) -> Result<Secret> {
    let secret = fs::File::open(path).and_then(read);
    secret.map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display())))
}

/// Runs a program for what it prints. Its stderr is the user's, who may have to be asked something.
fn run(program: &Path, arguments: &[String]) -> Result<Secret> {
    let fault = |problem: &dyn Display| Failure::usage(format!("`{}` {problem}", program.display()));
    let mut command = Command::new(program);
    let child = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| fault(&format!("cannot be run: {error}")))?;
    let secret = child.stdout.take().map_or(Ok(Secret::default()), read);
    if secret.is_err() {
        // It might never end.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| fault(&format!("does not end: {error}")))?;
    let secret = secret.map_err(|error| fault(&format!("prints what is no secret: {error}")))?;
    if status.success() { Ok(secret) } else { Err(fault(&format!("failed: {status}"))) }
}

#[cfg(feature = "keyring")]
fn from_keyring(entry: &str) -> Result<Secret> {
    let Some((service, user)) = entry.rsplit_once('/') else {
        return Err(Failure::usage("`keyring` must be \"SERVICE/USER\""));
    };
    let fault = |error: &keyring::Error| match error {
        keyring::Error::NoEntry => Failure::usage(format!("the keyring has no `{entry}`")),
        error => Failure::usage(format!("the keyring cannot be used: {error}")),
    };
    keyring::Entry::store_status().as_ref().map_err(fault)?;
    let found = keyring::Entry::new(service, user).and_then(|entry| entry.get_password());
    found.map(Secret::from).map_err(|error| fault(&error))
}

#[cfg(not(feature = "keyring"))]
fn from_keyring(_: &str) -> Result<Secret> {
    Err(Failure::usage("this `auth` was built without the feature `keyring`"))
}

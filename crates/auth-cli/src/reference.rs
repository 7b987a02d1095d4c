//! A setting in the config file: as it stands, or a reference to where it is kept.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use auth_all::core::Secret;
use zeroize::Zeroizing;

use crate::account::without_line_end;
use crate::failure::{Failure, Result};

/// The value of a setting, or where to get it.
#[derive(Debug)]
pub(crate) enum Value {
    Literal(Secret),
    Env(String),
    File(PathBuf),
    Command(Vec<String>),
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
            (Some((key, Array(words))), None) if key == "command" => Self::command(words),
            (Some((key, _)), None) if key == "command" => Self::command(Vec::new()),
            _ => Err(Failure::usage("must have one member: env, file, command or keyring")),
        }
    }

    fn command(words: Vec<toml::Value>) -> Result<Self> {
        let text = |word| if let toml::Value::String(word) = word { Some(word) } else { None };
        let words: Option<Vec<_>> = words.into_iter().map(text).collect();
        let words = words.filter(|words| !words.is_empty());
        words.map(Self::Command).ok_or(Failure::usage("`command` must be a list of texts, the program first"))
    }

    pub(crate) fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Literal(_) => "as it stands",
            Self::Env(_) => "env",
            Self::File(_) => "file",
            Self::Command(_) => "command",
            Self::Keyring(_) => "keyring",
        }
    }

    /// Gets it; `directory` is what a relative path starts from.
    pub(crate) fn resolve(&self, directory: &Path) -> Result<Secret> {
        let value = match self {
            Self::Literal(value) => return Ok(value.clone()),
            Self::Env(name) => env_var(name),
            Self::File(path) => read_file(&directory.join(at_home(path))),
            Self::Command(words) => run(words),
            Self::Keyring(entry) => from_keyring(entry),
        };
        value.and_then(|value| {
            if value.is_empty() { Err(Failure::usage(format!("the {} gives nothing", self.kind()))) } else { Ok(value) }
        })
    }
}

fn env_var(name: &str) -> Result<Secret> {
    let value = env::var_os(name).ok_or_else(|| Failure::usage(format!("the variable {name} is not set")))?;
    value
        .into_string()
        .map(Secret::from)
        .map_err(|_| Failure::usage(format!("the variable {name} is not Unicode text")))
}

/// Of a user who writes `~/key`.
fn at_home(path: &Path) -> PathBuf {
    let home = path.strip_prefix("~").ok().and_then(|rest| Some(etcetera::home_dir().ok()?.join(rest)));
    home.unwrap_or(path.to_owned())
}

fn read_file(path: &Path) -> Result<Secret> {
    let text = fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display())))?;
    Ok(without_line_end(&text).into())
}

/// Its stderr is the user's, who may have to be asked something.
fn run(words: &[String]) -> Result<Secret> {
    let Some((program, arguments)) = words.split_first() else { return Ok(Secret::default()) };
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| Failure::usage(format!("`{program}` cannot be run: {error}")))?;
    let bytes = Zeroizing::new(output.stdout);
    if !output.status.success() {
        return Err(Failure::usage(format!("`{program}` failed: {}", output.status)));
    }
    let text = std::str::from_utf8(&bytes);
    let text = text.map_err(|_| Failure::usage(format!("`{program}` printed what is not Unicode text")))?;
    Ok(without_line_end(text).into())
}

#[cfg(feature = "keyring")]
fn from_keyring(entry: &str) -> Result<Secret> {
    let Some((service, user)) = entry.rsplit_once('/') else {
        return Err(Failure::usage("`keyring` must be \"SERVICE/USER\""));
    };
    let fault = |error: keyring::Error| Failure::usage(format!("the keyring has no `{entry}`: {error}"));
    if let Err(error) = keyring::Entry::store_status() {
        return Err(Failure::usage(format!("the keyring cannot be used: {error}")));
    }
    let entry = keyring::Entry::new(service, user).map_err(fault)?;
    entry.get_password().map(Secret::from).map_err(fault)
}

#[cfg(not(feature = "keyring"))]
fn from_keyring(_: &str) -> Result<Secret> {
    Err(Failure::usage("this `auth` was built without the feature `keyring`"))
}

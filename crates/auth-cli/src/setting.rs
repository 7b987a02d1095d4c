//! Settings: which of them are secrets, the names of their variables, and where their values come from.

use std::env;
use std::fmt::Display;
use std::io::{self, Read};

use auth_all::ProviderConfig;
use auth_all::core::{self, Secret, SecretBytes};
use zeroize::Zeroizing;

use crate::error::{CliError, Result};

/// The maximum length of a secret in bytes.
const MAX_SECRET_LENGTH: usize = 64 * 1024;

/// One setting of an account.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) found: Option<(Secret, Origin)>,
}

/// The place that a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Stdin,
    /// The environment variable of this name.
    Environment(String),
    /// A profile of the config file, with the kind of its value.
    Profile(&'static str),
}

impl Origin {
    /// Returns the place as one word.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Stdin => "stdin",
            Self::Environment(_) => "environment",
            Self::Profile(_) => "profile",
        }
    }

    /// Returns the place with the details that help to find it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Flag | Self::Stdin => self.name().into(),
            Self::Environment(variable) => variable.clone(),
            Self::Profile(kind) => format!("profile, {kind}"),
        }
    }
}

/// Returns the settings of all providers, each with its provider.
pub(crate) fn all_settings() -> impl Iterator<Item = (&'static str, &'static core::Setting)> {
    ProviderConfig::PROVIDERS.iter().flat_map(|provider| {
        let settings = ProviderConfig::settings(provider).unwrap_or_default();
        settings.iter().map(|setting| (*provider, setting))
    })
}

/// Returns the names of a provider's settings.
pub(crate) fn setting_names(provider: &str) -> Vec<&'static str> {
    let settings = ProviderConfig::settings(provider).unwrap_or_default();
    settings.iter().map(|setting| setting.name).collect()
}

/// Returns whether a setting is a secret. A name that no provider has counts as one, so that a typing error shows
/// nothing.
pub(crate) fn is_secret(setting: &str) -> bool {
    let mut known = all_settings().filter(|(_, known)| known.name == setting).peekable();
    known.peek().is_none() || known.any(|(_, known)| known.is_secret)
}

/// Returns the name of the environment variable of a provider's setting.
pub(crate) fn variable(provider: &str, setting: &str) -> String {
    format!("{provider}_{setting}").to_ascii_uppercase()
}

/// Returns the value of an environment variable, or `None` if it is unset or empty.
pub(crate) fn from_env(variable: &str) -> Result<Option<Secret>> {
    let Some(value) = env::var_os(variable).filter(|value| !value.is_empty()) else { return Ok(None) };
    match value.into_string() {
        Ok(value) => Ok(Some(value.into())),
        Err(_) => Err(CliError::usage(format!("{variable} is not valid Unicode"))),
    }
}

/// Reads the value of a setting from stdin.
pub(crate) fn from_stdin(setting: &str) -> Result<Secret> {
    let usage = |problem: &dyn Display| CliError::usage(format!("cannot read `{setting}` from stdin: {problem}"));
    let secret = read(io::stdin().lock()).map_err(|error| usage(&error))?;
    if secret.is_empty() { Err(usage(&"the input is empty")) } else { Ok(secret) }
}

/// Reads a secret to its end and removes one line end.
pub(crate) fn read(from: impl Read) -> io::Result<Secret> {
    let mut bytes = SecretBytes::with_capacity(MAX_SECRET_LENGTH + 1);
    let mut from = from.take(MAX_SECRET_LENGTH as u64 + 1);
    let mut chunk = Zeroizing::new([0; 4096]);
    loop {
        match from.read(&mut *chunk)? {
            0 => break,
            length => bytes.push(&chunk[..length]),
        }
    }
    if bytes.as_ref().len() > MAX_SECRET_LENGTH {
        return Err(io::Error::other("longer than 64 KiB"));
    }
    let text = std::str::from_utf8(bytes.as_ref()).map_err(|_| io::Error::other("not valid UTF-8"))?;
    Ok(text.strip_suffix("\r\n").or(text.strip_suffix('\n')).unwrap_or(text).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_of_the_table_and_an_unknown_setting_are_secrets() {
        assert!(!is_secret("base_url"));
        for secret in ["password", "api_key", "client_secret", "something_new"] {
            assert!(is_secret(secret), "{secret}");
        }
    }

    #[test]
    fn read_removes_one_line_end_and_refuses_what_is_too_long() {
        for (text, expected) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a\r", "a\r"), (" a ", " a ")] {
            assert_eq!(read(text.as_bytes()).unwrap().expose(), expected);
        }
        assert!(read(&b"\xff"[..]).is_err());
        assert_eq!(read(io::repeat(b'a').take(MAX_SECRET_LENGTH as u64)).unwrap().expose().len(), MAX_SECRET_LENGTH);
        assert!(read(io::repeat(b'a')).is_err(), "a long secret is refused, not cut");
    }
}

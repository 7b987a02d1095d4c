//! Settings: which are secrets, what their variables are called, and where they are found.

use std::env;
use std::fmt::Display;
use std::io::{self, Read};

use auth_all::ProviderConfig;
use auth_all::core::{self, Secret, SecretBytes};
use zeroize::Zeroizing;

use crate::failure::{Failure, Result};

/// More than any secret is long, in bytes.
const LONGEST: usize = 64 * 1024;

/// One setting of an account.
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
    /// In a profile, or where that says.
    Profile(&'static str),
}

impl Origin {
    /// The place, in a word.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Stdin => "stdin",
            Self::Environment(_) => "environment",
            Self::Profile(_) => "profile",
        }
    }

    /// The place, with what is needed to find it.
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

/// The environment variable of a provider's setting.
pub(crate) fn variable(provider: &str, setting: &str) -> String {
    format!("{provider}_{setting}").to_ascii_uppercase()
}

/// The value of a variable; none where it is not set, or empty.
pub(crate) fn from_env(variable: &str) -> Result<Option<Secret>> {
    let Some(value) = env::var_os(variable).filter(|value| !value.is_empty()) else { return Ok(None) };
    match value.into_string() {
        Ok(value) => Ok(Some(value.into())),
        Err(_) => Err(Failure::usage(format!("{variable} is not Unicode text"))),
    }
}

/// What stdin holds.
pub(crate) fn from_stdin(setting: &str) -> Result<Secret> {
    let fault = |problem: &dyn Display| Failure::usage(format!("`{setting}` was to come from stdin: {problem}"));
    let secret = read(io::stdin().lock()).map_err(|error| fault(&error))?;
    if secret.is_empty() { Err(fault(&"it is empty")) } else { Ok(secret) }
}

/// Reads a secret to its end, but for one line end.
pub(crate) fn read(from: impl Read) -> io::Result<Secret> {
    let mut bytes = SecretBytes::with_capacity(LONGEST + 1);
    let mut from = from.take(LONGEST as u64 + 1);
    let mut chunk = Zeroizing::new([0; 4096]);
    loop {
        match from.read(&mut *chunk)? {
            0 => break,
            length => bytes.push(&chunk[..length]),
        }
    }
    if bytes.as_ref().len() > LONGEST {
        return Err(io::Error::other("it is longer than 64 KiB"));
    }
    let text = std::str::from_utf8(bytes.as_ref()).map_err(|_| io::Error::other("it is not Unicode text"))?;
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
    fn one_line_end_is_none_of_a_secret() {
        for (text, expected) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a\r", "a\r"), (" a ", " a ")] {
            assert_eq!(read(text.as_bytes()).unwrap().expose(), expected);
        }
        assert!(read(&b"\xff"[..]).is_err());
        assert_eq!(read(io::repeat(b'a').take(LONGEST as u64)).unwrap().expose().len(), LONGEST);
        assert!(read(io::repeat(b'a')).is_err(), "none is cut");
    }
}

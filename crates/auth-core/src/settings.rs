//! Settings that come from outside: required ones, header credentials, and the environment.

use std::env;
use std::ffi::OsString;

use http::HeaderValue;
use serde::de::value::{Error as ValueError, MapDeserializer, StrDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::secret::{Secret, header_value};

/// Names a provider to its users: in errors, and as the prefix of its environment variables.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ProviderInfo {
    /// The provider's name, lower case.
    pub provider: &'static str,
    /// What its environment variables begin with, such as `ACME`.
    pub env_prefix: &'static str,
}

impl ProviderInfo {
    /// Names a provider.
    #[must_use]
    pub const fn new(provider: &'static str, env_prefix: &'static str) -> Self {
        Self { provider, env_prefix }
    }

    /// Starts a check of required settings, which tells all that are missing at once.
    pub fn required(self) -> RequiredSettings {
        RequiredSettings { profile: self, missing: Vec::new() }
    }

    /// Reads a settings struct from the environment: its field `base_url` from `ACME_BASE_URL`, and so on. Empty
    /// variables count as unset.
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) naming the variable that is not Unicode, or that its setting
    /// cannot have as its value.
    pub fn read_env<S: DeserializeOwned>(self) -> Result<S, Error> {
        self.read_variables(|name| env::var_os(name))
    }

    fn read_variables<S: DeserializeOwned>(self, lookup: impl Fn(&str) -> Option<OsString>) -> Result<S, Error> {
        self.read_settings(|field| {
            let Some(value) = lookup(&self.variable(field)).filter(|value| !value.is_empty()) else {
                return Ok(None);
            };
            let text = value.into_string().map_err(|_| self.invalid_setting(field, "is not Unicode text"))?;
            Ok(Some(text.into()))
        })
    }

    /// Reads a settings struct from wherever `lookup` finds the value of a field, such as `base_url`.
    ///
    /// # Errors
    /// That of `lookup`; [`Misconfigured`](crate::ErrorKind::Misconfigured) naming the setting that cannot have its
    /// value.
    pub fn read_settings<S: DeserializeOwned>(
        self,
        lookup: impl Fn(&'static str) -> Result<Option<Secret>, Error>,
    ) -> Result<S, Error> {
        let mut found = Vec::new();
        for field in setting_names::<S>() {
            found.extend(lookup(field)?.map(|value| (*field, value)));
        }
        read(&found).map_err(|_| {
            let wrong = |pair| read::<S>(std::slice::from_ref(pair)).err().map(|error| (pair.0, error.to_string()));
            let (field, problem) = found.iter().find_map(wrong).unwrap_or_default();
            // Any other of serde's texts may quote the value.
            let problem = if problem.starts_with(ONE_OF) { &problem } else { "has a value that it cannot have" };
            self.invalid_setting(field, problem)
        })
    }

    /// Joins a base URL, which may carry a path prefix and a trailing slash, and a path into where a login is sent;
    /// `path_field` names the path's setting.
    ///
    /// ```
    /// let profile = auth_core::ProviderInfo::new("acme", "ACME");
    /// let login = profile.endpoint("https://api.example.com/v2/", "login_path", "/login")?;
    /// assert_eq!(login.uri(), "https://api.example.com/v2/login");
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured), naming the setting: not an absolute URL, plain http to
    /// another machine, a user name, a query or a fragment.
    pub fn endpoint(self, base_url: &str, path_field: &'static str, path: &str) -> Result<Endpoint, Error> {
        Endpoint::new(base_url, path_field, path, |field, problem| self.invalid_setting(field, problem))
    }

    /// Turns a credential into a header value that is marked sensitive.
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) where no header may hold it: a line break, a control
    /// character, a character outside ASCII, a space at either end.
    pub fn header(self, field: &str, value: &Secret) -> Result<HeaderValue, Error> {
        header_value(value.expose())
            .map_err(|problem| self.invalid_setting(field, &format!("{problem}, which no header may hold")))
    }

    /// Says that a setting is wrong; `problem` completes "the setting X …" and never holds the value.
    #[must_use]
    pub fn invalid_setting(self, field: &str, problem: &str) -> Error {
        let problem = format!("(environment: {}) {problem}", self.variable(field));
        Error::misconfigured(field.to_owned(), &problem).with_provider(self.provider)
    }

    fn variable(self, field: &str) -> String {
        format!("{}_{}", self.env_prefix, field.to_ascii_uppercase())
    }
}

/// The names of the settings that a struct with a derived `Deserialize` reads, such as `base_url`, in its order.
///
/// ```
/// #[derive(serde::Deserialize)]
/// struct Settings {
///     base_url: Option<String>,
///     pin: Option<auth_core::Secret>,
/// }
///
/// assert_eq!(auth_core::setting_names::<Settings>(), ["base_url", "pin"]);
/// ```
#[must_use]
pub fn setting_names<S: DeserializeOwned>() -> &'static [&'static str] {
    let mut names = &[][..];
    // Serde tells the names of the fields; this reading has no other purpose.
    let _ = S::deserialize(Fields(&mut names));
    names
}

const ONE_OF: &str = "must be one of: ";

fn read<S: DeserializeOwned>(found: &[(&'static str, Secret)]) -> Result<S, ValueError> {
    let pairs = found.iter().map(|(field, value)| (*field, Text(value.expose())));
    S::deserialize(MapDeserializer::new(pairs))
}

/// Takes note of the fields that a struct asks for, and gives it nothing.
struct Fields<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ValueError> {
        Err(ValueError::custom("settings are a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// A text as serde reads it, also where the field is optional.
struct Text<'a>(&'a str);

impl<'de> IntoDeserializer<'de, ValueError> for Text<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Text<'_> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        if !variants.contains(&self.0) {
            return Err(ValueError::custom(format_args!("{ONE_OF}{}", variants.join(", "))));
        }
        StrDeserializer::new(self.0).deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// Collects the required settings that are missing.
#[derive(Debug)]
#[must_use]
pub struct RequiredSettings {
    profile: ProviderInfo,
    missing: Vec<&'static str>,
}

impl RequiredSettings {
    /// Takes a setting that must be there and not be empty.
    pub fn text(&mut self, field: &'static str, value: Option<String>) -> String {
        self.take(field, value, String::is_empty)
    }

    /// Takes a secret that must be there and not be empty.
    pub fn secret(&mut self, field: &'static str, value: Option<Secret>) -> Secret {
        self.take(field, value, Secret::is_empty)
    }

    fn take<T: Default>(&mut self, field: &'static str, value: Option<T>, is_empty: fn(&T) -> bool) -> T {
        let value = value.unwrap_or_default();
        if is_empty(&value) {
            self.missing.push(field);
        }
        value
    }

    /// Ends the check.
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) that names every missing setting and its variable.
    pub fn check(self) -> Result<(), Error> {
        let Some(first) = self.missing.first() else {
            return Ok(());
        };
        let describe = |field: &&'static str| format!("`{field}` (environment: {})", self.profile.variable(field));
        let list = self.missing.iter().map(describe).collect::<Vec<_>>().join(", ");
        Err(Error::missing(first, &list).with_provider(self.profile.provider))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    const INFO: ProviderInfo = ProviderInfo::new("test", "TEST");

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Settings {
        base_url: Option<String>,
        api_key: Option<Secret>,
        mode: Option<Mode>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Old,
    }

    fn read(variables: &'static [(&'static str, &'static str)]) -> Result<Settings, Error> {
        INFO.read_variables(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn variables_become_fields() {
        let settings = read(&[("TEST_BASE_URL", "https://x"), ("TEST_API_KEY", "k"), ("TEST_MODE", "old")]).unwrap();
        assert_eq!(settings.base_url.as_deref(), Some("https://x"));
        assert_eq!(settings.api_key.unwrap().expose(), "k");
        assert_eq!(settings.mode, Some(Mode::Old));
        assert!(read(&[("TEST_BASE_URL", "")]).unwrap().base_url.is_none());
    }

    #[test]
    fn a_wrong_word_names_its_variable_and_not_itself() {
        let error = read(&[("TEST_API_KEY", "k"), ("TEST_MODE", "sentinel")]).unwrap_err().to_string();
        assert!(error.ends_with("TEST_MODE) must be one of: old") && !error.contains("sentinel"), "{error}");
    }

    #[test]
    fn all_missing_settings_are_told_at_once() {
        let mut required = INFO.required();
        required.text("base_url", Some(String::new()));
        required.secret("api_key", None);
        required.text("client_id", Some("id".into()));
        let error = required.check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "test: missing: `base_url` (environment: TEST_BASE_URL), `api_key` (environment: TEST_API_KEY)"
        );
        assert_eq!(error.setting(), Some("base_url"));
    }
}

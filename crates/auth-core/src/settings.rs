//! The settings of a provider: the table that describes them, how they are read, and which are required.

use std::env;
use std::ffi::OsString;

use http::HeaderValue;
use serde::de::value::{Error as ValueError, MapDeserializer, StrDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::secret::{Secret, header_value};

/// Describes one setting of a provider, as an entry of the provider's table of settings.
///
/// A provider crate publishes its table as `SETTINGS`. Command lines, help texts and tests read the table, so the name,
/// the help text and the secrecy of a setting are stated only once.
///
/// ```
/// use auth_core::Setting;
///
/// const SETTINGS: &[Setting] = &[
///     Setting::plain("base_url", "the URL of the API: scheme, host and an optional path prefix"),
///     Setting::secret("pin", "the PIN"),
/// ];
/// assert!(!SETTINGS[0].is_secret && SETTINGS[1].is_secret);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// The name, such as `base_url`. It is the key in a config file. In upper case after the provider's prefix, it is
    /// the environment variable, such as `ACME_BASE_URL`.
    pub name: &'static str,
    /// Whether the value must never be shown.
    pub is_secret: bool,
    /// What the setting is. The phrase completes the sentence "Sets …", such as `the client id`.
    pub help: &'static str,
}

impl Setting {
    /// Describes a setting whose value may be shown.
    ///
    /// ```
    /// let setting = auth_core::Setting::plain("client_id", "the client id");
    /// assert!(!setting.is_secret);
    /// ```
    #[must_use]
    pub const fn plain(name: &'static str, help: &'static str) -> Self {
        Self { name, is_secret: false, help }
    }

    /// Describes a setting whose value is a [`Secret`].
    ///
    /// ```
    /// let setting = auth_core::Setting::secret("api_key", "the API key");
    /// assert!(setting.is_secret);
    /// ```
    #[must_use]
    pub const fn secret(name: &'static str, help: &'static str) -> Self {
        Self { name, is_secret: true, help }
    }
}

/// Holds a provider's name, as it appears in errors, and the prefix of its environment variables.
///
/// ```
/// const INFO: auth_core::ProviderInfo = auth_core::ProviderInfo::new("acme", "ACME");
/// assert_eq!((INFO.provider, INFO.env_prefix), ("acme", "ACME"));
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ProviderInfo {
    /// The provider's name in lower case, such as `acme`.
    pub provider: &'static str,
    /// The prefix of its environment variables, such as `ACME`.
    pub env_prefix: &'static str,
}

impl ProviderInfo {
    /// Creates the info from the provider's name in lower case and the prefix of its environment variables.
    #[must_use]
    pub const fn new(provider: &'static str, env_prefix: &'static str) -> Self {
        Self { provider, env_prefix }
    }

    /// Starts a check of the required settings. It reports all missing settings in one error.
    ///
    /// ```
    /// # use auth_core::{ProviderInfo, Secret};
    /// let mut required = ProviderInfo::new("acme", "ACME").required();
    /// required.text("base_url", None);
    /// required.secret("pin", Some(Secret::from("0000")));
    /// let message = required.check().err().map(|error| error.to_string());
    /// assert_eq!(message.as_deref(), Some("acme: missing: `base_url` (environment: ACME_BASE_URL)"));
    /// ```
    pub fn required(self) -> RequiredSettings {
        RequiredSettings { info: self, missing: Vec::new() }
    }

    /// Reads a settings struct from the environment: its field `base_url` from `ACME_BASE_URL`, and so on.
    ///
    /// An empty variable counts as unset.
    ///
    /// ```
    /// #[derive(serde::Deserialize)]
    /// struct Settings {
    ///     base_url: Option<String>,
    /// }
    ///
    /// let settings: Settings = auth_core::ProviderInfo::new("acme", "ACME").read_env()?;
    /// assert_eq!(settings.base_url, None); // ACME_BASE_URL is not set
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) if a variable is not Unicode or has a value that its setting
    /// does not accept. The error names the variable.
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

    /// Reads a settings struct from the values that `lookup` returns for its fields.
    ///
    /// `lookup` is called once for each field of the struct, with its name, such as `base_url`.
    ///
    /// ```
    /// # use auth_core::{ProviderInfo, Secret};
    /// #[derive(serde::Deserialize)]
    /// struct Settings {
    ///     pin: Option<Secret>,
    /// }
    ///
    /// let info = ProviderInfo::new("acme", "ACME");
    /// let settings: Settings = info.read_settings(|name| Ok((name == "pin").then(|| Secret::from("0000"))))?;
    /// assert_eq!(settings.pin.as_ref().map(Secret::expose), Some("0000"));
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Any error of `lookup`. [`Misconfigured`](crate::ErrorKind::Misconfigured) if a setting does not accept its
    /// value. The error names the setting.
    pub fn read_settings<S: DeserializeOwned>(
        self,
        lookup: impl Fn(&'static str) -> Result<Option<Secret>, Error>,
    ) -> Result<S, Error> {
        let mut found = Vec::new();
        for field in setting_names::<S>() {
            found.extend(lookup(field)?.map(|value| (*field, value)));
        }
        read(&found).map_err(|_| {
            let (field, problem) = found.iter().find_map(rejection::<S>).unwrap_or_default();
            // Every other message of serde may quote the value, which may be a secret.
            let problem = if problem.starts_with(ONE_OF) { &problem } else { "has a value that is not allowed" };
            self.invalid_setting(field, problem)
        })
    }

    /// Joins a base URL and a path into the endpoint of a login.
    ///
    /// The base URL may have a path prefix and a trailing slash. `path_field` is the name of the setting that holds the
    /// path; it is used in errors.
    ///
    /// ```
    /// let info = auth_core::ProviderInfo::new("acme", "ACME");
    /// let login = info.endpoint("https://api.example.com/v2/", "login_path", "/login")?;
    /// assert_eq!(login.uri(), "https://api.example.com/v2/login");
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) if the URL is not absolute, is plain http to another
    /// machine, or has a user name, a query or a fragment. The error names the setting.
    pub fn endpoint(self, base_url: &str, path_field: &'static str, path: &str) -> Result<Endpoint, Error> {
        Endpoint::new(base_url, path_field, path, |field, problem| self.invalid_setting(field, problem))
    }

    /// Turns a credential into a header value that is marked sensitive.
    ///
    /// ```
    /// let info = auth_core::ProviderInfo::new("acme", "ACME");
    /// let value = info.header("api_key", &"not-a-real-key".into())?;
    /// assert!(value.is_sensitive());
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) if the credential has a line break, another control
    /// character, a character outside ASCII, or a space at either end.
    pub fn header(self, field: &str, value: &Secret) -> Result<HeaderValue, Error> {
        header_value(value.expose())
            .map_err(|problem| self.invalid_setting(field, &format!("{problem}, which a header cannot carry")))
    }

    /// Returns the error for a setting that has a wrong value.
    ///
    /// `problem` completes the sentence "the setting X …" and must not contain the value.
    ///
    /// ```
    /// let info = auth_core::ProviderInfo::new("acme", "ACME");
    /// let error = info.invalid_setting("pin", "must have four digits");
    /// assert_eq!(error.setting(), Some("pin"));
    /// ```
    #[must_use]
    pub fn invalid_setting(self, field: &str, problem: &str) -> Error {
        let problem = format!("(environment: {}) {problem}", self.variable(field));
        Error::misconfigured(field.to_owned(), &problem).with_provider(self.provider)
    }

    /// Returns the environment variable of a setting, such as `ACME_BASE_URL`.
    #[must_use]
    pub fn variable(self, field: &str) -> String {
        format!("{}_{}", self.env_prefix, field.to_ascii_uppercase())
    }
}

/// Returns the names of the fields of a settings struct, such as `base_url`, in their order.
///
/// The struct must have a derived `Deserialize`.
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
    // A derived `Deserialize` passes the names of its fields to the deserializer, which records them and then fails.
    let _ = S::deserialize(FieldNames(&mut names));
    names
}

const ONE_OF: &str = "must be one of: ";

fn read<S: DeserializeOwned>(found: &[(&'static str, Secret)]) -> Result<S, ValueError> {
    let pairs = found.iter().map(|(field, value)| (*field, Text(value.expose())));
    S::deserialize(MapDeserializer::new(pairs))
}

/// Returns the setting's name and serde's message if the setting does not accept the value.
fn rejection<S: DeserializeOwned>(pair: &(&'static str, Secret)) -> Option<(&'static str, String)> {
    let error = read::<S>(std::slice::from_ref(pair)).err()?;
    Some((pair.0, error.to_string()))
}

/// A deserializer that records the field names of a struct and returns no value.
struct FieldNames<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for FieldNames<'_> {
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

/// A deserializer for the text of one setting, whose field may be optional.
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

/// Collects the required settings that are missing; see [`ProviderInfo::required`].
#[derive(Debug)]
#[must_use]
pub struct RequiredSettings {
    info: ProviderInfo,
    missing: Vec<&'static str>,
}

impl RequiredSettings {
    /// Returns the value of a required text; a missing or empty one is recorded for [`check`](Self::check).
    ///
    /// ```
    /// let mut required = auth_core::ProviderInfo::new("acme", "ACME").required();
    /// let base_url = required.text("base_url", Some("https://api.acme.example".into()));
    /// required.check()?;
    /// assert_eq!(base_url, "https://api.acme.example");
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    pub fn text(&mut self, field: &'static str, value: Option<String>) -> String {
        self.take(field, value, String::is_empty)
    }

    /// Returns the value of a required secret; a missing or empty one is recorded for [`check`](Self::check).
    ///
    /// ```
    /// let mut required = auth_core::ProviderInfo::new("acme", "ACME").required();
    /// let pin = required.secret("pin", Some("0000".into()));
    /// required.check()?;
    /// assert_eq!(pin.expose(), "0000");
    /// # Ok::<(), auth_core::Error>(())
    /// ```
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

    /// Ends the check, and returns an error if a required setting is missing.
    ///
    /// ```
    /// let mut required = auth_core::ProviderInfo::new("acme", "ACME").required();
    /// required.text("base_url", None);
    /// assert!(required.check().is_err_and(|error| error.setting() == Some("base_url")));
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) if a setting is missing. The error names every missing
    /// setting and its environment variable.
    pub fn check(self) -> Result<(), Error> {
        let Some(first) = self.missing.first() else {
            return Ok(());
        };
        let missing =
            self.missing.iter().map(|field| format!("`{field}` (environment: {})", self.info.variable(field)));
        let list = missing.collect::<Vec<_>>().join(", ");
        Err(Error::missing(first, &list).with_provider(self.info.provider))
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
    fn a_variable_fills_the_field_of_its_name() {
        let settings = read(&[("TEST_BASE_URL", "https://x"), ("TEST_API_KEY", "k"), ("TEST_MODE", "old")]).unwrap();
        assert_eq!(settings.base_url.as_deref(), Some("https://x"));
        assert_eq!(settings.api_key.unwrap().expose(), "k");
        assert_eq!(settings.mode, Some(Mode::Old));
        assert!(read(&[("TEST_BASE_URL", "")]).unwrap().base_url.is_none());
    }

    #[test]
    fn the_error_for_a_wrong_value_names_the_variable_and_not_the_value() {
        let error = read(&[("TEST_API_KEY", "k"), ("TEST_MODE", "sentinel")]).unwrap_err().to_string();
        assert!(error.ends_with("TEST_MODE) must be one of: old") && !error.contains("sentinel"), "{error}");
    }

    #[test]
    fn one_error_names_all_missing_settings() {
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

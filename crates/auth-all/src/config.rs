//! The settings of one provider, which is chosen by name.

#[cfg(feature = "reqwest")]
use auth_core::TokenManager;
use auth_core::{Error, Secret, Setting};

use crate::{ENTRIES, ProviderConfig};

/// Returns the value of a setting, by the setting's name.
pub(crate) type Lookup<'a> = &'a dyn Fn(&'static str) -> Result<Option<Secret>, Error>;

/// One provider. [`ProviderConfig`] finds it by its name.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) settings: &'static [Setting],
    pub(crate) from_env: fn() -> Result<ProviderConfig, Error>,
    pub(crate) from_settings: fn(Lookup<'_>) -> Result<ProviderConfig, Error>,
}

/// Generates everything that depends on the list of providers: their modules, the variants, and the entries.
///
/// Each line is `module: "name" => Variant, crate_name;`.
macro_rules! providers {
    ($($module:ident: $name:tt => $variant:ident, $krate:ident;)+) => {
        $(
            #[cfg(feature = $name)]
            pub use $krate as $module;
        )+

        /// Holds the settings of one provider, which is chosen by name, for example in a config file.
        ///
        /// The key `provider` has the provider's name. The other keys are the settings of that provider. An unknown key
        /// is an error.
        ///
        /// A parser's error may quote the file with its secrets. Print only its message, not the whole error.
        ///
        /// ```
        /// # #[cfg(all(feature = "voipex", feature = "reqwest"))] {
        /// use auth_all::ProviderConfig;
        ///
        /// let config: ProviderConfig = toml::from_str(
        ///     r#"
        ///     provider = "voipex"
        ///     username = "me@example.com"
        ///     password = "not a real one"
        ///     "#,
        /// )?;
        /// let tokens = config.into_manager()?;
        /// # }
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        #[derive(Debug, Clone, serde::Deserialize)]
        #[serde(tag = "provider")]
        #[non_exhaustive]
        pub enum ProviderConfig {
            $(
                #[doc = concat!("The settings of ", stringify!($variant), ".")]
                #[cfg(feature = $name)]
                #[serde(rename = $name)]
                $variant($krate::Builder),
            )+
        }

        impl ProviderConfig {
            /// The names of the providers whose features are enabled.
            ///
            /// ```
            /// # #[cfg(feature = "voipex")]
            /// assert!(auth_all::ProviderConfig::PROVIDERS.contains(&"voipex"));
            /// ```
            pub const PROVIDERS: &[&str] = &[$(#[cfg(feature = $name)] $name),+];

            /// Checks the settings and builds the provider.
            ///
            /// ```no_run
            /// # #[cfg(feature = "voipex")] {
            /// # use auth_all::core::Provider;
            /// let provider = auth_all::ProviderConfig::from_env("voipex")?.build()?;
            /// println!("{}", provider.login_request().uri());
            /// # }
            /// # Ok::<(), auth_all::core::Error>(())
            /// ```
            ///
            /// # Errors
            /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) if settings are missing or wrong. The error
            /// names every missing setting, or the first wrong one.
            pub fn build(self) -> Result<std::sync::Arc<dyn auth_core::Provider>, auth_core::Error> {
                match self {
                    $(
                        #[cfg(feature = $name)]
                        Self::$variant(builder) => Ok(std::sync::Arc::new(builder.build()?)),
                    )+
                }
            }
        }

        const ENTRIES: &[config::Entry] = &[$(
            #[cfg(feature = $name)]
            config::Entry {
                name: $name,
                settings: $krate::SETTINGS,
                from_env: || $krate::Builder::from_env().map(ProviderConfig::$variant),
                from_settings: |lookup| $krate::Builder::from_settings(lookup).map(ProviderConfig::$variant),
            }
        ),+];
    };
}

impl ProviderConfig {
    /// Returns the settings of a provider, or `None` if the name is not in [`PROVIDERS`](Self::PROVIDERS).
    ///
    /// The name of a setting is its key in a config file. Its environment variable is the name of the provider and the
    /// name of the setting in upper case, such as `CAMBYOPRO_CLIENT_SECRET`.
    ///
    /// ```
    /// # #[cfg(feature = "cambyopro")] {
    /// let settings = auth_all::ProviderConfig::settings("cambyopro").unwrap_or_default();
    /// assert!(settings.iter().any(|setting| setting.name == "client_secret" && setting.is_secret));
    /// # }
    /// ```
    #[must_use]
    pub fn settings(provider: &str) -> Option<&'static [Setting]> {
        entry(provider).ok().map(|entry| entry.settings)
    }

    /// Reads the settings of a provider from its environment variables.
    ///
    /// ```no_run
    /// let config = auth_all::ProviderConfig::from_env("voipex")?;
    /// # Ok::<(), auth_all::core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) if the name is not in [`PROVIDERS`](Self::PROVIDERS), or
    /// if a variable cannot be read.
    pub fn from_env(provider: &str) -> Result<Self, Error> {
        (entry(provider)?.from_env)()
    }

    /// Reads the settings of a provider from the values that `lookup` returns for their [names](Self::settings).
    ///
    /// ```
    /// # #[cfg(feature = "voipex")] {
    /// use auth_all::ProviderConfig;
    /// use auth_all::core::Secret;
    ///
    /// let config = ProviderConfig::from_settings("voipex", |name| match name {
    ///     "username" => Ok(Some(Secret::from("me@example.com"))),
    ///     "password" => Ok(Some(Secret::from("not a real one"))),
    ///     _ => Ok(None),
    /// })?;
    /// # }
    /// # Ok::<(), auth_all::core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Any error of `lookup`. [`Misconfigured`](auth_core::ErrorKind::Misconfigured) if the name is not in
    /// [`PROVIDERS`](Self::PROVIDERS), or if a setting does not accept its value.
    pub fn from_settings(
        provider: &str,
        lookup: impl Fn(&'static str) -> Result<Option<Secret>, Error>,
    ) -> Result<Self, Error> {
        (entry(provider)?.from_settings)(&lookup)
    }

    /// Checks the settings and builds a manager that logs in by HTTPS, with the default settings.
    ///
    /// For everything else, pass the [provider](Self::build) to [`TokenManager::builder`].
    ///
    /// ```no_run
    /// use auth_all::ProviderConfig;
    ///
    /// let tokens = ProviderConfig::from_env("voipex")?.into_manager()?;
    /// # Ok::<(), auth_all::Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of [`build`](Self::build) and of [`TokenManager::new`].
    #[cfg(feature = "reqwest")]
    pub fn into_manager(self) -> Result<TokenManager, Error> {
        TokenManager::new(self.build()?)
    }
}

fn entry(provider: &str) -> Result<&'static Entry, Error> {
    ENTRIES.iter().find(|entry| entry.name == provider).ok_or_else(|| {
        let problem = format!("must be one of: {}", ProviderConfig::PROVIDERS.join(", "));
        Error::misconfigured("provider", &problem)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_selects_its_provider() {
        for name in ProviderConfig::PROVIDERS {
            let settings = ProviderConfig::settings(name).unwrap();
            let text = format!("provider = \"{name}\"\n{} = \"x\"", settings[0].name);
            assert!(toml::from_str::<ProviderConfig>(&text).is_ok(), "{name}");

            let config = ProviderConfig::from_settings(name, |_| Ok(None)).unwrap();
            let error = config.build().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name}: missing: ")), "{error}");
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_known_names() {
        let error = ProviderConfig::from_env("acme").unwrap_err();
        assert_eq!(error.setting(), Some("provider"));
        let names = ProviderConfig::PROVIDERS.join(", ");
        assert!(error.to_string().ends_with(&format!("must be one of: {names}")), "{error}");
        assert!(ProviderConfig::settings("acme").is_none());
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        for name in ProviderConfig::PROVIDERS {
            assert!(toml::from_str::<ProviderConfig>(&format!("provider = \"{name}\"\ntypo = \"x\"")).is_err());
        }
    }
}

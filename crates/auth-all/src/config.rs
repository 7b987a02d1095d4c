use std::sync::Arc;

use auth_core::{Error, Login, Provider, Secret, TokenManager, Transport, setting_names};
use serde::Deserialize;

/// Holds the settings of one provider, chosen by name: the form for a config file.
///
/// Its `provider` says which; the other keys are that provider's settings, and an unknown one is an error. A parser's
/// error may quote the file, secrets and all: print its message, not the error.
///
/// ```
/// # #[cfg(all(feature = "voipex", feature = "reqwest"))] {
/// use auth_all::ProviderConfig;
/// use auth_all::core::{ReqwestTransport, TokenSource};
///
/// let config: ProviderConfig = toml::from_str(
///     r#"
///     provider = "voipex"
///     username = "me@example.com"
///     password = "not a real one"
///     "#,
/// )?;
/// let tokens = config.into_manager(ReqwestTransport::new()?)?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "provider", rename_all = "lowercase")]
#[non_exhaustive]
pub enum ProviderConfig {
    /// Zoqq.
    #[cfg(feature = "zoqq")]
    Zoqq(auth_zoqq::Builder),
    /// Roecny.
    #[cfg(feature = "roecny")]
    Roecny(auth_roecny::Builder),
    /// Cambyopro.
    #[cfg(feature = "cambyopro")]
    Cambyopro(auth_cambyopro::Builder),
    /// Voipex.
    #[cfg(feature = "voipex")]
    Voipex(auth_voipex::Builder),
}

impl ProviderConfig {
    /// The names of the providers that this build knows.
    pub const PROVIDERS: &[&str] = &[
        #[cfg(feature = "zoqq")]
        "zoqq",
        #[cfg(feature = "roecny")]
        "roecny",
        #[cfg(feature = "cambyopro")]
        "cambyopro",
        #[cfg(feature = "voipex")]
        "voipex",
    ];

    /// Reads the settings of the provider of this name from its environment variables.
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) where the name is not among
    /// [`PROVIDERS`](Self::PROVIDERS), or a variable cannot be read.
    pub fn from_env(provider: &str) -> Result<Self, Error> {
        match provider {
            #[cfg(feature = "zoqq")]
            "zoqq" => auth_zoqq::Builder::from_env().map(Self::Zoqq),
            #[cfg(feature = "roecny")]
            "roecny" => auth_roecny::Builder::from_env().map(Self::Roecny),
            #[cfg(feature = "cambyopro")]
            "cambyopro" => auth_cambyopro::Builder::from_env().map(Self::Cambyopro),
            #[cfg(feature = "voipex")]
            "voipex" => auth_voipex::Builder::from_env().map(Self::Voipex),
            _ => Err(unknown()),
        }
    }

    /// The names of the settings of the provider of this name: the keys of its config, and with the provider's name before
    /// them, in capitals, its environment variables. None where it is not among [`PROVIDERS`](Self::PROVIDERS).
    ///
    /// ```
    /// # #[cfg(feature = "cambyopro")] {
    /// let settings = auth_all::ProviderConfig::setting_names("cambyopro").unwrap_or_default();
    /// assert!(settings.contains(&"client_secret")); // `CAMBYOPRO_CLIENT_SECRET`
    /// # }
    /// ```
    #[must_use]
    pub fn setting_names(provider: &str) -> Option<&'static [&'static str]> {
        match provider {
            #[cfg(feature = "zoqq")]
            "zoqq" => Some(setting_names::<auth_zoqq::Builder>()),
            #[cfg(feature = "roecny")]
            "roecny" => Some(setting_names::<auth_roecny::Builder>()),
            #[cfg(feature = "cambyopro")]
            "cambyopro" => Some(setting_names::<auth_cambyopro::Builder>()),
            #[cfg(feature = "voipex")]
            "voipex" => Some(setting_names::<auth_voipex::Builder>()),
            _ => None,
        }
    }

    /// Reads the settings of the provider of this name from wherever `lookup` finds the value of one of
    /// [these](Self::setting_names).
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env), and that of `lookup`.
    pub fn from_settings(
        provider: &str,
        lookup: impl Fn(&'static str) -> Result<Option<Secret>, Error>,
    ) -> Result<Self, Error> {
        match provider {
            #[cfg(feature = "zoqq")]
            "zoqq" => auth_zoqq::Builder::from_settings(lookup).map(Self::Zoqq),
            #[cfg(feature = "roecny")]
            "roecny" => auth_roecny::Builder::from_settings(lookup).map(Self::Roecny),
            #[cfg(feature = "cambyopro")]
            "cambyopro" => auth_cambyopro::Builder::from_settings(lookup).map(Self::Cambyopro),
            #[cfg(feature = "voipex")]
            "voipex" => auth_voipex::Builder::from_settings(lookup).map(Self::Voipex),
            _ => Err(unknown()),
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) that names every missing setting, or the first wrong one.
    pub fn build(self) -> Result<Arc<dyn Provider>, Error> {
        Ok(match self {
            #[cfg(feature = "zoqq")]
            Self::Zoqq(builder) => Arc::new(builder.build()?),
            #[cfg(feature = "roecny")]
            Self::Roecny(builder) => Arc::new(builder.build()?),
            #[cfg(feature = "cambyopro")]
            Self::Cambyopro(builder) => Arc::new(builder.build()?),
            #[cfg(feature = "voipex")]
            Self::Voipex(builder) => Arc::new(builder.build()?),
        })
    }

    /// Checks the settings and builds a manager that logs in over a transport, which other managers may share.
    ///
    /// To set a [`Policy`](auth_core::Policy) or a store, [`build`](Self::build) a provider for a [`Login`].
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn into_manager<T: Transport>(self, transport: T) -> Result<TokenManager<Arc<dyn Provider>, T>, Error> {
        Ok(TokenManager::new(Login::new(self.build()?, transport)))
    }
}

fn unknown() -> Error {
    let problem = format!("is none of those built in: {}", ProviderConfig::PROVIDERS.join(", "));
    Error::misconfigured("provider", &problem)
}

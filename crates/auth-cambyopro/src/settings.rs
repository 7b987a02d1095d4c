//! The settings: their table, the builder, and the checks.

use auth_core::{Error, Secret, Setting};
use serde::Deserialize;

use crate::{Cambyopro, INFO, request};

const BASE_URL: &str = "https://cloudbreak.cambyopro.com";
const LOGIN_PATH: &str = "/api/no-auth/authentication/v1/login";
const CLIENT_ID_FIELD: &str = "clientId";
const CLIENT_SECRET_FIELD: &str = "clientSecret";

/// Lists the settings of a [`Builder`], in the order of the [table](crate#settings).
pub const SETTINGS: &[Setting] = &[
    Setting::plain("client_id", "the client id"),
    Setting::secret("client_secret", "the client secret"),
    Setting::plain("base_url", "the base URL: scheme, host and an optional path prefix"),
    Setting::plain("login_path", "the path of the login"),
    Setting::plain("client_id_field", "the name of the request field for the client id"),
    Setting::plain("client_secret_field", "the name of the request field for the client secret"),
];

/// Collects the settings of a [`Cambyopro`] login, from setters, a config file or the environment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct Builder {
    client_id: Option<String>,
    client_secret: Option<Secret>,
    base_url: Option<String>,
    login_path: Option<String>,
    client_id_field: Option<String>,
    client_secret_field: Option<String>,
}

impl Builder {
    /// Reads the settings from the environment, as [`Cambyopro::from_env`] does.
    ///
    /// The setters of the returned builder can change the settings.
    ///
    /// ```no_run
    /// use auth_cambyopro::Builder;
    ///
    /// let cambyopro = Builder::from_env()?.with_base_url("https://proxy.example/cloudbreak").build()?;
    /// # Ok::<(), auth_cambyopro::core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) if a variable cannot be read. The error names the
    /// variable.
    pub fn from_env() -> Result<Self, Error> {
        INFO.read_env()
    }

    /// Reads the settings from the values that `lookup` returns for their names, such as `client_id`.
    ///
    /// ```
    /// use auth_cambyopro::Builder;
    /// use auth_cambyopro::core::Secret;
    ///
    /// let secret = Secret::from("your-secret");
    /// let builder = Builder::from_settings(|name| Ok((name == "client_secret").then(|| secret.clone())))?;
    /// # Ok::<(), auth_cambyopro::core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Any error of `lookup`. [`Misconfigured`](auth_core::ErrorKind::Misconfigured) if a setting does not accept its
    /// value.
    pub fn from_settings(lookup: impl Fn(&'static str) -> Result<Option<Secret>, Error>) -> Result<Self, Error> {
        INFO.read_settings(lookup)
    }

    /// Sets the client id, `clientId` in the body. Required.
    ///
    /// ```
    /// # use auth_cambyopro::{Cambyopro, core::Provider};
    /// # let builder = Cambyopro::builder().with_client_secret("secret");
    /// let cambyopro = builder.with_client_id("your-client-id").build()?;
    /// assert_eq!(cambyopro.login_request().body(), br#"{"clientId":"your-client-id","clientSecret":"secret"}"#);
    /// # Ok::<(), auth_cambyopro::core::Error>(())
    /// ```
    pub fn with_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Sets the client secret, `clientSecret` in the body. Required.
    ///
    /// ```
    /// # use auth_cambyopro::{Cambyopro, core::Provider};
    /// # let builder = Cambyopro::builder().with_client_id("id");
    /// let cambyopro = builder.with_client_secret("your-secret").build()?;
    /// assert_eq!(cambyopro.login_request().body(), br#"{"clientId":"id","clientSecret":"your-secret"}"#);
    /// # Ok::<(), auth_cambyopro::core::Error>(())
    /// ```
    pub fn with_client_secret(mut self, client_secret: impl Into<Secret>) -> Self {
        self.client_secret = Some(client_secret.into());
        self
    }

    /// Sets the base URL: scheme, host and an optional path prefix. The default is `https://cloudbreak.cambyopro.com`.
    ///
    /// ```
    /// # use auth_cambyopro::{Cambyopro, core::Provider};
    /// # let builder = Cambyopro::builder().with_client_id("id").with_client_secret("secret");
    /// # let builder = builder.with_login_path("/login");
    /// let cambyopro = builder.with_base_url("https://proxy.example/cloudbreak").build()?;
    /// assert_eq!(cambyopro.login_request().uri(), "https://proxy.example/cloudbreak/login");
    /// # Ok::<(), auth_cambyopro::core::Error>(())
    /// ```
    pub fn with_base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = Some(base_url.into());
        self
    }

    /// Sets the path of the login. The default is `/api/no-auth/authentication/v1/login`.
    ///
    /// The only published copy of the path has lost the character between `no` and `auth`.
    ///
    /// ```
    /// # use auth_cambyopro::{Cambyopro, core::Provider};
    /// # let builder = Cambyopro::builder().with_client_id("id").with_client_secret("secret");
    /// let cambyopro = builder.with_login_path("/api/no_auth/authentication/v1/login").build()?;
    /// assert_eq!(cambyopro.login_request().uri().path(), "/api/no_auth/authentication/v1/login");
    /// # Ok::<(), auth_cambyopro::core::Error>(())
    /// ```
    pub fn with_login_path(mut self, login_path: impl Into<String>) -> Self {
        self.login_path = Some(login_path.into());
        self
    }

    /// Sets the name of the client id's field in the body. The default is `clientId`.
    ///
    /// The only published copy of the name has lost its upper case.
    ///
    /// ```
    /// # use auth_cambyopro::{Cambyopro, core::Provider};
    /// # let builder = Cambyopro::builder().with_client_id("id").with_client_secret("secret");
    /// let cambyopro = builder.with_client_id_field("clientid").build()?;
    /// assert_eq!(cambyopro.login_request().body(), br#"{"clientid":"id","clientSecret":"secret"}"#);
    /// # Ok::<(), auth_cambyopro::core::Error>(())
    /// ```
    pub fn with_client_id_field(mut self, field: impl Into<String>) -> Self {
        self.client_id_field = Some(field.into());
        self
    }

    /// Sets the name of the client secret's field in the body. The default is `clientSecret`.
    ///
    /// The only published copy of the name has lost its upper case.
    ///
    /// ```
    /// # use auth_cambyopro::{Cambyopro, core::Provider};
    /// # let builder = Cambyopro::builder().with_client_id("id").with_client_secret("secret");
    /// let cambyopro = builder.with_client_secret_field("clientsecret").build()?;
    /// assert_eq!(cambyopro.login_request().body(), br#"{"clientId":"id","clientsecret":"secret"}"#);
    /// # Ok::<(), auth_cambyopro::core::Error>(())
    /// ```
    pub fn with_client_secret_field(mut self, field: impl Into<String>) -> Self {
        self.client_secret_field = Some(field.into());
        self
    }

    /// Checks the settings and builds the login.
    ///
    /// ```
    /// let result = auth_cambyopro::Cambyopro::builder().with_client_id("your-client-id").build();
    /// assert!(result.is_err_and(|error| error.setting() == Some("client_secret"))); // it is missing
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) in these cases:
    /// - Settings are missing. The error names all of them and their environment variables.
    /// - A setting is wrong: a URL that is not https, or one name for both fields. The error names the first one.
    pub fn build(self) -> Result<Cambyopro, Error> {
        let mut required = INFO.required();
        let client_id = required.text("client_id", self.client_id);
        let client_secret = required.secret("client_secret", self.client_secret);
        required.check()?;

        let base_url = self.base_url.as_deref().unwrap_or(BASE_URL);
        let path = self.login_path.as_deref().unwrap_or(LOGIN_PATH);
        let endpoint = INFO.endpoint(base_url, "login_path", path)?;
        let id_field = self.client_id_field.as_deref().unwrap_or(CLIENT_ID_FIELD);
        let secret_field = self.client_secret_field.as_deref().unwrap_or(CLIENT_SECRET_FIELD);
        if id_field == secret_field {
            return Err(INFO.invalid_setting("client_secret_field", "is the same as `client_id_field`"));
        }
        let login = request::login(&endpoint, (id_field, &client_id), (secret_field, client_secret.expose()));
        Ok(Cambyopro { login })
    }
}

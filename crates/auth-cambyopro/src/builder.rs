use auth_core::http::HeaderValue;
use auth_core::http::header::ACCEPT;
use auth_core::{Error, Request, Secret};
use serde::Deserialize;

use crate::{Cambyopro, INFO};

const BASE_URL: &str = "https://cloudbreak.cambyopro.com";
const LOGIN_PATH: &str = "/api/no-auth/authentication/v1/login";

/// Collects the settings of a [`Cambyopro`] login, by hand, from a config file or from the environment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct Builder {
    base_url: Option<String>,
    login_path: Option<String>,
    client_id: Option<String>,
    client_secret: Option<Secret>,
    client_id_field: Option<String>,
    client_secret_field: Option<String>,
}

impl Builder {
    /// Reads the settings from the environment, as [`Cambyopro::from_env`] does, to change some of them.
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) naming the variable that cannot be read.
    pub fn from_env() -> Result<Self, Error> {
        INFO.read_env()
    }

    /// Reads the settings from wherever `lookup` finds the value of a field, such as `base_url`.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env), and that of `lookup`.
    pub fn from_settings(lookup: impl Fn(&'static str) -> Result<Option<Secret>, Error>) -> Result<Self, Error> {
        INFO.read_settings(lookup)
    }

    /// Sets the client id, `clientId` in the body. RequiredSettings.
    pub fn with_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Sets the client's secret, `clientSecret` in the body. RequiredSettings.
    pub fn with_client_secret(mut self, client_secret: impl Into<Secret>) -> Self {
        self.client_secret = Some(client_secret.into());
        self
    }

    /// Sets scheme, host and an optional path prefix. Default is `https://cloudbreak.cambyopro.com`.
    pub fn with_base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = Some(base_url.into());
        self
    }

    /// Sets the path of the login. Default is `/api/no-auth/authentication/v1/login`; the one document that shows it has
    /// lost the character between `no` and `auth`.
    pub fn with_login_path(mut self, login_path: impl Into<String>) -> Self {
        self.login_path = Some(login_path.into());
        self
    }

    /// Sets the name of the client id's field. Default is `clientId`; the one document that shows it has lost its
    /// capitals.
    pub fn with_client_id_field(mut self, field: impl Into<String>) -> Self {
        self.client_id_field = Some(field.into());
        self
    }

    /// Sets the name of the secret's field. Default is `clientSecret`.
    pub fn with_client_secret_field(mut self, field: impl Into<String>) -> Self {
        self.client_secret_field = Some(field.into());
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) that names every missing setting and its variable, or the
    /// first wrong one: a URL that is not https, two fields of one name.
    pub fn build(self) -> Result<Cambyopro, Error> {
        let mut required = INFO.required();
        let client_id = required.text("client_id", self.client_id);
        let client_secret = required.secret("client_secret", self.client_secret);
        required.check()?;

        let base_url = self.base_url.as_deref().unwrap_or(BASE_URL);
        let endpoint = INFO.endpoint(base_url, "login_path", self.login_path.as_deref().unwrap_or(LOGIN_PATH))?;
        let id_field = self.client_id_field.as_deref().unwrap_or("clientId");
        let secret_field = self.client_secret_field.as_deref().unwrap_or("clientSecret");
        if id_field == secret_field {
            return Err(INFO.invalid_setting("client_secret_field", "is the same as `client_id_field`"));
        }
        let login = Request::post(&endpoint)
            .with_header(ACCEPT, HeaderValue::from_static("application/json"))
            .with_json(&[(id_field, &client_id), (secret_field, client_secret.expose())]);
        Ok(Cambyopro { login })
    }
}

use auth_core::{Error, Request, Secret};
use serde::Deserialize;

use crate::{BASE_URL, INFO, Voipex};

const LOGIN_PATH: &str = "/token";
const CLIENT_ID: &str = "api";

/// Collects the settings of a [`Voipex`] login, by hand, from a config file or from the environment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct Builder {
    base_url: Option<String>,
    login_path: Option<String>,
    client_id: Option<String>,
    username: Option<String>,
    password: Option<Secret>,
    scope: Option<String>,
}

impl Builder {
    /// Reads the settings from the environment, as [`Voipex::from_env`] does, to change some of them.
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

    /// Sets the user name, an e-mail address. RequiredSettings.
    pub fn with_username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// Sets the password; any characters. RequiredSettings.
    pub fn with_password(mut self, password: impl Into<Secret>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Sets the scope to ask for (RFC 6749 3.3), space-separated, such as `openid profile`. Default is none.
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Sets the client id. Default is `api`, a public client.
    pub fn with_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Sets scheme, host and an optional path prefix. Default is `https://auth.voipex.io`.
    pub fn with_base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = Some(base_url.into());
        self
    }

    /// Sets the path of the login. Default is `/token`.
    pub fn with_login_path(mut self, login_path: impl Into<String>) -> Self {
        self.login_path = Some(login_path.into());
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) that names every missing setting and its variable, or the
    /// first wrong one: a URL that is not https.
    pub fn build(self) -> Result<Voipex, Error> {
        let mut required = INFO.required();
        let username = required.text("username", self.username);
        let password = required.secret("password", self.password);
        required.check()?;

        let base_url = self.base_url.as_deref().unwrap_or(BASE_URL);
        let endpoint = INFO.endpoint(base_url, "login_path", self.login_path.as_deref().unwrap_or(LOGIN_PATH))?;
        let client_id = self.client_id.unwrap_or_else(|| CLIENT_ID.into());
        let mut form = vec![
            ("client_id", &*client_id),
            ("username", &*username),
            ("password", password.expose()),
            ("grant_type", "password"),
        ];
        form.extend(self.scope.as_deref().filter(|scope| !scope.is_empty()).map(|scope| ("scope", scope)));
        let login = Request::post(&endpoint).with_form(&form);
        Ok(Voipex { endpoint, client_id, login })
    }
}

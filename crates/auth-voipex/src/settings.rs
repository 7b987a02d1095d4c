//! The settings: their table, the builder, and the checks.

use auth_core::{Error, Secret, Setting};
use serde::Deserialize;

use crate::request::{self, Credentials};
use crate::{BASE_URL, INFO, Voipex};

const LOGIN_PATH: &str = "/token";
const CLIENT_ID: &str = "api";

/// Lists the settings of a [`Builder`], in the order of the [table](crate#settings).
pub const SETTINGS: &[Setting] = &[
    Setting::plain("username", "the user name, an e-mail address"),
    Setting::secret("password", "the password"),
    Setting::plain("scope", "the scope to ask for, separated by spaces"),
    Setting::plain("client_id", "the client id"),
    Setting::plain("base_url", "the URL of the login: scheme, host and an optional path prefix"),
    Setting::plain("login_path", "the path of the login"),
];

/// Collects the settings of a [`Voipex`] login, from setters, a config file or the environment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct Builder {
    username: Option<String>,
    password: Option<Secret>,
    scope: Option<String>,
    client_id: Option<String>,
    base_url: Option<String>,
    login_path: Option<String>,
}

impl Builder {
    /// Reads the settings from the environment, like [`Voipex::from_env`], so that some of them can be changed.
    ///
    /// ```no_run
    /// use auth_voipex::Builder;
    ///
    /// let voipex = Builder::from_env()?.with_scope("openid profile").build()?;
    /// # Ok::<(), auth_voipex::core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) if a variable cannot be read. The error names the
    /// variable.
    pub fn from_env() -> Result<Self, Error> {
        INFO.read_env()
    }

    /// Reads the settings from the values that `lookup` returns for their names, such as `username`.
    ///
    /// ```
    /// use auth_voipex::Builder;
    /// use auth_voipex::core::Secret;
    ///
    /// let builder = Builder::from_settings(|name| Ok((name == "password").then(|| Secret::from("not a real one"))))?;
    /// # Ok::<(), auth_voipex::core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Any error of `lookup`. [`Misconfigured`](auth_core::ErrorKind::Misconfigured) if a setting does not accept its
    /// value.
    pub fn from_settings(lookup: impl Fn(&'static str) -> Result<Option<Secret>, Error>) -> Result<Self, Error> {
        INFO.read_settings(lookup)
    }

    /// Sets the user name, an e-mail address. Required.
    ///
    /// ```
    /// # let builder = auth_voipex::Voipex::builder().with_password("not a real one");
    /// let voipex = builder.with_username("me@example.com").build()?;
    /// # Ok::<(), auth_voipex::core::Error>(())
    /// ```
    pub fn with_username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// Sets the password, which may contain any characters. Required.
    ///
    /// ```
    /// # let builder = auth_voipex::Voipex::builder().with_username("me@example.com");
    /// let voipex = builder.with_password("not a real one").build()?;
    /// # Ok::<(), auth_voipex::core::Error>(())
    /// ```
    pub fn with_password(mut self, password: impl Into<Secret>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Sets the scope to ask for (RFC 6749 3.3), separated by spaces. Without it, no scope is sent.
    ///
    /// ```
    /// # use auth_voipex::{Voipex, core::Provider};
    /// # let builder = Voipex::builder().with_username("me@example.com").with_password("not a real one");
    /// let voipex = builder.with_scope("openid profile").build()?;
    /// assert!(voipex.login_request().body().ends_with(b"&scope=openid+profile"));
    /// # Ok::<(), auth_voipex::core::Error>(())
    /// ```
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Sets the client id. The default is `api`, a public client.
    ///
    /// ```
    /// # use auth_voipex::{Voipex, core::Provider};
    /// # let builder = Voipex::builder().with_username("me@example.com").with_password("not a real one");
    /// let voipex = builder.with_client_id("my-client").build()?;
    /// assert!(voipex.login_request().body().starts_with(b"client_id=my-client&"));
    /// # Ok::<(), auth_voipex::core::Error>(())
    /// ```
    pub fn with_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Sets the base URL: scheme, host and an optional path prefix. The default is `https://auth.voipex.io`.
    ///
    /// ```
    /// # use auth_voipex::{Voipex, core::Provider};
    /// # let builder = Voipex::builder().with_username("me@example.com").with_password("not a real one");
    /// let voipex = builder.with_base_url("https://auth-devel.example/v2").build()?;
    /// assert_eq!(voipex.login_request().uri(), "https://auth-devel.example/v2/token");
    /// # Ok::<(), auth_voipex::core::Error>(())
    /// ```
    pub fn with_base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = Some(base_url.into());
        self
    }

    /// Sets the path of the login. The default is `/token`.
    ///
    /// ```
    /// # use auth_voipex::{Voipex, core::Provider};
    /// # let builder = Voipex::builder().with_username("me@example.com").with_password("not a real one");
    /// let voipex = builder.with_login_path("/oauth/token").build()?;
    /// assert_eq!(voipex.login_request().uri(), "https://auth.voipex.io/oauth/token");
    /// # Ok::<(), auth_voipex::core::Error>(())
    /// ```
    pub fn with_login_path(mut self, login_path: impl Into<String>) -> Self {
        self.login_path = Some(login_path.into());
        self
    }

    /// Checks the settings and builds the login.
    ///
    /// ```
    /// let result = auth_voipex::Voipex::builder().with_username("me@example.com").build();
    /// assert!(result.is_err_and(|error| error.setting() == Some("password"))); // it is missing
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) in these cases:
    /// - Settings are missing. The error names all of them and their environment variables.
    /// - The URL is wrong, for example not https.
    pub fn build(self) -> Result<Voipex, Error> {
        let mut required = INFO.required();
        let username = required.text("username", self.username);
        let password = required.secret("password", self.password);
        required.check()?;

        let base_url = self.base_url.as_deref().unwrap_or(BASE_URL);
        let path = self.login_path.as_deref().unwrap_or(LOGIN_PATH);
        let endpoint = INFO.endpoint(base_url, "login_path", path)?;
        let client_id = self.client_id.unwrap_or_else(|| CLIENT_ID.into());
        let credentials = Credentials {
            client_id: &client_id,
            username: &username,
            password: &password,
            scope: self.scope.as_deref().filter(|scope| !scope.is_empty()),
        };
        let login = request::login(&endpoint, &credentials);
        Ok(Voipex { endpoint, client_id, login })
    }
}

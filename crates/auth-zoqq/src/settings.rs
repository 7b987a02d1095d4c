//! The settings: their table, the builder, and the checks.

use auth_core::{Error, Secret, Setting};
use serde::Deserialize;

use crate::request::{self, Credentials};
use crate::{INFO, Zoqq};

const LOGIN_PATH: &str = "/api/v1/authentication/login";

/// Lists the settings of a [`Builder`], in the order of the [table](crate#settings).
pub const SETTINGS: &[Setting] = &[
    Setting::plain("base_url", "the base URL: scheme, host and an optional path prefix"),
    Setting::plain("client_id", "the client id"),
    Setting::secret("api_key", "the API key"),
    Setting::plain("scope", "the scopes to request, separated by spaces"),
    Setting::plain("revision", "the revision of the login that the server uses"),
    Setting::secret("client_secret", "the client secret"),
    Setting::plain("email", "the e-mail address"),
    Setting::plain("login_path", "the path of the login"),
];

/// Lists the known revisions of the login. All revisions use the same URL, so set the revision that the server speaks.
///
/// In a config file and in the environment, a revision has the name of its variant in kebab case, such as
/// `headers-and-scope`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Revision {
    /// Headers `x-client-id`, `x-api-key` and a required `scope`, empty body (April 2025).
    HeadersAndScope,
    /// Headers `x-client-id`, `x-api-key` and an optional `scope`, empty body (May 2025).
    Headers,
    /// Headers `x-client-id` and `x-api-key`, JSON body with `client_key`, `client_secret` and an optional `email`
    /// (mid 2025).
    BodyAndClientId,
    /// Header `x-api-key`, JSON body with `client_key`, `client_secret` and `email` (November 2025).
    Body,
}

impl Revision {
    fn name(self) -> &'static str {
        match self {
            Self::HeadersAndScope => "headers-and-scope",
            Self::Headers => "headers",
            Self::BodyAndClientId => "body-and-client-id",
            Self::Body => "body",
        }
    }

    fn has_body(self) -> bool {
        matches!(self, Self::BodyAndClientId | Self::Body)
    }
}

/// Collects the settings of a [`Zoqq`] login, from setters, a config file or the environment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct Builder {
    base_url: Option<String>,
    client_id: Option<String>,
    api_key: Option<Secret>,
    scope: Option<String>,
    revision: Option<Revision>,
    client_secret: Option<Secret>,
    email: Option<String>,
    login_path: Option<String>,
}

impl Builder {
    /// Reads the settings from the environment, as [`Zoqq::from_env`] does.
    ///
    /// The setters of the returned builder can change the settings.
    ///
    /// ```no_run
    /// use auth_zoqq::Builder;
    ///
    /// let zoqq = Builder::from_env()?.with_scope("r:awx_action:balances_view").build()?;
    /// # Ok::<(), auth_zoqq::core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) if a variable cannot be read. The error names the
    /// variable.
    pub fn from_env() -> Result<Self, Error> {
        INFO.read_env()
    }

    /// Reads the settings from the values that `lookup` returns for their names, such as `base_url`.
    ///
    /// ```
    /// use auth_zoqq::Builder;
    /// use auth_zoqq::core::Secret;
    ///
    /// let builder = Builder::from_settings(|name| Ok((name == "api_key").then(|| Secret::from("your-api-key"))))?;
    /// # Ok::<(), auth_zoqq::core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Any error of `lookup`. [`Misconfigured`](auth_core::ErrorKind::Misconfigured) if a setting does not accept its
    /// value.
    pub fn from_settings(lookup: impl Fn(&'static str) -> Result<Option<Secret>, Error>) -> Result<Self, Error> {
        INFO.read_settings(lookup)
    }

    /// Sets the base URL that Zoqq gave you: scheme, host and an optional path prefix. Required.
    ///
    /// ```
    /// # use auth_zoqq::{Revision, Zoqq, core::Provider};
    /// # let builder = Zoqq::builder().with_client_id("id").with_api_key("key").with_revision(Revision::Headers);
    /// let zoqq = builder.with_base_url("https://api.example.com/v2").build()?;
    /// assert_eq!(zoqq.login_request().uri(), "https://api.example.com/v2/api/v1/authentication/login");
    /// # Ok::<(), auth_zoqq::core::Error>(())
    /// ```
    pub fn with_base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = Some(base_url.into());
        self
    }

    /// Sets the client id: the header `x-client-id`, or `client_key` in a body. Required.
    ///
    /// ```
    /// # use auth_zoqq::{Revision, Zoqq, core::Provider};
    /// # let builder = Zoqq::builder().with_base_url("https://api.example.com").with_api_key("key");
    /// let zoqq = builder.with_client_id("your-client-id").with_revision(Revision::Headers).build()?;
    /// assert_eq!(zoqq.login_request().headers()["x-client-id"], "your-client-id");
    /// # Ok::<(), auth_zoqq::core::Error>(())
    /// ```
    pub fn with_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Sets the API key: the header `x-api-key` of the login and of every API call. Required.
    ///
    /// ```
    /// # use auth_zoqq::{Revision, Zoqq, core::Provider};
    /// # let builder = Zoqq::builder().with_base_url("https://api.example.com").with_client_id("id");
    /// let zoqq = builder.with_api_key("your-api-key").with_revision(Revision::Headers).build()?;
    /// assert_eq!(zoqq.api_headers()[0].1, "your-api-key");
    /// # Ok::<(), auth_zoqq::core::Error>(())
    /// ```
    pub fn with_api_key(mut self, api_key: impl Into<Secret>) -> Self {
        self.api_key = Some(api_key.into());
        self
    }

    /// Sets the scopes to request, separated by spaces. They are sent unchanged.
    ///
    /// [`Revision::HeadersAndScope`] requires a scope, [`Revision::Headers`] accepts one, and the revisions with a body
    /// reject one.
    ///
    /// ```
    /// # use auth_zoqq::{Zoqq, core::Provider};
    /// # let builder = Zoqq::builder().with_base_url("https://api.example.com");
    /// # let builder = builder.with_client_id("id").with_api_key("key");
    /// let zoqq = builder.with_scope("r:awx_action:balances_view w:awx_action:payments").build()?;
    /// assert_eq!(zoqq.login_request().headers()["scope"], "r:awx_action:balances_view w:awx_action:payments");
    /// # Ok::<(), auth_zoqq::core::Error>(())
    /// ```
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Sets the revision of the login that your server uses. The default is [`Revision::HeadersAndScope`].
    ///
    /// ```
    /// # use auth_zoqq::{Revision, Zoqq};
    /// # let builder = Zoqq::builder().with_base_url("https://api.example.com");
    /// # let builder = builder.with_client_id("id").with_api_key("key");
    /// let zoqq = builder.with_revision(Revision::Headers).build()?; // no scope needed
    /// # Ok::<(), auth_zoqq::core::Error>(())
    /// ```
    pub fn with_revision(mut self, revision: Revision) -> Self {
        self.revision = Some(revision);
        self
    }

    /// Sets the client secret, `client_secret` in the body.
    ///
    /// The revisions with a body require it, and the others reject it.
    ///
    /// ```
    /// # use auth_zoqq::{Revision, Zoqq, core::Provider};
    /// # let builder = Zoqq::builder().with_base_url("https://api.example.com");
    /// # let builder = builder.with_client_id("id").with_api_key("key");
    /// let zoqq = builder.with_revision(Revision::BodyAndClientId).with_client_secret("your-secret").build()?;
    /// assert_eq!(zoqq.login_request().body(), br#"{"client_key":"id","client_secret":"your-secret"}"#);
    /// # Ok::<(), auth_zoqq::core::Error>(())
    /// ```
    pub fn with_client_secret(mut self, client_secret: impl Into<Secret>) -> Self {
        self.client_secret = Some(client_secret.into());
        self
    }

    /// Sets the e-mail address, `email` in the body.
    ///
    /// [`Revision::Body`] requires it, [`Revision::BodyAndClientId`] accepts it, and the revisions without a body
    /// reject it.
    ///
    /// ```
    /// # use auth_zoqq::{Revision, Zoqq};
    /// # let builder = Zoqq::builder().with_base_url("https://api.example.com");
    /// # let builder = builder.with_client_id("id").with_api_key("key");
    /// let builder = builder.with_revision(Revision::Body).with_client_secret("your-secret");
    /// let zoqq = builder.with_email("me@example.com").build()?;
    /// # Ok::<(), auth_zoqq::core::Error>(())
    /// ```
    pub fn with_email(mut self, email: impl Into<String>) -> Self {
        self.email = Some(email.into());
        self
    }

    /// Sets the path of the login. The default is `/api/v1/authentication/login`.
    ///
    /// ```
    /// # use auth_zoqq::{Revision, Zoqq, core::Provider};
    /// # let builder = Zoqq::builder().with_base_url("https://api.example.com");
    /// # let builder = builder.with_client_id("id").with_api_key("key");
    /// let zoqq = builder.with_login_path("/login").with_revision(Revision::Headers).build()?;
    /// assert_eq!(zoqq.login_request().uri(), "https://api.example.com/login");
    /// # Ok::<(), auth_zoqq::core::Error>(())
    /// ```
    pub fn with_login_path(mut self, login_path: impl Into<String>) -> Self {
        self.login_path = Some(login_path.into());
        self
    }

    /// Checks the settings and builds the login.
    ///
    /// ```
    /// let result = auth_zoqq::Zoqq::builder().with_base_url("https://api.example.com").build();
    /// assert!(result.is_err_and(|error| error.setting() == Some("client_id"))); // the first one that is missing
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) in these cases:
    /// - Settings are missing. The error names all of them and their environment variables.
    /// - A setting is wrong: a URL that is not https, a key that a header cannot carry, or a setting that the revision
    ///   does not use. The error names the first one.
    pub fn build(self) -> Result<Zoqq, Error> {
        let revision = self.revision.unwrap_or(Revision::HeadersAndScope);
        self.check_unused(revision)?;

        let mut required = INFO.required();
        let base_url = required.text("base_url", self.base_url);
        let credentials = Credentials {
            client_id: required.text("client_id", self.client_id),
            api_key: required.secret("api_key", self.api_key),
            scope: match revision {
                Revision::HeadersAndScope => Some(required.text("scope", self.scope)),
                _ => self.scope.filter(|scope| !scope.is_empty()),
            },
            client_secret: if revision.has_body() {
                required.secret("client_secret", self.client_secret)
            } else {
                Secret::default()
            },
            email: match revision {
                Revision::Body => Some(required.text("email", self.email)),
                _ => self.email.filter(|email| !email.is_empty()),
            },
        };
        required.check()?;

        let path = self.login_path.as_deref().unwrap_or(LOGIN_PATH);
        let endpoint = INFO.endpoint(&base_url, "login_path", path)?;
        Ok(Zoqq { login: request::login(&endpoint, revision, &credentials)? })
    }

    /// Rejects a setting that the revision does not send, because the revision is then probably the wrong one.
    fn check_unused(&self, revision: Revision) -> Result<(), Error> {
        let unused = [
            ("scope", self.scope.is_some() && revision.has_body()),
            ("client_secret", self.client_secret.is_some() && !revision.has_body()),
            ("email", self.email.is_some() && !revision.has_body()),
        ];
        let Some((field, _)) = unused.iter().find(|(_, is_unused)| *is_unused) else { return Ok(()) };
        let name = revision.name();
        let problem = format!("is not used by revision `{name}`; set `revision` to the one that the server uses");
        Err(INFO.invalid_setting(field, &problem))
    }
}

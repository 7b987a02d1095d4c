//! The login by client id and API key that several providers share: a `POST` with the key in headers, in the revisions
//! that are known of it.
//!
//! A provider crate adds a [`Brand`]: its name and its default [`Revision`].
//!
//! ```
//! use auth_core::key_login::{Brand, KeyLogin, Revision};
//! use auth_core::{ProviderInfo, Provider};
//!
//! #[derive(Debug)]
//! struct Acme;
//!
//! impl Brand for Acme {
//!     const INFO: ProviderInfo = ProviderInfo::new("acme", "ACME");
//!     const REVISION: Revision = Revision::Headers;
//! }
//!
//! let acme = KeyLogin::<Acme>::builder()
//!     .with_base_url("https://api.acme.example")
//!     .with_client_id("fake-client")
//!     .with_api_key("fake-key")
//!     .build()?;
//! assert_eq!(acme.login().headers()["x-client-id"], "fake-client");
//! # Ok::<(), auth_core::Error>(())
//! ```

mod answer;
mod builder;

use std::fmt;
use std::marker::PhantomData;

use http::header::ACCEPT;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use crate::error::Error;
use crate::error_response::ErrorResponse;
use crate::message::{Request, Response};
use crate::provider::Provider;
use crate::secret::Secret;
use crate::settings::ProviderInfo;
use crate::token_response::TokenResponse;

pub use answer::is_rejection;
pub use builder::Builder;

/// The path of the login in every revision.
const LOGIN_PATH: &str = "/api/v1/authentication/login";

const X_CLIENT_ID: HeaderName = HeaderName::from_static("x-client-id");
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const SCOPE: HeaderName = HeaderName::from_static("scope");

/// Says which revision of the login a server speaks; its URL does not tell.
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

/// One provider that speaks this login.
pub trait Brand: fmt::Debug + Send + Sync + 'static {
    /// Its name, and the prefix of its environment variables.
    const INFO: ProviderInfo;
    /// The revision that its servers speak where nothing else is set.
    const REVISION: Revision;
}

/// Logs in to a [`Brand`] by client id and API key.
pub struct KeyLogin<B> {
    /// The same each time.
    login: Request,
    brand: PhantomData<B>,
}

impl<B: Brand> KeyLogin<B> {
    /// Starts from nothing set.
    pub fn builder() -> Builder<B> {
        Builder::default()
    }

    /// Reads the settings from the environment: each is named by the brand's prefix and the setting, as in
    /// `PREFIX_BASE_URL`, `PREFIX_CLIENT_ID`, `PREFIX_API_KEY` and `PREFIX_SCOPE`.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn from_env() -> Result<Self, Error> {
        Builder::from_env()?.build()
    }
}

impl<B: Brand> Provider for KeyLogin<B> {
    fn name(&self) -> &'static str {
        B::INFO.provider
    }

    fn login_request(&self) -> Request {
        self.login.clone()
    }

    fn api_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let key = self.login.headers().get(&X_API_KEY);
        key.map(|key| (X_API_KEY, key.clone())).into_iter().collect()
    }

    fn read_response(&self, response: &Response) -> Result<TokenResponse, ErrorResponse> {
        answer::read(response)
    }
}

impl<B: Brand> fmt::Debug for KeyLogin<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyLogin").field("provider", &self.name()).field("login", &self.login).finish()
    }
}

/// Holds what can be set, as it came from a builder, a config file or the environment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    base_url: Option<String>,
    login_path: Option<String>,
    revision: Option<Revision>,
    client_id: Option<String>,
    api_key: Option<Secret>,
    scope: Option<String>,
    client_secret: Option<Secret>,
    email: Option<String>,
}

impl Settings {
    /// Checks the settings and builds the login request.
    fn into_login(self, profile: ProviderInfo, default: Revision) -> Result<Request, Error> {
        let revision = self.revision.unwrap_or(default);
        self.check_place(profile, revision)?;

        let mut required = profile.required();
        let base_url = required.text("base_url", self.base_url);
        let client_id = required.text("client_id", self.client_id);
        let api_key = required.secret("api_key", self.api_key);
        let scope = match revision {
            Revision::HeadersAndScope => Some(required.text("scope", self.scope)),
            _ => self.scope.filter(|scope| !scope.is_empty()),
        };
        let client_secret = revision.has_body().then(|| required.secret("client_secret", self.client_secret));
        let email = match revision {
            Revision::Body => Some(required.text("email", self.email)),
            _ => self.email.filter(|email| !email.is_empty()),
        };
        required.check()?;

        let path = self.login_path.as_deref().unwrap_or(LOGIN_PATH);
        let endpoint = profile.endpoint(&base_url, "login_path", path)?;
        let mut request = Request::post(&endpoint)
            .with_header(ACCEPT, HeaderValue::from_static("application/json"))
            .with_header(X_API_KEY, profile.header("api_key", &api_key)?)
            .with_json_content_type();
        if revision != Revision::Body {
            request = request.with_header(X_CLIENT_ID, profile.header("client_id", &client_id.as_str().into())?);
        }
        if let Some(scope) = scope {
            request = request.with_header(SCOPE, profile.header("scope", &scope.into())?);
        }
        if let Some(client_secret) = client_secret {
            let mut members = vec![("client_key", &*client_id), ("client_secret", client_secret.expose())];
            members.extend(email.as_deref().map(|email| ("email", email)));
            request = request.with_json(&members);
        }
        Ok(request)
    }

    fn check_place(&self, profile: ProviderInfo, revision: Revision) -> Result<(), Error> {
        let misplaced = [
            ("scope", self.scope.is_some() && revision.has_body()),
            ("client_secret", self.client_secret.is_some() && !revision.has_body()),
            ("email", self.email.is_some() && !revision.has_body()),
        ];
        match misplaced.iter().find(|(_, is_misplaced)| *is_misplaced) {
            Some((field, _)) => {
                let problem =
                    format!("has no place in revision `{}`; set `revision` to what the server speaks", revision.name());
                Err(profile.invalid_setting(field, &problem))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;

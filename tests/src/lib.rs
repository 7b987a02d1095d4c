//! The four providers as one list, for tests that check the same behaviour on all of them.
//!
//! [`redis`] and [`fleet`] hold servers and processes for the tests of the stores.

pub mod fleet;
pub mod redis;

use std::sync::Arc;

use auth_all::cambyopro::Cambyopro;
use auth_all::core::{Error, Provider, TokenManager, TokenManagerBuilder};
use auth_all::roecny::Roecny;
use auth_all::voipex::Voipex;
use auth_all::zoqq::Zoqq;
use auth_sandbox::{API_KEY, Api, CLIENT_ID, CLIENT_SECRET, PASSWORD, SCOPE, USERNAME};
use auth_testing::{Script, ScriptedResponse};

/// A provider of any type.
pub type AnyProvider = Arc<dyn Provider>;

/// One of the four providers, and how it differs from the others in these tests.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// The provider.
    pub api: Api,
    /// The response body with which it refuses credentials.
    pub refusal: &'static str,
    /// Whether that body means a refusal under statuses that mean something else.
    pub refusal_overrides_status: bool,
    /// The part of the request that carries its secret.
    pub secret_in: SecretIn,
}

/// The part of a request that carries a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretIn {
    /// A header.
    Header,
    /// The body.
    Body,
}

/// All four providers.
pub const SUBJECTS: [Subject; 4] = [
    Subject {
        api: Api::Zoqq,
        refusal: r#"{"code":"unauthorized","message":"Access denied, authentication failed"}"#,
        refusal_overrides_status: false,
        secret_in: SecretIn::Header,
    },
    Subject {
        api: Api::Roecny,
        refusal: r#"{"code":"unauthorized","message":"Access denied, authentication failed"}"#,
        refusal_overrides_status: false,
        secret_in: SecretIn::Header,
    },
    Subject {
        api: Api::Cambyopro,
        refusal: r#"{"success":false,"message":"Invalid credentials."}"#,
        refusal_overrides_status: true,
        secret_in: SecretIn::Body,
    },
    Subject {
        api: Api::Voipex,
        refusal: r#"{"error":"invalid_grant","error_description":"Invalid user credentials"}"#,
        refusal_overrides_status: true,
        secret_in: SecretIn::Body,
    },
];

impl Subject {
    /// Returns the provider with its secret set to `secret`.
    ///
    /// # Errors
    /// Fails if a setting is invalid.
    pub fn with_secret(&self, base_url: &str, secret: &str) -> Result<AnyProvider, Error> {
        Ok(match self.api {
            Api::Zoqq => {
                let builder = Zoqq::builder().with_client_id(CLIENT_ID).with_scope(SCOPE);
                Arc::new(builder.with_base_url(base_url).with_api_key(secret).build()?)
            }
            Api::Roecny => {
                let builder = Roecny::builder().with_client_id(CLIENT_ID);
                Arc::new(builder.with_base_url(base_url).with_api_key(secret).build()?)
            }
            Api::Cambyopro => {
                let builder = Cambyopro::builder().with_client_id(CLIENT_ID);
                Arc::new(builder.with_base_url(base_url).with_client_secret(secret).build()?)
            }
            _ => {
                let builder = Voipex::builder().with_username(USERNAME);
                Arc::new(builder.with_base_url(base_url).with_password(secret).build()?)
            }
        })
    }

    /// Returns the secret that the sandbox accepts.
    #[must_use]
    pub fn secret(&self) -> &'static str {
        match self.api {
            Api::Zoqq | Api::Roecny => API_KEY,
            Api::Cambyopro => CLIENT_SECRET,
            _ => PASSWORD,
        }
    }

    /// Returns the provider with credentials that the sandbox accepts.
    ///
    /// # Errors
    /// Fails if the base URL is invalid.
    pub fn provider(&self, base_url: &str) -> Result<AnyProvider, Error> {
        self.with_secret(base_url, self.secret())
    }

    /// Returns the builder of a manager over real HTTP.
    ///
    /// # Errors
    /// Fails if the base URL is invalid.
    pub fn builder(&self, base_url: &str) -> Result<TokenManagerBuilder, Error> {
        Ok(TokenManager::builder(self.provider(base_url)?))
    }

    /// Returns a manager over real HTTP.
    ///
    /// # Errors
    /// Fails if the base URL is invalid or the system has no root certificates.
    pub fn manager(&self, base_url: &str) -> Result<TokenManager, Error> {
        self.builder(base_url)?.build()
    }

    /// Returns a manager with scripted responses.
    ///
    /// # Errors
    /// Does not fail: the settings are constant and valid.
    pub fn scripted(&self, responses: Vec<ScriptedResponse>) -> Result<(TokenManager, Script), Error> {
        let script = Script::new(responses);
        Ok((script.builder_for(self.provider("https://login.example")?).build()?, script))
    }

    /// Returns a successful response body with this token, in the provider's format.
    #[must_use]
    pub fn token_response(&self, token: &str) -> String {
        match self.api {
            Api::Zoqq | Api::Roecny => format!(r#"{{"token":"{token}"}}"#),
            Api::Cambyopro => format!(r#"{{"success":true,"accessToken":"{token}","expiresIn":86400}}"#),
            _ => format!(r#"{{"access_token":"{token}","expires_in":3000,"refresh_token":"fake-refresh"}}"#),
        }
    }
}

/// Compiles the examples of the front page.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// Compiles the examples of the page on sharing tokens.
#[cfg(doctest)]
#[doc = include_str!("../../docs/sharing.md")]
struct Sharing;

//! The four providers as one list, for tests that hold all of them to the same promises; processes and servers for those
//! of the stores.

pub mod fleet;
pub mod redis;

use std::sync::Arc;

use auth_all::cambyopro::Cambyopro;
use auth_testing::{Script, ScriptedResponse};
use auth_all::core::{Error, Login, Provider, ReqwestTransport};
use auth_all::roecny::Roecny;
use auth_all::voipex::Voipex;
use auth_all::zoqq::Zoqq;
use auth_sandbox::{API_KEY, Api, CLIENT_ID, CLIENT_SECRET, PASSWORD, SCOPE, USERNAME};

/// A provider of any kind.
pub type AnyProvider = Arc<dyn Provider>;

/// One of the four, and what sets it apart from the others in this suite.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// Which one.
    pub api: Api,
    /// Its own way of refusing credentials.
    pub refusal: &'static str,
    /// Its refusal counts under statuses that say something else.
    pub refusal_wins: bool,
    /// Where its one secret is sent.
    pub secret_in: SecretIn,
}

/// Where a secret is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretIn {
    /// In a header.
    Header,
    /// In the body.
    Body,
}

/// All four.
pub const SUBJECTS: [Subject; 4] = [
    Subject {
        api: Api::Zoqq,
        refusal: r#"{"code":"unauthorized","message":"Access denied, authentication failed"}"#,
        refusal_wins: false,
        secret_in: SecretIn::Header,
    },
    Subject {
        api: Api::Roecny,
        refusal: r#"{"code":"unauthorized","message":"Access denied, authentication failed"}"#,
        refusal_wins: false,
        secret_in: SecretIn::Header,
    },
    Subject {
        api: Api::Cambyopro,
        refusal: r#"{"success":false,"message":"Invalid credentials."}"#,
        refusal_wins: true,
        secret_in: SecretIn::Body,
    },
    Subject {
        api: Api::Voipex,
        refusal: r#"{"error":"invalid_grant","error_description":"Invalid user credentials"}"#,
        refusal_wins: true,
        secret_in: SecretIn::Body,
    },
];

impl Subject {
    /// The provider with its one secret set to `secret`.
    ///
    /// # Errors
    /// Where a setting is wrong.
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

    /// The secret that the sandbox knows.
    #[must_use]
    pub fn secret(&self) -> &'static str {
        match self.api {
            Api::Zoqq | Api::Roecny => API_KEY,
            Api::Cambyopro => CLIENT_SECRET,
            _ => PASSWORD,
        }
    }

    /// The provider with credentials that the sandbox knows.
    ///
    /// # Errors
    /// Where the base URL is wrong.
    pub fn at(&self, base_url: &str) -> Result<AnyProvider, Error> {
        self.with_secret(base_url, self.secret())
    }

    /// A login over real HTTP.
    ///
    /// # Errors
    /// Where the base URL is wrong, or the system has no root certificates.
    pub fn login(&self, base_url: &str) -> Result<Login<AnyProvider, ReqwestTransport>, Error> {
        Ok(Login::new(self.at(base_url)?, ReqwestTransport::new()?))
    }

    /// A login over a script.
    ///
    /// # Errors
    /// None, in this suite.
    pub fn scripted(&self, answers: Vec<ScriptedResponse>) -> Result<(Login<AnyProvider, Script>, Script), Error> {
        let script = Script::new(answers);
        Ok((Login::new(self.at("https://login.example")?, script.clone()), script))
    }

    /// An answer that grants `token`, as this provider writes it.
    #[must_use]
    pub fn grant(&self, token: &str) -> String {
        match self.api {
            Api::Zoqq | Api::Roecny => format!(r#"{{"token":"{token}"}}"#),
            Api::Cambyopro => format!(r#"{{"success":true,"accessToken":"{token}","expiresIn":86400}}"#),
            _ => format!(r#"{{"access_token":"{token}","expires_in":3000,"refresh_token":"fake-refresh"}}"#),
        }
    }
}

/// The code of the front page compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// So does that of the page on stores.
#[cfg(doctest)]
#[doc = include_str!("../../docs/sharing.md")]
struct Sharing;

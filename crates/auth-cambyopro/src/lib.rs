#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod answer;
mod builder;

use auth_core::{Error, ErrorResponse, Provider, ProviderInfo, Request, Response, TokenResponse};

pub use auth_core;
pub use builder::Builder;

const INFO: ProviderInfo = ProviderInfo::new("cambyopro", "CAMBYOPRO");

/// Logs in to Cambyopro; see the [crate's page](crate) for the wire and the settings.
#[derive(Debug, Clone)]
pub struct Cambyopro {
    /// The same each time.
    login: Request,
}

impl Cambyopro {
    /// Starts with the documented address and nothing else set.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Reads the settings from the environment: `CAMBYOPRO_CLIENT_ID`, `CAMBYOPRO_CLIENT_SECRET`, and the rest of the
    /// [table](crate#settings).
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn from_env() -> Result<Self, Error> {
        Builder::from_env()?.build()
    }
}

impl Provider for Cambyopro {
    fn name(&self) -> &'static str {
        INFO.provider
    }

    fn login_request(&self) -> Request {
        self.login.clone()
    }

    fn read_response(&self, response: &Response) -> Result<TokenResponse, ErrorResponse> {
        answer::read(response)
    }
}

#[cfg(test)]
mod tests;

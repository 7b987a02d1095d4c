#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod answer;
mod builder;
mod impersonation;

use auth_core::{
    Endpoint, Error, ErrorResponse, Provider, ProviderInfo, RefreshToken, Request, Response, TokenResponse,
};

pub use answer::is_rejection;
pub use auth_core;
pub use builder::Builder;
pub use impersonation::{Impersonation, ImpersonationBuilder};

const INFO: ProviderInfo = ProviderInfo::new("voipex", "VOIPEX");
const BASE_URL: &str = "https://auth.voipex.io";

/// Logs in to Voipex; see the [crate's page](crate) for the wire and the settings.
#[derive(Debug, Clone)]
pub struct Voipex {
    endpoint: Endpoint,
    client_id: String,
    /// The same each time.
    login: Request,
}

impl Voipex {
    /// Starts with the documented address and client id, and nothing else set.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Reads the settings from the environment: `VOIPEX_USERNAME`, `VOIPEX_PASSWORD`, and the rest of the
    /// [table](crate#settings).
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn from_env() -> Result<Self, Error> {
        Builder::from_env()?.build()
    }
}

impl Provider for Voipex {
    fn name(&self) -> &'static str {
        INFO.provider
    }

    fn login_request(&self) -> Request {
        self.login.clone()
    }

    fn refresh_request(&self, token: &RefreshToken) -> Option<Request> {
        Some(Request::post(&self.endpoint).with_form(&[
            ("client_id", &self.client_id),
            ("refresh_token", token.expose()),
            ("grant_type", "refresh_token"),
        ]))
    }

    fn read_response(&self, response: &Response) -> Result<TokenResponse, ErrorResponse> {
        answer::read(response)
    }
}

#[cfg(test)]
mod tests;

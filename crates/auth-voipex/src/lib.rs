#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod impersonation;
mod request;
mod response;
mod settings;
#[cfg(test)]
mod tests;

use auth_core::{Endpoint, ErrorResponse, Provider, ProviderInfo, RefreshToken, Request, Response, TokenResponse};

pub use auth_core as core;
pub use auth_core::{AccessToken, Error, ErrorKind, Policy, Secret, TokenManager, TokenPool, TokenSource};
pub use impersonation::{IMPERSONATION_SETTINGS, Impersonation, ImpersonationBuilder};
pub use response::is_rejection;
pub use settings::{Builder, SETTINGS};

const INFO: ProviderInfo = ProviderInfo::new("voipex", "VOIPEX");
const BASE_URL: &str = "https://auth.voipex.io";

/// Logs in to Voipex; see the [crate documentation](crate) for the requests and the settings.
#[derive(Debug, Clone)]
pub struct Voipex {
    endpoint: Endpoint,
    client_id: String,
    login: Request,
}

impl Voipex {
    /// Returns a builder without any setting. The address and the client id have defaults.
    ///
    /// ```
    /// use auth_voipex::Voipex;
    ///
    /// let voipex = Voipex::builder().with_username("me@example.com").with_password("not a real one").build()?;
    /// # Ok::<(), auth_voipex::core::Error>(())
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Reads the settings from the environment: `VOIPEX_USERNAME`, `VOIPEX_PASSWORD` and the others of the
    /// [table](crate#settings).
    ///
    /// ```no_run
    /// let voipex = auth_voipex::Voipex::from_env()?;
    /// # Ok::<(), auth_voipex::core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of [`Builder::from_env`] and [`Builder::build`].
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
        Some(request::refresh(&self.endpoint, &self.client_id, token))
    }

    fn read_response(&self, response: &Response) -> Result<TokenResponse, ErrorResponse> {
        response::read(response)
    }
}

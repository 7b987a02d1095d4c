#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod request;
mod response;
mod settings;
#[cfg(test)]
mod tests;

use auth_core::http::{HeaderName, HeaderValue};
use auth_core::{ErrorResponse, Provider, ProviderInfo, Request, Response, TokenResponse};

pub use auth_core as core;
pub use auth_core::{AccessToken, Error, ErrorKind, Policy, Secret, TokenManager, TokenPool, TokenSource};
pub use response::is_rejection;
pub use settings::{Builder, Revision, SETTINGS};

const INFO: ProviderInfo = ProviderInfo::new("roecny", "ROECNY");

/// Logs in to Roecny; see the [crate documentation](crate) for the requests and the settings.
#[derive(Debug, Clone)]
pub struct Roecny {
    login: Request,
}

impl Roecny {
    /// Returns a builder without any setting.
    ///
    /// ```
    /// use auth_roecny::Roecny;
    ///
    /// let roecny = Roecny::builder()
    ///     .with_base_url("https://api.example.com")
    ///     .with_client_id("your-client-id")
    ///     .with_api_key("your-api-key")
    ///     .build()?;
    /// # Ok::<(), auth_roecny::core::Error>(())
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Reads the settings from the environment: `ROECNY_BASE_URL`, `ROECNY_CLIENT_ID`, `ROECNY_API_KEY` and the others
    /// of the [table](crate#settings).
    ///
    /// ```no_run
    /// let roecny = auth_roecny::Roecny::from_env()?;
    /// # Ok::<(), auth_roecny::core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of [`Builder::from_env`] and [`Builder::build`].
    pub fn from_env() -> Result<Self, Error> {
        Builder::from_env()?.build()
    }
}

impl Provider for Roecny {
    fn name(&self) -> &'static str {
        INFO.provider
    }

    fn login_request(&self) -> Request {
        self.login.clone()
    }

    fn api_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        request::api_headers(&self.login)
    }

    fn read_response(&self, response: &Response) -> Result<TokenResponse, ErrorResponse> {
        response::read(response)
    }
}

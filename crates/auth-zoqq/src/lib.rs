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

const INFO: ProviderInfo = ProviderInfo::new("zoqq", "ZOQQ");

/// Logs in to Zoqq; see the [crate documentation](crate) for the requests and the settings.
#[derive(Debug, Clone)]
pub struct Zoqq {
    login: Request,
}

impl Zoqq {
    /// Returns a builder without any setting.
    ///
    /// ```
    /// use auth_zoqq::Zoqq;
    ///
    /// let zoqq = Zoqq::builder()
    ///     .with_base_url("https://api.example.com")
    ///     .with_client_id("your-client-id")
    ///     .with_api_key("your-api-key")
    ///     .with_scope("r:awx_action:balances_view")
    ///     .build()?;
    /// # Ok::<(), auth_zoqq::core::Error>(())
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Reads the settings from the environment: `ZOQQ_BASE_URL`, `ZOQQ_CLIENT_ID`, `ZOQQ_API_KEY`, `ZOQQ_SCOPE` and the
    /// others of the [table](crate#settings).
    ///
    /// ```no_run
    /// let zoqq = auth_zoqq::Zoqq::from_env()?;
    /// # Ok::<(), auth_zoqq::core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of [`Builder::from_env`] and [`Builder::build`].
    pub fn from_env() -> Result<Self, Error> {
        Builder::from_env()?.build()
    }
}

impl Provider for Zoqq {
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

#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod request;
mod response;
mod settings;
#[cfg(test)]
mod tests;

use auth_core::{ErrorResponse, Provider, ProviderInfo, Request, Response, TokenResponse};

pub use auth_core as core;
pub use auth_core::{AccessToken, Error, ErrorKind, Policy, Secret, TokenManager, TokenPool, TokenSource};
pub use settings::{Builder, SETTINGS};

const INFO: ProviderInfo = ProviderInfo::new("cambyopro", "CAMBYOPRO");

/// Logs in to Cambyopro; see the [crate documentation](crate) for the requests and the settings.
#[derive(Debug, Clone)]
pub struct Cambyopro {
    login: Request,
}

impl Cambyopro {
    /// Returns a builder without any setting. The address has a default.
    ///
    /// ```
    /// use auth_cambyopro::Cambyopro;
    ///
    /// let builder = Cambyopro::builder().with_client_id("your-client-id").with_client_secret("your-secret");
    /// let cambyopro = builder.build()?;
    /// # Ok::<(), auth_cambyopro::core::Error>(())
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Reads the settings from the environment: `CAMBYOPRO_CLIENT_ID`, `CAMBYOPRO_CLIENT_SECRET` and the others of the
    /// [table](crate#settings).
    ///
    /// ```no_run
    /// let cambyopro = auth_cambyopro::Cambyopro::from_env()?;
    /// # Ok::<(), auth_cambyopro::core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of [`Builder::from_env`] and [`Builder::build`].
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
        response::read(response)
    }
}

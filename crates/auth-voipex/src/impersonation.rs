use std::sync::Arc;
use std::time::Duration;

use auth_core::http::StatusCode;
use auth_core::http::header::AUTHORIZATION;
use auth_core::{
    Error, ErrorResponse, Expiry, Login, NumberOrString, Provider, Request, Response, Secret, TokenResponse,
    TokenSource, Transport, async_trait,
};
use serde::Deserialize;

use crate::{BASE_URL, INFO, answer};

const EXCHANGE_PATH: &str = "/token-exchange";
const EMAIL_FIELD: &str = "email";

/// The answer is undocumented; short enough to be safe.
const FALLBACK_LIFE: Duration = Duration::from_secs(300);

/// Exchanges an account's token for one of another user, where the account was created with "Impersonation" ticked.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use auth_core::{Login, ReqwestTransport, TokenManager, TokenSource};
/// use auth_voipex::{Impersonation, Voipex};
///
/// # async fn example() -> Result<(), auth_core::Error> {
/// let transport = ReqwestTransport::new()?;
/// let account = Arc::new(TokenManager::new(Login::new(Voipex::from_env()?, transport.clone())));
/// let exchange = Impersonation::builder().with_impersonate_email("colleague@example.com").login(account, transport)?;
/// let colleague = TokenManager::new(exchange);
/// let token = colleague.token().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Impersonation {
    exchange: Request,
}

impl Impersonation {
    /// Starts with the documented address and nothing else set.
    pub fn builder() -> ImpersonationBuilder {
        ImpersonationBuilder::default()
    }
}

/// Collects the settings of an [`Impersonation`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct ImpersonationBuilder {
    base_url: Option<String>,
    exchange_path: Option<String>,
    impersonate_email: Option<String>,
    email_field: Option<String>,
}

impl ImpersonationBuilder {
    /// Reads the settings from the environment: `VOIPEX_BASE_URL`, `VOIPEX_EXCHANGE_PATH`, `VOIPEX_IMPERSONATE_EMAIL` and
    /// `VOIPEX_EMAIL_FIELD`.
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) naming the variable that cannot be read.
    pub fn from_env() -> Result<Self, Error> {
        INFO.read_env()
    }

    /// Sets whose token to ask for. RequiredSettings.
    pub fn with_impersonate_email(mut self, email: impl Into<String>) -> Self {
        self.impersonate_email = Some(email.into());
        self
    }

    /// Sets scheme, host and an optional path prefix. Default is `https://auth.voipex.io`.
    pub fn with_base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = Some(base_url.into());
        self
    }

    /// Sets the path of the exchange. Default is `/token-exchange`.
    pub fn with_exchange_path(mut self, path: impl Into<String>) -> Self {
        self.exchange_path = Some(path.into());
        self
    }

    /// Sets the name of the e-mail's field. Default is `email`; one older document has `e-mail`.
    pub fn with_email_field(mut self, field: impl Into<String>) -> Self {
        self.email_field = Some(field.into());
        self
    }

    /// Checks the settings, and joins them with the account whose token is exchanged.
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) naming the setting that is missing or wrong.
    pub fn login<T: Transport>(
        self,
        account: Arc<dyn TokenSource>,
        transport: T,
    ) -> Result<Login<Impersonation, impl Transport + use<T>>, Error> {
        let mut required = INFO.required();
        let email = required.text("impersonate_email", self.impersonate_email);
        required.check()?;
        let base_url = self.base_url.as_deref().unwrap_or(BASE_URL);
        let path = self.exchange_path.as_deref().unwrap_or(EXCHANGE_PATH);
        let exchange = Request::post(&INFO.endpoint(base_url, "exchange_path", path)?)
            .with_json(&[(self.email_field.as_deref().unwrap_or(EMAIL_FIELD), &email)]);
        Ok(Login::new(Impersonation { exchange }, OnBehalf { account, transport }))
    }
}

/// Each field in the spellings that Voipex has used over the years.
#[derive(Deserialize)]
struct Answer {
    access_token: Option<Secret>,
    #[serde(rename = "accessToken")]
    access_token_camel: Option<Secret>,
    token: Option<Secret>,
    token_type: Option<String>,
    expires_in: Option<NumberOrString>,
    #[serde(rename = "expiresIn")]
    expires_in_camel: Option<NumberOrString>,
    expires_at: Option<NumberOrString>,
    #[serde(rename = "expiresAt")]
    expires_at_camel: Option<NumberOrString>,
    scope: Option<NumberOrString>,
}

impl Provider for Impersonation {
    fn name(&self) -> &'static str {
        INFO.provider
    }

    fn login_request(&self) -> Request {
        self.exchange.clone()
    }

    /// None: the account's token is its credential, and joins the request later.
    fn identity(&self) -> Option<Request> {
        None
    }

    fn read_response(&self, response: &Response) -> Result<TokenResponse, ErrorResponse> {
        // Whether a code repeats the account's token cannot be told here, where that token is not known.
        answer::check(response).map_err(ErrorResponse::without_code)?;
        let answer: Answer = response.json()?;
        let token = answer.access_token.or(answer.access_token_camel).or(answer.token);
        let token = token.ok_or(ErrorResponse::malformed("the answer holds no `access_token`"))?;
        let life = answer.expires_in.or(answer.expires_in_camel);
        let expiry = match life {
            Some(life) => Expiry::from_expires_in(Some(&life), FALLBACK_LIFE)?,
            None => Expiry::from_expires_at(answer.expires_at.or(answer.expires_at_camel).as_ref(), FALLBACK_LIFE),
        };
        let scope = answer.scope.and_then(|scope| scope.text().map(str::to_owned));
        Ok(TokenResponse::new(token, expiry).with_token_type(answer.token_type).with_scope(scope))
    }
}

/// Sends each request with the token of an account; where that token is rejected (401), once more with the next one.
#[derive(Debug)]
struct OnBehalf<T> {
    account: Arc<dyn TokenSource>,
    transport: T,
}

#[async_trait]
impl<T: Transport> Transport for OnBehalf<T> {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let token = self.account.token().await.map_err(Error::settled)?;
        let with =
            |token: &auth_core::AccessToken| request.clone().with_header(AUTHORIZATION, token.authorization().clone());
        let response = self.transport.send(with(&token)).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        self.account.reject(&token);
        let next = self.account.token().await.map_err(Error::settled)?;
        self.transport.send(with(&next)).await
    }
}

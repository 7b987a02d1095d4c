//! Impersonation: the exchange of an account's token for the token of another user.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auth_core::http::StatusCode;
use auth_core::http::header::AUTHORIZATION;
use auth_core::{
    AccessToken, Clock, CredentialSource, Error, ErrorResponse, Expiry, NumberOrString, Provider, Request, Response,
    Secret, Setting, SystemClock, TokenResponse, TokenSource, async_trait,
};
use serde::Deserialize;

use crate::{BASE_URL, INFO, response};

const EXCHANGE_PATH: &str = "/token-exchange";
const EMAIL_FIELD: &str = "email";

/// The lifetime if the response states none. It is short, because the response is undocumented.
const FALLBACK_LIFETIME: Duration = Duration::from_secs(300);

/// Lists the settings of an [`ImpersonationBuilder`], in the order of the [table](crate#impersonation).
pub const IMPERSONATION_SETTINGS: &[Setting] = &[
    Setting::plain("impersonate_email", "the e-mail address of the user whose token to ask for"),
    Setting::plain("base_url", "the URL of the exchange: scheme, host and an optional path prefix"),
    Setting::plain("exchange_path", "the path of the exchange"),
    Setting::plain("email_field", "the name of the request field for the e-mail address"),
];

/// Exchanges an account's token for the token of another user.
///
/// It is a [source of credentials](auth_core::credentials): the credentials of an exchange are the current token of the
/// account. The account must have been created with "Impersonation" ticked.
///
/// ```no_run
/// # #[cfg(feature = "reqwest")]
/// # async fn example() -> Result<(), auth_voipex::Error> {
/// use auth_voipex::{Impersonation, TokenManager, Voipex};
///
/// let account = TokenManager::new(Voipex::from_env()?)?;
/// let colleague = Impersonation::builder().with_impersonate_email("colleague@example.com").build(account)?;
/// let colleague = TokenManager::new(colleague)?;
/// let token = colleague.token().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Impersonation {
    exchange: Request,
    account: Arc<dyn TokenSource>,
    last: Mutex<LastExchange>,
    /// Whether an exchange has succeeded since the account's token was rejected.
    has_succeeded: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct LastExchange {
    /// The account's token.
    used: Option<AccessToken>,
    /// Whether a token of the account was rejected because of this user.
    has_rejected: bool,
}

impl Impersonation {
    /// Returns a builder without any setting. The address has a default.
    ///
    /// ```
    /// use auth_voipex::Impersonation;
    ///
    /// let builder = Impersonation::builder().with_impersonate_email("colleague@example.com");
    /// ```
    pub fn builder() -> ImpersonationBuilder {
        ImpersonationBuilder::default()
    }
}

/// Collects the settings of an [`Impersonation`], from setters, a config file or the environment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct ImpersonationBuilder {
    impersonate_email: Option<String>,
    base_url: Option<String>,
    exchange_path: Option<String>,
    email_field: Option<String>,
}

impl ImpersonationBuilder {
    /// Reads the settings from the environment: `VOIPEX_IMPERSONATE_EMAIL`, `VOIPEX_BASE_URL`, `VOIPEX_EXCHANGE_PATH`
    /// and `VOIPEX_EMAIL_FIELD`.
    ///
    /// ```no_run
    /// let builder = auth_voipex::ImpersonationBuilder::from_env()?;
    /// # Ok::<(), auth_voipex::core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) if a variable cannot be read. The error names the
    /// variable.
    pub fn from_env() -> Result<Self, Error> {
        INFO.read_env()
    }

    /// Sets the e-mail address of the user whose token to ask for. Required.
    ///
    /// ```
    /// # use auth_voipex::Impersonation;
    /// let builder = Impersonation::builder().with_impersonate_email("colleague@example.com");
    /// ```
    pub fn with_impersonate_email(mut self, email: impl Into<String>) -> Self {
        self.impersonate_email = Some(email.into());
        self
    }

    /// Sets the base URL: scheme, host and an optional path prefix. The default is `https://auth.voipex.io`.
    ///
    /// ```
    /// # use auth_voipex::Impersonation;
    /// let builder = Impersonation::builder().with_base_url("https://auth-devel.example/v2");
    /// ```
    pub fn with_base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = Some(base_url.into());
        self
    }

    /// Sets the path of the exchange. The default is `/token-exchange`.
    ///
    /// ```
    /// # use auth_voipex::Impersonation;
    /// let builder = Impersonation::builder().with_exchange_path("/v2/token-exchange");
    /// ```
    pub fn with_exchange_path(mut self, path: impl Into<String>) -> Self {
        self.exchange_path = Some(path.into());
        self
    }

    /// Sets the name of the request field for the e-mail address.
    ///
    /// The default is `email`. An older document of Voipex has `e-mail`.
    ///
    /// ```
    /// # use auth_voipex::Impersonation;
    /// let builder = Impersonation::builder().with_email_field("e-mail");
    /// ```
    pub fn with_email_field(mut self, field: impl Into<String>) -> Self {
        self.email_field = Some(field.into());
        self
    }

    /// Checks the settings and returns the source that exchanges the tokens of `account`.
    ///
    /// If the server rejects a token of the account with a 401, the exchange is sent once more with the next one. A 401
    /// that concerns the user costs the account nothing: if the body states another reason, such as `access_denied`, if
    /// the token is new, or if the next token was rejected for this user as well.
    ///
    /// ```
    /// # use auth_voipex::Impersonation;
    /// # use auth_voipex::core::{Error, TokenManager, TokenSource, Transport};
    /// # fn example(account: impl TokenSource, transport: impl Transport) -> Result<(), Error> {
    /// let colleague = Impersonation::builder().with_impersonate_email("colleague@example.com").build(account)?;
    /// let colleague = TokenManager::builder(colleague).with_transport(transport).build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) if a setting is missing or wrong. The error names the
    /// setting.
    pub fn build(self, account: impl TokenSource) -> Result<Impersonation, Error> {
        let mut required = INFO.required();
        let email = required.text("impersonate_email", self.impersonate_email);
        required.check()?;
        let base_url = self.base_url.as_deref().unwrap_or(BASE_URL);
        let path = self.exchange_path.as_deref().unwrap_or(EXCHANGE_PATH);
        let exchange = Request::post(&INFO.endpoint(base_url, "exchange_path", path)?)
            .with_json(&[(self.email_field.as_deref().unwrap_or(EMAIL_FIELD), &email)]);
        let (last, has_succeeded) = (Mutex::default(), Arc::default());
        Ok(Impersonation { exchange, account: Arc::new(account), last, has_succeeded })
    }
}

#[async_trait]
impl CredentialSource for Impersonation {
    async fn provider(&self, refused: Option<&Error>) -> Result<Arc<dyn Provider>, Error> {
        if let Some(token) = refused.and_then(|error| self.rejected_token(error)) {
            self.account.reject(&token);
        }
        let token = self.account.token().await?;
        let request = self.exchange.clone().with_header(AUTHORIZATION, token.authorization().clone());
        self.last().used = Some(token);
        Ok(Arc::new(Exchange { request, has_succeeded: self.has_succeeded.clone() }))
    }
}

impl Impersonation {
    fn last(&self) -> MutexGuard<'_, LastExchange> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the account's token if it is the reason for this refusal of the last exchange.
    ///
    /// A user who cannot be impersonated gets a 401 with every token. So a token of the account is rejected once, and
    /// then not again until an exchange for this user has succeeded.
    fn rejected_token(&self, error: &Error) -> Option<AccessToken> {
        let mut last = self.last();
        let used = last.used.take()?;
        last.has_rejected &= !self.has_succeeded.swap(false, Ordering::AcqRel);
        let age = SystemClock.now().monotonic.saturating_duration_since(used.issued().monotonic);
        let is_rejected = is_about_the_account(error, age) && !last.has_rejected;
        last.has_rejected |= is_rejected;
        is_rejected.then_some(used)
    }
}

/// A token of the account that is younger than this is not the reason for a 401 that states no reason.
const NEW: Duration = Duration::from_secs(60);

/// Returns `true` if the server may have rejected the account's token, of this age, and not the user to impersonate.
fn is_about_the_account(error: &Error, age: Duration) -> bool {
    error.status() == Some(StatusCode::UNAUTHORIZED)
        && match error.code() {
            // No body, or the code of RFC 6750 3.1.
            None | Some("invalid_token") => true,
            // The words of the status, from the proxy in front of Keycloak.
            Some("Unauthorized") => age >= NEW,
            Some(_) => false,
        }
}

/// The response. Each field has all spellings that Voipex has used over the years.
#[derive(Deserialize)]
struct Body {
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

/// An exchange with one token of the account.
#[derive(Debug)]
struct Exchange {
    request: Request,
    has_succeeded: Arc<AtomicBool>,
}

impl Provider for Exchange {
    fn name(&self) -> &'static str {
        INFO.provider
    }

    fn login_request(&self) -> Request {
        self.request.clone()
    }

    /// Returns `None`, so that the token is never shared: its entry would change with each token of the account.
    fn identity(&self) -> Option<Request> {
        None
    }

    fn read_response(&self, response: &Response) -> Result<TokenResponse, ErrorResponse> {
        response::check(response)?;
        let body: Body = response.json()?;
        let token = body.access_token.or(body.access_token_camel).or(body.token);
        let token = token.ok_or(ErrorResponse::malformed("the response has no `access_token`"))?;
        let expiry = match body.expires_in.or(body.expires_in_camel) {
            Some(seconds) => Expiry::from_expires_in(Some(&seconds), FALLBACK_LIFETIME)?,
            None => Expiry::from_expires_at(body.expires_at.or(body.expires_at_camel).as_ref(), FALLBACK_LIFETIME),
        };
        let scope = response::text(body.scope.as_ref());
        self.has_succeeded.store(true, Ordering::Release);
        Ok(TokenResponse::new(token, expiry).with_token_type(body.token_type).with_scope(scope))
    }
}

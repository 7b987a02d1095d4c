//! Middleware for clients of [`reqwest_middleware`].
//!
//! A reqwest client follows redirects itself, and no middleware sees them. It sends the API's own headers (`x-api-key`)
//! to the new host. [`client`] builds a client that follows redirects within an origin only. If you build the client
//! yourself, set [`within_origin`] as the redirect policy.

use std::time::Duration;

use ::reqwest::redirect::Policy;
use ::reqwest::{Body, Client, ClientBuilder, Request, Response, ResponseBuilderExt, Url};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Extensions, Method, Version};
use reqwest_middleware::{ClientWithMiddleware, Error, Middleware, Next, Result};

use crate::BoxError;
use crate::bearer::{Bearer, TokenCheck, attach};
use crate::outcome::{NoReplay, NotReplayed, Outcome};
use crate::replay::{SavedHead, buffer_body};
use crate::response_body::{ResponseBody, check_body};

/// Builds a client that attaches tokens, and sends a request once more if its token is rejected.
///
/// It follows redirects [within an origin](within_origin) only and overrides the redirect policy of `builder`. If every
/// origin is plain http, which is allowed only on this machine, it uses no proxy.
///
/// A timeout of the request does not include the wait for a token. It starts again when the request is sent again.
///
/// ```
/// # async fn example(bearer: auth_middleware::Bearer) -> Result<(), Box<dyn std::error::Error>> {
/// let client = auth_middleware::reqwest::client(reqwest::Client::builder(), bearer)?;
/// let response = client.get("https://ipbxapi.voipex.io/calls").send().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The error of reqwest, if the client cannot be built.
pub fn client(builder: ClientBuilder, bearer: Bearer) -> ::reqwest::Result<ClientWithMiddleware> {
    let builder = if bearer.is_loopback_only() { builder.no_proxy() } else { builder };
    let client: Client = builder.redirect(within_origin()).build()?;
    Ok(reqwest_middleware::ClientBuilder::new(client).with(AuthMiddleware::new(bearer)).build())
}

/// Returns a policy that follows redirects within an origin only.
///
/// A redirect to another origin is returned to the caller as the response.
///
/// ```
/// # fn example(bearer: auth_middleware::Bearer) -> Result<(), reqwest::Error> {
/// use auth_middleware::reqwest::{AuthMiddleware, within_origin};
///
/// let client = reqwest::Client::builder().redirect(within_origin()).build()?;
/// let client = reqwest_middleware::ClientBuilder::new(client).with(AuthMiddleware::new(bearer)).build();
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn within_origin() -> Policy {
    Policy::custom(|attempt| {
        let previous = attempt.previous().last().map(Url::origin);
        if previous == Some(attempt.url().origin()) { Policy::default().redirect(attempt) } else { attempt.stop() }
    })
}

/// Attaches a token to each request, and sends the request once more if that token is rejected.
///
/// A request for which the source has no token is not sent. The error is an [`auth_core::Error`] inside
/// [`Error::Middleware`]. [`Outcome::of`] returns what the middleware did. Dropping the future drops the request, but
/// not a login that a [`TokenManager`](auth_core::TokenManager) has started.
///
/// [`with_extension(NoReplay)`](reqwest_middleware::RequestBuilder::with_extension) switches off the replay of a
/// request:
///
/// ```
/// # async fn example(bearer: auth_middleware::Bearer) -> Result<(), Box<dyn std::error::Error>> {
/// use auth_middleware::{NoReplay, Outcome};
///
/// let client = auth_middleware::reqwest::client(reqwest::Client::builder(), bearer)?;
/// let payment = client.post("https://ipbxapi.voipex.io/calls").with_extension(NoReplay);
/// let outcome = Outcome::of(payment.send().await?.extensions());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AuthMiddleware(Bearer);

impl AuthMiddleware {
    /// Creates a middleware for a client that you build yourself. Set its redirect policy to [`within_origin`].
    ///
    /// ```
    /// # fn example(client: reqwest::Client, bearer: auth_middleware::Bearer) {
    /// use auth_middleware::reqwest::AuthMiddleware;
    ///
    /// let client = reqwest_middleware::ClientBuilder::new(client).with(AuthMiddleware::new(bearer)).build();
    /// # }
    /// ```
    #[must_use]
    pub fn new(bearer: Bearer) -> Self {
        Self(bearer)
    }

    /// Returns the response, and `true` if it rejects the token.
    async fn classify(&self, response: Response) -> Result<(Response, bool)> {
        match self.0.classify(response.status(), response.headers()) {
            TokenCheck::Accepted => Ok((response, false)),
            // A client with another redirect policy may have followed a redirect to a server that has never seen the
            // token. Its 401 must not make this token invalid for all other callers.
            _ if !self.is_listed(response.url()) => Ok((response, false)),
            TokenCheck::Rejected => Ok((response, true)),
            TokenCheck::InBody(rule) => {
                let url = response.url().clone();
                let response = http::Response::<Body>::from(response).map(ResponseBody::new);
                let (mut response, is_rejected) = check_body(response, rule, self.0.body_limit()).await?;
                // An `http::Response` has no URL. reqwest reads it back from an extension, which only its own builder
                // can create.
                http::response::Builder::new()
                    .url(url)
                    .body(())
                    .map(|with_url| response.extensions_mut().extend(with_url.into_parts().0.extensions))
                    .map_err(Error::middleware)?;
                Ok((Response::from(response.map(Body::wrap)), is_rejected))
            }
        }
    }

    fn is_listed(&self, url: &Url) -> bool {
        self.0.is_listed(url.scheme(), url.host_str().unwrap_or_default(), url.port())
    }
}

#[async_trait]
impl Middleware for AuthMiddleware {
    async fn handle(&self, request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
        let url = request.url();
        let host = url.host_str().unwrap_or_default();
        if let Some(outcome) = self.0.skip(url.scheme(), host, url.port(), request.headers()) {
            return next.run(request, extensions).await.map(|response| with_outcome(outcome, response));
        }
        let token = self.0.token().await.map_err(Error::middleware)?;
        let is_safe = request.method().is_safe();
        let (mut request, replay) = save(request, extensions, self.0.body_limit()).await?;
        attach(&token, request.headers_mut());
        let (response, is_rejected) = self.classify(next.clone().run(request, extensions).await?).await?;
        if !is_rejected {
            return Ok(with_outcome(Outcome::Attached, response));
        }
        // The client may have followed a redirect: the server processed the POST and responded with a 303, and only the
        // GET that followed got the 401. A replay starts at the first URL and would repeat the POST, so only safe
        // methods are replayed then (RFC 9110 section 9.2.1).
        let replay = replay.and_then(|replay| {
            let is_repeatable = is_safe || replay.head.has_url(response.url().as_str());
            if is_repeatable { Ok(replay) } else { Err(NotReplayed::Redirected) }
        });
        match self.0.next_token(&token, replay).await.map_err(Error::middleware)? {
            Ok((token, replay)) => {
                // Dropped first, so that the replay can use its connection.
                drop(response);
                let mut request = replay.into_request()?;
                attach(&token, request.headers_mut());
                next.run(request, extensions).await.map(|response| with_outcome(Outcome::Replayed, response))
            }
            Err(reason) => Ok(with_outcome(Outcome::Rejected(reason), response)),
        }
    }
}

/// Converts an error of [`buffer_body`].
///
/// It is a [`reqwest::Error`](::reqwest::Error) of the body or an [`auth_core::Error`]. No other type is expected.
fn body_error(error: BoxError) -> Error {
    match error.downcast() {
        Ok(error) => Error::Reqwest(*error),
        Err(error) => match error.downcast::<auth_core::Error>() {
            Ok(error) => Error::middleware(*error),
            Err(_) => Error::middleware(auth_core::Error::malformed("the body of the request cannot be read")),
        },
    }
}

fn with_outcome(outcome: Outcome, mut response: Response) -> Response {
    outcome.insert_into(response.extensions_mut());
    response
}

/// Holds the parts of a request that are needed to send it again.
struct ReplayRequest {
    method: Method,
    version: Version,
    head: SavedHead,
    timeout: Option<Duration>,
    body: Option<Bytes>,
}

/// Returns the request, and either what is needed to send it again or the reason why it cannot be sent again.
async fn save(
    mut request: Request,
    extensions: &Extensions,
    limit: usize,
) -> Result<(Request, std::result::Result<ReplayRequest, NotReplayed>)> {
    if extensions.get::<NoReplay>().is_some() {
        return Ok((request, Err(NotReplayed::SwitchedOff)));
    }
    let body = match request.body_mut().take() {
        None => None,
        Some(body) => {
            let (body, bytes) = buffer_body(body, limit).await.map_err(body_error)?;
            *request.body_mut() = Some(body);
            let Some(bytes) = bytes else { return Ok((request, Err(NotReplayed::Body))) };
            Some(bytes)
        }
    };
    let replay = ReplayRequest {
        method: request.method().clone(),
        version: request.version(),
        head: SavedHead::save([request.url().as_str(), ""], request.headers()),
        timeout: request.timeout().copied(),
        body,
    };
    Ok((request, Ok(replay)))
}

impl ReplayRequest {
    fn into_request(self) -> Result<Request> {
        let ([url, _], headers) = self.head.restore();
        let url = Url::parse(&String::from_utf8_lossy(&url)).map_err(Error::middleware)?;
        let mut request = Request::new(self.method, url);
        *request.version_mut() = self.version;
        *request.headers_mut() = headers;
        *request.timeout_mut() = self.timeout;
        *request.body_mut() = self.body.map(Body::from);
        Ok(request)
    }
}

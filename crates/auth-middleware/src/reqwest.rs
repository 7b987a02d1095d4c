//! For clients of [`reqwest_middleware`].
//!
//! A reqwest client follows redirects below any middleware, and then takes the API's own headers (`x-api-key`) to other
//! hosts. [`client`] builds one that stays within the origin: use it, or set
//! [`within_origin`] as your client's redirect policy.

use std::time::Duration;

use ::reqwest::redirect::Policy;
use ::reqwest::{Body, Client, ClientBuilder, Request, Response, ResponseBuilderExt, Url};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Extensions, Method, Version};
use reqwest_middleware::{ClientWithMiddleware, Error, Middleware, Next, Result};

use crate::BoxError;
use crate::answer::{ResponseBody, ask};
use crate::bearer::{Bearer, Verdict, attach};
use crate::copy::{Head, keep_body};
use crate::outcome::{NoReplay, NotReplayed, Outcome};

/// Builds a client that attaches tokens, sends a rejected request once more, and follows redirects [within the
/// origin](within_origin) alone, whatever policy `builder` has. Where every origin is plain http, which is this
/// machine, it uses no proxy.
///
/// A request's own timeout does not count the wait for a token, and begins anew when the request is sent again.
///
/// ```
/// # async fn example(bearer: auth_middleware::Bearer) -> Result<(), Box<dyn std::error::Error>> {
/// let client = auth_middleware::reqwest::client(reqwest::Client::builder(), bearer)?;
/// let answer = client.get("https://ipbxapi.voipex.io/calls").send().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// What reqwest says where the client cannot be built.
pub fn client(builder: ClientBuilder, bearer: Bearer) -> ::reqwest::Result<ClientWithMiddleware> {
    let builder = if bearer.is_local() { builder.no_proxy() } else { builder };
    let client: Client = builder.redirect(within_origin()).build()?;
    Ok(reqwest_middleware::ClientBuilder::new(client).with(AuthMiddleware::new(bearer)).build())
}

/// Follows redirects within an origin, and gives one that leaves it to the caller as it is.
#[must_use]
pub fn within_origin() -> Policy {
    Policy::custom(|attempt| {
        let came_from = attempt.previous().last().map(Url::origin);
        if came_from == Some(attempt.url().origin()) { Policy::default().redirect(attempt) } else { attempt.stop() }
    })
}

/// Attaches a token to each request, and sends it once more where that token is rejected.
///
/// A request without a usable token is not sent: the error is that of the source, an [`auth_core::Error`] inside
/// [`Error::Middleware`]. [`Outcome::of`] tells what was done, and
/// [`with_extension(NoReplay)`](reqwest_middleware::RequestBuilder::with_extension) keeps a request from being sent
/// again.
#[derive(Debug, Clone)]
pub struct AuthMiddleware(Bearer);

impl AuthMiddleware {
    /// Makes a middleware, for a client of your own: see [`within_origin`].
    #[must_use]
    pub fn new(bearer: Bearer) -> Self {
        Self(bearer)
    }

    async fn judge(&self, answer: Response) -> Result<(Response, bool)> {
        match self.0.judge(answer.status(), answer.headers()) {
            Verdict::Taken => Ok((answer, false)),
            // Where a redirect has led, another server speaks: not of this token.
            _ if !self.is_listed(answer.url()) => Ok((answer, false)),
            Verdict::Rejected => Ok((answer, true)),
            Verdict::Body(rule) => {
                let url = answer.url().clone();
                let answer = http::Response::<Body>::from(answer).map(ResponseBody::new);
                let (mut answer, is_rejected) = ask(answer, rule, self.0.body_limit()).await?;
                http::response::Builder::new()
                    .url(url)
                    .body(())
                    .map(|with_url| answer.extensions_mut().extend(with_url.into_parts().0.extensions))
                    .map_err(Error::middleware)?;
                Ok((Response::from(answer.map(Body::wrap)), is_rejected))
            }
        }
    }

    fn is_listed(&self, url: &Url) -> bool {
        self.0.lists(url.scheme(), url.host_str().unwrap_or_default(), url.port())
    }
}

#[async_trait]
impl Middleware for AuthMiddleware {
    async fn handle(&self, request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
        let url = request.url();
        let host = url.host_str().unwrap_or_default();
        if let Some(outcome) = self.0.leaves(url.scheme(), host, url.port(), request.headers()) {
            return next.run(request, extensions).await.map(|answer| with(outcome, answer));
        }
        let token = self.0.token().await.map_err(Error::middleware)?;
        let is_safe = request.method().is_safe();
        let (mut request, copy) = keep(request, extensions, self.0.body_limit()).await?;
        attach(&token, request.headers_mut());
        let (answer, is_rejected) = self.judge(next.clone().run(request, extensions).await?).await?;
        if !is_rejected {
            return Ok(with(Outcome::Attached, answer));
        }
        // The server has taken what it redirects, and must not get it twice.
        let copy = copy.and_then(|copy| {
            let is_repeatable = is_safe || copy.head.is_of(answer.url().as_str());
            if is_repeatable { Ok(copy) } else { Err(NotReplayed::Redirected) }
        });
        match self.0.after_rejection(&token, copy).await.map_err(Error::middleware)? {
            Ok((newer, copy)) => {
                drop(answer);
                let mut request = copy.into_request()?;
                attach(&newer, request.headers_mut());
                next.run(request, extensions).await.map(|answer| with(Outcome::Replayed, answer))
            }
            Err(why) => Ok(with(Outcome::Rejected(why), answer)),
        }
    }
}

fn explain(error: BoxError) -> Error {
    match error.downcast() {
        Ok(error) => Error::Reqwest(*error),
        Err(error) => match error.downcast::<auth_core::Error>() {
            Ok(error) => Error::middleware(*error),
            Err(_) => Error::middleware(auth_core::Error::malformed("the body of the request cannot be read")),
        },
    }
}

fn with(outcome: Outcome, mut answer: Response) -> Response {
    outcome.write(answer.extensions_mut());
    answer
}

/// What is needed to send a request again.
struct Copy {
    method: Method,
    version: Version,
    head: Head,
    timeout: Option<Duration>,
    body: Option<Bytes>,
}

async fn keep(
    mut request: Request,
    extensions: &Extensions,
    limit: usize,
) -> Result<(Request, std::result::Result<Copy, NotReplayed>)> {
    if extensions.get::<NoReplay>().is_some() {
        return Ok((request, Err(NotReplayed::SwitchedOff)));
    }
    let body = match request.body_mut().take() {
        None => None,
        Some(body) => {
            let (body, bytes) = keep_body(body, limit).await.map_err(explain)?;
            *request.body_mut() = Some(body);
            let Some(bytes) = bytes else { return Ok((request, Err(NotReplayed::Body))) };
            Some(bytes)
        }
    };
    let copy = Copy {
        method: request.method().clone(),
        version: request.version(),
        head: Head::keep([request.url().as_str(), ""], request.headers()),
        timeout: request.timeout().copied(),
        body,
    };
    Ok((request, Ok(copy)))
}

impl Copy {
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

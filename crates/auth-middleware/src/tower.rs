//! For any [`tower`](https://docs.rs/tower) service that takes and gives `http` types.
//!
//! The body of a request must be one that can be made of [`Bytes`], as axum's, reqwest's and `Full<Bytes>` can;
//! tower-http's `map_request_body` turns others into such a one. Put the layer *below* whatever follows redirects
//! (tower-http's `FollowRedirect`), so that the token is decided for each hop. Over a client that follows redirects by
//! itself, such as reqwest unless told otherwise, the token and the API's own headers go where that client takes them,
//! a 401 from there rejects the token, and the whole request is sent again.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use auth_core::AccessToken;
use bytes::Bytes;
use http::request::Parts;
use http::uri::{self, Authority, PathAndQuery, Scheme};
use http::{Extensions, Method, Request, Response, Uri, Version};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::answer::ask;
use crate::bearer::{Bearer, Verdict, attach};
use crate::copy::{Head, keep_body};
use crate::outcome::{NoReplay, NotReplayed, Outcome};

use crate::BoxError;
pub use crate::answer::ResponseBody;

/// Makes an [`AuthService`] of a service.
///
/// ```
/// # fn example<S>(bearer: auth_middleware::Bearer, client: S) -> auth_middleware::tower::AuthService<S> {
/// use tower_layer::Layer;
///
/// auth_middleware::tower::AuthLayer::new(bearer).layer(client)
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AuthLayer(Bearer);

impl AuthLayer {
    /// Makes a layer.
    #[must_use]
    pub fn new(bearer: Bearer) -> Self {
        Self(bearer)
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AuthService { inner, bearer: self.0.clone() }
    }
}

/// Sends requests through an inner service with a token, and once more where the first token is rejected.
///
/// A request without a usable token is not sent: the error is that of the source, as a boxed [`auth_core::Error`].
/// [`Outcome::of`] tells what was done.
#[derive(Debug, Clone)]
pub struct AuthService<S> {
    inner: S,
    bearer: Bearer,
}

impl<S, B, R> Service<Request<B>> for AuthService<S>
where
    S: Service<Request<B>, Response = Response<R>, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + From<Bytes> + Send + Unpin + 'static,
    R: Body<Data: Send, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    type Response = Response<ResponseBody<R>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The clone is not ready; the one that was asked is.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let (head, body) = request.into_parts();
        Box::pin(exchange(self.bearer.clone(), inner, head, body))
    }
}

#[expect(
    clippy::manual_async_fn,
    reason = "an async fn holds what it is given twice, and all of it is moved for each request"
)]
fn exchange<S, B, R>(
    bearer: Bearer,
    mut service: S,
    mut head: Parts,
    body: B,
) -> impl Future<Output = Result<Response<ResponseBody<R>>, BoxError>>
where
    S: Service<Request<B>, Response = Response<R>, Error: Into<BoxError>>,
    B: Body<Error: Into<BoxError>> + From<Bytes> + Unpin,
    R: Body<Error: Into<BoxError>> + Unpin,
{
    async move {
        let uri = &head.uri;
        let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
        if let Some(outcome) = bearer.leaves(scheme, host, uri.port_u16(), &head.headers) {
            let answer = service.call(Request::from_parts(head, body)).await.map_err(Into::into)?;
            return Ok(with(outcome, answer.map(ResponseBody::new)));
        }
        let token = bearer.token().await?;
        let (body, copy) = if head.extensions.get::<NoReplay>().is_some() {
            (body, Err(NotReplayed::SwitchedOff))
        } else {
            let (body, bytes) = keep_body(body, bearer.body_limit()).await?;
            (body, bytes.ok_or(NotReplayed::Body).map(|body| Copy::of(&head, body)))
        };
        attach(&token, &mut head.headers);
        let answer = service.call(Request::from_parts(head, body)).await.map_err(Into::into)?.map(ResponseBody::new);
        let (answer, is_rejected) = match bearer.judge(answer.status(), answer.headers()) {
            Verdict::Taken => (answer, false),
            Verdict::Rejected => (answer, true),
            Verdict::Body(rule) => Box::pin(ask(answer, rule, bearer.body_limit())).await.map_err(Into::into)?,
        };
        if !is_rejected {
            return Ok(with(Outcome::Attached, answer));
        }
        // In a box of its own, since all of this future is moved for each request.
        Box::pin(replay(bearer, service, token, copy, answer)).await
    }
}

async fn replay<S, B, R>(
    bearer: Bearer,
    mut service: S,
    token: AccessToken,
    copy: Result<Copy, NotReplayed>,
    answer: Response<ResponseBody<R>>,
) -> Result<Response<ResponseBody<R>>, BoxError>
where
    S: Service<Request<B>, Response = Response<R>, Error: Into<BoxError>>,
    B: From<Bytes>,
    R: Body,
{
    let (next, copy) = match bearer.after_rejection(&token, copy).await? {
        Ok(next) => next,
        Err(why) => return Ok(with(Outcome::Rejected(why), answer)),
    };
    drop(answer);
    let mut request = copy.into_request()?;
    attach(&next, request.headers_mut());
    poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
    let answer = service.call(request).await.map_err(Into::into)?;
    Ok(with(Outcome::Replayed, answer.map(ResponseBody::new)))
}

fn with<R>(outcome: Outcome, mut answer: Response<R>) -> Response<R> {
    outcome.write(answer.extensions_mut());
    answer
}

/// What is needed to send a request again.
struct Copy {
    method: Method,
    scheme: Option<Scheme>,
    version: Version,
    head: Head,
    extensions: Extensions,
    body: Bytes,
}

impl Copy {
    fn of(request: &Parts, body: Bytes) -> Self {
        let authority = request.uri.authority().map_or("", Authority::as_str);
        let path = request.uri.path_and_query().map_or("", PathAndQuery::as_str);
        Self {
            method: request.method.clone(),
            scheme: request.uri.scheme().cloned(),
            version: request.version,
            head: Head::keep([authority, path], &request.headers),
            extensions: request.extensions.clone(),
            body,
        }
    }

    fn into_request<B: From<Bytes>>(self) -> Result<Request<B>, BoxError> {
        let ([authority, path], headers) = self.head.restore();
        // Of its parts: what was a path must not be read as more of a host.
        let mut url = uri::Parts::default();
        url.scheme = self.scheme;
        url.authority = Some(Authority::from_maybe_shared(authority)?);
        url.path_and_query = Some(PathAndQuery::from_maybe_shared(path)?);
        let mut request = Request::new(B::from(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = Uri::from_parts(url)?;
        *request.version_mut() = self.version;
        *request.headers_mut() = headers;
        *request.extensions_mut() = self.extensions;
        Ok(request)
    }
}

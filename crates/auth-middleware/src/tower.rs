//! A layer for any [`tower`](https://docs.rs/tower) service of `http` requests and responses.
//!
//! The type of a request's body must implement `From<`[`Bytes`]`>`. The bodies of axum and reqwest and `Full<Bytes>`
//! do. `map_request_body` of tower-http converts other types.
//!
//! Put the layer *below* a service that follows redirects (`FollowRedirect` of tower-http). Then the target of a
//! redirect gets the token only if its origin is listed. A client that follows redirects internally, as reqwest does by
//! default, is less safe. That client alone decides which hosts get the token and the API's own headers. A 401 from any
//! of these hosts rejects the token, and the whole request is sent again.

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

use crate::BoxError;
use crate::bearer::{Bearer, TokenCheck, attach};
use crate::outcome::{NoReplay, NotReplayed, Outcome};
use crate::replay::{SavedHead, buffer_body};
pub use crate::response_body::ResponseBody;
use crate::response_body::check_body;

/// Wraps a service in an [`AuthService`].
///
/// ```
/// # fn example<S>(bearer: auth_middleware::Bearer, client: S) {
/// use auth_middleware::tower::AuthLayer;
/// use tower::ServiceBuilder;
///
/// let service = ServiceBuilder::new().layer(AuthLayer::new(bearer)).service(client);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AuthLayer(Bearer);

impl AuthLayer {
    /// Creates a layer.
    ///
    /// ```
    /// # fn example<S>(bearer: auth_middleware::Bearer, client: S) {
    /// use auth_middleware::tower::AuthLayer;
    /// use tower_layer::Layer;
    ///
    /// let service = AuthLayer::new(bearer).layer(client);
    /// # }
    /// ```
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

/// Sends requests through an inner service with a token, and once more if that token is rejected.
///
/// A request for which the source has no token is not sent. The error is a boxed [`auth_core::Error`]. [`Outcome::of`]
/// returns what the service did. [`NoReplay`] in the extensions of a request switches off its replay. Dropping the
/// future drops the request, but not a login that a [`TokenManager`](auth_core::TokenManager) has started.
///
/// ```
/// # async fn example<S>(mut service: auth_middleware::tower::AuthService<S>) -> Result<(), auth_middleware::BoxError>
/// # where
/// #     S: tower::Service<http::Request<axum::body::Body>, Response = http::Response<axum::body::Body>>
/// #         + Clone + Send + 'static,
/// #     S::Error: Into<auth_middleware::BoxError>,
/// #     S::Future: Send,
/// # {
/// use auth_middleware::{NoReplay, Outcome};
/// use tower::{Service, ServiceExt};
///
/// let request = http::Request::post("https://ipbxapi.voipex.io/calls").extension(NoReplay);
/// let response = service.ready().await?.call(request.body("a call".into())?).await?;
/// let outcome = Outcome::of(response.extensions());
/// # Ok(())
/// # }
/// ```
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
        // `poll_ready` may have reserved capacity in `self.inner`, such as a permit of a concurrency limit. A clone has
        // no such reservation and may panic when it is called. So the future takes the ready service, and the clone
        // stays here. The next `poll_ready` makes the clone ready.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let (head, body) = request.into_parts();
        Box::pin(exchange(self.bearer.clone(), inner, head, body))
    }
}

#[expect(
    clippy::manual_async_fn,
    reason = "an async fn stores its arguments twice, and the future is moved for each request"
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
        if let Some(outcome) = bearer.skip(scheme, host, uri.port_u16(), &head.headers) {
            let response = service.call(Request::from_parts(head, body)).await.map_err(Into::into)?;
            return Ok(with_outcome(outcome, response.map(ResponseBody::new)));
        }
        let token = bearer.token().await?;
        let (body, replay) = if head.extensions.get::<NoReplay>().is_some() {
            (body, Err(NotReplayed::SwitchedOff))
        } else {
            let (body, bytes) = buffer_body(body, bearer.body_limit()).await?;
            (body, bytes.ok_or(NotReplayed::Body).map(|bytes| ReplayRequest::save(&head, bytes)))
        };
        attach(&token, &mut head.headers);
        let response = service.call(Request::from_parts(head, body)).await.map_err(Into::into)?;
        let response = response.map(ResponseBody::new);
        let (response, is_rejected) = match bearer.classify(response.status(), response.headers()) {
            TokenCheck::Accepted => (response, false),
            TokenCheck::Rejected => (response, true),
            TokenCheck::InBody(rule) => {
                Box::pin(check_body(response, rule, bearer.body_limit())).await.map_err(Into::into)?
            }
        };
        if !is_rejected {
            return Ok(with_outcome(Outcome::Attached, response));
        }
        // Boxed, because replays are rare. Inline, it would enlarge this future, which is moved for each request.
        Box::pin(send_again(bearer, service, token, replay, response)).await
    }
}

/// Sends the request again with the next token, or returns the response that rejected the first token.
async fn send_again<S, B, R>(
    bearer: Bearer,
    mut service: S,
    token: AccessToken,
    replay: Result<ReplayRequest, NotReplayed>,
    response: Response<ResponseBody<R>>,
) -> Result<Response<ResponseBody<R>>, BoxError>
where
    S: Service<Request<B>, Response = Response<R>, Error: Into<BoxError>>,
    B: From<Bytes>,
    R: Body,
{
    let (token, replay) = match bearer.next_token(&token, replay).await? {
        Ok(next) => next,
        Err(reason) => return Ok(with_outcome(Outcome::Rejected(reason), response)),
    };
    // Dropped before `poll_ready`, because the body may hold a connection or a permit. If that is the last one, the
    // service would never become ready.
    drop(response);
    let mut request = replay.into_request()?;
    attach(&token, request.headers_mut());
    // The first call has used up the readiness that the caller waited for.
    poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
    let response = service.call(request).await.map_err(Into::into)?;
    Ok(with_outcome(Outcome::Replayed, response.map(ResponseBody::new)))
}

fn with_outcome<R>(outcome: Outcome, mut response: Response<R>) -> Response<R> {
    outcome.insert_into(response.extensions_mut());
    response
}

/// Holds the parts of a request that are needed to send it again.
struct ReplayRequest {
    method: Method,
    scheme: Option<Scheme>,
    version: Version,
    head: SavedHead,
    extensions: Extensions,
    body: Bytes,
}

impl ReplayRequest {
    fn save(request: &Parts, body: Bytes) -> Self {
        let authority = request.uri.authority().map_or("", Authority::as_str);
        let path = request.uri.path_and_query().map_or("", PathAndQuery::as_str);
        Self {
            method: request.method.clone(),
            scheme: request.uri.scheme().cloned(),
            version: request.version,
            head: SavedHead::save([authority, path], &request.headers),
            extensions: request.extensions.clone(),
            body,
        }
    }

    fn into_request<B: From<Bytes>>(self) -> Result<Request<B>, BoxError> {
        let ([authority, path], headers) = self.head.restore();
        // Not parsed as one string: a path without a slash (`*`) would be read as part of the host.
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

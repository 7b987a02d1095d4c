//! For any [`tower`](https://docs.rs/tower) service that takes and gives `http` types.
//!
//! The body of a request must be one that can be made of [`Bytes`], as axum's, reqwest's and `Full<Bytes>` can; tower-http's
//! `map_request_body` turns others into such a one. Put the layer *below* whatever follows redirects (tower-http's
//! `FollowRedirect`), so that the token is decided for each hop. Over a client that follows redirects by itself, such as
//! reqwest unless told otherwise, the token and the API's own headers go where that client takes them.

mod body;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Extensions, Method, Request, Response, Uri, Version};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::bearer::{Bearer, attach};
use crate::copy::{Headers, keep_body};
use crate::outcome::{NoReplay, NotReplayed, Outcome};

pub use body::AnswerBody;

/// Any error: of the service, of a body, or [`auth_core::Error`] where there was no token.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

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
    type Response = Response<AnswerBody<R>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The clone is not ready; the one that was asked is.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(exchange(self.bearer.clone(), inner, request))
    }
}

async fn exchange<S, B, R>(
    bearer: Bearer,
    mut service: S,
    request: Request<B>,
) -> Result<Response<AnswerBody<R>>, BoxError>
where
    S: Service<Request<B>, Response = Response<R>, Error: Into<BoxError>>,
    B: Body<Error: Into<BoxError>> + From<Bytes> + Unpin,
    R: Body<Error: Into<BoxError>> + Unpin,
{
    let uri = request.uri();
    let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
    if let Some(outcome) = bearer.leaves(scheme, host, uri.port_u16(), request.headers()) {
        return send(&mut service, request).await.map(|answer| with(outcome, answer));
    }
    let token = bearer.token().await?;
    let (mut request, copy) = keep(request, bearer.body_limit()).await?;
    attach(&token, request.headers_mut());
    let (answer, is_rejected) = body::judge(&bearer, send(&mut service, request).await?).await?;
    if !is_rejected {
        return Ok(with(Outcome::Attached, answer));
    }
    match bearer.after_rejection(&token, copy).await? {
        Ok((next, copy)) => {
            drop(answer);
            let mut request = copy.into_request();
            attach(&next, request.headers_mut());
            poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
            send(&mut service, request).await.map(|answer| with(Outcome::Replayed, answer))
        }
        Err(why) => Ok(with(Outcome::Rejected(why), answer)),
    }
}

async fn send<S, B, R>(service: &mut S, request: Request<B>) -> Result<Response<AnswerBody<R>>, BoxError>
where
    S: Service<Request<B>, Response = Response<R>, Error: Into<BoxError>>,
    R: Body,
{
    service.call(request).await.map(|answer| answer.map(AnswerBody::new)).map_err(Into::into)
}

fn with<R>(outcome: Outcome, mut answer: Response<R>) -> Response<R> {
    outcome.write(answer.extensions_mut());
    answer
}

/// What is needed to send a request again.
struct Copy {
    method: Method,
    uri: Uri,
    version: Version,
    headers: Headers,
    extensions: Extensions,
    body: Bytes,
}

async fn keep<B>(request: Request<B>, limit: usize) -> Result<(Request<B>, Result<Copy, NotReplayed>), BoxError>
where
    B: Body<Error: Into<BoxError>> + From<Bytes> + Unpin,
{
    if request.extensions().get::<NoReplay>().is_some() {
        return Ok((request, Err(NotReplayed::SwitchedOff)));
    }
    let (head, body) = request.into_parts();
    let (body, bytes) = keep_body(body, limit).await.map_err(Into::into)?;
    let copy = bytes.ok_or(NotReplayed::Body).map(|body| Copy {
        method: head.method.clone(),
        uri: head.uri.clone(),
        version: head.version,
        headers: Headers::keep(&head.headers),
        extensions: head.extensions.clone(),
        body,
    });
    Ok((Request::from_parts(head, body), copy))
}

impl Copy {
    fn into_request<B: From<Bytes>>(self) -> Request<B> {
        let mut request = Request::new(B::from(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers.into_map();
        *request.extensions_mut() = self.extensions;
        request
    }
}

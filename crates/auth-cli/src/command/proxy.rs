//! `auth proxy`: forwards requests from this machine to an API and adds the token.

mod head;

use std::convert::Infallible;
use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use auth_all::core::{Error, TokenManager};
use auth_middleware::Bearer;
use auth_middleware::reqwest::AuthMiddleware;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use reqwest::Body;
use reqwest::redirect::Policy;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use tokio::net::{TcpListener, TcpStream};

use crate::accounts::Accounts;
use crate::args::ProxyArgs;
use crate::error::{CliError, Result};
use crate::output;
use crate::session::{Session, open_cache};
use crate::signal::stop_requested;
use crate::text::with_causes;
use crate::transport::client_builder;

/// The target of this command's `tracing` events.
const PROXY_TARGET: &str = "auth::proxy";

/// The time that requests in progress have when the proxy stops.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The wait after a connection could not be accepted, for example because the process has too many open files.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

pub(crate) async fn run(args: ProxyArgs) -> Result<()> {
    let account = Accounts::new(&args.flags)?.account(&args.provider)?;
    let cache = if args.no_cache { None } else { Some(open_cache()?) };
    let session = Session::new(account, cache.as_ref())?;
    session.transport.build()?;
    let gateway = Gateway::new(session.tokens, &args.to)?;

    let listen_error = |error| CliError::other(format!("cannot listen on {}: {error}", args.listen));
    let listener = TcpListener::bind(args.listen).await.map_err(listen_error)?;
    let address = listener.local_addr().map_err(listen_error)?;
    output::write(format!("http://{address}\n").as_bytes())?;
    serve(listener, address, gateway).await
}

async fn serve(listener: TcpListener, address: SocketAddr, gateway: Gateway) -> Result<()> {
    let gateway = Arc::new(gateway);
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop_requested());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => serve_connection(stream, address, gateway.clone(), &connections),
                Err(error) => {
                    tracing::warn!(target: PROXY_TARGET, %error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            },
            requested = &mut stop => break requested?,
        }
    }
    drop(listener);
    // A second signal stops the proxy at once.
    tokio::select! {
        () = connections.shutdown() => Ok(()),
        () = tokio::time::sleep(SHUTDOWN_TIMEOUT) => Ok(()),
        requested = stop_requested() => requested,
    }
}

fn serve_connection(stream: TcpStream, address: SocketAddr, gateway: Arc<Gateway>, connections: &GracefulShutdown) {
    let service = service_fn(move |request| {
        let gateway = gateway.clone();
        async move { Ok::<_, Infallible>(gateway.respond(request, address).await) }
    });
    let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(target: PROXY_TARGET, %error, "connection failed");
        }
    });
}

/// Forwards requests to the API.
struct Gateway {
    client: ClientWithMiddleware,
    to: Uri,
}

impl Gateway {
    fn new(tokens: TokenManager, to: &str) -> Result<Self> {
        let usage = |problem: &dyn std::error::Error| CliError::usage(format!("--to: {problem}"));
        let bearer = Bearer::new(tokens, [to]).map_err(|error| usage(&error))?;
        let to: Uri = to.parse().map_err(|error: http::uri::InvalidUri| usage(&error))?;
        let client = client_builder()?;
        // An API without https is on this machine, so no proxy is used.
        let client = if to.scheme_str() == Some("https") { client } else { client.no_proxy() };
        // The client gets the API's responses unchanged: no redirect is followed and no body is decompressed.
        let client = client.redirect(Policy::none()).retry(reqwest::retry::never()).referer(false);
        let client = client.no_gzip().no_brotli().no_deflate().no_zstd().build();
        let client = client.map_err(|error| CliError::other(with_causes(&error)))?;
        Ok(Self { client: ClientBuilder::new(client).with(AuthMiddleware::new(bearer)).build(), to })
    }

    async fn respond(&self, request: Request<Incoming>, address: SocketAddr) -> Response<Body> {
        let (mut head, body) = request.into_parts();
        if let Err((status, text)) = head::check(&head, address) {
            return plain(status, text);
        }
        let Some(uri) = head::api_uri(&self.to, &head.uri) else {
            return plain(StatusCode::BAD_REQUEST, "the request must have a path");
        };
        head::rewrite_request(&mut head.headers);
        head.uri = uri;
        head.version = Version::HTTP_11;
        let requested = head.uri.clone();
        // An empty body that is set would be sent as one of unknown length, with chunked encoding.
        let body = if body.is_end_stream() { None } else { Some(Body::wrap(body)) };
        let request = reqwest::Request::try_from(Request::from_parts(head, Body::default())).ok();
        // The client's URL type normalizes paths. A changed path could mean something else to the API.
        let Some(mut request) = request.filter(|request| head::is_unchanged(request.url(), &requested)) else {
            return plain(
                StatusCode::BAD_REQUEST,
                "the path contains dot segments, or characters that must be percent-encoded",
            );
        };
        *request.body_mut() = body;
        match self.client.execute(request).await {
            Ok(response) => {
                let mut response = Response::<Body>::from(response);
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    return plain(StatusCode::BAD_GATEWAY, "the API switches the protocol without a request to do so");
                }
                head::rewrite_response(response.headers_mut(), &self.to);
                response
            }
            Err(error) => error_response(error),
        }
    }
}

/// Returns the response to a request for which the API sent none.
fn error_response(error: reqwest_middleware::Error) -> Response<Body> {
    let error = match error {
        reqwest_middleware::Error::Middleware(error) => match error.downcast::<Error>() {
            Ok(error) => return no_token_response(&error),
            Err(error) => return plain(StatusCode::BAD_GATEWAY, &with_causes(&*error)),
        },
        reqwest_middleware::Error::Reqwest(error) => error.without_url(),
    };
    if is_request_body_error(&error) {
        return plain(StatusCode::BAD_REQUEST, "the body of the request ended too early");
    }
    tracing::warn!(target: PROXY_TARGET, error = with_causes(&error), "no response from the API");
    let status = if error.is_timeout() { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
    plain(status, &format!("no response from the API: {}", with_causes(&error)))
}

/// Returns whether the request failed because the client did not send its whole body.
fn is_request_body_error(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(cause) = next {
        if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_user) {
            return true;
        }
        next = cause.source();
    }
    false
}

/// Returns the response to a request for which there is no token.
///
/// Either nothing was sent, or the API rejected the token and there is no new one to repeat the request with.
fn no_token_response(error: &Error) -> Response<Body> {
    tracing::warn!(target: PROXY_TARGET, error = with_causes(error), "no token");
    let status = if error.is_transient() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::BAD_GATEWAY };
    let mut response = plain(status, &with_causes(error));
    if let Some(wait) = error.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, (wait.as_secs_f64().ceil() as u64).into());
    }
    response
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("auth proxy: {text}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

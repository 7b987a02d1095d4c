//! `auth proxy`: an API on this machine, with the token added.

mod head;

use std::convert::Infallible;
use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use auth_all::core::Error;
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
use crate::failure::{Failure, Result, with_causes};
use crate::output;
use crate::session::{Manager, Session, cache};
use crate::signal::stopped;
use crate::transport;

/// The target of this command's `tracing` events.
const PROXY_TARGET: &str = "auth::proxy";

/// For requests under way when the proxy is stopped.
const GRACE: Duration = Duration::from_secs(5);

/// Before the next try to accept a connection, where the system has no more of something.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) async fn run(args: ProxyArgs) -> Result<()> {
    let account = Accounts::new(&args.flags)?.one(&args.provider)?;
    let cache = if args.no_cache { None } else { Some(cache()?) };
    let session = Session::new(account, cache.as_ref())?;
    session.transport.build()?;
    let gateway = Gateway::new(session.tokens, &args.to)?;

    let fault = |error| Failure::other(format!("{}: {error}", args.listen));
    let listener = TcpListener::bind(args.listen).await.map_err(fault)?;
    let address = listener.local_addr().map_err(fault)?;
    output::write(format!("http://{address}\n").as_bytes())?;
    serve(listener, address, gateway).await
}

async fn serve(listener: TcpListener, address: SocketAddr, gateway: Gateway) -> Result<()> {
    let (gateway, connections) = (Arc::new(gateway), GracefulShutdown::new());
    let mut stop = std::pin::pin!(stopped());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connect(stream, address, gateway.clone(), &connections),
                Err(error) => {
                    tracing::warn!(target: PROXY_TARGET, %error, "connection not accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            stopped = &mut stop => break stopped?,
        }
    }
    drop(listener);
    tokio::select! {
        () = connections.shutdown() => Ok(()),
        () = tokio::time::sleep(GRACE) => Ok(()),
        stopped = stopped() => stopped,
    }
}

fn connect(stream: TcpStream, address: SocketAddr, gateway: Arc<Gateway>, connections: &GracefulShutdown) {
    let service = service_fn(move |request| {
        let gateway = gateway.clone();
        async move { Ok::<_, Infallible>(gateway.answer(request, address).await) }
    });
    let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(target: PROXY_TARGET, %error, "connection broken");
        }
    });
}

/// The way to the API.
struct Gateway {
    client: ClientWithMiddleware,
    to: Uri,
}

impl Gateway {
    fn new(tokens: Manager, to: &str) -> Result<Self> {
        let usage = |problem: &dyn std::error::Error| Failure::usage(format!("--to: {problem}"));
        let bearer = Bearer::new(tokens, [to]).map_err(|error| usage(&error))?;
        let to: Uri = to.parse().map_err(|error: http::uri::InvalidUri| usage(&error))?;
        let client = transport::client()?;
        // What is not https is this machine.
        let client = if to.scheme_str() == Some("https") { client } else { client.no_proxy() };
        // All is the client's to see: redirects, and bodies as they were compressed.
        let client = client.redirect(Policy::none()).retry(reqwest::retry::never()).referer(false);
        let client = client.no_gzip().no_brotli().no_deflate().no_zstd().build();
        let client = client.map_err(|error| Failure::other(with_causes(&error)))?;
        Ok(Self { client: ClientBuilder::new(client).with(AuthMiddleware::new(bearer)).build(), to })
    }

    async fn answer(&self, request: Request<Incoming>, address: SocketAddr) -> Response<Body> {
        let (mut head, body) = request.into_parts();
        if let Err((status, text)) = head::check(&head, address) {
            return plain(status, text);
        }
        let Some(uri) = head::uri_at(&self.to, &head.uri) else {
            return plain(StatusCode::BAD_REQUEST, "a request has a path");
        };
        head::forwarded(&mut head.headers);
        head.uri = uri;
        head.version = Version::HTTP_11;
        let asked = head.uri.clone();
        // A body that is there and empty would be one of unknown length.
        let sent = if body.is_end_stream() { None } else { Some(Body::wrap(body)) };
        let request = reqwest::Request::try_from(Request::from_parts(head, Body::default())).ok();
        // What the client would write in another way might mean another thing to the API.
        let Some(mut request) = request.filter(|request| head::is_of(request.url(), &asked)) else {
            return plain(StatusCode::BAD_REQUEST, "the path has dot segments, or characters that must be escaped");
        };
        *request.body_mut() = sent;
        match self.client.execute(request).await {
            Ok(answer) => {
                let mut answer = Response::<Body>::from(answer);
                if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                    return plain(StatusCode::BAD_GATEWAY, "the API changes the protocol, which was not asked for");
                }
                head::returned(answer.headers_mut(), &self.to);
                answer
            }
            Err(error) => failed(error),
        }
    }
}

/// Where there is no answer of the API to pass on.
fn failed(error: reqwest_middleware::Error) -> Response<Body> {
    let error = match error {
        reqwest_middleware::Error::Middleware(error) => match error.downcast::<Error>() {
            Ok(error) => return without_token(&error),
            Err(error) => return plain(StatusCode::BAD_GATEWAY, &with_causes(&*error)),
        },
        reqwest_middleware::Error::Reqwest(error) => error.without_url(),
    };
    if is_of_the_client(&error) {
        return plain(StatusCode::BAD_REQUEST, "the body of the request broke off");
    }
    tracing::warn!(target: PROXY_TARGET, error = with_causes(&error), "no answer of the API");
    let status = if error.is_timeout() { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
    plain(status, &format!("no answer of the API: {}", with_causes(&error)))
}

/// Whether the body that was to be sent is at fault.
fn is_of_the_client(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(cause) = next {
        if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_user) {
            return true;
        }
        next = cause.source();
    }
    false
}

/// Nothing was sent; or a request was, its token was rejected, and there is no next one to send it with.
fn without_token(error: &Error) -> Response<Body> {
    tracing::warn!(target: PROXY_TARGET, error = with_causes(error), "no token");
    let status = if error.is_transient() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::BAD_GATEWAY };
    let mut answer = plain(status, &with_causes(error));
    if let Some(wait) = error.retry_after() {
        answer.headers_mut().insert(RETRY_AFTER, (wait.as_secs_f64().ceil() as u64).into());
    }
    answer
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let mut answer = Response::new(Body::from(format!("auth proxy: {text}\n")));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

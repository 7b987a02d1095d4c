//! Faults: the ways in which a login response can fail.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_LENGTH, LOCATION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use futures::{StreamExt, stream};

use crate::response;

/// Describes how a login response fails.
///
/// ```
/// use auth_sandbox::{Api, Fault, Sandbox};
/// use std::time::Duration;
///
/// let sandbox = Sandbox::start()?;
/// sandbox.fail_next(Api::Zoqq, Fault::Status(502));
/// sandbox.fail_next(Api::Zoqq, Fault::Latency(Duration::from_secs(2)));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Responds with this status, from 200 to 999, and an HTML body. The request is not read.
    Status(u16),
    /// Responds as [`Status`](Self::Status) does, and adds a `Retry-After` header with this value.
    RetryAfter(u16, String),
    /// Responds as usual after this delay. The request is processed before the delay.
    Latency(Duration),
    /// Responds as usual, but sends the body byte by byte, with this delay before each byte.
    Drip(Duration),
    /// Processes the request, then closes the connection in the middle of the response's body.
    Truncated,
    /// Responds with 200 and a body of 64 MiB without a `Content-Length`. The request is not read.
    Oversized,
    /// Responds with 200 and this body. The request is not read.
    Body(String),
    /// Responds with this status and a `Location` header with this value. The request is not read.
    Redirect(u16, String),
}

const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 1024;

impl Fault {
    /// Returns the response of a fault that does not depend on the request, or `None` for other faults.
    pub(crate) fn fixed_response(&self) -> Option<Response> {
        match self {
            Self::Status(status) => Some(error_page(*status)),
            Self::RetryAfter(status, wait) => Some(with_header(error_page(*status), RETRY_AFTER, wait)),
            Self::Redirect(status, target) => Some(with_header(error_page(*status), LOCATION, target)),
            Self::Body(body) => Some(response::html(StatusCode::OK, body.clone())),
            Self::Oversized => {
                let chunk = Bytes::from(vec![b' '; CHUNK]);
                let chunks = stream::repeat(Ok::<_, Infallible>(chunk)).take(CHUNKS);
                Some(response::html(StatusCode::OK, Body::from_stream(chunks)))
            }
            Self::Latency(_) | Self::Drip(_) | Self::Truncated => None,
        }
    }

    /// Applies a fault to the response to a request that was processed.
    pub(crate) async fn apply(&self, response: Response) -> Response {
        if let Self::Latency(delay) = self {
            tokio::time::sleep(*delay).await;
            return response;
        }
        let (mut parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        parts.headers.insert(CONTENT_LENGTH, bytes.len().into());
        let body = match self {
            Self::Truncated => {
                let half = bytes.slice(..bytes.len() / 2);
                // Without the delay, the server may close the connection before it has sent the first half.
                let failure = stream::once(async {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Err(io::Error::other("truncated by Fault::Truncated"))
                });
                Body::from_stream(stream::iter([Ok(half)]).chain(failure))
            }
            Self::Drip(delay) => {
                let delay = *delay;
                let bytes = stream::iter(bytes).then(move |byte| async move {
                    tokio::time::sleep(delay).await;
                    Ok::<_, Infallible>(Bytes::from(vec![byte]))
                });
                Body::from_stream(bytes)
            }
            _ => Body::from(bytes),
        };
        Response::from_parts(parts, body)
    }
}

fn error_page(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response::html(status, "<html><body>a fault, on purpose</body></html>")
}

fn with_header(mut response: Response, name: axum::http::HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

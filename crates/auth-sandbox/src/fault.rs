//! What can go wrong on purpose.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_LENGTH, LOCATION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use futures::{StreamExt, stream};

use crate::answer;

/// Says how a login answer fails.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Answers this status, from 200 to 999, with an HTML body, and does not look at the request.
    Status(u16),
    /// As [`Status`](Self::Status), with a `Retry-After` of this text.
    RetryAfter(u16, String),
    /// Answers as usual, but so much later.
    Latency(Duration),
    /// Answers as usual, but a byte at a time with this pause between.
    Drip(Duration),
    /// Acts on the request, then breaks off in the middle of the answer.
    Truncated,
    /// Answers 200 with a body of 64 MiB that states no length.
    Oversized,
    /// Answers 200 with this body instead of the real one.
    Body(String),
    /// Answers this status with a `Location`.
    Redirect(u16, String),
}

const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 1024;

impl Fault {
    /// The answer that needs no request, where this fault is one of those.
    pub(crate) fn instead(&self) -> Option<Response> {
        match self {
            Self::Status(status) => Some(html(*status)),
            Self::RetryAfter(status, wait) => Some(with(html(*status), RETRY_AFTER, wait)),
            Self::Redirect(status, target) => Some(with(html(*status), LOCATION, target)),
            Self::Body(body) => Some(answer::text(StatusCode::OK, body.clone())),
            Self::Oversized => {
                let chunk = Bytes::from(vec![b' '; CHUNK]);
                let chunks = stream::repeat(Ok::<_, Infallible>(chunk)).take(CHUNKS);
                Some(answer::text(StatusCode::OK, Body::from_stream(chunks)))
            }
            Self::Latency(_) | Self::Drip(_) | Self::Truncated => None,
        }
    }

    /// Spoils the answer to a request that was acted on.
    pub(crate) async fn spoil(&self, response: Response) -> Response {
        if let Self::Latency(wait) = self {
            tokio::time::sleep(*wait).await;
            return response;
        }
        let (mut parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        parts.headers.insert(CONTENT_LENGTH, bytes.len().into());
        let body = match self {
            Self::Truncated => {
                let half = bytes.slice(..bytes.len() / 2);
                // The pause lets the half leave before the connection is torn down.
                let end = stream::once(async {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Err(io::Error::other("broken off on purpose"))
                });
                Body::from_stream(stream::iter([Ok(half)]).chain(end))
            }
            Self::Drip(pause) => {
                let pause = *pause;
                let drops = stream::iter(bytes).then(move |byte| async move {
                    tokio::time::sleep(pause).await;
                    Ok::<_, Infallible>(Bytes::from(vec![byte]))
                });
                Body::from_stream(drops)
            }
            _ => Body::from(bytes),
        };
        Response::from_parts(parts, body)
    }
}

fn html(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer::text(status, "<html><body>a fault, on purpose</body></html>")
}

fn with(mut response: Response, name: axum::http::HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

//! The trait of transports: send a request, return the response.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;

use crate::error::Error;
use crate::message::{Request, Response};

#[cfg(feature = "reqwest")]
pub(crate) mod reqwest;

/// Returns `true` if another attempt may succeed with nothing changed. The body of such a response is never read.
pub(crate) fn is_transient_status(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500..=599)
}

/// Sends one login request and returns the response.
///
/// An implementation must:
///
/// - follow no redirect, and verify the server's certificate;
/// - limit the size of the response (1 MiB is enough) and request no compression;
/// - keep the headers of the response;
/// - send plain http, which always goes to this machine, without a proxy;
/// - not retry, and set no deadline;
/// - close the connection when the future is dropped, because a login drops it at its deadline. A
///   client that blocks its thread needs its own timeout.
///
/// The body of a 408, 425, 429 or 5xx is not used, so a transport need not read it.
///
/// ```
/// use auth_core::{Error, Request, Response, SecretBytes, Transport, async_trait};
///
/// #[derive(Debug)]
/// struct FixedResponse;
///
/// #[async_trait]
/// impl Transport for FixedResponse {
///     async fn send(&self, request: Request) -> Result<Response, Error> {
///         let _ = request.into_http(); // method, URI, headers, body
///         let body = SecretBytes::from(br#"{"token":"t"}"#.to_vec());
///         Ok(Response::new(http::StatusCode::OK, http::HeaderMap::new(), body))
///     }
/// }
/// ```
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends the request and returns the response, whatever its status is.
    ///
    /// # Errors
    /// - [`Error::unreachable`] if no part of the request was sent
    /// - [`Error::untrusted`] if TLS failed
    /// - [`Error::unavailable`] if there was no response, or the body of a 2xx was cut off
    /// - [`Error::malformed`] if the response is too long
    ///
    /// If the body of another status was cut off, return the response with the part that arrived, or with an empty
    /// body. It may be a refusal, and a refusal must not be retried.
    ///
    /// # Cancel safety
    /// Dropping the future must end the connection. The server may have processed the request.
    async fn send(&self, request: Request) -> Result<Response, Error>;
}

#[async_trait]
impl<T: Transport + ?Sized> Transport for Arc<T> {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        (**self).send(request).await
    }
}

//! How a request gets to its server and the answer back.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Error;
use crate::message::{Request, Response};

#[cfg(feature = "reqwest")]
pub(crate) mod reqwest;

/// Sends one login request.
///
/// An implementation must follow no redirect, verify the server's certificate, and bound what it reads (1 MiB is
/// enough). It asks for nothing compressed, keeps the headers of the answer, and sends plain http, which goes to this
/// machine alone, through no proxy. It retries nothing and keeps no deadline: the future is dropped when time is up,
/// which must end the connection, so it must not block its thread, and a client that does needs a timeout of its own.
/// The body of a 408, 425, 429 or 5xx is never read, so it need not be fetched.
///
/// ```
/// use auth_core::{SecretBytes, Error, Request, Response, Transport, async_trait};
///
/// #[derive(Debug)]
/// struct Canned;
///
/// #[async_trait]
/// impl Transport for Canned {
///     async fn send(&self, request: Request) -> Result<Response, Error> {
///         let _ = request.into_http(); // method, URI, headers, body
///         let body = SecretBytes::from(br#"{"token":"t"}"#.to_vec());
///         Ok(Response::new(http::StatusCode::OK, http::HeaderMap::new(), body))
///     }
/// }
/// ```
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends the request and gives the answer, whatever its status.
    ///
    /// # Errors
    /// [`Error::unreachable`] where nothing was sent, [`Error::unavailable`] where no answer came or that of a 2xx did
    /// not come in full (of any other status what came is enough, for it may be a refusal), [`Error::untrusted`] where
    /// TLS failed, [`Error::malformed`] where the answer is too long.
    async fn send(&self, request: Request) -> Result<Response, Error>;
}

#[async_trait]
impl<T: Transport + ?Sized> Transport for Arc<T> {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        (**self).send(request).await
    }
}

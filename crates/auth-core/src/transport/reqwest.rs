//! The HTTPS transport: reqwest with rustls.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderMap, Uri};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use rustls::CertificateError;
use zeroize::Zeroize;

use super::{Transport, is_transient_status};
use crate::error::Error;
use crate::message::{Request, Response};
use crate::secret::SecretBytes;

/// The longest response that is accepted, in bytes. The response to a login is much shorter.
const LONGEST_BODY: usize = 1 << 20;

/// Sends logins with [reqwest](https://docs.rs/reqwest) over TLS 1.2 or newer.
///
/// It uses the system's root certificates and its proxy settings (`HTTPS_PROXY`, `NO_PROXY`). It follows no redirect,
/// retries nothing, reads at most 1 MiB, and keeps no connection open between logins. Plain http, which is allowed only
/// to a loopback address, never goes through a proxy.
///
/// It is cheap to clone. Share one between all managers, because building a client loads the root certificates. A manager
/// without a transport of its own uses one that the process shares.
///
/// ```no_run
/// use auth_core::{Provider, ReqwestTransport, TokenManager};
///
/// # fn example(one: impl Provider, other: impl Provider) -> Result<(), Box<dyn std::error::Error>> {
/// let proxy = reqwest::Proxy::https("http://proxy.example:3128")?;
/// let transport = ReqwestTransport::from_client_builder(reqwest::Client::builder().proxy(proxy))?;
/// let one = TokenManager::builder(one).with_transport(transport.clone()).build()?;
/// let other = TokenManager::builder(other).with_transport(transport).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ReqwestTransport(Arc<Clients>);

/// The clients, each built when it is first needed.
#[derive(Default)]
struct Clients {
    https: OnceLock<Client>,
    loopback: OnceLock<Client>,
}

impl Clients {
    fn https(&self) -> Result<Client, Error> {
        get_or_build(&self.https, || Client::builder().user_agent(AGENT).https_only(true))
    }

    fn loopback(&self) -> Result<Client, Error> {
        get_or_build(&self.loopback, || Client::builder().user_agent(AGENT).no_proxy().tls_certs_only([]))
    }
}

fn get_or_build(cell: &OnceLock<Client>, builder: fn() -> ClientBuilder) -> Result<Client, Error> {
    match cell.get() {
        Some(client) => Ok(client.clone()),
        None => {
            let client = harden(builder())?;
            Ok(cell.get_or_init(|| client).clone())
        }
    }
}

impl ReqwestTransport {
    /// Builds the transport with the system's root certificates.
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) if the system has no root certificates. Install its
    /// `ca-certificates` package, or add them to a [client builder](Self::from_client_builder).
    ///
    /// # Example
    /// ```no_run
    /// let transport = auth_core::ReqwestTransport::new()?;
    /// # let _ = transport;
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    pub fn new() -> Result<Self, Error> {
        let transport = Self(Arc::default());
        transport.0.https()?;
        Ok(transport)
    }

    /// Returns the transport that the managers of the process share.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<ReqwestTransport> = LazyLock::new(|| ReqwestTransport(Arc::default()));
        &SHARED
    }

    /// Builds the client that a login to this address needs, so that an error shows before the first login.
    pub(crate) fn prepare(&self, uri: &Uri) -> Result<(), Error> {
        self.client(uri).map(drop)
    }

    fn client(&self, uri: &Uri) -> Result<Client, Error> {
        if uri.scheme() == Some(&Scheme::HTTPS) { self.0.https() } else { self.0.loopback() }
    }

    /// Builds the transport from a client builder, for example to set a proxy, more root certificates or a timeout.
    ///
    /// These settings of the builder are overridden, because they protect credentials: https only, no redirects, no
    /// retries, no compression, no connection log and no idle connections. The builder is not used for plain http to a
    /// loopback address.
    ///
    /// This is the only place where a type of reqwest, which is not yet 1.0, is part of this crate's interface.
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) if the client cannot be built.
    ///
    /// # Example
    /// ```no_run
    /// # fn example(pem: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    /// let company = reqwest::Certificate::from_pem(pem)?;
    /// let client = reqwest::Client::builder().tls_certs_merge([company]);
    /// let transport = auth_core::ReqwestTransport::from_client_builder(client)?;
    /// # let _ = transport;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_client_builder(client: ClientBuilder) -> Result<Self, Error> {
        let https = OnceLock::from(harden(client.https_only(true))?);
        Ok(Self(Arc::new(Clients { https, loopback: OnceLock::new() })))
    }
}

const AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

fn harden(client: ClientBuilder) -> Result<Client, Error> {
    let client = client
        .redirect(Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .connection_verbose(false)
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .pool_max_idle_per_host(0);
    client.build().map_err(|error| {
        Error::misconfigured(
            "transport",
            "cannot be built; check that the system has root certificates (`ca-certificates`)",
        )
        .with_cause(&error.without_url())
    })
}

#[async_trait]
impl Transport for ReqwestTransport {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let client = self.client(request.uri())?;
        let request = request.into_http().map(|body| reqwest::Body::from(body.into_bytes()));
        let request = reqwest::Request::try_from(request)
            .map_err(|error| Error::misconfigured("base_url", "is not a URL").with_cause(&error.without_url()))?;
        let mut response = client.execute(request).await.map_err(classify_error)?;

        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let body = if is_transient_status(status) {
            SecretBytes::default()
        } else {
            let body = read_body(response, &headers).await;
            // A refusal with a body that was cut off is still a refusal, and must not be retried.
            if status.is_success() { body? } else { body.unwrap_or_default() }
        };
        Ok(Response::new(status, headers, body))
    }
}

impl fmt::Debug for ReqwestTransport {
    /// Leaves out the clients, because their default headers may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReqwestTransport")
    }
}

async fn read_body(mut response: reqwest::Response, headers: &HeaderMap) -> Result<SecretBytes, Error> {
    let length: Option<usize> =
        headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    // Checked before the allocation: a server could state a length of many gigabytes.
    if length.is_some_and(|length| length > LONGEST_BODY) {
        return Err(too_long());
    }
    let mut body = SecretBytes::with_capacity(length.unwrap_or(4096));
    while let Some(chunk) = response.chunk().await.map_err(classify_error)? {
        if body.as_ref().len() + chunk.len() > LONGEST_BODY {
            return Err(too_long());
        }
        body.push(&chunk);
        wipe(chunk);
    }
    Ok(body)
}

fn too_long() -> Error {
    Error::malformed("the response is longer than 1 MiB")
}

/// Wipes a received chunk, if there is no other reference to it.
fn wipe(bytes: Bytes) {
    if let Ok(mut bytes) = bytes.try_into_mut() {
        bytes.as_mut().zeroize();
    }
}

fn classify_error(error: reqwest::Error) -> Error {
    let error = error.without_url();
    let classified = match tls_error(&error).filter(|_| error.is_connect()) {
        Some(tls) => Error::untrusted(tls_advice(tls)),
        None if error.is_connect() => Error::unreachable("could not connect to the server"),
        None if error.is_timeout() => Error::unavailable("the response did not arrive in time"),
        None if error.is_body() || error.is_decode() => Error::unavailable("the response was cut off"),
        None => Error::unavailable("there was no response to the request"),
    };
    classified.with_cause(&error)
}

/// Returns the rustls error among the causes, if there is one.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref() {
            return Some(tls);
        }
        // `get_ref` is the error inside an `io::Error`. Its `source` skips that and returns the inner error's source.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}

fn tls_advice(error: &rustls::Error) -> &'static str {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, UnknownIssuer,
    };
    match error {
        rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }) => {
            "the server's certificate has expired, or the local clock is wrong"
        }
        rustls::Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => {
            "the server's certificate is not valid yet, or the local clock is wrong"
        }
        rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            "the server's certificate is for another host; check `base_url`"
        }
        // If an unknown issuer has the name of a trusted one, rustls reports a bad signature.
        rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature) => {
            "the server's certificate has an unknown issuer; add its root certificate if you trust it"
        }
        rustls::Error::InvalidCertificate(_) => "the server's certificate is not valid",
        _ => "the TLS handshake failed",
    }
}

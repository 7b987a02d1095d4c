//! The HTTPS transport: reqwest on rustls.

use std::error::Error as StdError;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use http::uri::Scheme;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use rustls::CertificateError;
use zeroize::Zeroize;

use super::Transport;
use crate::classify::is_passing;
use crate::error::Error;
use crate::message::{Request, Response};
use crate::secret::SecretBytes;

/// No login answer is longer.
const LONGEST_BODY: usize = 1 << 20;

/// Sends logins by [reqwest](https://docs.rs/reqwest) over TLS 1.2 or newer, with the system's root certificates and
/// its proxy settings (`HTTPS_PROXY`, `NO_PROXY`).
///
/// It follows no redirect, repeats nothing, reads at most 1 MiB, and keeps no connection open between logins. Plain
/// http, which is for this machine alone, never goes through a proxy. Cheap to clone; share one among all providers.
#[derive(Clone)]
pub struct ReqwestTransport {
    https: Client,
    loopback: Client,
}

impl ReqwestTransport {
    /// Builds the transport with the system's root certificates.
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) where the system has no root certificates: install its
    /// `ca-certificates` package, or give them to a [client of your own](Self::from_client_builder).
    pub fn new() -> Result<Self, Error> {
        Self::from_client_builder(Client::builder().user_agent(AGENT))
    }

    /// Builds the transport on a client of your own: with proxies, more root certificates, other timeouts.
    ///
    /// What keeps credentials safe is set again: no redirects, no repeats, no compression, no connection log, no
    /// connections kept.
    ///
    /// This is the one place where a type of reqwest, which is not yet 1.0, stands in this crate's interface.
    ///
    /// ```no_run
    /// # fn example(pem: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    /// let company = reqwest::Certificate::from_pem(pem)?;
    /// let client = reqwest::Client::builder().tls_certs_merge([company]);
    /// let transport = auth_core::ReqwestTransport::from_client_builder(client)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) where the client cannot be built.
    pub fn from_client_builder(client: ClientBuilder) -> Result<Self, Error> {
        let loopback = Client::builder().user_agent(AGENT).no_proxy().tls_certs_only([]);
        Ok(Self { https: harden(client.https_only(true))?, loopback: harden(loopback)? })
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
        Error::misconfigured("transport", "cannot be built; does the system have root certificates?")
            .with_cause(&error.without_url())
    })
}

#[async_trait]
impl Transport for ReqwestTransport {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let client = if request.uri().scheme() == Some(&Scheme::HTTPS) { &self.https } else { &self.loopback };
        let request = request.into_http().map(|body| reqwest::Body::from(body.into_bytes()));
        let request = reqwest::Request::try_from(request)
            .map_err(|error| Error::misconfigured("base_url", "is not a URL").with_cause(&error.without_url()))?;
        let mut answer = client.execute(request).await.map_err(explain)?;

        let status = answer.status();
        let headers = std::mem::take(answer.headers_mut());
        let body = if is_passing(status) { Ok(SecretBytes::default()) } else { read(answer, &headers).await };
        // A refusal whose body breaks off is a refusal, and must not be tried again.
        let body = if status.is_success() { body? } else { body.unwrap_or_default() };
        Ok(Response::new(status, headers, body))
    }
}

impl fmt::Debug for ReqwestTransport {
    /// Without the client, whose default headers may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReqwestTransport")
    }
}

async fn read(mut answer: reqwest::Response, headers: &HeaderMap) -> Result<SecretBytes, Error> {
    let stated = headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let too_long = || Error::malformed("the answer is longer than 1 MiB");
    if stated.is_some_and(|length: usize| length > LONGEST_BODY) {
        return Err(too_long());
    }
    let mut body = SecretBytes::with_capacity(stated.unwrap_or(4096));
    while let Some(chunk) = answer.chunk().await.map_err(explain)? {
        if body.as_ref().len() + chunk.len() > LONGEST_BODY {
            return Err(too_long());
        }
        body.push(&chunk);
        wipe(chunk);
    }
    Ok(body)
}

/// Overwrites what the client received, where this was the last reference to it.
fn wipe(bytes: Bytes) {
    if let Ok(mut bytes) = bytes.try_into_mut() {
        bytes.as_mut().zeroize();
    }
}

fn explain(error: reqwest::Error) -> Error {
    let error = error.without_url();
    let explained = match tls_error(&error).filter(|_| error.is_connect()) {
        Some(tls) => Error::untrusted(tls_advice(tls)),
        None if error.is_connect() => Error::unreachable("no connection to the server"),
        None if error.is_timeout() => Error::unavailable("the answer did not come in time"),
        None if error.is_body() || error.is_decode() => Error::unavailable("the answer broke off"),
        None => Error::unavailable("the request was not answered"),
    };
    explained.with_cause(&error)
}

fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref() {
            return Some(tls);
        }
        // An `io::Error` has what it wraps in `get_ref`; its `source` is one further down.
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
        // A bad signature is that of an issuer with a trusted one's name.
        rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature) => {
            "the server's certificate has an unknown issuer; add its root certificate if you trust it"
        }
        rustls::Error::InvalidCertificate(_) => "the server's certificate is not valid",
        _ => "the TLS handshake failed",
    }
}

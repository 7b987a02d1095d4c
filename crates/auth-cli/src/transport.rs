//! The HTTP client. It also trusts the root certificates of `AUTH_CA_FILE`, and is built only if a login needs it.

use std::env;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use auth_all::core::{Error, Request, ReqwestTransport, Response, Transport};
use reqwest::{Certificate, Client, ClientBuilder};

use crate::error::{CliError, Result};

const CA_FILE: &str = "AUTH_CA_FILE";

const USER_AGENT: &str = concat!("auth/", env!("CARGO_PKG_VERSION"));

/// Returns a client that trusts the certificates in `AUTH_CA_FILE` and those of the system.
pub(crate) fn client_builder() -> Result<ClientBuilder> {
    Ok(Client::builder().user_agent(USER_AGENT).tls_certs_merge(extra_roots()?))
}

fn extra_roots() -> Result<Vec<Certificate>> {
    let Some(path) = env::var_os(CA_FILE).filter(|path| !path.is_empty()) else { return Ok(Vec::new()) };
    let usage = |problem: String| CliError::usage(format!("{CA_FILE}: {} {problem}", path.display()));
    let pem = fs::read(&path).map_err(|error| usage(format!("cannot be read: {error}")))?;
    let roots = Certificate::from_pem_bundle(&pem).map_err(|_| usage("is not a file of PEM certificates".into()))?;
    if roots.is_empty() { Err(usage("contains no certificate".into())) } else { Ok(roots) }
}

/// A transport that is built before the first login.
///
/// Loading the root certificates takes longer than the rest of the program, and a cached token needs none.
#[derive(Debug, Clone, Default)]
pub(crate) struct LazyTransport(Arc<Lazy>);

#[derive(Debug, Default)]
struct Lazy {
    built: OnceLock<ReqwestTransport>,
    was_used: AtomicBool,
}

impl LazyTransport {
    /// Builds the transport on the first call.
    ///
    /// A session calls this before it logs in. If `send` built it, an error in `AUTH_CA_FILE` would look like a failed
    /// login and would be remembered as one.
    pub(crate) fn build(&self) -> Result<&ReqwestTransport> {
        if let Some(built) = self.0.built.get() {
            return Ok(built);
        }
        let built = ReqwestTransport::from_client_builder(client_builder()?)?;
        Ok(self.0.built.get_or_init(|| built))
    }

    /// Returns whether a request has been sent.
    pub(crate) fn was_used(&self) -> bool {
        self.0.was_used.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Transport for LazyTransport {
    async fn send(&self, request: Request) -> std::result::Result<Response, Error> {
        self.0.was_used.store(true, Ordering::Relaxed);
        match self.0.built.get() {
            Some(built) => built.send(request).await,
            None => unreachable!("the session builds the transport before it logs in"),
        }
    }
}

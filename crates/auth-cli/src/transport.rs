//! The HTTP client: with the root certificates of `AUTH_CA_FILE`, and only where it is needed.

use std::env;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use auth_all::core::{Error, Request, ReqwestTransport, Response, Transport};
use reqwest::{Certificate, Client, ClientBuilder};

use crate::failure::{Failure, Result};

const CA_FILE: &str = "AUTH_CA_FILE";

const AGENT: &str = concat!("auth/", env!("CARGO_PKG_VERSION"));

/// A client that trusts what `AUTH_CA_FILE` names, too.
pub(crate) fn client() -> Result<ClientBuilder> {
    Ok(Client::builder().user_agent(AGENT).tls_certs_merge(more_roots()?))
}

fn more_roots() -> Result<Vec<Certificate>> {
    let Some(path) = env::var_os(CA_FILE).filter(|path| !path.is_empty()) else { return Ok(Vec::new()) };
    let at = |problem: String| Failure::usage(format!("{CA_FILE} names {}, {problem}", path.display()));
    let pem = fs::read(&path).map_err(|error| at(format!("which cannot be read: {error}")))?;
    let roots = Certificate::from_pem_bundle(&pem).map_err(|_| at("which is not of PEM certificates".into()))?;
    if roots.is_empty() { Err(at("which holds no certificate".into())) } else { Ok(roots) }
}

/// Reads the root certificates with the first login: a cached token needs none, and they take longer than the rest.
#[derive(Debug, Clone, Default)]
pub(crate) struct LazyTransport(Arc<Lazy>);

#[derive(Debug, Default)]
struct Lazy {
    built: OnceLock<ReqwestTransport>,
    was_used: AtomicBool,
}

impl LazyTransport {
    /// Builds it, so that what is wrong with it is told as such, and not remembered as a failure of the login.
    pub(crate) fn build(&self) -> Result<&ReqwestTransport> {
        if let Some(built) = self.0.built.get() {
            return Ok(built);
        }
        let built = ReqwestTransport::from_client_builder(client()?)?;
        Ok(self.0.built.get_or_init(|| built))
    }

    /// Whether a request was made.
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
            None => unreachable!("a session builds it before it logs in"),
        }
    }
}

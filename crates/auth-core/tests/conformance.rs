//! That the conformance suite finds what it looks for: providers, transports and stores that break one promise each.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use auth_core::conformance;
use auth_core::http::{HeaderName, HeaderValue, StatusCode};
use auth_core::store::{Change, EntryName, Fence, Lease, Sealing, Snapshot, TokenStore};
use auth_core::testing::{MemoryStore, TestProvider};
use auth_core::{Body, Error, Failure, Grant, Provider, Request, Response, Secret, Transport, async_trait};

/// One fault of a provider.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    ShowsSecret,
    PlainHeader,
    RandomIdentity,
    OneIdentity,
    ShowsServersText,
}

struct Flawed {
    inner: TestProvider,
    secret: String,
    fault: Fault,
}

impl fmt::Debug for Flawed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if self.fault == Fault::ShowsSecret { &self.secret } else { "" };
        write!(f, "Flawed({shown})")
    }
}

impl Provider for Flawed {
    fn name(&self) -> &'static str {
        "flawed"
    }

    fn login(&self) -> Request {
        let login = self.inner.login();
        if self.fault != Fault::PlainHeader {
            return login;
        }
        login.with_header(HeaderName::from_static("x-key"), HeaderValue::from_str(&self.secret).unwrap())
    }

    fn identity(&self) -> Option<Request> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        match self.fault {
            Fault::RandomIdentity => {
                let count = COUNT.fetch_add(1, Ordering::Relaxed);
                Some(self.login().with_header(HeaderName::from_static("x-count"), count.into()))
            }
            Fault::OneIdentity => Some(TestProvider::new("anybody").login()),
            _ => Some(self.login()),
        }
    }

    fn read(&self, response: &Response) -> Result<Grant, Failure> {
        match self.fault {
            Fault::ShowsServersText => {
                let text: &'static str = String::from_utf8_lossy(response.body()).into_owned().leak();
                self.inner.read(response).map_err(|_| Failure::malformed(text))
            }
            _ => self.inner.read(response),
        }
    }
}

fn provider(fault: Fault) {
    conformance::provider(
        |secret| Flawed { inner: TestProvider::new(secret), secret: secret.into(), fault },
        |token| format!(r#"{{"token":"{token}","life":600}}"#),
        (400, r#"{"error":"wrong_password"}"#),
    );
}

#[test]
fn a_good_provider_passes() {
    provider(Fault::None);
}

#[test]
#[should_panic(expected = "K1: the secret is shown")]
fn a_secret_in_debug_is_found() {
    provider(Fault::ShowsSecret);
}

#[test]
#[should_panic(expected = "K3: the header `x-key`")]
fn a_header_that_is_not_sensitive_is_found() {
    provider(Fault::PlainHeader);
}

#[test]
#[should_panic(expected = "S10: one identity twice")]
fn an_identity_with_a_random_part_is_found() {
    provider(Fault::RandomIdentity);
}

#[test]
#[should_panic(expected = "S10: two secrets have one identity")]
fn an_identity_without_the_secret_is_found() {
    provider(Fault::OneIdentity);
}

#[test]
#[should_panic(expected = "R6: status 200")]
fn a_refusal_under_another_status_is_looked_at() {
    provider(Fault::ShowsServersText);
}

/// A transport with one fault, over a socket of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    /// It answers by itself.
    Fakes,
    /// It says of everything that it was not sent.
    NeverSent,
}

#[async_trait]
impl Transport for Flaw {
    async fn send(&self, _: Request) -> Result<Response, Error> {
        match self {
            Self::Fakes => Ok(Response::new(StatusCode::OK, Default::default(), Body::from(b"{}".to_vec()))),
            Self::NeverSent => Err(Error::unreachable("no connection")),
        }
    }
}

#[test]
#[should_panic(expected = "`Date` is kept")]
fn a_transport_that_makes_answers_up_is_found() {
    conformance::transport(|| Flaw::Fakes);
}

#[test]
#[should_panic(expected = "an answer is an error")]
fn a_transport_that_fails_is_found() {
    conformance::transport(|| Flaw::NeverSent);
}

/// A store with one fault.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Leak {
    /// Leases are given to everybody.
    Leases,
    /// Whoever comes late saves all the same.
    LateSaves,
    /// A refresh token can be taken twice.
    Refreshes,
    /// A rejected token stays.
    Rejected,
}

#[derive(Debug)]
struct Leaky {
    inner: MemoryStore,
    leak: Leak,
}

#[async_trait]
impl TokenStore for Leaky {
    fn name(&self) -> &'static str {
        "leaky"
    }

    fn sealing(&self) -> &Sealing {
        self.inner.sealing()
    }

    async fn load(&self, name: &EntryName) -> Result<Snapshot, Error> {
        self.inner.load(name).await
    }

    async fn lease(&self, name: &EntryName, known: Fence, ttl: Duration) -> Result<(Lease, Snapshot), Error> {
        let (lease, snapshot) = self.inner.lease(name, known, ttl).await?;
        let granted =
            if let (Lease::Held(_), Leak::Leases) = (lease, self.leak) { Lease::Granted(Fence(1)) } else { lease };
        Ok((granted, snapshot))
    }

    async fn claim_refresh(&self, name: &EntryName, lease: Fence) -> Result<Option<Secret>, Error> {
        if self.leak == Leak::Refreshes {
            let entries = self.inner.entries();
            let entry = entries.into_iter().find(|(known, _)| known == name);
            return Ok(entry.and_then(|(_, record)| record.refresh));
        }
        self.inner.claim_refresh(name, lease).await
    }

    async fn save(&self, name: &EntryName, lease: Fence, change: Change) -> Result<bool, Error> {
        let is_saved = self.inner.save(name, lease, change).await?;
        Ok(is_saved || self.leak == Leak::LateSaves)
    }

    async fn release(&self, name: &EntryName, lease: Fence) -> Result<(), Error> {
        self.inner.release(name, lease).await
    }

    async fn forget(&self, name: &EntryName, saved: Fence) -> Result<(), Error> {
        if self.leak == Leak::Rejected { Ok(()) } else { self.inner.forget(name, saved).await }
    }
}

fn store(leak: Leak) {
    let store: Arc<dyn TokenStore> = Arc::new(Leaky { inner: MemoryStore::new(), leak });
    conformance::store(|| store.clone());
}

#[test]
#[should_panic(expected = "lease at step")]
fn a_lease_for_two_is_found() {
    store(Leak::Leases);
}

#[test]
#[should_panic(expected = "P5: save at step")]
fn a_late_save_is_found() {
    store(Leak::LateSaves);
}

#[test]
#[should_panic(expected = "P5: claim at step")]
fn a_refresh_token_for_two_is_found() {
    store(Leak::Refreshes);
}

#[test]
#[should_panic(expected = "at step")]
fn a_rejected_token_that_stays_is_found() {
    store(Leak::Rejected);
}

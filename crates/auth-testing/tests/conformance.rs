//! Checks that the conformance suites detect providers, transports and stores that break one promise each.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use auth_core::http::{HeaderName, HeaderValue, StatusCode};
use auth_core::store::{EntryName, EntryUpdate, LeaseNumber, LeaseOutcome, Sealing, Snapshot, TokenStore};
use auth_core::{
    Error, ErrorResponse, Provider, RefreshToken, Request, Response, Secret, SecretBytes, TokenResponse, Transport,
    async_trait,
};
use auth_testing::conformance;
use auth_testing::{MemoryStore, TestProvider};

/// Selects how a provider breaks its promises, if at all.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// No fault: the login request has a nonce, but the identity has none.
    Nonce,
    /// No fault: the login request has a timestamp, which is the same for two requests in a row.
    Timestamp,
    ShowsSecret,
    PlainHeader,
    RandomIdentity,
    OneIdentity,
    ShowsServerText,
    PlainRefresh,
    Milliseconds,
}

struct Flawed {
    inner: TestProvider,
    secret: String,
    fault: Fault,
}

impl fmt::Debug for Flawed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In capital letters, so that a search for the secret does not find it.
        let shown = if self.fault == Fault::ShowsSecret { self.secret.to_uppercase() } else { String::new() };
        write!(f, "Flawed({shown})")
    }
}

impl Provider for Flawed {
    fn name(&self) -> &'static str {
        "flawed"
    }

    fn login_request(&self) -> Request {
        let login = self.inner.login_request();
        match self.fault {
            Fault::PlainHeader => {
                login.with_header(HeaderName::from_static("x-key"), HeaderValue::from_str(&self.secret).unwrap())
            }
            Fault::Nonce | Fault::RandomIdentity => login.with_header(HeaderName::from_static("x-nonce"), count(1)),
            Fault::Timestamp => login.with_header(HeaderName::from_static("x-time"), count(2)),
            _ => login,
        }
    }

    fn refresh_request(&self, token: &RefreshToken) -> Option<Request> {
        if self.fault != Fault::PlainRefresh {
            return Some(self.inner.login_request().with_form(&[("refresh_token", token.expose())]));
        }
        let header = HeaderValue::from_str(token.expose()).ok()?;
        Some(self.inner.login_request().with_header(HeaderName::from_static("x-refresh"), header))
    }

    fn identity(&self) -> Option<Request> {
        Some(match self.fault {
            Fault::RandomIdentity => self.login_request(),
            Fault::OneIdentity => TestProvider::new("anybody").login_request(),
            _ => self.inner.login_request(),
        })
    }

    fn read_response(&self, response: &Response) -> Result<TokenResponse, ErrorResponse> {
        match self.fault {
            Fault::ShowsServerText => {
                let text: &'static str = String::from_utf8_lossy(response.body()).into_owned().leak();
                self.inner.read_response(response).map_err(|_| ErrorResponse::malformed(text))
            }
            _ => Ok(self.inner.read_response(response)?.with_refresh_token("fake-refresh".into(), None)),
        }
    }
}

/// Returns a counter that rises by one after each `steps` calls.
fn count(steps: u64) -> HeaderValue {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    (COUNT.fetch_add(1, Ordering::Relaxed) / steps).into()
}

fn provider(fault: Fault) {
    conformance::provider(
        |secret| Flawed { inner: TestProvider::new(secret), secret: secret.into(), fault },
        move |token, lifetime| {
            let unit = if fault == Fault::Milliseconds { 1000 } else { 1 };
            format!(r#"{{"token":"{token}","expires_in":{}}}"#, lifetime.as_secs() * unit)
        },
        (400, r#"{"error":"wrong_password"}"#),
    );
}

#[test]
fn a_provider_without_a_fault_passes() {
    provider(Fault::None);
    provider(Fault::Nonce);
    provider(Fault::Timestamp);
}

#[test]
#[should_panic(expected = "K1: `Debug`")]
fn a_secret_in_debug_output_is_detected() {
    provider(Fault::ShowsSecret);
}

#[test]
#[should_panic(expected = "K3: the header `x-key`")]
fn a_secret_in_a_header_that_is_not_sensitive_is_detected() {
    provider(Fault::PlainHeader);
}

#[test]
#[should_panic(expected = "S10: `identity` must return the same request for the same credentials")]
fn an_identity_with_a_random_part_is_detected() {
    provider(Fault::RandomIdentity);
}

#[test]
#[should_panic(expected = "S10: `identity` must differ for two different secrets")]
fn an_identity_without_the_secret_is_detected() {
    provider(Fault::OneIdentity);
}

#[test]
#[should_panic(expected = "K1: the error for status 200 must not contain the secret")]
fn an_error_that_repeats_the_secret_from_a_response_is_detected() {
    provider(Fault::ShowsServerText);
}

#[test]
#[should_panic(expected = "K3: the header `x-refresh`")]
fn a_refresh_token_in_a_header_that_is_not_sensitive_is_detected() {
    provider(Fault::PlainRefresh);
}

#[test]
#[should_panic(expected = "F7: lifetimes of 60s and 3600s were read as")]
fn a_lifetime_in_another_unit_is_detected() {
    provider(Fault::Milliseconds);
}

/// A transport with one fault.
#[derive(Debug, Clone, Copy, PartialEq)]
enum FlawedTransport {
    /// It sends nothing and makes up a response.
    MakesUpResponses,
    /// It sends nothing and reports each request as not sent.
    NeverSends,
}

#[async_trait]
impl Transport for FlawedTransport {
    async fn send(&self, _: Request) -> Result<Response, Error> {
        match self {
            Self::MakesUpResponses => {
                Ok(Response::new(StatusCode::OK, Default::default(), SecretBytes::from(b"{}".to_vec())))
            }
            Self::NeverSends => Err(Error::unreachable("no connection")),
        }
    }
}

#[test]
#[should_panic(expected = "F5: the response must keep its `Date` header")]
fn a_transport_that_makes_up_responses_is_detected() {
    conformance::transport(|| FlawedTransport::MakesUpResponses);
}

#[test]
#[should_panic(expected = "R6: a response with status 200 must be returned")]
fn a_transport_that_always_fails_is_detected() {
    conformance::transport(|| FlawedTransport::NeverSends);
}

mod over_http {
    use auth_core::ReqwestTransport;
    use tokio::runtime::Handle;
    use tokio::task::block_in_place;

    use super::*;

    /// A reqwest client with its default settings.
    #[derive(Debug)]
    struct DefaultClient(reqwest::Client);

    #[async_trait]
    impl Transport for DefaultClient {
        async fn send(&self, request: Request) -> Result<Response, Error> {
            let request = request.into_http().map(|body| body.into_bytes()).try_into().unwrap();
            let response = self.0.execute(request).await.map_err(|_| Error::malformed("no response"))?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = response.bytes().await.map_err(|_| Error::malformed("no body"))?;
            Ok(Response::new(status, headers, SecretBytes::from(body.to_vec())))
        }
    }

    #[test]
    #[should_panic(expected = "T1: a redirect with status 301 was followed")]
    fn a_client_that_follows_redirects_is_detected() {
        conformance::transport(|| DefaultClient(reqwest::Client::new()));
    }

    /// A transport that blocks its thread while it waits.
    #[derive(Debug)]
    struct Blocking(ReqwestTransport);

    #[async_trait]
    impl Transport for Blocking {
        async fn send(&self, request: Request) -> Result<Response, Error> {
            block_in_place(|| Handle::current().block_on(self.0.send(request)))
        }
    }

    #[test]
    #[should_panic(expected = "T3: a transport must not block its thread")]
    fn a_transport_that_blocks_its_thread_is_detected() {
        conformance::transport(|| Blocking(ReqwestTransport::new().unwrap()));
    }
}

/// Selects how a store breaks its promises.
#[derive(Debug, Clone, Copy, PartialEq)]
enum StoreFlaw {
    /// It grants a lease that another process holds.
    SharedLeases,
    /// It reports a save with an old lease as done.
    LateSaves,
    /// It returns a refresh token to each claim.
    RepeatedClaims,
    /// It keeps entries a thousand times as long as asked.
    LongLifetimes,
    /// It never responds, and a thread waits for it.
    Hangs,
    /// It does not remove a rejected token.
    KeepsRejected,
}

#[derive(Debug)]
struct FlawedStore {
    inner: MemoryStore,
    flaw: StoreFlaw,
}

#[async_trait]
impl TokenStore for FlawedStore {
    fn name(&self) -> &'static str {
        "flawed"
    }

    fn sealing(&self) -> &Sealing {
        self.inner.sealing()
    }

    async fn load(&self, name: &EntryName) -> Result<Snapshot, Error> {
        if self.flaw == StoreFlaw::Hangs {
            tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_secs(3600))).await.unwrap();
        }
        self.inner.load(name).await
    }

    async fn lease(
        &self,
        name: &EntryName,
        known: LeaseNumber,
        ttl: Duration,
    ) -> Result<(LeaseOutcome, Snapshot), Error> {
        let (lease, snapshot) = self.inner.lease(name, known, ttl).await?;
        let outcome = if let (LeaseOutcome::Held(_), StoreFlaw::SharedLeases) = (lease, self.flaw) {
            LeaseOutcome::Granted(LeaseNumber(1))
        } else {
            lease
        };
        Ok((outcome, snapshot))
    }

    async fn claim_refresh(&self, name: &EntryName, lease: LeaseNumber) -> Result<Option<Secret>, Error> {
        if self.flaw == StoreFlaw::RepeatedClaims {
            let entries = self.inner.entries();
            let entry = entries.into_iter().find(|(known, _)| known == name);
            return Ok(entry.and_then(|(_, record)| record.refresh));
        }
        self.inner.claim_refresh(name, lease).await
    }

    async fn save(&self, name: &EntryName, lease: LeaseNumber, mut update: EntryUpdate) -> Result<bool, Error> {
        if self.flaw == StoreFlaw::LongLifetimes {
            update.ttl *= 1000;
        }
        let is_saved = self.inner.save(name, lease, update).await?;
        Ok(is_saved || self.flaw == StoreFlaw::LateSaves)
    }

    async fn release(&self, name: &EntryName, lease: LeaseNumber) -> Result<(), Error> {
        self.inner.release(name, lease).await
    }

    async fn forget(&self, name: &EntryName, saved: LeaseNumber) -> Result<(), Error> {
        if self.flaw == StoreFlaw::KeepsRejected { Ok(()) } else { self.inner.forget(name, saved).await }
    }
}

fn store(flaw: StoreFlaw) {
    let store: Arc<dyn TokenStore> = Arc::new(FlawedStore { inner: MemoryStore::new(), flaw });
    conformance::store(|| store.clone());
}

#[test]
#[should_panic(expected = "P3: `lease` at step")]
fn a_lease_granted_to_two_processes_is_detected() {
    store(StoreFlaw::SharedLeases);
}

#[test]
#[should_panic(expected = "P5: `save` at step")]
fn a_save_with_an_old_lease_is_detected() {
    store(StoreFlaw::LateSaves);
}

#[test]
#[should_panic(expected = "at step")]
fn a_refresh_token_claimed_twice_is_detected() {
    store(StoreFlaw::RepeatedClaims);
}

#[test]
#[should_panic(expected = "at step")]
fn a_rejected_token_that_stays_is_detected() {
    store(StoreFlaw::KeepsRejected);
}

#[test]
#[should_panic(expected = "P6: an entry must end")]
fn an_entry_that_does_not_end_is_detected() {
    store(StoreFlaw::LongLifetimes);
}

#[test]
#[should_panic(expected = "P4: a call to the store must return within")]
fn a_store_that_hangs_is_detected() {
    store(StoreFlaw::Hangs);
}

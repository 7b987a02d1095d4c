//! That the conformance suite finds what it looks for: providers, transports and stores that break one promise each.
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

/// One fault of a provider.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// None either: an identity without it.
    Nonce,
    /// None either: a time that is the same for two requests in a row.
    Timestamp,
    ShowsSecret,
    PlainHeader,
    RandomIdentity,
    OneIdentity,
    ShowsServersText,
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
        // In capitals, so not as it stands.
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
        let grant = || Ok(self.inner.read_response(response)?.with_refresh_token("fake-refresh".into(), None));
        match self.fault {
            Fault::ShowsServersText => {
                let text: &'static str = String::from_utf8_lossy(response.body()).into_owned().leak();
                self.inner.read_response(response).map_err(|_| ErrorResponse::malformed(text))
            }
            _ => grant(),
        }
    }
}

/// A counter that goes up after `steps` calls.
fn count(steps: u64) -> HeaderValue {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    (COUNT.fetch_add(1, Ordering::Relaxed) / steps).into()
}

fn provider(fault: Fault) {
    conformance::provider(
        |secret| Flawed { inner: TestProvider::new(secret), secret: secret.into(), fault },
        move |token, life| {
            let unit = if fault == Fault::Milliseconds { 1000 } else { 1 };
            format!(r#"{{"token":"{token}","expires_in":{}}}"#, life.as_secs() * unit)
        },
        (400, r#"{"error":"wrong_password"}"#),
    );
}

#[test]
fn a_good_provider_passes() {
    provider(Fault::None);
    provider(Fault::Nonce);
    provider(Fault::Timestamp);
}

#[test]
#[should_panic(expected = "K1: `Debug`")]
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
#[should_panic(expected = "K1: the error to status 200")]
fn a_servers_text_in_an_error_is_found() {
    provider(Fault::ShowsServersText);
}

#[test]
#[should_panic(expected = "K3: the header `x-refresh`")]
fn a_refresh_token_that_is_shown_is_found() {
    provider(Fault::PlainRefresh);
}

#[test]
#[should_panic(expected = "F7: 60s and 3600s are read as")]
fn a_life_in_another_unit_is_found() {
    provider(Fault::Milliseconds);
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
            Self::Fakes => Ok(Response::new(StatusCode::OK, Default::default(), SecretBytes::from(b"{}".to_vec()))),
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
#[should_panic(expected = "an answer is an error, or went through a proxy")]
fn a_transport_that_fails_is_found() {
    conformance::transport(|| Flaw::NeverSent);
}

mod over_http {
    use auth_core::ReqwestTransport;
    use tokio::runtime::Handle;
    use tokio::task::block_in_place;

    use super::*;

    /// A client as it comes.
    #[derive(Debug)]
    struct Bare(reqwest::Client);

    #[async_trait]
    impl Transport for Bare {
        async fn send(&self, request: Request) -> Result<Response, Error> {
            let request = request.into_http().map(|body| body.into_bytes()).try_into().unwrap();
            let answer = self.0.execute(request).await.map_err(|_| Error::malformed("no answer"))?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let body = answer.bytes().await.map_err(|_| Error::malformed("no body"))?;
            Ok(Response::new(status, headers, SecretBytes::from(body.to_vec())))
        }
    }

    #[test]
    #[should_panic(expected = "T1: a redirect was followed")]
    fn a_client_that_follows_redirects_is_found() {
        conformance::transport(|| Bare(reqwest::Client::new()));
    }

    /// Waits with its thread.
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
    fn a_transport_that_blocks_is_found() {
        conformance::transport(|| Blocking(ReqwestTransport::new().unwrap()));
    }
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
    /// Entries stay for a thousand times as long.
    Life,
    /// No answer comes, and a thread waits for it.
    Answers,
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
        if self.leak == Leak::Answers {
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
        let granted = if let (LeaseOutcome::Held(_), Leak::Leases) = (lease, self.leak) {
            LeaseOutcome::Granted(LeaseNumber(1))
        } else {
            lease
        };
        Ok((granted, snapshot))
    }

    async fn claim_refresh(&self, name: &EntryName, lease: LeaseNumber) -> Result<Option<Secret>, Error> {
        if self.leak == Leak::Refreshes {
            let entries = self.inner.entries();
            let entry = entries.into_iter().find(|(known, _)| known == name);
            return Ok(entry.and_then(|(_, record)| record.refresh));
        }
        self.inner.claim_refresh(name, lease).await
    }

    async fn save(&self, name: &EntryName, lease: LeaseNumber, mut change: EntryUpdate) -> Result<bool, Error> {
        if self.leak == Leak::Life {
            change.ttl *= 1000;
        }
        let is_saved = self.inner.save(name, lease, change).await?;
        Ok(is_saved || self.leak == Leak::LateSaves)
    }

    async fn release(&self, name: &EntryName, lease: LeaseNumber) -> Result<(), Error> {
        self.inner.release(name, lease).await
    }

    async fn forget(&self, name: &EntryName, saved: LeaseNumber) -> Result<(), Error> {
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

#[test]
#[should_panic(expected = "P6: an entry")]
fn an_entry_that_stays_is_found() {
    store(Leak::Life);
}

#[test]
#[should_panic(expected = "the store does not answer")]
fn a_store_that_hangs_is_told() {
    store(Leak::Answers);
}

//! Helpers for the tests of one manager.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::credentials::IntoCredentials;
use auth_core::http::{HeaderMap, StatusCode};
use auth_core::{
    AccessToken, Error, Policy, Request, Response, SecretBytes, TokenManager, TokenManagerBuilder, Transport,
    async_trait,
};
use auth_testing::{Script, ScriptedResponse, TestProvider};
use tokio::time::sleep;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};

pub(crate) type Manager = TokenManager;

pub(crate) const LIFETIMES: [u64; 6] = [5, 10, 60, 300, 1800, 86400];

pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

pub(crate) fn manager(script: &Script) -> Manager {
    script.manager()
}

pub(crate) fn manager_with(script: &Script, policy: Policy) -> Manager {
    script.builder().with_policy(policy).build().unwrap()
}

/// Returns a token after two seconds.
pub(crate) fn slow(token: &str, lifetime: u64) -> ScriptedResponse {
    ScriptedResponse::token(token, lifetime).after(seconds(2.0))
}

/// Calls `token` from this number of tasks at the same time and returns their results.
pub(crate) async fn stampede(tokens: &Manager, callers: usize) -> Vec<Result<AccessToken, Error>> {
    let calls: Vec<_> = (0..callers)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::spawn(async move { tokens.token().await })
        })
        .collect();
    let mut results = Vec::new();
    for call in calls {
        results.push(call.await.unwrap());
    }
    results
}

/// A login server that knows one password at a time. Its tokens have the name of the password and a number.
#[derive(Debug, Clone)]
pub(crate) struct Server(Arc<ServerState>);

#[derive(Debug)]
struct ServerState {
    password: Mutex<String>,
    lifetime: u64,
    delay: Duration,
    logins: AtomicUsize,
    refusals: AtomicUsize,
}

impl Server {
    /// Creates a server whose tokens live for `lifetime` seconds, and arrive after `delay` seconds.
    pub(crate) fn new(password: &str, lifetime: u64, delay: f64) -> Self {
        let (logins, refusals) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let password = Mutex::new(password.to_owned());
        Self(Arc::new(ServerState { password, lifetime, delay: seconds(delay), logins, refusals }))
    }

    pub(crate) fn set_password(&self, password: &str) {
        *self.0.password.lock().unwrap() = password.to_owned();
    }

    /// Returns the number of successful logins.
    pub(crate) fn logins(&self) -> usize {
        self.0.logins.load(Ordering::SeqCst)
    }

    pub(crate) fn refusals(&self) -> usize {
        self.0.refusals.load(Ordering::SeqCst)
    }

    /// Returns the builder of a manager with the password `password`.
    pub(crate) fn builder(&self) -> TokenManagerBuilder {
        self.builder_for(TestProvider::new("password"))
    }

    pub(crate) fn builder_for<Kind>(&self, credentials: impl IntoCredentials<Kind>) -> TokenManagerBuilder {
        Script::default().builder_for(credentials).with_transport(self.clone())
    }
}

#[async_trait]
impl Transport for Server {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let password = str::from_utf8(request.body()).unwrap().trim_start_matches("by=");
        let (status, body) = if *password == **self.0.password.lock().unwrap() {
            let number = self.0.logins.fetch_add(1, Ordering::SeqCst) + 1;
            let lifetime = self.0.lifetime;
            (StatusCode::OK, format!(r#"{{"token":"{password}-{number}","expires_in":{lifetime}}}"#))
        } else {
            self.0.refusals.fetch_add(1, Ordering::SeqCst);
            (StatusCode::UNAUTHORIZED, r#"{"error":"refused"}"#.to_owned())
        };
        sleep(self.0.delay).await;
        Ok(Response::new(status, HeaderMap::new(), SecretBytes::from(body.into_bytes())))
    }
}

/// Counts the warnings with one target.
#[derive(Debug, Clone)]
pub(crate) struct Warnings {
    target: &'static str,
    count: Arc<AtomicUsize>,
}

impl Warnings {
    pub(crate) fn log(target: &'static str) -> (Self, DefaultGuard) {
        let warnings = Self { target, count: Arc::default() };
        let guard = tracing::subscriber::set_default(warnings.clone());
        // Another test may be registering an event at this instant. It would be cached as disabled, because that test has
        // no subscriber.
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(2));
            tracing::callsite::rebuild_interest_cache();
        }
        (warnings, guard)
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == self.target && *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

//! The state of the sandbox.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::{Api, Fault};

/// Counts the requests to one API and their results.
///
/// ```
/// use auth_sandbox::{Api, Sandbox};
///
/// let sandbox = Sandbox::start()?;
/// let counters = sandbox.counters(Api::Zoqq);
/// assert_eq!((counters.requests, counters.logins), (0, 0));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Requests to the login endpoint, and for Voipex also to the token exchange, successful or not.
    pub requests: u64,
    /// Tokens issued for credentials.
    pub logins: u64,
    /// Tokens issued for refresh tokens (Voipex).
    pub refreshes: u64,
    /// Tokens issued by the token exchange (Voipex).
    pub exchanges: u64,
    /// Requests whose credentials or refresh token were refused.
    pub refusals: u64,
    /// Requests to the protected resource with a valid token of this API.
    pub served: u64,
}

#[derive(Debug)]
pub(crate) struct PerApi {
    pub(crate) counters: Counters,
    pub(crate) next_faults: VecDeque<Fault>,
    pub(crate) permanent_fault: Option<Fault>,
    pub(crate) lifetime: Duration,
}

#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) api: Api,
    pub(crate) expires_at: Instant,
}

/// The state that only Voipex has.
#[derive(Debug, Default)]
pub(crate) struct VoipexState {
    pub(crate) is_rotating: bool,
    pub(crate) lockout: Option<Duration>,
    pub(crate) last_failure: Option<Instant>,
    pub(crate) locked_until: Option<Instant>,
    /// Maps each refresh token to its session.
    pub(crate) refresh_tokens: HashMap<String, String>,
    /// Maps each active session to its newest refresh token.
    pub(crate) sessions: HashMap<String, String>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    apis: HashMap<Api, PerApi>,
    pub(crate) tokens: HashMap<String, Issued>,
    pub(crate) date_skew: i64,
    pub(crate) voipex: VoipexState,
}

impl Inner {
    pub(crate) fn api(&mut self, api: Api) -> &mut PerApi {
        self.apis.entry(api).or_insert_with(|| PerApi {
            counters: Counters::default(),
            next_faults: VecDeque::new(),
            permanent_fault: None,
            lifetime: match api {
                Api::Zoqq | Api::Roecny => Duration::from_secs(1800),
                Api::Cambyopro => Duration::from_secs(86400),
                Api::Voipex => Duration::from_secs(3000),
            },
        })
    }

    /// Records a token of `api`, and returns it with its lifetime in seconds.
    pub(crate) fn issue(&mut self, api: Api, token: String) -> (String, u64) {
        let lifetime = self.api(api).lifetime;
        self.tokens.insert(token.clone(), Issued { api, expires_at: Instant::now() + lifetime });
        (token, lifetime.as_secs())
    }

    /// Issues a JWT, as Zoqq, Roecny and Voipex do, and returns it with its `exp` in seconds since the epoch.
    pub(crate) fn issue_jwt(&mut self, api: Api) -> (String, u64) {
        let issued_at = now();
        let expires_at = issued_at + self.api(api).lifetime.as_secs();
        let claims = json!({ "type": "sandbox", "jti": random(16), "iat": issued_at, "exp": expires_at });
        let [header, claims] = [json!({ "alg": "none" }), claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signature = URL_SAFE_NO_PAD.encode(random(32));
        let (token, _) = self.issue(api, format!("{header}.{claims}.{signature}"));
        (token, expires_at)
    }
}

#[derive(Debug)]
pub(crate) struct State(Mutex<Inner>);

impl Default for State {
    fn default() -> Self {
        Self(Mutex::new(Inner {
            apis: HashMap::new(),
            tokens: HashMap::new(),
            date_skew: 0,
            voipex: VoipexState::default(),
        }))
    }
}

impl State {
    pub(crate) fn with<R>(&self, access: impl FnOnce(&mut Inner) -> R) -> R {
        access(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts a login request to `api`, and returns the response with the next fault applied, if there is one.
    ///
    /// A fault with a fixed response drops `response` without polling it, so the request is not processed.
    pub(crate) async fn login(&self, api: Api, response: impl Future<Output = Response>) -> Response {
        let fault = self.with(|inner| {
            let api = inner.api(api);
            api.counters.requests += 1;
            api.next_faults.pop_front().or_else(|| api.permanent_fault.clone())
        });
        let Some(fault) = fault else {
            return response.await;
        };
        match fault.fixed_response() {
            Some(fixed) => fixed,
            None => fault.apply(response.await).await,
        }
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Returns this many random letters and digits, which are not fit for secrets.
pub(crate) fn random(length: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(length).collect()
}

//! What the sandbox remembers.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::{Api, Fault};

/// Counts what was asked of one API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Requests to the login endpoint (Voipex: also to the token exchange), of any outcome.
    pub requests: u64,
    /// Tokens issued for credentials.
    pub logins: u64,
    /// Tokens issued for refresh tokens (Voipex).
    pub refreshes: u64,
    /// Tokens issued for another user's token (Voipex).
    pub exchanges: u64,
    /// Requests whose credentials or refresh token were refused.
    pub refusals: u64,
    /// Requests to the protected resource with a valid token of this API.
    pub served: u64,
}

#[derive(Debug)]
pub(crate) struct PerApi {
    pub(crate) counters: Counters,
    pub(crate) once: VecDeque<Fault>,
    pub(crate) always: Option<Fault>,
    pub(crate) lifetime: Duration,
}

#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) api: Api,
    pub(crate) until: Instant,
}

/// What only Voipex has.
#[derive(Debug, Default)]
pub(crate) struct VoipexState {
    pub(crate) is_rotating: bool,
    pub(crate) lockout: Option<Duration>,
    pub(crate) last_failure: Option<Instant>,
    pub(crate) locked_until: Option<Instant>,
    /// From each refresh token to its session.
    pub(crate) refresh_tokens: HashMap<String, String>,
    /// From each live session to its newest refresh token.
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
            once: VecDeque::new(),
            always: None,
            lifetime: match api {
                Api::Zoqq | Api::Roecny => Duration::from_secs(1800),
                Api::Cambyopro => Duration::from_secs(86400),
                Api::Voipex => Duration::from_secs(3000),
            },
        })
    }

    /// Remembers a token of `api` and gives it with its life in seconds.
    pub(crate) fn issue(&mut self, api: Api, token: String) -> (String, u64) {
        let lifetime = self.api(api).lifetime;
        self.tokens.insert(token.clone(), Issued { api, until: Instant::now() + lifetime });
        (token, lifetime.as_secs())
    }

    /// Issues a token of the form that Zoqq, Roecny and Voipex use, with its `exp`.
    pub(crate) fn issue_jwt(&mut self, api: Api) -> (String, u64) {
        let issued = now();
        let expires = issued + self.api(api).lifetime.as_secs();
        let claims = json!({ "type": "sandbox", "jti": random(16), "iat": issued, "exp": expires });
        let [header, claims] = [json!({ "alg": "none" }), claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signature = URL_SAFE_NO_PAD.encode(random(32));
        let (token, _) = self.issue(api, format!("{header}.{claims}.{signature}"));
        (token, expires)
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
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut Inner) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts a request to the login of `api` and answers it, through the fault that is due.
    pub(crate) async fn login(&self, api: Api, answer: impl Future<Output = Response>) -> Response {
        let fault = self.with(|inner| {
            let api = inner.api(api);
            api.counters.requests += 1;
            api.once.pop_front().or_else(|| api.always.clone())
        });
        let Some(fault) = fault else {
            return answer.await;
        };
        match fault.instead() {
            Some(response) => response,
            None => fault.spoil(answer.await).await,
        }
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// So many letters and digits; not for secrets.
pub(crate) fn random(length: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(length).collect()
}

#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod answer;
mod fault;
mod state;

mod cambyopro;
mod key_login;
mod protected;
mod voipex;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::state::State;

pub use fault::Fault;
pub use state::Counters;

/// The client id that Zoqq, Roecny and Cambyopro know here.
pub const CLIENT_ID: &str = "sandbox-client-id";
/// The API key that Zoqq and Roecny know here.
pub const API_KEY: &str = "sandbox-api-key";
/// The client secret that Cambyopro knows here, and Zoqq and Roecny in the revisions with a body.
pub const CLIENT_SECRET: &str = "sandbox-client-secret";
/// The user that Voipex knows here.
pub const USERNAME: &str = "user@sandbox.example";
/// The password of [`USERNAME`].
pub const PASSWORD: &str = "sandbox-password";
/// A scope that Zoqq grants here; so is any other.
pub const SCOPE: &str = "r:awx_action:balances_view";

/// Names one of the APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Api {
    /// Zoqq.
    Zoqq,
    /// Roecny.
    Roecny,
    /// Cambyopro.
    Cambyopro,
    /// Voipex.
    Voipex,
}

impl Api {
    /// Every API, in the order of their names here.
    pub const ALL: [Self; 4] = [Self::Zoqq, Self::Roecny, Self::Cambyopro, Self::Voipex];

    /// The name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Zoqq => "zoqq",
            Self::Roecny => "roecny",
            Self::Cambyopro => "cambyopro",
            Self::Voipex => "voipex",
        }
    }

    /// The documents of Zoqq and Roecny leave their address open, and their paths are the same.
    fn prefix(self) -> &'static str {
        match self {
            Self::Zoqq => "/zoqq",
            Self::Roecny => "/roecny",
            Self::Cambyopro | Self::Voipex => "",
        }
    }
}

/// Runs the APIs on 127.0.0.1 until it is dropped.
///
/// It has a thread of its own, so it works in any test, with or without a runtime.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts on a free port.
    ///
    /// # Errors
    /// Where the system gives no port or no thread.
    pub fn start() -> io::Result<Self> {
        Self::start_on(0)
    }

    /// Starts on a port of your choice.
    ///
    /// # Errors
    /// Where the port is taken, or the system gives no thread.
    pub fn start_on(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let app = router(state.clone());
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serve = async move {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
            tokio::select! {
                _ = axum::serve(listener, app) => {}
                _ = stopped => {}
            }
        };
        // The end of the runtime ends every connection.
        let thread = thread::Builder::new().name("auth-sandbox".into()).spawn(move || runtime.block_on(serve))?;
        Ok(Self { address, state, stop: Some(stop), thread: Some(thread) })
    }

    /// The base URL to give to a client of `api`.
    #[must_use]
    pub fn base_url(&self, api: Api) -> String {
        format!("http://{}{}", self.address, api.prefix())
    }

    /// The origin of all of it, such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of a resource that takes any token issued here: `GET` answers 200, or 401 without a valid one.
    #[must_use]
    pub fn protected_url(&self) -> String {
        format!("http://{}/api/protected", self.address)
    }

    /// The environment variables that make the four clients log in here.
    #[must_use]
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ZOQQ_BASE_URL", self.base_url(Api::Zoqq)),
            ("ZOQQ_CLIENT_ID", CLIENT_ID.into()),
            ("ZOQQ_API_KEY", API_KEY.into()),
            ("ZOQQ_SCOPE", SCOPE.into()),
            ("ROECNY_BASE_URL", self.base_url(Api::Roecny)),
            ("ROECNY_CLIENT_ID", CLIENT_ID.into()),
            ("ROECNY_API_KEY", API_KEY.into()),
            ("CAMBYOPRO_BASE_URL", self.base_url(Api::Cambyopro)),
            ("CAMBYOPRO_CLIENT_ID", CLIENT_ID.into()),
            ("CAMBYOPRO_CLIENT_SECRET", CLIENT_SECRET.into()),
            ("VOIPEX_BASE_URL", self.base_url(Api::Voipex)),
            ("VOIPEX_USERNAME", USERNAME.into()),
            ("VOIPEX_PASSWORD", PASSWORD.into()),
        ]
    }

    /// What has been asked of `api` so far.
    #[must_use]
    pub fn counters(&self, api: Api) -> Counters {
        self.state.with(|inner| inner.api(api).counters)
    }

    /// Lets the next login answer of `api` fail this way (Voipex's token exchange is one, too); calls add up in their
    /// order.
    pub fn fail_next(&self, api: Api, fault: Fault) {
        self.state.with(|inner| inner.api(api).once.push_back(fault));
    }

    /// Lets every login answer of `api` fail this way, until [`heal`](Self::heal).
    pub fn fail_always(&self, api: Api, fault: Fault) {
        self.state.with(|inner| inner.api(api).always = Some(fault));
    }

    /// Ends all faults of `api`.
    pub fn heal(&self, api: Api) {
        self.state.with(|inner| {
            inner.api(api).once.clear();
            inner.api(api).always = None;
        });
    }

    /// Sets how long tokens of `api` live from now on. Default is 30 minutes for Zoqq and Roecny, 24 hours for
    /// Cambyopro, 50 minutes for Voipex. Whole seconds, a year at most.
    pub fn set_lifetime(&self, api: Api, lifetime: Duration) {
        self.state.with(|inner| inner.api(api).lifetime = lifetime.min(Duration::from_secs(365 * 24 * 3600)));
    }

    /// Moves the `Date` header of every answer by so many seconds; the tokens stay true.
    pub fn set_date_skew(&self, seconds: i64) {
        self.state.with(|inner| inner.date_skew = seconds);
    }

    /// Makes Voipex end the session of a refresh token that is used twice. Without it, the default, each refresh gives
    /// another refresh token as well, and all of them stay good.
    pub fn set_refresh_rotation(&self, is_on: bool) {
        self.state.with(|inner| inner.voipex.is_rotating = is_on);
    }

    /// Makes Voipex lock the user for `wait` after two failed logins within a second, as Keycloak does: while it lasts,
    /// the right password is answered like a wrong one. `None`, the default, ends a lock as well.
    pub fn set_lockout(&self, wait: Option<Duration>) {
        self.state.with(|inner| {
            inner.voipex.lockout = wait;
            inner.voipex.locked_until = inner.voipex.locked_until.filter(|_| wait.is_some());
        });
    }

    /// Revokes one access token; tells whether it was valid.
    #[allow(clippy::must_use_candidate, reason = "it acts, and the answer is a detail")]
    pub fn revoke(&self, token: &str) -> bool {
        self.state.with(|inner| inner.tokens.remove(token).is_some())
    }

    /// Revokes every access token of `api`.
    pub fn revoke_all(&self, api: Api) {
        self.state.with(|inner| inner.tokens.retain(|_, issued| issued.api != api));
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn router(state: Arc<State>) -> Router {
    let login = "/api/v1/authentication/login";
    Router::new()
        .route(&format!("/zoqq{login}"), post(key_login::zoqq))
        .route(&format!("/roecny{login}"), post(key_login::roecny))
        .route("/api/no-auth/authentication/v1/login", post(cambyopro::login))
        .route("/token", post(voipex::token))
        .route("/token-exchange", post(voipex::exchange))
        .route("/api/protected", get(protected::get))
        .layer(axum::middleware::map_response_with_state(state.clone(), answer::date))
        .with_state(state)
}

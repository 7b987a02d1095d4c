#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod fault;
mod response;
mod state;

mod cambyopro;
mod protected_resource;
mod voipex;
mod zoqq_roecny;

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

/// The client id that Zoqq, Roecny and Cambyopro accept.
pub const CLIENT_ID: &str = "sandbox-client-id";
/// The API key that Zoqq and Roecny accept.
pub const API_KEY: &str = "sandbox-api-key";
/// The client secret that Cambyopro accepts, and also Zoqq and Roecny in the revisions with a JSON body.
pub const CLIENT_SECRET: &str = "sandbox-client-secret";
/// The user name that Voipex accepts.
pub const USERNAME: &str = "user@sandbox.example";
/// The password of [`USERNAME`].
pub const PASSWORD: &str = "sandbox-password";
/// A scope for Zoqq, which accepts any scope here.
pub const SCOPE: &str = "r:awx_action:balances_view";

/// Identifies one of the APIs.
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
    /// All APIs, in the order of the variants.
    pub const ALL: [Self; 4] = [Self::Zoqq, Self::Roecny, Self::Cambyopro, Self::Voipex];

    /// Returns the name in lower case.
    ///
    /// ```
    /// assert_eq!(auth_sandbox::Api::Zoqq.name(), "zoqq");
    /// ```
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Zoqq => "zoqq",
            Self::Roecny => "roecny",
            Self::Cambyopro => "cambyopro",
            Self::Voipex => "voipex",
        }
    }

    /// Returns what distinguishes Zoqq from Roecny: the paths of their logins are the same.
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
/// The server runs on a separate thread, so it works in any test, with or without a runtime. Dropping it closes all
/// connections and waits for the thread to end.
///
/// ```
/// use auth_sandbox::{Api, Sandbox};
///
/// let sandbox = Sandbox::start()?;
/// println!("log in at {}", sandbox.base_url(Api::Cambyopro));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts a sandbox on a free port.
    ///
    /// ```
    /// let sandbox = auth_sandbox::Sandbox::start()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// If no port or no thread is available.
    pub fn start() -> io::Result<Self> {
        Self::start_on(0)
    }

    /// Starts a sandbox on this port, or on a free port if `port` is 0.
    ///
    /// ```no_run
    /// let sandbox = auth_sandbox::Sandbox::start_on(8080)?;
    /// assert_eq!(sandbox.origin(), "http://127.0.0.1:8080");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the port is in use, or no thread is available.
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
        // The thread owns the runtime, so when `serve` returns, the runtime is dropped and closes every connection.
        let thread = thread::Builder::new().name("auth-sandbox".into()).spawn(move || runtime.block_on(serve))?;
        Ok(Self { address, state, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the base URL to set in a client of `api`.
    ///
    /// ```
    /// # let sandbox = auth_sandbox::Sandbox::start()?;
    /// let base_url = sandbox.base_url(auth_sandbox::Api::Zoqq);
    /// assert_eq!(base_url, format!("{}/zoqq", sandbox.origin()));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn base_url(&self, api: Api) -> String {
        format!("http://{}{}", self.address, api.prefix())
    }

    /// Returns the origin of all APIs, such as `http://127.0.0.1:40123`.
    ///
    /// ```
    /// # let sandbox = auth_sandbox::Sandbox::start()?;
    /// assert!(sandbox.origin().starts_with("http://127.0.0.1:"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the URL of a resource that accepts any token that this sandbox has issued.
    ///
    /// The response to a `GET` is a 200 with a valid token, and a 401 otherwise.
    ///
    /// ```
    /// # let sandbox = auth_sandbox::Sandbox::start()?;
    /// assert_eq!(sandbox.protected_url(), format!("{}/api/protected", sandbox.origin()));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn protected_url(&self) -> String {
        format!("http://{}/api/protected", self.address)
    }

    /// Returns the environment variables that make the four clients log in here.
    ///
    /// ```no_run
    /// # let sandbox = auth_sandbox::Sandbox::start()?;
    /// std::process::Command::new("my-program").envs(sandbox.env()).status()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
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

    /// Returns the counters of `api` since the start.
    ///
    /// ```
    /// # use auth_sandbox::Api;
    /// # let sandbox = auth_sandbox::Sandbox::start()?;
    /// assert_eq!(sandbox.counters(Api::Voipex).logins, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn counters(&self, api: Api) -> Counters {
        self.state.with(|inner| inner.api(api).counters)
    }

    /// Applies a fault to the next login response of `api`.
    ///
    /// The token exchange of Voipex counts as a login. Several calls queue several faults, one for each response.
    ///
    /// ```
    /// # use auth_sandbox::{Api, Fault};
    /// # let sandbox = auth_sandbox::Sandbox::start()?;
    /// sandbox.fail_next(Api::Voipex, Fault::RetryAfter(429, "7".into()));
    /// sandbox.fail_next(Api::Voipex, Fault::Truncated);
    /// // The first login gets the 429, the second the truncated response, and the third succeeds.
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn fail_next(&self, api: Api, fault: Fault) {
        self.state.with(|inner| inner.api(api).next_faults.push_back(fault));
    }

    /// Applies a fault to every login response of `api` until [`clear_faults`](Self::clear_faults) is called.
    ///
    /// Faults that were queued by [`fail_next`](Self::fail_next) come first.
    ///
    /// ```
    /// # use auth_sandbox::{Api, Fault};
    /// # let sandbox = auth_sandbox::Sandbox::start()?;
    /// sandbox.fail_always(Api::Voipex, Fault::Status(503));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn fail_always(&self, api: Api, fault: Fault) {
        self.state.with(|inner| inner.api(api).permanent_fault = Some(fault));
    }

    /// Removes all faults of `api`, including those that are queued.
    ///
    /// ```
    /// # use auth_sandbox::{Api, Fault};
    /// # let sandbox = auth_sandbox::Sandbox::start()?;
    /// sandbox.fail_always(Api::Voipex, Fault::Status(503));
    /// sandbox.clear_faults(Api::Voipex); // the server is available again
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn clear_faults(&self, api: Api) {
        self.state.with(|inner| {
            inner.api(api).next_faults.clear();
            inner.api(api).permanent_fault = None;
        });
    }

    /// Sets the lifetime of the tokens that `api` issues from now on.
    ///
    /// The default is 30 minutes for Zoqq and Roecny, 24 hours for Cambyopro and 50 minutes for Voipex. The maximum is
    /// 365 days. Responses state whole seconds.
    ///
    /// ```
    /// # use auth_sandbox::Api;
    /// # let sandbox = auth_sandbox::Sandbox::start()?;
    /// sandbox.set_lifetime(Api::Voipex, std::time::Duration::from_secs(5));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_lifetime(&self, api: Api, lifetime: Duration) {
        self.state.with(|inner| inner.api(api).lifetime = lifetime.min(Duration::from_secs(365 * 24 * 3600)));
    }

    /// Shifts the `Date` header of every response by this many seconds, into the past if negative.
    ///
    /// The times inside tokens and bodies stay correct.
    ///
    /// ```
    /// # let sandbox = auth_sandbox::Sandbox::start()?;
    /// sandbox.set_date_skew(-3600); // an hour slow
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_date_skew(&self, seconds: i64) {
        self.state.with(|inner| inner.date_skew = seconds);
    }

    /// Sets whether Voipex ends the session of a refresh token that is used twice.
    ///
    /// The default is `false`: each refresh returns a new refresh token, and the old ones stay valid too.
    ///
    /// ```
    /// # let sandbox = auth_sandbox::Sandbox::start()?;
    /// sandbox.set_refresh_rotation(true);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_refresh_rotation(&self, is_enabled: bool) {
        self.state.with(|inner| inner.voipex.is_rotating = is_enabled);
    }

    /// Sets for how long Voipex locks the user after two failed logins within a second, as Keycloak does.
    ///
    /// While the lock lasts, the response to the correct password is the same as to a wrong one. `None`, the default,
    /// disables the lock and ends one that is active.
    ///
    /// ```
    /// # let sandbox = auth_sandbox::Sandbox::start()?;
    /// sandbox.set_lockout(Some(std::time::Duration::from_secs(60)));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_lockout(&self, duration: Option<Duration>) {
        self.state.with(|inner| {
            inner.voipex.lockout = duration;
            inner.voipex.locked_until = inner.voipex.locked_until.filter(|_| duration.is_some());
        });
    }

    /// Revokes an access token, and returns whether this sandbox had issued it and not yet revoked it.
    ///
    /// ```
    /// # let sandbox = auth_sandbox::Sandbox::start()?;
    /// assert!(!sandbox.revoke("not a token of this sandbox"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[allow(clippy::must_use_candidate, reason = "callers may ignore the result")]
    pub fn revoke(&self, token: &str) -> bool {
        self.state.with(|inner| inner.tokens.remove(token).is_some())
    }

    /// Revokes all access tokens of `api`.
    ///
    /// ```
    /// # use auth_sandbox::Api;
    /// # let sandbox = auth_sandbox::Sandbox::start()?;
    /// sandbox.revoke_all(Api::Voipex);
    /// # Ok::<(), std::io::Error>(())
    /// ```
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
        .route(&format!("/zoqq{login}"), post(zoqq_roecny::zoqq))
        .route(&format!("/roecny{login}"), post(zoqq_roecny::roecny))
        .route("/api/no-auth/authentication/v1/login", post(cambyopro::login))
        .route("/token", post(voipex::token))
        .route("/token-exchange", post(voipex::exchange))
        .route("/api/protected", get(protected_resource::get))
        .layer(axum::middleware::map_response_with_state(state.clone(), response::set_date))
        .with_state(state)
}

//! A transport that responds from a list.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use auth_core::credentials::IntoCredentials;
use auth_core::{Error, Request, Response, SecretBytes, TokenManager, TokenManagerBuilder, Transport};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::{TestProvider, VirtualClock};

/// Responds to requests from a list and records them.
///
/// Clones share the list and the recorded requests, so a test can keep one clone and pass another to a manager.
///
/// # Example
/// ```
/// use auth_testing::{Script, ScriptedResponse};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
/// let script = Script::new([ScriptedResponse::status(503), ScriptedResponse::token("t", 60)]);
/// let tokens = script.manager();
/// assert_eq!(tokens.token().await?.expose(), "t"); // the second attempt of the same call
/// assert_eq!(script.requests().len(), 2);
/// # Ok::<(), auth_core::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Script(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    responses: VecDeque<ScriptedResponse>,
    /// The response to every request after the list has ended.
    fallback: Option<ScriptedResponse>,
    requests: Vec<(Instant, Request)>,
}

/// Holds one response of a [`Script`], or one error of its transport.
#[derive(Debug, Clone)]
pub struct ScriptedResponse {
    result: Result<Response, Error>,
    delay: Duration,
}

impl ScriptedResponse {
    /// Creates a response with this status and JSON body.
    ///
    /// # Panics
    /// If `status` is not between 100 and 999.
    ///
    /// # Example
    /// ```
    /// use auth_testing::ScriptedResponse;
    ///
    /// let with_refresh = ScriptedResponse::json(200, r#"{"token":"t","expires_in":60,"refresh":"r"}"#);
    /// let html = ScriptedResponse::json(502, "<html>Bad gateway</html>"); // the body is not checked
    /// ```
    #[must_use]
    pub fn json(status: u16, body: &str) -> Self {
        let Ok(status) = StatusCode::from_u16(status) else {
            panic!("{status} is not an HTTP status: use 100 to 999");
        };
        Self {
            result: Ok(Response::new(status, HeaderMap::new(), SecretBytes::from(body.as_bytes().to_vec()))),
            delay: Duration::ZERO,
        }
    }

    /// Creates a response with a token for a [`TestProvider`]. `lifetime` is in seconds.
    ///
    /// # Example
    /// ```
    /// use auth_testing::ScriptedResponse;
    ///
    /// let for_an_hour = ScriptedResponse::token("t", 3600);
    /// ```
    #[must_use]
    pub fn token(token: &str, lifetime: u64) -> Self {
        Self::json(200, &format!(r#"{{"token":"{token}","expires_in":{lifetime}}}"#))
    }

    /// Creates the response of a server that refuses the credentials of a [`TestProvider`].
    ///
    /// # Example
    /// ```
    /// use auth_core::ErrorKind;
    /// use auth_testing::{Script, ScriptedResponse};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
    /// let tokens = Script::new([ScriptedResponse::refusal()]).manager();
    /// assert_eq!(tokens.token().await.err().map(|error| error.kind()), Some(ErrorKind::Refused));
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn refusal() -> Self {
        Self::json(401, r#"{"error":"refused"}"#)
    }

    /// Creates a response with this status and an empty body.
    ///
    /// # Panics
    /// If `status` is not between 100 and 999.
    ///
    /// # Example
    /// ```
    /// use auth_testing::ScriptedResponse;
    ///
    /// let outage = ScriptedResponse::status(503);
    /// ```
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::json(status, "")
    }

    /// Creates an error that the transport returns in place of a response.
    ///
    /// # Example
    /// ```
    /// use auth_core::Error;
    /// use auth_testing::ScriptedResponse;
    ///
    /// let not_sent = ScriptedResponse::error(Error::unreachable("no route to the host"));
    /// let response_lost = ScriptedResponse::error(Error::unavailable("connection reset"));
    /// ```
    #[must_use]
    pub fn error(error: Error) -> Self {
        Self { result: Err(error), delay: Duration::ZERO }
    }

    /// Sets a header of the response.
    ///
    /// # Panics
    /// If a header cannot hold the value, or if this is an [`error`](Self::error) and so has no headers.
    ///
    /// # Example
    /// ```
    /// use auth_core::http::header::RETRY_AFTER;
    /// use auth_testing::ScriptedResponse;
    ///
    /// let throttled = ScriptedResponse::status(429).with_header(RETRY_AFTER, "60");
    /// ```
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        let Ok(response) = self.result else {
            panic!("an error of the transport has no headers");
        };
        let Ok(value) = HeaderValue::from_str(value) else {
            panic!("a header cannot hold the value {value:?}");
        };
        let mut headers = response.headers().clone();
        headers.insert(name, value);
        self.result = Ok(Response::new(response.status(), headers, response.body().to_vec().into()));
        self
    }

    /// Sets how long the response or the error takes to arrive, by tokio's clock.
    ///
    /// # Example
    /// ```
    /// use std::time::Duration;
    ///
    /// use auth_testing::ScriptedResponse;
    ///
    /// let slow = ScriptedResponse::token("t", 60).after(Duration::from_secs(8));
    /// ```
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

impl Script {
    /// Creates a script that returns these responses in order.
    ///
    /// After the last one, each request fails with [`Error::unreachable`], unless
    /// [`then_always`](Self::then_always) or [`push`](Self::push) adds a response.
    ///
    /// # Example
    /// ```
    /// use auth_testing::{Script, ScriptedResponse};
    ///
    /// let script = Script::new([ScriptedResponse::token("first", 60), ScriptedResponse::token("second", 60)]);
    /// ```
    pub fn new(responses: impl IntoIterator<Item = ScriptedResponse>) -> Self {
        let responses = responses.into_iter().collect();
        Self(Arc::new(Mutex::new(State { responses, fallback: None, requests: Vec::new() })))
    }

    /// Sets the response to every request after the list has ended.
    ///
    /// # Example
    /// ```
    /// use auth_testing::{Script, ScriptedResponse};
    ///
    /// let script = Script::new([ScriptedResponse::token("t", 60)]).then_always(ScriptedResponse::status(503));
    /// ```
    #[must_use]
    pub fn then_always(self, response: ScriptedResponse) -> Self {
        self.state().fallback = Some(response);
        self
    }

    /// Adds a response to the end of the list. The script may already be in use.
    ///
    /// # Example
    /// ```
    /// use auth_testing::{Script, ScriptedResponse};
    ///
    /// let script = Script::default();
    /// let tokens = script.manager();
    /// script.push(ScriptedResponse::token("t", 60)); // `tokens` will receive it
    /// ```
    pub fn push(&self, response: ScriptedResponse) {
        self.state().responses.push_back(response);
    }

    /// Returns a manager of a [`TestProvider`] with this script as its transport; see [`builder`](Self::builder).
    ///
    /// # Example
    /// ```
    /// use auth_testing::{Script, ScriptedResponse};
    ///
    /// let tokens = Script::new([ScriptedResponse::token("t", 60)]).manager();
    /// assert_eq!(tokens.blocking_token()?.expose(), "t");
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "a manager with a transport can be built")]
    pub fn manager(&self) -> TokenManager {
        match self.builder().build() {
            Ok(manager) => manager,
            Err(error) => panic!("a manager with a transport can be built: {error}"),
        }
    }

    /// Returns the builder of a manager of a [`TestProvider`] whose password is `password`.
    ///
    /// The manager has this script as its transport and a new [`VirtualClock`]. Inside a tokio runtime, its logins run
    /// on that runtime, so that they follow a paused time.
    ///
    /// # Example
    /// ```
    /// use auth_core::Policy;
    /// use auth_testing::{Script, ScriptedResponse};
    ///
    /// let script = Script::new([ScriptedResponse::token("t", 60)]);
    /// let tokens = script.builder().with_policy(Policy::default().with_attempts(2)).build()?;
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    pub fn builder(&self) -> TokenManagerBuilder {
        self.builder_for(TestProvider::new("password"))
    }

    /// Returns the builder of a manager of this provider, or of a source of credentials; otherwise the same as [`builder`](Self::builder).
    ///
    /// # Example
    /// ```
    /// use auth_testing::{Script, ScriptedResponse, TestProvider};
    ///
    /// let script = Script::new([ScriptedResponse::token("t", 60)]);
    /// let tokens = script.builder_for(TestProvider::new("another password")).build()?;
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    pub fn builder_for<Kind>(&self, credentials: impl IntoCredentials<Kind>) -> TokenManagerBuilder {
        let builder = TokenManager::builder(credentials).with_transport(self.clone()).with_clock(VirtualClock::new());
        match Handle::try_current() {
            Ok(runtime) => builder.with_runtime(runtime),
            Err(_) => builder,
        }
    }

    /// Returns all requests until now, in the order in which they were sent.
    ///
    /// # Example
    /// ```
    /// use auth_testing::Script;
    ///
    /// assert!(Script::default().requests().is_empty());
    /// ```
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.iter().map(|(_, request)| request.clone()).collect()
    }

    /// Returns the time of each request by tokio's clock, in the order of [`requests`](Self::requests).
    ///
    /// # Example
    /// ```
    /// use auth_testing::Script;
    ///
    /// let times = Script::default().times();
    /// let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    /// assert!(pauses.is_empty());
    /// ```
    #[must_use]
    pub fn times(&self) -> Vec<Instant> {
        self.state().requests.iter().map(|(at, _)| *at).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let next = {
            let mut state = self.state();
            state.requests.push((Instant::now(), request));
            state.responses.pop_front().or_else(|| state.fallback.clone())
        };
        let Some(ScriptedResponse { result, delay }) = next else {
            return Err(Error::unreachable("the script has no more responses"));
        };
        tokio::time::sleep(delay).await;
        result
    }
}

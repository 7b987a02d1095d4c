//! A server that responds from a list.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use auth_core::{Error, Login, Request, Response, SecretBytes, Transport};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::Instant;

use crate::{TestProvider, VirtualClock};

/// Answers requests from a list, and remembers them. Clones share both.
///
/// ```
/// use auth_testing::{ScriptedResponse, Script};
///
/// let script = Script::new([ScriptedResponse::json(503, ""), ScriptedResponse::json(200, r#"{"token":"t"}"#)]);
/// assert_eq!(script.requests().len(), 0);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Script(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<ScriptedResponse>,
    always: Option<ScriptedResponse>,
    requests: Vec<(Instant, Request)>,
}

/// One answer of a [`Script`].
#[derive(Debug, Clone)]
pub struct ScriptedResponse {
    result: Result<Response, Error>,
    delay: Duration,
}

impl ScriptedResponse {
    /// An answer with a JSON body.
    ///
    /// # Panics
    /// Where `status` is not between 100 and 999.
    #[must_use]
    pub fn json(status: u16, body: &str) -> Self {
        let Ok(status) = StatusCode::from_u16(status) else {
            panic!("{status} is no HTTP status");
        };
        Self {
            result: Ok(Response::new(status, HeaderMap::new(), SecretBytes::from(body.as_bytes().to_vec()))),
            delay: Duration::ZERO,
        }
    }

    /// A [`TestProvider`]'s token with a life in seconds.
    #[must_use]
    pub fn token(token: &str, life: u64) -> Self {
        Self::json(200, &format!(r#"{{"token":"{token}","expires_in":{life}}}"#))
    }

    /// A [`TestProvider`]'s refusal.
    #[must_use]
    pub fn refusal() -> Self {
        Self::json(401, r#"{"error":"refused"}"#)
    }

    /// A status and nothing else.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::json(status, "")
    }

    /// No answer, but an error of the transport.
    #[must_use]
    pub fn error(error: Error) -> Self {
        Self { result: Err(error), delay: Duration::ZERO }
    }

    /// Adds a header.
    ///
    /// # Panics
    /// Where the value is none that a header can hold, or there is no answer to add it to.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        let (Ok(response), Ok(value)) = (self.result, HeaderValue::from_str(value)) else {
            panic!("no answer, or no header value: {value}");
        };
        let mut headers = response.headers().clone();
        headers.insert(name, value);
        self.result = Ok(Response::new(response.status(), headers, response.body().to_vec().into()));
        self
    }

    /// Lets the answer take so long, by tokio's clock.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

impl Script {
    /// Answers in this order; a request too many is answered as if no server were there.
    pub fn new(answers: impl IntoIterator<Item = ScriptedResponse>) -> Self {
        let answers = answers.into_iter().collect();
        Self(Arc::new(Mutex::new(State { answers, always: None, requests: Vec::new() })))
    }

    /// Answers so when the list has ended.
    #[must_use]
    pub fn then_always(self, answer: ScriptedResponse) -> Self {
        self.state().always = Some(answer);
        self
    }

    /// Adds an answer to the list.
    pub fn push(&self, answer: ScriptedResponse) {
        self.state().answers.push_back(answer);
    }

    /// A login of a [`TestProvider`] that this script answers, by a [`VirtualClock`].
    #[must_use]
    pub fn login(&self) -> Login<TestProvider, Self> {
        Login::new(TestProvider::new("password"), self.clone()).with_clock(VirtualClock::new())
    }

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.iter().map(|(_, request)| request.clone()).collect()
    }

    /// When each of the requests was made, by tokio's clock.
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
            state.answers.pop_front().or_else(|| state.always.clone())
        };
        let Some(ScriptedResponse { result, delay }) = next else {
            return Err(Error::unreachable("the script has ended"));
        };
        tokio::time::sleep(delay).await;
        result
    }
}

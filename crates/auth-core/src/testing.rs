//! A scripted transport, for tests without a network.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::error::Error;
use crate::message::{Request, Response};
use crate::secret::Body;
use crate::transport::Transport;

/// Answers requests from a list, and remembers them. Clones share both.
///
/// ```
/// use auth_core::testing::{Answer, Script};
///
/// let script = Script::new([Answer::json(503, ""), Answer::json(200, r#"{"token":"t"}"#)]);
/// assert_eq!(script.requests().len(), 0);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Script(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<Answer>,
    requests: Vec<Request>,
}

/// One answer of a [`Script`].
#[derive(Debug, Clone)]
pub struct Answer {
    result: Result<Response, Error>,
    delay: Duration,
}

impl Answer {
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
            result: Ok(Response::new(status, HeaderMap::new(), Body::from(body.as_bytes().to_vec()))),
            delay: Duration::ZERO,
        }
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
    pub fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers = answers.into_iter().collect();
        Self(Arc::new(Mutex::new(State { answers, requests: Vec::new() })))
    }

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
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
            state.requests.push(request);
            state.answers.pop_front()
        };
        let Some(Answer { result, delay }) = next else {
            return Err(Error::unreachable("the script has ended"));
        };
        tokio::time::sleep(delay).await;
        result
    }
}

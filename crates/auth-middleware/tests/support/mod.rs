//! An API that records what reaches it, and sources of tokens.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use auth_testing::{Script, ScriptedResponse, TestProvider};
use auth_core::{Error, Login, TokenManager};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use tokio::net::TcpListener;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Arrived {
    /// The `Authorization` header, or an empty text.
    pub(crate) fn authorization(&self) -> &str {
        self.headers.get("authorization").map_or("", |value| value.to_str().unwrap())
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl Api {
    /// Serves until its runtime ends; each answer is made of the request.
    pub(crate) async fn start<R: IntoResponse + Send>(
        answer: impl Fn(&Arrived) -> R + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::start_async(move |request| std::future::ready(answer(&request))).await
    }

    pub(crate) async fn start_async<R: IntoResponse, F: Future<Output = R> + Send>(
        answer: impl Fn(Arrived) -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let record = arrived.clone();
        let router = Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let request = Arrived { path: uri.path().to_owned(), headers, body };
            record.lock().unwrap().push(request.clone());
            let answer = answer(request);
            async move { answer.await.into_response() }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, arrived }
    }

    /// Takes the tokens of these names, and no other.
    pub(crate) async fn taking(tokens: &'static [&'static str]) -> Self {
        Self::start(|request| {
            let is_taken = request.authorization().strip_prefix("Bearer ").is_some_and(|token| tokens.contains(&token));
            if is_taken { (StatusCode::OK, "welcome") } else { (StatusCode::UNAUTHORIZED, "no") }
        })
        .await
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    pub(crate) fn authorizations(&self) -> Vec<String> {
        self.arrived().iter().map(|request| request.authorization().to_owned()).collect()
    }
}

/// A manager whose logins give `first`, `second`, `third` …
pub(crate) fn tokens() -> (TokenManager<TestProvider, Script>, Script) {
    let script = Script::new(["first", "second", "third", "fourth"].map(|token| ScriptedResponse::token(token, 3600)));
    (manager(&script), script)
}

pub(crate) fn manager(script: &Script) -> TokenManager<TestProvider, Script> {
    TokenManager::new(Login::new(TestProvider::new("password"), script.clone()))
}

/// A source that can give no token.
pub(crate) fn no_tokens() -> TokenManager<TestProvider, Script> {
    manager(&Script::default().then_always(ScriptedResponse::error(Error::unavailable("the login server is down"))))
}

//! A test API that records its requests, and token sources.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use auth_core::{Error, SystemClock, TokenManager};
use auth_testing::{Script, ScriptedResponse};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use tokio::net::TcpListener;

/// A request that the API has received.
#[derive(Debug, Clone)]
pub(crate) struct ReceivedRequest {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl ReceivedRequest {
    /// Returns the `Authorization` header, or an empty string.
    pub(crate) fn authorization(&self) -> &str {
        self.headers.get("authorization").map_or("", |value| value.to_str().unwrap())
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<ReceivedRequest>>>,
}

impl Api {
    /// Starts an API that calls `respond` for each request. It serves until its runtime ends.
    pub(crate) async fn start<R: IntoResponse + Send>(
        respond: impl Fn(&ReceivedRequest) -> R + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::start_async(move |request| std::future::ready(respond(&request))).await
    }

    pub(crate) async fn start_async<R: IntoResponse, F: Future<Output = R> + Send>(
        respond: impl Fn(ReceivedRequest) -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let record = received.clone();
        let router = Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let request = ReceivedRequest { path: uri.path().to_owned(), headers, body };
            record.lock().unwrap().push(request.clone());
            let response = respond(request);
            async move { response.await.into_response() }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, received }
    }

    /// Starts an API that accepts these tokens and responds to any other with a 401.
    pub(crate) async fn accepting(tokens: &'static [&'static str]) -> Self {
        Self::start(|request| {
            let is_accepted =
                request.authorization().strip_prefix("Bearer ").is_some_and(|token| tokens.contains(&token));
            if is_accepted { (StatusCode::OK, "welcome") } else { (StatusCode::UNAUTHORIZED, "no") }
        })
        .await
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn received(&self) -> Vec<ReceivedRequest> {
        self.received.lock().unwrap().clone()
    }

    pub(crate) fn authorizations(&self) -> Vec<String> {
        self.received().iter().map(|request| request.authorization().to_owned()).collect()
    }
}

/// Returns a manager whose logins return the tokens `first`, `second`, `third` and `fourth`, and its script.
pub(crate) fn tokens() -> (TokenManager, Script) {
    let script = Script::new(["first", "second", "third", "fourth"].map(|token| ScriptedResponse::token(token, 3600)));
    (manager(&script), script)
}

pub(crate) fn manager(script: &Script) -> TokenManager {
    script.builder().with_clock(SystemClock).build().unwrap()
}

/// Returns a manager whose logins always fail.
pub(crate) fn no_tokens() -> TokenManager {
    manager(&Script::default().then_always(ScriptedResponse::error(Error::unavailable("the login server is down"))))
}

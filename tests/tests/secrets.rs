//! K1, K3, K4: no secret reaches a Debug, a Display, an error chain, a tracing event or a panic message.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::error::Error as StdError;
use std::fmt::{Debug, Write as _};
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use auth_core::http::HeaderValue;
use auth_core::store::TokenStore;
use auth_core::{
    Error, ErrorKind, Policy, Provider, Request, Response, TokenManager, TokenManagerBuilder, TokenSource, Transport,
    async_trait,
};
use auth_store_file::FileStore;
use auth_store_redis::RedisStore;
use auth_tests::redis::RedisServer;
use auth_tests::{SUBJECTS, Subject};
use tracing_subscriber::fmt::MakeWriter;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

const CREDENTIAL: &str = "SENTINELcredential7f3a";
const TOKEN: &str = "SENTINELaccess91bc";
const REFRESH: &str = "SENTINELrefresh5d02";

/// Everything that a program could have logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn add(&self, value: impl Debug) {
        let text = format!("{value:?} {value:#?}\n");
        self.0.lock().unwrap().push_str(&text);
    }

    fn add_error(&self, error: &Error) {
        self.add(error);
        let mut text = error.to_string();
        let mut next = error.source();
        while let Some(error) = next {
            let _ = write!(text, ": {error} {error:?}");
            next = error.source();
        }
        self.add(format!("{text} {:?} {:?} {:?}", error.code(), error.setting(), error.retry_at()));
    }

    fn assert_clean(&self, min_length: usize) {
        // A copy, because a failed assertion panics, and the panic hook locks the log.
        let log = self.0.lock().unwrap().clone();
        assert!(log.len() >= min_length, "too little was logged to prove anything: {}", log.len());
        for line in log.lines() {
            assert!(!line.contains("SENTINEL"), "{line}");
        }
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push_str(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Returns the log of this process: every event of every crate at TRACE, every `log` record, every panic.
fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        tracing_log::LogTracer::init().unwrap();
        let subscriber =
            tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        let panics = log.clone();
        std::panic::set_hook(Box::new(move |panic| panics.add(panic.to_string())));
        log
    })
}

fn builder(subject: &Subject, base_url: &str) -> TokenManagerBuilder {
    let provider = subject.with_secret(base_url, CREDENTIAL).unwrap();
    log().add(&provider);
    log().add(provider.login_request());
    let policy = Policy::default().with_deadline(Duration::from_secs(2));
    TokenManager::builder(provider).with_policy(policy)
}

async fn run(subject: &Subject, base_url: &str) -> Result<(), Error> {
    let builder = builder(subject, base_url);
    log().add(&builder);
    let tokens = builder.build().unwrap();
    let result = tokens.token().await;
    log().add(&tokens);
    match &result {
        Ok(token) => log().add(token),
        Err(error) => log().add_error(error),
    }
    result.map(|_| ())
}

/// Starts a server that returns the headers and the body of the request in every field of its response.
async fn echo_server(status: u16, location: bool) -> MockServer {
    let server = MockServer::start().await;
    let respond = move |request: &wiremock::Request| {
        let mut text = String::from_utf8_lossy(&request.body).into_owned();
        for (name, value) in &request.headers {
            let _ = write!(text, " {name}: {}", value.to_str().unwrap_or_default());
        }
        let text = serde_json::json!(text);
        let body = format!(
            r#"{{"error":{CREDENTIAL:?},"error_description":{text},"code":{CREDENTIAL:?},"status":{text},"message":{text},"success":false,"token":{text},"access_token":{text},"accessToken":{text}}}"#
        );
        let template = ResponseTemplate::new(status).set_body_raw(body, "application/json");
        let template = template.append_header("x-echo", CREDENTIAL).append_header("set-cookie", CREDENTIAL);
        if location {
            template.append_header("location", format!("https://{CREDENTIAL}@evil.example/{CREDENTIAL}?{CREDENTIAL}"))
        } else {
            template
        }
    };
    Mock::given(any()).respond_with(respond).mount(&server).await;
    server
}

async fn fixed_server(status: u16, body: &str) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(status).set_body_string(body)).mount(&server).await;
    server
}

#[tokio::test]
async fn k1_a_successful_login_logs_no_secret() {
    for subject in SUBJECTS {
        let body = subject.token_response(TOKEN).replace("fake-refresh", REFRESH);
        let server = fixed_server(200, &body).await;
        run(&subject, &server.uri()).await.unwrap();

        let tokens = builder(&subject, &server.uri()).build().unwrap();
        let token = tokens.token().await.unwrap();
        assert_eq!(token.expose(), TOKEN);
        log().add(&token);
        log().add(token.authorization());
        log().add(&tokens);
        let source: Box<dyn TokenSource> = Box::new(tokens);
        log().add(&source);
    }
    log().assert_clean(1000);
}

#[tokio::test]
async fn k1_responses_that_echo_the_request_log_no_secret() {
    for subject in SUBJECTS {
        for status in [200, 400, 401, 403, 404, 422, 500, 302] {
            let server = echo_server(status, status == 302).await;
            let error = run(&subject, &server.uri()).await.unwrap_err();
            assert_eq!(error.code(), None, "a code that repeats the request is dropped");
        }
    }
    log().assert_clean(1000);
}

#[tokio::test]
async fn k1_responses_that_are_not_json_log_no_secret() {
    for subject in SUBJECTS {
        for (status, kind) in [(502, ErrorKind::Unavailable), (200, ErrorKind::Malformed)] {
            for body in [format!("<html>{CREDENTIAL}</html>"), format!(r#"{{"token":"{CREDENTIAL}"#)] {
                let server = fixed_server(status, &body).await;
                assert_eq!(run(&subject, &server.uri()).await.unwrap_err().kind(), kind);
            }
        }
        let wrong_types =
            format!(r#"{{"token":["{TOKEN}"],"access_token":{{"x":"{TOKEN}"}},"accessToken":["{TOKEN}"]}}"#);
        let server = fixed_server(200, &wrong_types).await;
        assert_eq!(run(&subject, &server.uri()).await.unwrap_err().kind(), ErrorKind::Malformed);
    }
    log().assert_clean(1000);
}

#[tokio::test]
async fn k1_tls_failures_timeouts_and_refused_connections_log_no_secret() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap();
    let plain = fixed_server(200, "no TLS here").await;
    // Nothing listens on port 1. Another test may have taken a port that was free a moment ago.
    let closed = "127.0.0.1:1";
    let cases = [
        (format!("https://{}", plain.address()), ErrorKind::Untrusted),
        (format!("http://{silent}"), ErrorKind::Unavailable),
        (format!("http://{closed}"), ErrorKind::Unavailable),
    ];
    for subject in SUBJECTS {
        for (base_url, kind) in &cases {
            assert_eq!(run(&subject, base_url).await.unwrap_err().kind(), *kind);
        }
    }
    log().assert_clean(1000);
}

#[tokio::test]
async fn k1_invalid_settings_log_no_secret() {
    for subject in SUBJECTS {
        for base_url in ["http://example.com", &format!("https://{CREDENTIAL}:{CREDENTIAL}@x.example"), CREDENTIAL] {
            log().add_error(&subject.with_secret(base_url, CREDENTIAL).unwrap_err());
        }
        if let Err(error) = subject.with_secret("https://x.example", &format!("{CREDENTIAL}\r\n")) {
            log().add_error(&error);
        }
    }
    let config = format!("provider = \"zoqq\"\nbase_url = \"https://x.example\"\napi_key = \"{CREDENTIAL}\"");
    log().add(toml::from_str::<auth_all::ProviderConfig>(&config).unwrap());
    log().assert_clean(1000);
}

/// A transport that panics with the whole request in its message.
#[derive(Debug)]
struct Panicking;

#[async_trait]
impl Transport for Panicking {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        panic!("request {request:?} {:?}", request.clone().into_http().body());
    }
}

#[tokio::test]
async fn k1_panics_log_no_secret() {
    for subject in SUBJECTS {
        let provider = subject.with_secret("https://x.example", CREDENTIAL).unwrap();
        let tokens = TokenManager::builder(provider).with_transport(Panicking).build().unwrap();
        log().add_error(&tokens.token().await.unwrap_err());
    }
    log().assert_clean(1000);
}

#[test]
fn k3_header_values_with_secrets_are_sensitive() {
    for subject in SUBJECTS {
        let provider = subject.with_secret("https://x.example", CREDENTIAL).unwrap();
        let request = provider.login_request().into_http();
        let carries = |value: &&HeaderValue| value.to_str().is_ok_and(|text| text.contains(CREDENTIAL));
        let carriers: Vec<_> = request.headers().values().filter(carries).collect();
        assert!(carriers.iter().all(|value| value.is_sensitive()));
        let is_in_header = subject.secret_in == auth_tests::SecretIn::Header;
        assert_eq!(carriers.len(), usize::from(is_in_header));
    }
}

#[tokio::test]
async fn k4_server_text_in_errors_is_capped_and_printable() {
    let hostile = format!("x\u{1b}[31m\r\n{}", "y".repeat(100_000));
    let body =
        serde_json::json!({ "error": hostile, "code": hostile, "status": hostile, "success": false }).to_string();
    for subject in SUBJECTS {
        for status in [200, 401] {
            let server = fixed_server(status, &body).await;
            let error = run(&subject, &server.uri()).await.unwrap_err();
            let text = format!("{error} {error:?} {:?}", error.source());
            assert!(text.len() < 1000 && !text.chars().any(char::is_control), "{text}");
        }
    }
}

/// Covers stores that work, stores with broken entries, and stores that refuse the connection.
#[tokio::test]
async fn k1_stores_log_no_secret() {
    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("tokens").to_str().unwrap().to_owned();
    let files = || -> Arc<dyn TokenStore> { Arc::new(FileStore::builder().with_dir(&dir).build().unwrap()) };
    let mut stores = vec![files(), files()];
    let redis = RedisServer::start_with(&["--requirepass", "SENTINELpassword"]);
    if let Some(server) = &redis {
        let with_password = |password: &str| -> Arc<dyn TokenStore> {
            let url = format!("redis://default:{password}@127.0.0.1:{}/0", server.port());
            let builder = RedisStore::builder().with_url(url).with_keys(KEY);
            log().add(&builder);
            let store = builder.build().unwrap();
            log().add(&store);
            Arc::new(store)
        };
        stores.extend([
            with_password("SENTINELpassword"),
            with_password("SENTINELpassword"),
            with_password("SENTINELwrong"),
        ]);
    }
    let mut servers = Vec::new();
    for subject in SUBJECTS {
        let server = fixed_server(200, &subject.token_response(TOKEN)).await;
        let refusing = fixed_server(401, subject.refusal).await;
        for store in &stores {
            for base_url in [server.uri(), refusing.uri()] {
                let tokens = builder(&subject, &base_url).with_store(store.clone()).build().unwrap();
                match tokens.token().await {
                    Ok(token) => tokens.reject(&token),
                    Err(error) => log().add_error(&error),
                }
                log().add((&tokens, tokens.status(), store));
            }
        }
        // Kept until the end: a later server on the same port would have the same identity in the store.
        servers.extend([server, refusing]);
    }
    // Breaks every entry.
    for file in std::fs::read_dir(&dir).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read_to_string(&file).unwrap().replace("\"token\"", "\"other\"");
            std::fs::write(file, text).unwrap();
        }
    }
    for subject in SUBJECTS {
        let server = fixed_server(200, &subject.token_response(TOKEN)).await;
        let tokens = builder(&subject, &server.uri()).with_store(files()).build().unwrap();
        tokens.token().await.unwrap();
    }
    log().assert_clean(10_000);
}

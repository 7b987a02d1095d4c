//! The promises of every transport.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use auth_core::{Error, ErrorKind, ProviderInfo, Request, Response, Transport};
use http::{HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::time::{Instant, timeout};

use super::run;

/// The limit for each request. No request of the suite takes that long.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How many bytes of an endless response may be sent before the transport closes the connection.
///
/// This is far more than the limit of T2, because the buffers of the operating system are filled as well.
const MAX_BYTES_SENT: usize = 16 << 20;

/// A length of a body that must be accepted.
const ACCEPTED_LENGTH: usize = 64 << 10;
/// A length of a body that must be refused: one byte over the limit of T2.
const REFUSED_LENGTH: usize = (1 << 20) + 1;

/// How long a silent server keeps its connection open.
///
/// Then it closes the connection, so that a transport that blocks its thread continues and the test can fail.
const SILENCE: Duration = Duration::from_secs(5);

const EMPTY_OBJECT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// Tests a transport over plain HTTP on 127.0.0.1 against its promises: T1, T2, T7, R5, R6, S9, its part of T3, and the
/// rules in the documentation of [`Transport`].
///
/// It does not test TLS, so make sure yourself that the client verifies certificates. The suite takes a few seconds of
/// real time.
///
/// # Panics
/// At the first broken promise. The message starts with its number.
///
/// # Example
/// ```no_run
/// use auth_core::ReqwestTransport;
/// use auth_testing::conformance;
///
/// let transport = ReqwestTransport::new()?;
/// conformance::transport(|| transport.clone());
/// # Ok::<(), auth_core::Error>(())
/// ```
pub fn transport<T: Transport>(make: impl Fn() -> T) {
    // The servers need a thread that a blocking transport cannot occupy.
    run(Builder::new_multi_thread().worker_threads(1), async {
        t7_requests_arrive_unchanged(&make()).await;
        t1_redirects(&make()).await;
        t2_long_responses(&make()).await;
        r6_statuses(&make()).await;
        r6_broken_responses(&make()).await;
        t3_silent_server(&make()).await;
        s9_simultaneous_requests(&make()).await;
    });
}

async fn t7_requests_arrive_unchanged(transport: &impl Transport) {
    let server =
        Server::start("HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\n{}").await;
    let request = server.request().with_header(HeaderName::from_static("x-own"), HeaderValue::from_static("kept"));
    let response = send(transport, request.clone()).await.unwrap_or_else(|error| {
        panic!(
            "R6: a response with status 200 must be returned, but the result is {error:?}; does the transport use a \
             proxy for 127.0.0.1?"
        )
    });
    assert_eq!(
        (response.status().as_u16(), response.body()),
        (200, &b"{}"[..]),
        "R6: status and body of the response (left) must be as the server sent them (right)"
    );
    assert!(response.date().is_some(), "F5: the response must keep its `Date` header");
    let received = server.requests().remove(0).to_ascii_lowercase();
    let is_post =
        received.starts_with("post ") && received.lines().next().is_some_and(|line| line.contains("/login http/1."));
    assert!(
        is_post && header_values(&received, "x-own") == ["kept"],
        "T7: the request must be a POST to /login with the header `x-own: kept`, but the server received: {received}"
    );
    assert_eq!(
        header_values(&received, "content-length"),
        ["0"],
        "T7: an empty POST must have `Content-Length: 0`, but the server received: {received}"
    );
    let encodings = header_values(&received, "accept-encoding");
    assert!(
        encodings.iter().all(|value| *value == "identity"),
        "T2: a request must not ask for compression, but the server received: {received}"
    );

    let _ = send(transport, request.with_form(&[("a", "b c")])).await;
    let received = server.requests().remove(1);
    assert!(
        received.ends_with("\r\n\r\na=b+c"),
        "T7: the body must be sent unchanged, as `a=b+c`, but the server received: {received}"
    );
}

/// Returns the values of a header. The request and the name must be in lower case.
fn header_values<'a>(request: &'a str, name: &str) -> Vec<&'a str> {
    let pairs = request.lines().skip(1).filter_map(|line| line.split_once(':'));
    pairs.filter(|(found, _)| *found == name).map(|(_, value)| value.trim()).collect()
}

async fn t1_redirects(transport: &impl Transport) {
    let other_origin = Server::start(EMPTY_OBJECT).await;
    for status in [301, 302, 303, 307, 308] {
        for target in [format!("http://{}/login", other_origin.address), "/elsewhere".into()] {
            let head = format!("HTTP/1.1 {status} Moved\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n");
            let server = Server::start(&head).await;
            let response = send(transport, server.request()).await.unwrap_or_else(|error| {
                panic!(
                    "T1: a redirect must be returned as a response with status {status}, but the result is {error:?}"
                )
            });
            assert_eq!(response.status().as_u16(), status, "T1: a redirect with status {status} was followed");
            assert!(response.headers().contains_key("location"), "T1: a redirect must keep its `Location` header");
            assert_eq!(server.requests().len(), 1, "T1: a redirect with status {status} was followed");
        }
    }
    assert!(other_origin.requests().is_empty(), "T1: a redirect to another origin was followed");
}

async fn t2_long_responses(transport: &impl Transport) {
    let declared = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 1_u64 << 40);
    for head in [&*declared, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"] {
        let server = Server::start(head).await.endless();
        let result = send(transport, server.request()).await;
        assert_eq!(
            body_length(result),
            Err(ErrorKind::Malformed),
            "T2: a response without end (left: its body's length, or an error) must be refused as malformed"
        );
        let sent = server.bytes_sent();
        assert!(
            sent < MAX_BYTES_SENT,
            "T2: reading must stop at 1 MiB, but {sent} bytes were read of a response without end"
        );
    }
    for (length, expected) in [(ACCEPTED_LENGTH, Ok(ACCEPTED_LENGTH)), (REFUSED_LENGTH, Err(ErrorKind::Malformed))] {
        let body = " ".repeat(length);
        for response in [
            format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}"),
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"),
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"),
            format!("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"),
        ] {
            let server = Server::start(&response).await;
            let result = send(transport, server.request()).await;
            let head = response.trim_end().trim_end_matches(' ');
            assert_eq!(
                body_length(result),
                expected,
                "T2: a body of {length} bytes after {head:?} (left: its length, or an error) must be (right)"
            );
        }
    }
}

fn body_length(result: Result<Response, Error>) -> Result<usize, ErrorKind> {
    result.map(|response| response.body().len()).map_err(|error| error.kind())
}

async fn r6_statuses(transport: &impl Transport) {
    for status in [200, 204, 400, 401, 403, 404, 418, 429, 500, 503] {
        let body = if status == 204 { "" } else { r#"{"error":"x"}"# };
        let head = format!("HTTP/1.1 {status} X\r\nRetry-After: 7\r\nContent-Length: {}\r\n\r\n", body.len());
        let server = Server::start(&format!("{head}{body}")).await;
        let response = send(transport, server.request()).await.unwrap_or_else(|error| {
            panic!("R6: status {status} must be returned as a response, but the result is {error:?}")
        });
        assert_eq!(
            (response.status().as_u16(), server.requests().len()),
            (status, 1),
            "R6: the status and the number of requests (left) must be (right)"
        );
        let retry_after = response.headers().get("retry-after").map(HeaderValue::as_bytes);
        assert_eq!(
            retry_after,
            Some(&b"7"[..]),
            "R5: the response with status {status} must keep its `Retry-After` header"
        );
        // The body of a transient status is not needed.
        let is_kept = matches!(status, 429 | 500..) || response.body() == body.as_bytes();
        assert!(is_kept, "R6: the response with status {status} must keep its body, because it states the cause");
    }
}

async fn r6_broken_responses(transport: &impl Transport) {
    for head in [truncated("200 OK"), String::new(), "nonsense\r\n\r\n".into()] {
        let server = Server::start(&head).await;
        let error = send(transport, server.request()).await.err().unwrap_or_else(|| {
            panic!("R6: a response that ends early must be an error, but {head:?} was returned as a response")
        });
        assert_eq!(
            error.kind(),
            ErrorKind::Unavailable,
            "R6: a response that ends early must be `Unavailable`, but {head:?} led to {error:?}"
        );
        assert!(
            !error.is_unsent(),
            "R6: use `Error::unreachable` only if nothing was sent; after a broken response such as {head:?} use \
             `Error::unavailable`"
        );
        assert_eq!(
            server.requests().len(),
            1,
            "R6: a transport must not repeat a request, but the server received more than one after {head:?}"
        );
    }
    let server = Server::start(&truncated("401 Unauthorized")).await;
    let status = send(transport, server.request()).await.map(|response| response.status().as_u16());
    assert!(
        status.as_ref().ok() == Some(&401),
        "R6: a response with status 401 must be returned even if its body ends early, but the result is {status:?}"
    );

    let result = send(transport, Server::unreachable().await).await;
    let error = result.err().unwrap_or_else(|| {
        panic!("R6: a request to a port on which no server listens must be an error, but a response was returned")
    });
    assert!(
        error.is_unsent() && error.is_transient(),
        "R6: a refused connection must be `Error::unreachable`, but is {error:?}"
    );
}

/// Returns a response with this status whose body is shorter than its `Content-Length`.
fn truncated(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: 500\r\n\r\n{{\"err")
}

async fn t3_silent_server(transport: &impl Transport) {
    let server = Server::start("").await.silent();
    let start = Instant::now();
    let result = timeout(Duration::from_millis(200), transport.send(server.request())).await;
    assert!(
        start.elapsed() < SILENCE / 2,
        "T3: a transport must not block its thread, but a timeout of 200 ms took {:?}",
        start.elapsed()
    );
    assert!(
        result.is_err(),
        "T3: the request must wait for a server that does not respond, but the transport returned {result:?}"
    );
    while !server.with(|state| state.is_disconnected) {
        assert!(
            start.elapsed() < SILENCE,
            "T3: dropping the request must close its connection, but it is still open after {SILENCE:?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn s9_simultaneous_requests(transport: &impl Transport) {
    let silent = Server::start("").await.silent();
    let start = Instant::now();
    let responsive = Server::start(EMPTY_OBJECT).await;
    tokio::select! {
        biased;
        result = transport.send(silent.request()) => panic!(
            "T3: the request must wait for a server that does not respond, but the transport returned {result:?}"
        ),
        result = send(transport, responsive.request()) => assert!(
            result.is_ok(),
            "S9: a request must succeed while another one waits, but the transport returned {result:?}"
        ),
    }
    assert!(
        start.elapsed() < SILENCE / 2,
        "S9: a request that hangs must not delay another one, but the other one took {:?}",
        start.elapsed()
    );
}

async fn send(transport: &impl Transport, request: Request) -> Result<Response, Error> {
    let result = timeout(TIMEOUT, transport.send(request)).await;
    result.unwrap_or_else(|_| panic!("T3: the transport must return within {TIMEOUT:?}, but has not"))
}

/// Responds to each request with the same bytes and records the requests.
struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    response: String,
    then: Then,
    requests: Vec<String>,
    bytes_sent: usize,
    is_disconnected: bool,
}

/// What a server does after its response.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// The server closes the connection.
    Close,
    /// The server sends more of the body until the client closes the connection.
    SendOn,
    /// The server sends nothing. It waits for the client to close the connection, for at most `SILENCE`.
    Wait,
}

impl Server {
    async fn start(response: &str) -> Self {
        let listener = listen().await;
        let address = address(&listener);
        let state = Arc::new(Mutex::new(State {
            response: response.into(),
            then: Then::Close,
            requests: Vec::new(),
            bytes_sent: 0,
            is_disconnected: false,
        }));
        tokio::spawn(serve(listener, state.clone()));
        Self { address, state }
    }

    /// Returns a request to a port on which no server listens.
    async fn unreachable() -> Request {
        // The listener is dropped at once, which closes its port.
        request_to(address(&listen().await))
    }

    /// Makes the body endless.
    fn endless(self) -> Self {
        self.with(|state| state.then = Then::SendOn);
        self
    }

    /// Makes the server read each request and then wait.
    fn silent(self) -> Self {
        self.with(|state| state.then = Then::Wait);
        self
    }

    fn request(&self) -> Request {
        request_to(self.address)
    }

    fn requests(&self) -> Vec<String> {
        self.with(|state| state.requests.clone())
    }

    fn bytes_sent(&self) -> usize {
        self.with(|state| state.bytes_sent)
    }

    fn with<R>(&self, action: impl FnOnce(&mut State) -> R) -> R {
        with_state(&self.state, action)
    }
}

fn with_state<R>(state: &Mutex<State>, action: impl FnOnce(&mut State) -> R) -> R {
    action(&mut state.lock().unwrap_or_else(PoisonError::into_inner))
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap_or_else(|error| panic!("cannot listen on 127.0.0.1: {error}"))
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().unwrap_or_else(|error| panic!("cannot read the address of a test server: {error}"))
}

fn request_to(address: SocketAddr) -> Request {
    let endpoint = ProviderInfo::new("test", "TEST").endpoint(&format!("http://{address}"), "login_path", "/login");
    Request::post(&endpoint.unwrap_or_else(|error| panic!("the URL of a test server must be valid: {error}")))
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(respond(stream, state.clone()));
    }
}

/// Responds to one request. Returns `None` if the client closes the connection early.
async fn respond(mut stream: TcpStream, state: Arc<Mutex<State>>) -> Option<()> {
    let request = read_request(&mut stream).await?;
    let (response, then) = with_state(&state, |state| {
        state.requests.push(request);
        (state.response.clone(), state.then)
    });
    stream.write_all(response.as_bytes()).await.ok()?;
    match then {
        Then::Close => stream.shutdown().await.ok(),
        Then::Wait => {
            // A read that returns, whether with the end of the stream or with an error, means that the client has gone.
            timeout(SILENCE, stream.read(&mut [0])).await.ok()?.ok();
            with_state(&state, |state| state.is_disconnected = true);
            Some(())
        }
        Then::SendOn => loop {
            let chunk = [b' '; 16 * 1024];
            stream.write_all(&chunk).await.ok()?;
            with_state(&state, |state| state.bytes_sent += chunk.len());
        },
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut request = String::new();
    while !is_complete(&request) {
        let mut chunk = [0; 4096];
        let length = stream.read(&mut chunk).await.ok().filter(|length| *length > 0)?;
        request.push_str(&String::from_utf8_lossy(&chunk[..length]));
    }
    Some(request)
}

/// Returns `true` if the request has its head and as many bytes of body as `Content-Length` states.
fn is_complete(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let lengths =
        head.lines().filter_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    body.len() >= lengths.max().unwrap_or(0)
}

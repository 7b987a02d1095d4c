//! What every transport promises.

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

/// Longer than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What of an endless answer may be on its way when the transport has had enough.
const MOST_TAKEN: usize = 16 << 20;

const ORDINARY: usize = 64 << 10;
const TOO_LONG: usize = (1 << 20) + 1;

/// When a server that takes a request in silence goes away, so that a transport which blocks its thread is told.
const SILENCE: Duration = Duration::from_secs(5);

/// Holds a transport to its promises over plain HTTP on 127.0.0.1: T1, T2, T7, its part of T3, R6 and S9, and what is
/// said of [`Transport`]. TLS is not among them: use a client that checks certificates.
///
/// # Panics
/// With the number of the first promise that is broken, or what a request or an answer should be.
pub fn transport<T: Transport>(make: impl Fn() -> T) {
    // The servers have a thread of their own, for a transport that blocks.
    run(Builder::new_multi_thread().worker_threads(1), async {
        t7_a_request_arrives_as_it_was_made(&make()).await;
        t1_redirects(&make()).await;
        t2_long_answers(&make()).await;
        statuses(&make()).await;
        r6_broken_answers(&make()).await;
        t3_silence(&make()).await;
        s9_side_by_side(&make()).await;
    });
}

async fn t7_a_request_arrives_as_it_was_made(transport: &impl Transport) {
    let server =
        Server::start("HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\n{}").await;
    let request = server.request().with_header(HeaderName::from_static("x-own"), HeaderValue::from_static("kept"));
    let answer = sent(transport, request.clone())
        .await
        .unwrap_or_else(|error| panic!("an answer is an error, or went through a proxy: {error:?}"));
    assert_eq!((answer.status().as_u16(), answer.body()), (200, &b"{}"[..]), "the answer comes as it was sent");
    assert!(answer.date().is_some(), "F5: `Date` is kept");
    let seen = server.seen().remove(0).to_ascii_lowercase();
    let is_post = seen.starts_with("post ") && seen.lines().next().is_some_and(|line| line.contains("/login http/1."));
    assert!(is_post && headers(&seen, "x-own") == ["kept"], "a request is another than it was made: {seen}");
    assert_eq!(headers(&seen, "content-length"), ["0"], "T7: an empty POST states its length: {seen}");
    let encodings = headers(&seen, "accept-encoding");
    assert!(encodings.iter().all(|value| *value == "identity"), "T2: nothing compressed is asked for: {seen}");

    let _ = sent(transport, request.with_form(&[("a", "b c")])).await;
    let seen = server.seen().remove(1);
    assert!(seen.ends_with("\r\n\r\na=b+c"), "the body goes as it is: {seen}");
}

/// The values of a header.
fn headers<'a>(request: &'a str, name: &str) -> Vec<&'a str> {
    let pairs = request.lines().skip(1).filter_map(|line| line.split_once(':'));
    pairs.filter(|(own, _)| *own == name).map(|(_, value)| value.trim()).collect()
}

async fn t1_redirects(transport: &impl Transport) {
    let trap = Server::start("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
    for status in [301, 302, 303, 307, 308] {
        for target in [format!("http://{}/login", trap.address), "/elsewhere".into()] {
            let head = format!("HTTP/1.1 {status} Moved\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n");
            let server = Server::start(&head).await;
            let answer = sent(transport, server.request()).await;
            let answer = answer.unwrap_or_else(|error| panic!("T1: a redirect is an answer, not {error:?}"));
            assert_eq!(answer.status().as_u16(), status, "T1: a redirect was followed");
            assert!(answer.headers().contains_key("location"), "T1: `Location` is kept");
            assert_eq!(server.seen().len(), 1, "T1: a redirect was followed");
        }
    }
    assert!(trap.seen().is_empty(), "T1: a redirect was followed to another origin");
}

async fn t2_long_answers(transport: &impl Transport) {
    let declared = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 1_u64 << 40);
    for head in [&*declared, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"] {
        let server = Server::start(head).await.endless();
        let result = sent(transport, server.request()).await;
        let kind = result.map(|_| ()).map_err(|error| error.kind());
        assert_eq!(kind, Err(ErrorKind::Malformed), "T2: an endless answer");
        assert!(server.taken() < MOST_TAKEN, "T2: {} bytes of it were taken", server.taken());
    }
    for (length, expected) in [(ORDINARY, Ok(ORDINARY)), (TOO_LONG, Err(ErrorKind::Malformed))] {
        let body = " ".repeat(length);
        for answer in [
            format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}"),
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"),
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"),
            format!("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"),
        ] {
            let server = Server::start(&answer).await;
            let result = sent(transport, server.request()).await;
            let taken = result.map(|answer| answer.body().len()).map_err(|error| error.kind());
            assert_eq!(taken, expected, "T2: {length} bytes after {:?}", answer.trim_end().trim_end_matches(' '));
        }
    }
}

async fn statuses(transport: &impl Transport) {
    for status in [200, 204, 400, 401, 403, 404, 418, 429, 500, 503] {
        let body = if status == 204 { "" } else { r#"{"error":"x"}"# };
        let head = format!("HTTP/1.1 {status} X\r\nRetry-After: 7\r\nContent-Length: {}\r\n\r\n", body.len());
        let server = Server::start(&format!("{head}{body}")).await;
        let answer = sent(transport, server.request()).await;
        let answer = answer.unwrap_or_else(|error| panic!("R6: status {status} is an answer, not {error:?}"));
        assert_eq!((answer.status().as_u16(), server.seen().len()), (status, 1), "R6: status and number of requests");
        let wait = answer.headers().get("retry-after").map(HeaderValue::as_bytes);
        assert_eq!(wait, Some(&b"7"[..]), "R5: `Retry-After` of a {status} is kept");
        // What is passing is told by its status alone.
        let is_kept = matches!(status, 429 | 500..) || answer.body() == body.as_bytes();
        assert!(is_kept, "R6: the body of a {status} says why");
    }
}

async fn r6_broken_answers(transport: &impl Transport) {
    let half = |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 500\r\n\r\n{{\"err");
    for head in [half("200 OK"), String::new(), "nonsense\r\n\r\n".into()] {
        let server = Server::start(&head).await;
        let error = sent(transport, server.request()).await.err();
        let error = error.unwrap_or_else(|| panic!("R6: what breaks off is no answer: {head:?}"));
        assert_eq!(error.kind(), ErrorKind::Unavailable, "R6: {head:?} is {error:?}");
        assert!(!error.is_unsent(), "R6: `unreachable` is for what was not sent: {head:?}");
        assert_eq!(server.seen().len(), 1, "R6: the transport repeats nothing: {head:?}");
    }
    let server = Server::start(&half("401 Unauthorized")).await;
    let status = sent(transport, server.request()).await.map(|answer| answer.status().as_u16());
    assert_eq!(status.ok(), Some(401), "R6: a refusal whose body breaks off is a refusal");

    let closed = Server::nobody().await;
    let error = sent(transport, closed).await.err().unwrap_or_else(|| panic!("R6: nobody listens there"));
    assert!(error.is_unsent() && error.is_transient(), "R6: nobody listens there, so it is unreachable, not {error:?}");
}

async fn t3_silence(transport: &impl Transport) {
    let server = Server::start("").await.silent();
    let start = Instant::now();
    let result = timeout(Duration::from_millis(200), transport.send(server.request())).await;
    assert!(start.elapsed() < SILENCE / 2, "T3: a transport must not block its thread");
    assert!(result.is_err(), "T3: silence is no answer");
    while !server.with(|state| state.is_left) {
        assert!(start.elapsed() < SILENCE, "T3: a request that is dropped must end its connection");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn s9_side_by_side(transport: &impl Transport) {
    let server = Server::start("").await.silent();
    let start = Instant::now();
    let quick = Server::start("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
    tokio::select! {
        biased;
        result = transport.send(server.request()) => panic!("T3: silence is no answer, and not {result:?}"),
        answer = sent(transport, quick.request()) => assert!(answer.is_ok(), "S9: one request beside another: {answer:?}"),
    }
    assert!(start.elapsed() < SILENCE / 2, "S9: a login that hangs delays another");
}

async fn sent(transport: &impl Transport, request: Request) -> Result<Response, Error> {
    let result = timeout(TIMEOUT, transport.send(request)).await;
    result.unwrap_or_else(|_| panic!("the transport does not come back within {} s", TIMEOUT.as_secs()))
}

/// Answers each request with the same bytes, and remembers what it was asked.
struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    answer: String,
    after: After,
    seen: Vec<String>,
    taken: usize,
    is_left: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum After {
    Closed,
    Endless,
    Silent,
}

impl Server {
    async fn start(answer: &str) -> Self {
        let listener = listener().await;
        let address = address(&listener);
        let state = State { answer: answer.into(), after: After::Closed, seen: Vec::new(), taken: 0, is_left: false };
        let state = Arc::new(Mutex::new(state));
        tokio::spawn(serve(listener, state.clone()));
        Self { address, state }
    }

    /// A request for where nobody listens.
    async fn nobody() -> Request {
        request_to(address(&listener().await))
    }

    /// What follows goes on without an end.
    fn endless(self) -> Self {
        self.with(|state| state.after = After::Endless);
        self
    }

    /// It takes the request, and for a long time that is all.
    fn silent(self) -> Self {
        self.with(|state| state.after = After::Silent);
        self
    }

    fn request(&self) -> Request {
        request_to(self.address)
    }

    fn seen(&self) -> Vec<String> {
        self.with(|state| state.seen.clone())
    }

    fn taken(&self) -> usize {
        self.with(|state| state.taken)
    }

    fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        with(&self.state, act)
    }
}

fn with<R>(state: &Mutex<State>, act: impl FnOnce(&mut State) -> R) -> R {
    act(&mut state.lock().unwrap_or_else(PoisonError::into_inner))
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap_or_else(|error| panic!("no port: {error}"))
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().unwrap_or_else(|error| panic!("no address: {error}"))
}

fn request_to(address: SocketAddr) -> Request {
    let endpoint = ProviderInfo::new("test", "TEST").endpoint(&format!("http://{address}"), "login_path", "/login");
    Request::post(&endpoint.unwrap_or_else(|error| panic!("a good URL: {error}")))
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, state.clone()));
    }
}

/// Answers one request, and goes.
async fn answer(mut stream: TcpStream, state: Arc<Mutex<State>>) -> Option<()> {
    let request = read(&mut stream).await?;
    let (answer, after) = with(&state, |state| {
        state.seen.push(request);
        (state.answer.clone(), state.after)
    });
    stream.write_all(answer.as_bytes()).await.ok()?;
    match after {
        After::Closed => stream.shutdown().await.ok(),
        After::Silent => {
            timeout(SILENCE, stream.read(&mut [0])).await.ok()?.ok();
            with(&state, |state| state.is_left = true);
            Some(())
        }
        After::Endless => loop {
            let chunk = [b' '; 16 * 1024];
            stream.write_all(&chunk).await.ok()?;
            with(&state, |state| state.taken += chunk.len());
        },
    }
}

async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut request = String::new();
    let is_whole = |request: &str| {
        let (head, body) = request.split_once("\r\n\r\n")?;
        let lengths = head
            .lines()
            .filter_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        (body.len() >= lengths.max().unwrap_or(0)).then_some(())
    };
    while is_whole(&request).is_none() {
        let mut chunk = [0; 4096];
        let length = stream.read(&mut chunk).await.ok().filter(|length| *length > 0)?;
        request.push_str(&String::from_utf8_lossy(&chunk[..length]));
    }
    Some(request)
}

//! `auth proxy`: over real sockets, to the sandbox and to an API of the test's own.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use auth_sandbox::{Api, Fault};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::any;
use futures::StreamExt;
use support::{Home, Server};

/// An API that tells what it was asked, and echoes bodies as they come.
fn api() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let itself = origin.clone();
    let app = Router::new()
        .route("/headers", any(|headers: HeaderMap| async move { format!("{headers:?}") }))
        .route(
            "/echo",
            any(|request: Request| async move {
                let chunks =
                    request.into_body().into_data_stream().map(|chunk| Ok::<Bytes, Infallible>(chunk.unwrap()));
                Body::from_stream(chunks)
            }),
        )
        .route("/teapot", any(|| async { (StatusCode::IM_A_TEAPOT, [("x-own", "kept")], "short and stout") }))
        .route(
            "/moved",
            any(move || {
                let there = format!("{itself}/headers?x=1");
                async move { (StatusCode::FOUND, [(header::LOCATION, there)]).into_response() }
            }),
        )
        .route(
            "/slow",
            any(|| async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                "done"
            }),
        )
        .route(
            "/broken",
            any(|| async {
                let half = futures::stream::once(async { Ok(Bytes::from_static(b"half")) });
                let end = futures::stream::once(async {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Err(std::io::Error::other("on purpose"))
                });
                Body::from_stream(half.chain(end))
            }),
        );
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
    });
    origin
}

struct Proxy {
    server: Server,
    address: String,
}

fn proxy(home: &Home, provider: &str, to: &str) -> Proxy {
    let server = Server::start(&mut home.auth(&["proxy", provider, "--to", to]), 1);
    let address = server.lines[0].strip_prefix("http://").unwrap().to_owned();
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    Proxy { server, address }
}

impl Proxy {
    /// Sends a request as it stands, with `Host` and `Connection: close` added; gives the whole answer.
    fn ask(&self, line: &str, more: &str) -> String {
        self.raw(&format!("{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{more}\r\n", self.address))
    }

    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path}"), "")
    }

    fn raw(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("{answer:?}")).parse().unwrap()
}

#[test]
fn a1_the_token_is_added_and_a_rejected_request_sent_once_more() {
    let home = Home::new();
    let proxy = proxy(&home, "voipex", &home.sandbox.origin());
    assert_eq!(status(&proxy.get("/api/protected")), 200);
    home.sandbox.revoke_all(Api::Voipex);
    assert_eq!(status(&proxy.get("/api/protected")), 200);
    let counters = home.sandbox.counters(Api::Voipex);
    assert_eq!((counters.logins, counters.refreshes, counters.served), (1, 1, 2));
    home.run(&["token", "voipex"]).line();
    assert_eq!(home.sandbox.counters(Api::Voipex).logins, 1, "one cache for all");
}

#[test]
fn what_the_api_wants_beside_the_token_goes_with_it() {
    let home = Home::new();
    let proxy = proxy(&home, "zoqq", &api());
    let seen = proxy.get("/headers");
    assert!(seen.contains("\"authorization\": \"Bearer ") && seen.contains("\"x-api-key\""), "{seen}");
    assert!(seen.contains("\"via\": \"1.1 auth\"") && !seen.contains(&proxy.address), "{seen}");
    let own = proxy.ask("GET /headers", "Authorization: Basic b3du\r\n");
    assert!(own.contains("\"authorization\": \"Basic b3du\""), "one's own is left alone: {own}");
}

#[test]
fn a_request_for_another_host_or_from_a_web_page_gets_nothing() {
    let home = Home::new();
    let proxy = proxy(&home, "voipex", &home.sandbox.origin());
    let host = &proxy.address;
    let cases = [
        ("GET /api/protected HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".to_owned(), 421),
        (format!("GET http://evil.example/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"), 421),
        (format!("GET / HTTP/1.1\r\nHost: {host}\r\nOrigin: https://evil.example\r\nConnection: close\r\n\r\n"), 403),
        (format!("GET / HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: cross-site\r\nConnection: close\r\n\r\n"), 403),
        (format!("TRACE / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"), 405),
        (format!("CONNECT evil.example:443 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"), 405),
        (format!("OPTIONS * HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"), 400),
    ];
    for (request, expected) in cases {
        assert_eq!(status(&proxy.raw(&request)), expected, "{request}");
    }
    assert_eq!(home.sandbox.counters(Api::Voipex).requests, 0, "not even a login");
}

#[test]
fn bodies_stream_both_ways() {
    let home = Home::new();
    let proxy = proxy(&home, "voipex", &api());
    let mut stream = proxy.connect();
    let head = format!("POST /echo HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n", proxy.address);
    stream.write_all(head.as_bytes()).unwrap();
    let mut seen = String::new();
    for word in ["first", "second"] {
        stream.write_all(format!("{:x}\r\n{word}\r\n", word.len()).as_bytes()).unwrap();
        // Each comes back before the next is sent.
        while !seen.contains(word) {
            let mut piece = [0; 1024];
            let length = stream.read(&mut piece).unwrap();
            assert!(length > 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&piece[..length]));
        }
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();

    let large = "x".repeat(3_000_000);
    let mut stream = proxy.connect();
    let mut sending = stream.try_clone().unwrap();
    let head = format!("POST /echo HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", proxy.address);
    let request = format!("{head}Content-Length: {}\r\n\r\n{large}", large.len());
    // What is echoed is read meanwhile.
    let sender = thread::spawn(move || sending.write_all(request.as_bytes()).unwrap());
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    sender.join().unwrap();
    assert_eq!((status(&answer), answer.matches('x').count()), (200, large.len()));
}

#[test]
fn a_request_goes_on_as_it_came() {
    let home = Home::new();
    let proxy = proxy(&home, "zoqq", &api());
    for path in ["/headers?a=%2e%2e&b", "//headers", "/a%2Fb/@:;,"] {
        assert_ne!(status(&proxy.get(path)), 400, "{path}");
    }
    for path in ["/x/../headers", "/x/%2e%2e/headers", "/./headers"] {
        assert_eq!(status(&proxy.get(path)), 400, "not as another path: {path}");
    }
    let empty = proxy.ask("GET /headers", "Authorization:\r\n");
    assert!(empty.contains("\"authorization\": \"Bearer "), "A6: never bare: {empty}");
    let old = proxy.raw(&format!("GET /headers HTTP/1.0\r\nHost: {}\r\n\r\n", proxy.address));
    assert_eq!(status(&old), 200);
    let broken = proxy.ask("POST /echo", "Transfer-Encoding: chunked\r\n\r\nZZ\r\n");
    assert_eq!(status(&broken), 400, "the client's fault, not the API's: {broken}");
    let told = proxy.server.stderr();
    assert!(!told.contains("no answer of the API") && !told.contains(&home.setting("ZOQQ_API_KEY")), "{told}");
}

#[test]
fn failures_of_the_api_pass_through() {
    let home = Home::new();
    let proxy = proxy(&home, "voipex", &api());
    let teapot = proxy.get("/teapot");
    assert!(
        status(&teapot) == 418 && teapot.contains("x-own: kept") && teapot.ends_with("short and stout"),
        "{teapot}"
    );
    let moved = proxy.get("/moved");
    assert!(status(&moved) == 302 && moved.contains("location: /headers?x=1\r\n"), "through the proxy again: {moved}");
    assert_eq!(status(&proxy.get("/nothing")), 404);
    let broken = proxy.get("/broken");
    assert!(broken.contains("half") && !broken.ends_with("0\r\n\r\n"), "broken off there is broken off here: {broken}");
}

#[test]
fn a6_without_a_token_nothing_is_sent() {
    let home = Home::new().with("VOIPEX_PASSWORD", "wrong");
    let refused = proxy(&home, "voipex", &home.sandbox.origin());
    let answer = refused.get("/api/protected");
    assert!(status(&answer) == 502 && answer.contains("auth proxy: voipex: "), "{answer}");
    assert!(answer.contains("refused") && !answer.contains("wrong"), "{answer}");

    let home = Home::new();
    home.sandbox.fail_always(Api::Roecny, Fault::RetryAfter(429, "30".into()));
    let throttled = proxy(&home, "roecny", &home.sandbox.origin());
    let answer = throttled.get("/api/protected");
    assert!(status(&answer) == 503 && answer.contains("retry-after: 3"), "{answer}");

    let dead = proxy(&home, "zoqq", "http://127.0.0.1:9");
    let answer = dead.get("/");
    assert!(status(&answer) == 502 && answer.contains("no answer of the API"), "{answer}");
}

#[test]
fn it_is_for_this_machine_and_ends_cleanly() {
    let home = Home::new();
    for (more, expected) in [
        (&["--listen", "0.0.0.0:0"][..], "this machine alone"),
        (&["--to", "http://api.example.com"], "--to"),
        (&["--to", "https://api.example.com/path"], "--to"),
    ] {
        let to = if more[0] == "--to" { &[][..] } else { &["--to", "https://api.example.com"] };
        let ran = home.run(&[&["proxy", "zoqq"], to, more].concat());
        assert!(ran.failed(2).contains(expected), "{ran:?}");
    }

    let mut proxy = proxy(&home, "voipex", &api());
    let mut under_way = proxy.connect();
    write!(under_way, "GET /slow HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.address).unwrap();
    thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    proxy.server.signal("INT");
    let mut answer = String::new();
    under_way.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("done"), "what is under way is finished: {answer}");
    assert_eq!(proxy.server.end(), 0);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

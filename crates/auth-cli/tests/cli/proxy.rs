//! `auth proxy`: over real sockets, with the sandbox and with an API of this test.

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

use crate::support::{Home, Server};

/// Starts an API that shows the headers of requests and echoes bodies in chunks. Returns its origin.
fn api() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let own_origin = origin.clone();
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
                let location = format!("{own_origin}/headers?x=1");
                async move { (StatusCode::FOUND, [(header::LOCATION, location)]).into_response() }
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
    /// Sends a request with `Host` and `Connection: close` added. Returns the whole response.
    fn request(&self, line: &str, more: &str) -> String {
        self.raw(&format!("{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{more}\r\n", self.address))
    }

    fn get(&self, path: &str) -> String {
        self.request(&format!("GET {path}"), "")
    }

    fn raw(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        let _ = stream.read_to_string(&mut response);
        response
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }
}

fn status(response: &str) -> u16 {
    response.split(' ').nth(1).unwrap_or_else(|| panic!("{response:?}")).parse().unwrap()
}

#[test]
fn a1_the_token_is_added_and_a_rejected_request_is_sent_once_more() {
    let home = Home::new();
    let proxy = proxy(&home, "voipex", &home.sandbox.origin());
    assert_eq!(status(&proxy.get("/api/protected")), 200);
    home.sandbox.revoke_all(Api::Voipex);
    assert_eq!(status(&proxy.get("/api/protected")), 200);
    let counters = home.sandbox.counters(Api::Voipex);
    assert_eq!((counters.logins, counters.refreshes, counters.served), (1, 1, 2));
    home.run(&["token", "voipex"]).stdout_line();
    assert_eq!(home.sandbox.counters(Api::Voipex).logins, 1, "the proxy and `auth token` share the cache");
}

#[test]
fn the_other_headers_that_the_api_requires_are_added() {
    let home = Home::new();
    let proxy = proxy(&home, "zoqq", &api());
    let seen = proxy.get("/headers");
    assert!(seen.contains("\"authorization\": \"Bearer ") && seen.contains("\"x-api-key\""), "{seen}");
    assert!(seen.contains("\"via\": \"1.1 auth\"") && !seen.contains(&proxy.address), "{seen}");
    let own = proxy.request("GET /headers", "Authorization: Basic b3du\r\n");
    assert!(own.contains("\"authorization\": \"Basic b3du\""), "the client's own header is kept: {own}");
}

#[test]
fn a_request_for_another_host_or_from_a_web_page_is_rejected() {
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
fn bodies_are_streamed_in_both_directions() {
    let home = Home::new();
    let proxy = proxy(&home, "voipex", &api());
    let mut stream = proxy.connect();
    let head = format!("POST /echo HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n", proxy.address);
    stream.write_all(head.as_bytes()).unwrap();
    let mut seen = String::new();
    for word in ["first", "second"] {
        stream.write_all(format!("{:x}\r\n{word}\r\n", word.len()).as_bytes()).unwrap();
        // Each chunk comes back before the next is sent.
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
    // A thread sends, because the echo must be read at the same time.
    let sender = thread::spawn(move || sending.write_all(request.as_bytes()).unwrap());
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    sender.join().unwrap();
    assert_eq!((status(&response), response.matches('x').count()), (200, large.len()));
}

#[test]
fn the_path_is_forwarded_unchanged() {
    let home = Home::new();
    let proxy = proxy(&home, "zoqq", &api());
    for path in ["/headers?a=%2e%2e&b", "//headers", "/a%2Fb/@:;,"] {
        assert_ne!(status(&proxy.get(path)), 400, "{path}");
    }
    for path in ["/x/../headers", "/x/%2e%2e/headers", "/./headers"] {
        assert_eq!(status(&proxy.get(path)), 400, "a path that would change is rejected: {path}");
    }
    let empty = proxy.request("GET /headers", "Authorization:\r\n");
    assert!(empty.contains("\"authorization\": \"Bearer "), "A6: no request without a token: {empty}");
    let old = proxy.raw(&format!("GET /headers HTTP/1.0\r\nHost: {}\r\n\r\n", proxy.address));
    assert_eq!(status(&old), 200);
    let broken = proxy.request("POST /echo", "Transfer-Encoding: chunked\r\n\r\nZZ\r\n");
    assert_eq!(status(&broken), 400, "an error of the client, not of the API: {broken}");
    let stderr = proxy.server.stderr();
    assert!(
        !stderr.contains("no response from the API") && !stderr.contains(&home.setting("ZOQQ_API_KEY")),
        "{stderr}"
    );
}

#[test]
fn errors_of_the_api_are_returned_unchanged() {
    let home = Home::new();
    let proxy = proxy(&home, "voipex", &api());
    let teapot = proxy.get("/teapot");
    assert!(
        status(&teapot) == 418 && teapot.contains("x-own: kept") && teapot.ends_with("short and stout"),
        "{teapot}"
    );
    let moved = proxy.get("/moved");
    assert!(
        status(&moved) == 302 && moved.contains("location: /headers?x=1\r\n"),
        "the redirect leads to the proxy: {moved}"
    );
    assert_eq!(status(&proxy.get("/nothing")), 404);
    let broken = proxy.get("/broken");
    assert!(
        broken.contains("half") && !broken.ends_with("0\r\n\r\n"),
        "an incomplete response stays incomplete: {broken}"
    );
}

#[test]
fn a6_without_a_token_nothing_is_sent() {
    let home = Home::new().with("VOIPEX_PASSWORD", "wrong");
    let refused = proxy(&home, "voipex", &home.sandbox.origin());
    let response = refused.get("/api/protected");
    assert!(status(&response) == 502 && response.contains("auth proxy: voipex: "), "{response}");
    assert!(response.contains("refused") && !response.contains("wrong"), "{response}");

    let home = Home::new();
    home.sandbox.fail_always(Api::Roecny, Fault::RetryAfter(429, "30".into()));
    let throttled = proxy(&home, "roecny", &home.sandbox.origin());
    let response = throttled.get("/api/protected");
    assert!(status(&response) == 503 && response.contains("retry-after: 3"), "{response}");

    let dead = proxy(&home, "zoqq", "http://127.0.0.1:9");
    let response = dead.get("/");
    assert!(status(&response) == 502 && response.contains("no response from the API"), "{response}");
}

#[test]
fn the_proxy_listens_on_loopback_only_and_stops_cleanly() {
    let home = Home::new();
    for (more, expected) in [
        (&["--listen", "0.0.0.0:0"][..], "expected a loopback address"),
        (&["--to", "http://api.example.com"], "--to"),
        (&["--to", "https://api.example.com/path"], "--to"),
    ] {
        let to = if more[0] == "--to" { &[][..] } else { &["--to", "https://api.example.com"] };
        let result = home.run(&[&["proxy", "zoqq"], to, more].concat());
        assert!(result.failed(2).contains(expected), "{result:?}");
    }

    let mut proxy = proxy(&home, "voipex", &api());
    let mut in_progress = proxy.connect();
    write!(in_progress, "GET /slow HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.address).unwrap();
    thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    proxy.server.signal("INT");
    let mut response = String::new();
    in_progress.read_to_string(&mut response).unwrap();
    assert!(response.ends_with("done"), "a request in progress is finished: {response}");
    assert_eq!(proxy.server.end(), 0);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

//! The sandbox does what its documentation says, and accepts every code sample of the providers' documents.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use auth_sandbox::{API_KEY, Api, CLIENT_ID, CLIENT_SECRET, Fault, PASSWORD, Sandbox, USERNAME};
use serde_json::{Value, json};

struct Response {
    status: u16,
    head: String,
    body: Vec<u8>,
    is_complete: bool,
}

impl Response {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Sends these bytes, and reads as many bytes of the body as `Content-Length` states, or until the connection ends.
fn send(sandbox: &Sandbox, request: &[u8]) -> Response {
    let url = sandbox.base_url(Api::Voipex);
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request).unwrap();
    let (mut received, mut chunk) = (Vec::new(), vec![0; 65536]);
    let end = loop {
        let length = stream.read(&mut chunk).unwrap_or(0);
        received.extend_from_slice(&chunk[..length]);
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        assert!(length > 0, "no response");
    };
    let head = String::from_utf8(received[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut response = Response { status, head, body: received.split_off(end + 4), is_complete: true };
    let expected_length = response.header("content-length").map_or(MAX_READ, |length| length.parse().unwrap());
    while response.body.len() < expected_length {
        let length = stream.read(&mut chunk).unwrap_or(0);
        response.body.extend_from_slice(&chunk[..length]);
        if length == 0 {
            response.is_complete = false;
            break;
        }
    }
    response
}

/// The number of bytes that are read of a body without a `Content-Length`.
const MAX_READ: usize = 2 << 20;

fn request(line: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn form(body: &str) -> Vec<u8> {
    request("POST /token", &[("Content-Type", "application/x-www-form-urlencoded")], body)
}

fn password(password: &str) -> Vec<u8> {
    form(&format!("grant_type=password&client_id=api&username={}&password={password}", USERNAME.replace('@', "%40")))
}

fn refresh(token: &str) -> Vec<u8> {
    form(&format!("grant_type=refresh_token&client_id=api&refresh_token={token}"))
}

fn cambyopro(body: &Value) -> Vec<u8> {
    let path = "POST /api/no-auth/authentication/v1/login";
    request(path, &[("Content-Type", "application/json")], &body.to_string())
}

fn zoqq(headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    request("POST /zoqq/api/v1/authentication/login", headers, body)
}

fn get(sandbox: &Sandbox, token: &str) -> u16 {
    let authorization = format!("Bearer {token}");
    send(sandbox, &request("GET /api/protected", &[("Authorization", &authorization)], "")).status
}

#[test]
fn every_code_sample_of_the_documents_logs_in() {
    let sandbox = Sandbox::start().unwrap();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let mut count = 0;
    for entry in fs::read_dir(samples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "http") {
            let response = send(&sandbox, &fs::read(&path).unwrap());
            let body = response.json();
            assert_eq!(response.status, 200, "{path:?}: {body}");
            let token = ["token", "accessToken", "access_token"].iter().find_map(|name| body[name].as_str());
            assert_eq!(get(&sandbox, token.unwrap()), 200, "{path:?}");
            count += 1;
        }
    }
    assert_eq!(count, 18);
    let logins = Api::ALL.map(|api| sandbox.counters(api).logins);
    assert_eq!(logins, [5, 5, 5, 3]);
}

#[test]
fn requests_that_break_the_documented_rules_are_refused() {
    let sandbox = Sandbox::start().unwrap();
    let id = ("x-client-id", CLIENT_ID);
    let key = ("x-api-key", API_KEY);
    let cases = [
        (zoqq(&[id, key], ""), 400),
        (zoqq(&[id, ("scope", "r:a")], ""), 400),
        (zoqq(&[key, ("scope", "r:a")], ""), 400),
        (zoqq(&[id, ("x-api-key", "wrong"), ("scope", "r:a")], ""), 401),
        (zoqq(&[id, key, ("scope", "r:a")], "not JSON"), 400),
        (request("GET /zoqq/api/v1/authentication/login", &[id, key], ""), 405),
        (request("POST /roecny/api/v1/authentication/login", &[id], ""), 400),
        (cambyopro(&json!({ "clientId": CLIENT_ID })), 400),
        (cambyopro(&json!({ "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET, "extra": 1 })), 400),
        (cambyopro(&json!({ "clientId": CLIENT_ID, "clientSecret": "wrong" })), 401),
        (cambyopro(&json!({ "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET })), 400),
        (request("POST /token", &[("Content-Type", "application/json")], "{}"), 400),
        (form("grant_type=password&client_id=other"), 401),
        (form("grant_type=client_credentials&client_id=api"), 400),
        (password("wrong"), 401),
        (refresh("unknown"), 400),
        (request("GET /api/protected", &[], ""), 401),
    ];
    for (bytes, status) in cases {
        assert_eq!(send(&sandbox, &bytes).status, status, "{}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn zoqqs_login_with_a_json_body_gets_a_response_with_an_envelope() {
    let sandbox = Sandbox::start().unwrap();
    let body = json!({ "client_key": CLIENT_ID, "client_secret": CLIENT_SECRET, "email": USERNAME }).to_string();
    let response = send(&sandbox, &zoqq(&[("x-api-key", API_KEY)], &body)).json();
    assert_eq!((&response["code"], &response["status"]), (&json!(200), &json!("success")));
    assert_eq!(get(&sandbox, response["data"][0]["access_token"].as_str().unwrap()), 200);

    let without_email = json!({ "client_key": CLIENT_ID, "client_secret": CLIENT_SECRET }).to_string();
    assert_eq!(send(&sandbox, &zoqq(&[("x-api-key", API_KEY)], &without_email)).status, 400);
    let headers = [("x-api-key", API_KEY), ("x-client-id", CLIENT_ID)];
    assert_eq!(send(&sandbox, &zoqq(&headers, &without_email)).status, 200);
}

fn refresh_token(response: &Response) -> String {
    response.json()["refresh_token"].as_str().unwrap().to_owned()
}

#[test]
fn with_rotation_a_second_use_of_a_refresh_token_ends_the_session() {
    let sandbox = Sandbox::start().unwrap();
    let first = refresh_token(&send(&sandbox, &password(PASSWORD)));
    let second = refresh_token(&send(&sandbox, &refresh(&first)));
    assert_eq!(send(&sandbox, &refresh(&first)).status, 200, "without rotation the old token stays valid");

    sandbox.set_refresh_rotation(true);
    let third = refresh_token(&send(&sandbox, &password(PASSWORD)));
    let fourth = refresh_token(&send(&sandbox, &refresh(&third)));
    let reuse = send(&sandbox, &refresh(&third)).json();
    assert_eq!(reuse["error_description"], "Maximum allowed refresh token reuse exceeded");
    assert_eq!(send(&sandbox, &refresh(&fourth)).json()["error_description"], "Session not active");
    assert_ne!(first, second);
}

#[test]
fn two_failed_logins_within_a_second_lock_the_user() {
    let sandbox = Sandbox::start().unwrap();
    sandbox.set_lockout(Some(Duration::from_secs(2)));
    for attempt in ["wrong", "wrong", PASSWORD] {
        let response = send(&sandbox, &password(attempt));
        assert_eq!((response.status, &response.json()["error"]), (401, &json!("invalid_grant")));
    }
    std::thread::sleep(Duration::from_millis(2100));
    assert_eq!(send(&sandbox, &password(PASSWORD)).status, 200);

    for attempt in ["wrong", "wrong"] {
        send(&sandbox, &password(attempt));
    }
    assert_eq!(send(&sandbox, &password(PASSWORD)).status, 401);
    sandbox.set_lockout(None);
    assert_eq!(send(&sandbox, &password(PASSWORD)).status, 200);
}

#[test]
fn tokens_expire_and_can_be_revoked() {
    let sandbox = Sandbox::start().unwrap();
    sandbox.set_lifetime(Api::Voipex, Duration::from_secs(1));
    let response = send(&sandbox, &password(PASSWORD)).json();
    assert_eq!(response["expires_in"], 1);
    let token = response["access_token"].as_str().unwrap();
    assert_eq!(get(&sandbox, token), 200);
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(get(&sandbox, token), 401);

    sandbox.set_lifetime(Api::Voipex, Duration::from_secs(60));
    let [one, two] =
        [(); 2].map(|()| send(&sandbox, &password(PASSWORD)).json()["access_token"].as_str().unwrap().to_owned());
    assert!(sandbox.revoke(&one) && !sandbox.revoke(&one));
    assert_eq!((get(&sandbox, &one), get(&sandbox, &two)), (401, 200));
    sandbox.revoke_all(Api::Voipex);
    assert_eq!(get(&sandbox, &two), 401);
    assert_eq!(sandbox.counters(Api::Voipex).served, 2);
}

#[test]
fn every_fault_does_what_its_documentation_says() {
    let sandbox = Sandbox::start().unwrap();
    let login = || send(&sandbox, &password(PASSWORD));
    let fail = |fault| {
        sandbox.fail_next(Api::Voipex, fault);
        login()
    };
    let response = fail(Fault::RetryAfter(429, "7".into()));
    assert_eq!((response.status, response.header("retry-after")), (429, Some("7")));
    assert_eq!(fail(Fault::Status(503)).status, 503);
    let response = fail(Fault::Redirect(307, "https://evil.example/".into()));
    assert_eq!((response.status, response.header("location")), (307, Some("https://evil.example/")));
    assert_eq!(fail(Fault::Body("{".into())).body, b"{");
    assert!(fail(Fault::Oversized).body.len() >= MAX_READ);

    let start = Instant::now();
    assert_eq!(fail(Fault::Latency(Duration::from_millis(300))).status, 200);
    assert!(start.elapsed() >= Duration::from_millis(300));
    let start = Instant::now();
    assert!(fail(Fault::Drip(Duration::from_millis(1))).json()["access_token"].is_string());
    assert!(start.elapsed() >= Duration::from_millis(300));

    let logins = sandbox.counters(Api::Voipex).logins;
    let truncated = fail(Fault::Truncated);
    assert!(!truncated.is_complete && !truncated.body.is_empty());
    assert_eq!(sandbox.counters(Api::Voipex).logins, logins + 1, "the request was processed");

    assert_eq!(login().status, 200, "each of these faults applied to one response");
    sandbox.fail_always(Api::Voipex, Fault::Status(500));
    assert_eq!([login().status, login().status], [500, 500]);
    assert_eq!(send(&sandbox, &cambyopro(&json!({}))).status, 400, "other APIs are not affected");
    sandbox.clear_faults(Api::Voipex);
    assert_eq!(login().status, 200);
}

#[test]
fn the_date_header_can_be_shifted() {
    let sandbox = Sandbox::start().unwrap();
    for skew in [i64::MIN, i64::MAX, -3_000_000_000] {
        sandbox.set_date_skew(skew);
        assert_eq!(send(&sandbox, &password(PASSWORD)).status, 200);
    }
    for skew in [0, 7200, -7200] {
        sandbox.set_date_skew(skew);
        let response = send(&sandbox, &password(PASSWORD));
        let date = httpdate::parse_http_date(response.header("date").unwrap()).unwrap();
        let shift = Duration::from_secs(skew.unsigned_abs());
        let expected = if skew < 0 { SystemTime::now() - shift } else { SystemTime::now() + shift };
        let off = expected.duration_since(date).unwrap_or_else(|error| error.duration());
        assert!(off < Duration::from_secs(10), "{skew}: {off:?}");
    }
}

#[test]
fn a_dropped_sandbox_stops_listening() {
    let sandbox = Sandbox::start().unwrap();
    let url = sandbox.base_url(Api::Voipex);
    let address = url.strip_prefix("http://").unwrap().to_owned();
    sandbox.fail_always(Api::Voipex, Fault::Latency(Duration::from_secs(600)));
    let mut waiting = TcpStream::connect(&address).unwrap();
    waiting.write_all(&password(PASSWORD)).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    drop(sandbox);
    waiting.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert!(matches!(waiting.read(&mut [0; 16]), Ok(0) | Err(_)));
    assert!(TcpStream::connect(&address).is_err(), "still listening");
}

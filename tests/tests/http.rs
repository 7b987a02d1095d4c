//! Logins of the four providers over real HTTP, against the sandbox and against faulty servers.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use auth_core::{AccessToken, ErrorKind, Policy, TokenManager};
use auth_sandbox::{Api, Fault, Sandbox};
use auth_testing::VirtualClock;
use auth_tests::{SUBJECTS, SecretIn};

/// Requests the sandbox's protected resource, as an application would, and returns the status.
async fn fetch(sandbox: &Sandbox, authorization: &http::HeaderValue) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.get(sandbox.protected_url()).header("authorization", authorization);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn each_provider_returns_a_token_that_the_api_accepts() {
    let sandbox = Sandbox::start().unwrap();
    for subject in SUBJECTS {
        let tokens = subject.manager(&sandbox.base_url(subject.api)).unwrap();
        let token = tokens.token().await.unwrap();
        assert_eq!(fetch(&sandbox, token.authorization()).await, 200);
        assert!(token.ptr_eq(&tokens.token().await.unwrap()));
        assert_eq!(sandbox.counters(subject.api).requests, 1);

        assert!(sandbox.revoke(token.expose()));
        assert_eq!(fetch(&sandbox, token.authorization()).await, 401);
        tokens.reject(&token);
        let next = tokens.token().await.unwrap();
        assert_eq!(fetch(&sandbox, next.authorization()).await, 200);
        tokens.reject(&token);
        assert!(
            tokens.cached().is_some_and(|current| current.ptr_eq(&next)),
            "a late reject does not affect the newer token"
        );
    }
    assert_eq!(sandbox.counters(Api::Voipex).refreshes, 1);
}

#[tokio::test]
async fn the_lifetime_does_not_depend_on_the_date_header() {
    let sandbox = Sandbox::start().unwrap();
    for subject in SUBJECTS {
        for seconds in [5, 60, 1800] {
            sandbox.set_lifetime(subject.api, Duration::from_secs(seconds));
            for skew in [-7200, 0, 7200] {
                sandbox.set_date_skew(skew);
                let tokens = subject.manager(&sandbox.base_url(subject.api)).unwrap();
                let token = tokens.token().await.unwrap();
                assert_eq!(token.lifetime().as_secs(), seconds, "{:?}, Date {skew} s off", subject.api);
            }
        }
    }
}

#[tokio::test]
async fn wrong_credentials_are_sent_once() {
    let sandbox = Sandbox::start().unwrap();
    for subject in SUBJECTS {
        let provider = subject.with_secret(&sandbox.base_url(subject.api), "wrong-secret").unwrap();
        let tokens = TokenManager::new(provider).unwrap();
        let error = tokens.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert_eq!(sandbox.counters(subject.api).requests, 1);
    }
}

#[tokio::test]
async fn t1_a_login_follows_no_redirect() {
    let trap = Sandbox::start().unwrap();
    let sandbox = Sandbox::start().unwrap();
    for subject in SUBJECTS {
        let elsewhere = trap.base_url(subject.api);
        let same_origin = format!("{}/elsewhere?secret=1", sandbox.base_url(subject.api));
        let other_origin = format!("{elsewhere}/api/v1/authentication/login");
        for status in [301, 302, 303, 307, 308] {
            for target in [&same_origin, &other_origin] {
                sandbox.fail_next(subject.api, Fault::Redirect(status, target.clone()));
                let tokens = subject.manager(&sandbox.base_url(subject.api)).unwrap();
                let error = tokens.token().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Redirected);
                let origin = target.split('/').take(3).collect::<Vec<_>>().join("/");
                let text = error.to_string();
                assert!(text.contains(&origin) && !text.contains("secret=1") && !text.contains("/api/"), "{text}");
            }
        }
        assert_eq!(sandbox.counters(subject.api).requests, 10);
        assert_eq!(trap.counters(subject.api).requests, 0);
    }
}

#[tokio::test]
async fn t2_a_response_over_one_mib_is_an_error() {
    let sandbox = Sandbox::start().unwrap();
    for subject in SUBJECTS {
        let long = " ".repeat(2 << 20);
        for fault in [Fault::Oversized, Fault::Body(long)] {
            sandbox.fail_next(subject.api, fault);
            let tokens = subject.manager(&sandbox.base_url(subject.api)).unwrap();
            let error = tokens.token().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Malformed);
            assert!(error.to_string().contains("1 MiB"), "{error}");
        }
    }
}

#[tokio::test]
async fn t2_a_compressed_response_is_not_decompressed() {
    // The transport requests no compression and decompresses nothing, so it reads these bytes as invalid JSON.
    let server = raw_server(|_| {
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\0".to_vec()
    });
    for subject in SUBJECTS {
        let tokens = subject.manager(&format!("http://{server}")).unwrap();
        assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Malformed);
    }
}

#[tokio::test]
async fn t3_the_deadline_ends_a_slow_login() {
    let sandbox = Sandbox::start().unwrap();
    // The system accepts connections into the backlog, and nothing responds on them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    for subject in SUBJECTS {
        let drip = Fault::Drip(Duration::from_millis(50));
        for fault in [Some(Fault::Latency(Duration::from_secs(60))), Some(drip), None] {
            let base_url = match fault {
                Some(fault) => {
                    sandbox.fail_next(subject.api, fault);
                    sandbox.base_url(subject.api)
                }
                None => silent.clone(),
            };
            let policy = Policy::default().with_deadline(Duration::from_millis(300));
            let tokens = subject.builder(&base_url).unwrap().with_policy(policy).build().unwrap();
            let start = Instant::now();
            let error = tokens.token().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.to_string().contains("deadline"), "{error}");
            assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        }
    }
}

#[tokio::test]
async fn t5_a_base_url_may_have_a_path_prefix() {
    let (server, seen) = recorder(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    for subject in SUBJECTS {
        for base_url in [format!("http://{server}/gateway/v2"), format!("http://{server}/gateway/v2/")] {
            subject.manager(&base_url).unwrap().token().await.unwrap_err();
            let request = seen.recv_timeout(Duration::from_secs(5)).unwrap();
            let path = match subject.api {
                Api::Zoqq | Api::Roecny => "/api/v1/authentication/login",
                Api::Cambyopro => "/api/no-auth/authentication/v1/login",
                _ => "/token",
            };
            assert!(request.starts_with(&format!("POST /gateway/v2{path} HTTP/1.1\r\n")), "{request}");
        }
    }
}

#[tokio::test]
async fn t7_an_empty_post_has_a_content_length() {
    let (server, seen) = recorder(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    for subject in SUBJECTS.iter().filter(|subject| subject.secret_in == SecretIn::Header) {
        subject.manager(&format!("http://{server}")).unwrap().token().await.unwrap_err();
        let request = seen.recv_timeout(Duration::from_secs(5)).unwrap().to_ascii_lowercase();
        assert_eq!(request.matches("\r\ncontent-length: 0\r\n").count(), 1, "{request}");
        assert!(request.contains("\r\ncontent-type: application/json\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n") && !request.contains("transfer-encoding"), "{request}");
    }
}

#[tokio::test]
async fn t8_a_token_that_is_not_a_valid_header_value_is_malformed() {
    let sandbox = Sandbox::start().unwrap();
    for subject in SUBJECTS {
        for token in [r"a\r\nX-Evil: 1", r"a\u0000b", "tökén", ""] {
            sandbox.fail_next(subject.api, Fault::Body(subject.token_response(token)));
            let tokens = subject.manager(&sandbox.base_url(subject.api)).unwrap();
            assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Malformed, "{token}");
        }
    }
}

#[tokio::test]
async fn r6_a_login_is_retried_after_a_truncated_response() {
    let sandbox = Sandbox::start().unwrap();
    for subject in SUBJECTS {
        sandbox.fail_next(subject.api, Fault::Truncated);
        let tokens = subject.manager(&sandbox.base_url(subject.api)).unwrap();
        tokens.token().await.unwrap();
        assert_eq!(sandbox.counters(subject.api).requests, 2);
    }
}

#[tokio::test]
async fn r6_a_final_status_with_a_truncated_body_is_not_retried() {
    for (head, kind) in [
        ("401 Unauthorized", ErrorKind::Refused),
        ("403 Forbidden", ErrorKind::Refused),
        ("404 Not Found", ErrorKind::Misconfigured),
        ("302 Found\r\nLocation: https://other.example/", ErrorKind::Redirected),
    ] {
        for length in [500, 5 << 20] {
            let response = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n{{\"err");
            let (server, seen) = recorder(response.leak().as_bytes());
            for subject in SUBJECTS {
                let error = subject.manager(&format!("http://{server}")).unwrap().token().await.unwrap_err();
                assert_eq!(error.kind(), kind, "{head}: {error}");
                assert_eq!(seen.try_iter().count(), 1, "{head}");
            }
        }
    }
}

#[tokio::test]
async fn r6_a_refused_connection_is_unavailable() {
    // Nothing listens on port 1. Another test may have taken a port that was free a moment ago.
    let closed = "127.0.0.1:1";
    for subject in SUBJECTS {
        let policy = Policy::default().with_deadline(Duration::from_millis(500));
        let tokens = subject.builder(&format!("http://{closed}")).unwrap().with_policy(policy).build().unwrap();
        let error = tokens.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.is_transient());
    }
}

#[tokio::test]
async fn r8_a_login_replaces_a_refresh_token_whose_response_was_lost() {
    let sandbox = Sandbox::start().unwrap();
    sandbox.set_refresh_rotation(true);
    let subject = SUBJECTS[3];
    let clock = VirtualClock::new();
    let tokens = subject.builder(&sandbox.base_url(subject.api)).unwrap().with_clock(clock.clone()).build().unwrap();
    tokens.token().await.unwrap();
    for _ in 0..3 {
        next_token(&tokens, &clock).await;
    }
    assert_eq!(sandbox.counters(Api::Voipex).refreshes, 3);

    // The server has rotated the refresh token, but the client does not get the new one. A second use of the old one
    // would end the session, so the client must log in.
    sandbox.fail_next(Api::Voipex, Fault::Truncated);
    let token = next_token(&tokens, &clock).await;
    assert_eq!(fetch(&sandbox, token.authorization()).await, 200);
    let counters = sandbox.counters(Api::Voipex);
    assert_eq!((counters.logins, counters.refreshes, counters.refusals), (2, 4, 0));
}

/// Renews the token when it no longer counts as new.
async fn next_token(tokens: &TokenManager, clock: &VirtualClock) -> AccessToken {
    clock.shift_wall(10);
    tokens.renew().await.unwrap()
}

/// Starts a server that sends the bytes returned by `respond` for each request, then closes the connection.
fn raw_server(respond: impl Fn(String) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            let mut request = Vec::new();
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut chunk) {
                request.extend_from_slice(&chunk[..length]);
                if request.ends_with(b"\r\n\r\n") {
                    break;
                }
            }
            let _ = stream.write_all(&respond(String::from_utf8_lossy(&request).into_owned()));
        }
    });
    address
}

/// Starts a server that always sends the same response, and returns the requests through a channel.
fn recorder(response: &'static [u8]) -> (SocketAddr, std::sync::mpsc::Receiver<String>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let address = raw_server(move |request| {
        let _ = sender.send(request);
        response.to_vec()
    });
    (address, receiver)
}

#[tokio::test]
async fn one_login_serves_a_hundred_callers() {
    let sandbox = Sandbox::start().unwrap();
    for subject in SUBJECTS {
        let tokens = subject.manager(&sandbox.base_url(subject.api)).unwrap();
        let served = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..100)
            .map(|_| {
                let (tokens, served) = (tokens.clone(), served.clone());
                tokio::spawn(async move {
                    tokens.token().await.unwrap();
                    served.fetch_add(1, Ordering::Relaxed);
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        assert_eq!((served.load(Ordering::Relaxed), sandbox.counters(subject.api).requests), (100, 1));
    }
}

//! The four logins over real HTTP, against the sandbox and against servers that misbehave.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use auth_core::{ErrorKind, Login, Policy, ReqwestTransport, TokenManager, TokenSource};
use auth_sandbox::{Api, Fault, Sandbox};
use auth_tests::{SUBJECTS, SecretIn};

/// Fetches the sandbox's resource with a token, as an application would.
async fn fetch(sandbox: &Sandbox, authorization: &http::HeaderValue) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.get(sandbox.protected_url()).header("authorization", authorization);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn each_provider_logs_in_and_its_token_works() {
    let sandbox = Sandbox::start().unwrap();
    for subject in SUBJECTS {
        let login = subject.login(&sandbox.base_url(subject.api)).unwrap();
        let tokens = TokenManager::new(login);
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
        assert!(tokens.cached().is_some_and(|current| current.ptr_eq(&next)), "a late reject leaves the newer token");
    }
    assert_eq!(sandbox.counters(Api::Voipex).refreshes, 1);
}

#[tokio::test]
async fn the_lifetime_is_the_servers() {
    let sandbox = Sandbox::start().unwrap();
    for subject in SUBJECTS {
        for seconds in [5, 60, 1800] {
            sandbox.set_lifetime(subject.api, Duration::from_secs(seconds));
            for skew in [-7200, 0, 7200] {
                sandbox.set_date_skew(skew);
                let login = subject.login(&sandbox.base_url(subject.api)).unwrap();
                let token = login.login().await.unwrap().access;
                assert_eq!(token.lifetime().as_secs(), seconds, "{:?}, Date {skew} s off", subject.api);
            }
        }
    }
}

#[tokio::test]
async fn wrong_credentials_are_refused_by_one_request() {
    let sandbox = Sandbox::start().unwrap();
    for subject in SUBJECTS {
        let provider = subject.with_secret(&sandbox.base_url(subject.api), "wrong-secret").unwrap();
        let login = Login::new(provider, ReqwestTransport::new().unwrap());
        let error = login.login().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert_eq!(sandbox.counters(subject.api).requests, 1);
    }
}

#[tokio::test]
async fn t1_no_redirect_is_followed() {
    let trap = Sandbox::start().unwrap();
    let sandbox = Sandbox::start().unwrap();
    for subject in SUBJECTS {
        let elsewhere = trap.base_url(subject.api);
        let same_origin = format!("{}/elsewhere?secret=1", sandbox.base_url(subject.api));
        let other_origin = format!("{elsewhere}/api/v1/authentication/login");
        for status in [301, 302, 303, 307, 308] {
            for target in [&same_origin, &other_origin] {
                sandbox.fail_next(subject.api, Fault::Redirect(status, target.clone()));
                let login = subject.login(&sandbox.base_url(subject.api)).unwrap();
                let error = login.login().await.unwrap_err();
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
async fn t2_an_endless_or_declared_long_answer_is_an_error() {
    let sandbox = Sandbox::start().unwrap();
    for subject in SUBJECTS {
        let long = " ".repeat(2 << 20);
        for fault in [Fault::Oversized, Fault::Body(long)] {
            sandbox.fail_next(subject.api, fault);
            let login = subject.login(&sandbox.base_url(subject.api)).unwrap();
            let error = login.login().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Malformed);
            assert!(error.to_string().contains("1 MiB"), "{error}");
        }
    }
}

#[tokio::test]
async fn t2_a_compressed_answer_is_not_unpacked() {
    // 1 KiB that would unpack to 1 MiB: the transport asks for no compression, so these bytes are not JSON.
    let server =
        raw(|_| b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\0".to_vec());
    for subject in SUBJECTS {
        let login = subject.login(&format!("http://{server}")).unwrap();
        assert_eq!(login.login().await.unwrap_err().kind(), ErrorKind::Malformed);
    }
}

#[tokio::test]
async fn t3_slow_answers_end_by_the_deadline() {
    let sandbox = Sandbox::start().unwrap();
    // Accepts by its backlog alone, and says nothing.
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
            let login = subject.login(&base_url).unwrap().with_policy(policy);
            let start = Instant::now();
            let error = login.login().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.to_string().contains("deadline"), "{error}");
            assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        }
    }
}

#[tokio::test]
async fn t5_a_base_url_may_carry_a_prefix() {
    let (server, seen) = recorder(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    for subject in SUBJECTS {
        for base_url in [format!("http://{server}/gateway/v2"), format!("http://{server}/gateway/v2/")] {
            subject.login(&base_url).unwrap().login().await.unwrap_err();
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
async fn t7_an_empty_post_states_its_length_on_the_wire() {
    let (server, seen) = recorder(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    for subject in SUBJECTS.iter().filter(|subject| subject.secret_in == SecretIn::Header) {
        subject.login(&format!("http://{server}")).unwrap().login().await.unwrap_err();
        let request = seen.recv_timeout(Duration::from_secs(5)).unwrap().to_ascii_lowercase();
        assert_eq!(request.matches("\r\ncontent-length: 0\r\n").count(), 1, "{request}");
        assert!(request.contains("\r\ncontent-type: application/json\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n") && !request.contains("transfer-encoding"), "{request}");
    }
}

#[tokio::test]
async fn t8_a_token_that_no_header_may_hold_is_malformed() {
    let sandbox = Sandbox::start().unwrap();
    for subject in SUBJECTS {
        for token in [r"a\r\nX-Evil: 1", r"a\u0000b", "tökén", ""] {
            sandbox.fail_next(subject.api, Fault::Body(subject.grant(token)));
            let login = subject.login(&sandbox.base_url(subject.api)).unwrap();
            assert_eq!(login.login().await.unwrap_err().kind(), ErrorKind::Malformed, "{token}");
        }
    }
}

#[tokio::test]
async fn r6_a_cut_off_answer_is_asked_for_again() {
    let sandbox = Sandbox::start().unwrap();
    for subject in SUBJECTS {
        sandbox.fail_next(subject.api, Fault::Truncated);
        let login = subject.login(&sandbox.base_url(subject.api)).unwrap();
        login.login().await.unwrap();
        assert_eq!(sandbox.counters(subject.api).requests, 2);
    }
}

#[tokio::test]
async fn r6_a_final_status_whose_body_breaks_off_is_final() {
    for (head, kind) in [
        ("401 Unauthorized", ErrorKind::Refused),
        ("403 Forbidden", ErrorKind::Refused),
        ("404 Not Found", ErrorKind::Misconfigured),
        ("302 Found\r\nLocation: https://other.example/", ErrorKind::Redirected),
    ] {
        for length in [500, 5 << 20] {
            let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n{{\"err");
            let (server, seen) = recorder(answer.leak().as_bytes());
            for subject in SUBJECTS {
                let error = subject.login(&format!("http://{server}")).unwrap().login().await.unwrap_err();
                assert_eq!(error.kind(), kind, "{head}: {error}");
                assert_eq!(seen.try_iter().count(), 1, "{head}");
            }
        }
    }
}

#[tokio::test]
async fn r6_a_dead_network_is_unavailable() {
    // Nothing listens on port 1; a port that was free a moment ago may be another test's by now.
    let free = "127.0.0.1:1";
    for subject in SUBJECTS {
        let policy = Policy::default().with_deadline(Duration::from_millis(500));
        let login = subject.login(&format!("http://{free}")).unwrap().with_policy(policy);
        let error = login.login().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.is_transient());
    }
}

#[tokio::test]
async fn r8_rotation_survives_a_lost_answer() {
    let sandbox = Sandbox::start().unwrap();
    sandbox.set_refresh_rotation(true);
    let subject = SUBJECTS[3];
    let login = subject.login(&sandbox.base_url(subject.api)).unwrap();
    let mut refresh = login.login().await.unwrap().refresh;
    for _ in 0..3 {
        login.renew(&mut refresh).await.unwrap();
    }
    assert_eq!(sandbox.counters(Api::Voipex).refreshes, 3);

    sandbox.fail_next(Api::Voipex, Fault::Truncated);
    let token = login.renew(&mut refresh).await.unwrap();
    assert_eq!(fetch(&sandbox, token.authorization()).await, 200);
    let counters = sandbox.counters(Api::Voipex);
    assert_eq!((counters.logins, counters.refreshes, counters.refusals), (2, 4, 0));
}

/// Answers every connection by a function of the request, until the test ends.
fn raw(answer: impl Fn(String) -> Vec<u8> + Send + 'static) -> SocketAddr {
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
            let _ = stream.write_all(&answer(String::from_utf8_lossy(&request).into_owned()));
        }
    });
    address
}

/// Answers the same each time, and hands out what was asked.
fn recorder(answer: &'static [u8]) -> (SocketAddr, std::sync::mpsc::Receiver<String>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let address = raw(move |request| {
        let _ = sender.send(request);
        answer.to_vec()
    });
    (address, receiver)
}

#[tokio::test]
async fn one_login_serves_a_hundred_callers() {
    let sandbox = Sandbox::start().unwrap();
    for subject in SUBJECTS {
        let tokens = Arc::new(TokenManager::new(subject.login(&sandbox.base_url(subject.api)).unwrap()));
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

//! A1 to A6 over real HTTP, with reqwest-middleware.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use auth_core::{ErrorKind, TokenManager, TokenSource};
use auth_middleware::{Bearer, NoReplay, NotReplayed, Outcome};
use auth_sandbox::Sandbox;
use auth_testing::{Script, ScriptedResponse};
use auth_zoqq::Zoqq;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use futures::future::join_all;
use reqwest_middleware::ClientWithMiddleware;
use support::{Api, ReceivedRequest, manager, no_tokens, tokens};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn client(source: impl TokenSource, origins: &[String]) -> ClientWithMiddleware {
    client_with(Bearer::new(source, origins).unwrap())
}

fn client_with(bearer: Bearer) -> ClientWithMiddleware {
    auth_middleware::reqwest::client(reqwest::Client::builder().no_proxy(), bearer).unwrap()
}

fn zoqq(sandbox: &Sandbox) -> TokenManager {
    let zoqq = Zoqq::builder()
        .with_base_url(sandbox.base_url(auth_sandbox::Api::Zoqq))
        .with_client_id(auth_sandbox::CLIENT_ID)
        .with_api_key(auth_sandbox::API_KEY)
        .with_scope(auth_sandbox::SCOPE);
    TokenManager::new(zoqq.build().unwrap()).unwrap()
}

#[tokio::test]
async fn a1_a_rejected_request_is_sent_again_with_the_next_token() {
    let api = Api::accepting(&["second"]).await;
    let (tokens, script) = tokens();
    let client = client(tokens, &[api.origin()]);
    let response = client.post(api.url("/calls")).header("x-own", "kept").body("a body").send().await.unwrap();
    assert_eq!(Outcome::of(response.extensions()), Outcome::Replayed);
    assert_eq!((response.status(), &*response.text().await.unwrap()), (StatusCode::OK, "welcome"));
    assert_eq!(api.authorizations(), ["Bearer first", "Bearer second"]);
    let received = api.received();
    assert!(received.iter().all(|request| request.body == "a body" && request.headers["x-own"] == "kept"));
    assert_eq!(received[0].headers.len(), received[1].headers.len());
    assert_eq!(script.requests().len(), 2);

    let response = client.get(api.url("/calls")).send().await.unwrap();
    assert_eq!(Outcome::of(response.extensions()), Outcome::Attached);
    assert_eq!(api.authorizations().len(), 3);
}

#[tokio::test]
async fn a1_a_newer_token_is_used_without_a_login() {
    let (tokens, script) = tokens();
    let renewed = tokens.clone();
    // Before the 401 is sent, another caller rejects the token and a login returns the next one.
    let api = Api::start_async(move |request: ReceivedRequest| {
        let renewed = renewed.clone();
        async move {
            if request.authorization() != "Bearer first" {
                return StatusCode::OK;
            }
            renewed.reject(&renewed.cached().unwrap());
            renewed.token().await.unwrap();
            StatusCode::UNAUTHORIZED
        }
    })
    .await;
    let response = client(tokens, &[api.origin()]).get(api.url("/")).send().await.unwrap();
    assert_eq!((response.status(), api.authorizations().len()), (StatusCode::OK, 2));
    assert_eq!(script.requests().len(), 2, "the first login, and the one of the other caller");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a2_five_hundred_rejections_of_one_token_cause_one_login() {
    let sandbox = Sandbox::start().unwrap();
    let tokens = zoqq(&sandbox);
    let url = sandbox.protected_url();
    let client = client(tokens.clone(), &[sandbox.origin()]);
    assert_eq!(client.get(&url).send().await.unwrap().status(), StatusCode::OK);
    assert!(sandbox.revoke(tokens.cached().unwrap().expose()));

    let calls = (0..500).map(|_| {
        let call = client.get(&url).send();
        tokio::spawn(call)
    });
    for call in join_all(calls).await {
        assert_eq!(call.unwrap().unwrap().status(), StatusCode::OK);
    }
    let counters = sandbox.counters(auth_sandbox::Api::Zoqq);
    assert_eq!(counters.requests, 2, "the first login, and one after the revocation");
    assert_eq!(counters.served, 501);
}

#[tokio::test]
async fn a3_a_second_rejection_is_returned_unchanged() {
    let api = Api::accepting(&[]).await;
    let (tokens, script) = tokens();
    let response = client(tokens, &[api.origin()]).get(api.url("/")).send().await.unwrap();
    assert_eq!(Outcome::of(response.extensions()), Outcome::Replayed);
    assert_eq!((response.status(), &*response.text().await.unwrap()), (StatusCode::UNAUTHORIZED, "no"));
    assert_eq!((api.received().len(), script.requests().len()), (2, 2));
}

#[tokio::test]
async fn r10_an_api_that_rejects_every_token_keeps_its_401_and_takes_no_token_from_another() {
    let (bad, good) = (Api::accepting(&[]).await, Api::accepting(&["first", "second"]).await);
    let (tokens, script) = tokens();
    let client = client(tokens.clone(), &[bad.origin(), good.origin()]);
    for call in 0..10 {
        let response = client.get(bad.url("/")).send().await.unwrap();
        let expected = if call == 0 { Outcome::Replayed } else { Outcome::Rejected(NotReplayed::SameToken) };
        assert_eq!(Outcome::of(response.extensions()), expected);
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(tokens.cached().unwrap().expose(), "second");
        assert_eq!(client.get(good.url("/")).send().await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!((bad.received().len(), good.received().len(), script.requests().len()), (11, 10, 2));
}

#[tokio::test]
async fn a3_missing_permission_causes_no_login() {
    let api = Api::start(|request| match &*request.path {
        "/forbidden" => StatusCode::FORBIDDEN.into_response(),
        _ => (StatusCode::UNAUTHORIZED, [("www-authenticate", r#"Bearer error="insufficient_scope""#)]).into_response(),
    })
    .await;
    let (tokens, script) = tokens();
    let client = client(tokens, &[api.origin()]);
    for path in ["/forbidden", "/scope"] {
        let response = client.get(api.url(path)).send().await.unwrap();
        assert_eq!(Outcome::of(response.extensions()), Outcome::Attached);
    }
    assert_eq!((api.received().len(), script.requests().len()), (2, 1));
}

#[tokio::test]
async fn a4_a_stream_or_long_body_is_not_sent_again_but_its_token_is_rejected() {
    let api = Api::accepting(&["second", "third"]).await;
    let (tokens, _) = tokens();
    let client = client_with(Bearer::new(tokens.clone(), [api.origin()]).unwrap().with_body_limit(10));

    let stream = futures::stream::iter([Ok::<_, std::io::Error>("a "), Ok("stream")]);
    let response = client.post(api.url("/")).body(reqwest::Body::wrap_stream(stream)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(Outcome::of(response.extensions()), Outcome::Rejected(NotReplayed::Body));
    assert_eq!((api.received().len(), &*api.received()[0].body), (1, &b"a stream"[..]));
    assert!(tokens.cached().is_none(), "the token was rejected");
    assert_eq!(client.get(api.url("/")).send().await.unwrap().status(), StatusCode::OK);

    let api = Api::accepting(&[]).await;
    let (tokens, _) = support::tokens();
    let client = client_with(Bearer::new(tokens, [api.origin()]).unwrap().with_body_limit(10));
    let response = client.post(api.url("/")).body("eleven bytes").send().await.unwrap();
    assert_eq!(Outcome::of(response.extensions()), Outcome::Rejected(NotReplayed::Body));
    assert_eq!(&*api.received()[0].body, b"eleven bytes");
}

#[tokio::test]
async fn a4_a_request_with_no_replay_is_not_sent_again() {
    let api = Api::accepting(&["second"]).await;
    let (tokens, _) = tokens();
    let response = client(tokens, &[api.origin()]).get(api.url("/")).with_extension(NoReplay).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(Outcome::of(response.extensions()), Outcome::Rejected(NotReplayed::SwitchedOff));
    assert_eq!(api.authorizations(), ["Bearer first"]);
}

#[tokio::test]
async fn a5_an_authorization_header_of_the_caller_is_not_changed() {
    let api = Api::accepting(&["first"]).await;
    let (tokens, script) = tokens();
    let client = client(tokens, &[api.origin()]);
    let response = client.get(api.url("/")).bearer_auth("mine").send().await.unwrap();
    assert_eq!(Outcome::of(response.extensions()), Outcome::OwnAuthorization);
    assert_eq!((response.status(), api.authorizations()), (StatusCode::UNAUTHORIZED, vec!["Bearer mine".to_owned()]));
    assert_eq!(script.requests().len(), 0);
}

#[tokio::test]
async fn a5_no_other_origin_receives_a_token() {
    let other = Api::start(|_| StatusCode::OK).await;
    let target = other.url("/landed");
    let api = Api::start(move |request| match &*request.path {
        "/away" => Redirect::temporary(&target).into_response(),
        "/near" => Redirect::temporary("/away").into_response(),
        _ => StatusCode::OK.into_response(),
    })
    .await;
    let (tokens, _) = tokens();
    let client = client(tokens, &[api.origin()]);
    for path in ["/away", "/near"] {
        let response = client.get(api.url(path)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT, "{path}");
    }
    assert_eq!(other.received().len(), 0, "a redirect to another origin is returned to the caller");
    let response = client.get(other.url("/")).send().await.unwrap();
    assert_eq!(Outcome::of(response.extensions()), Outcome::OtherOrigin);
    assert_eq!(other.authorizations(), [""]);
    assert_eq!(api.authorizations(), ["Bearer first"; 3]);
}

#[tokio::test]
async fn a5_an_endless_redirect_within_an_origin_is_stopped() {
    let api = Api::start(|_| Redirect::temporary("/again")).await;
    let (tokens, _) = tokens();
    client(tokens, &[api.origin()]).get(api.url("/")).send().await.unwrap_err();
    assert_eq!(api.received().len(), 11);
}

#[tokio::test]
async fn a6_without_a_token_nothing_is_sent() {
    let api = Api::accepting(&["first"]).await;
    let error = client(no_tokens(), &[api.origin()]).get(api.url("/")).send().await.unwrap_err();
    let reqwest_middleware::Error::Middleware(error) = error else { panic!("{error}") };
    assert_eq!(error.downcast_ref::<auth_core::Error>().unwrap().kind(), ErrorKind::Unavailable);
    assert_eq!(api.received().len(), 0);
}

#[tokio::test]
async fn a6_a_rejected_request_fails_if_there_is_no_next_token() {
    let api = Api::accepting(&[]).await;
    let tokens =
        manager(&Script::new([ScriptedResponse::token("first", 3600)]).then_always(ScriptedResponse::refusal()));
    let error = client(tokens, &[api.origin()]).get(api.url("/")).send().await.unwrap_err();
    let reqwest_middleware::Error::Middleware(error) = error else { panic!("{error}") };
    assert_eq!(error.downcast_ref::<auth_core::Error>().unwrap().kind(), ErrorKind::Refused);
    assert_eq!(api.received().len(), 1);
}

#[tokio::test]
async fn a_dropped_request_does_not_cancel_the_login_of_others() {
    let api = Api::accepting(&["first"]).await;
    let script = Script::new([ScriptedResponse::token("first", 3600).after(Duration::from_millis(200))]);
    let client = client(manager(&script), &[api.origin()]);
    let dropped = tokio::time::timeout(Duration::from_millis(50), client.get(api.url("/")).send()).await;
    assert!(dropped.is_err());
    assert_eq!(client.get(api.url("/")).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!((script.requests().len(), api.received().len()), (1, 1));
}

#[tokio::test]
async fn the_api_headers_of_the_provider_are_sent_with_the_token() {
    let sandbox = Sandbox::start().unwrap();
    let tokens = zoqq(&sandbox);
    let (api, other) = (Api::start(|_| StatusCode::OK).await, Api::start(|_| StatusCode::OK).await);
    let client = client(tokens, &[api.origin()]);
    client.get(api.url("/")).send().await.unwrap();
    client.get(api.url("/")).header("x-api-key", "another").send().await.unwrap();
    client.get(other.url("/")).send().await.unwrap();
    let keys: Vec<_> = api.received().iter().map(|request| request.headers["x-api-key"].clone()).collect();
    assert_eq!(keys, [auth_sandbox::API_KEY, "another"]);
    assert!(!other.received()[0].headers.contains_key("x-api-key"));
}

#[tokio::test]
async fn a_rejection_in_the_body_is_recognised() {
    let api = Api::start(|request| match request.authorization() {
        "Bearer first" => (StatusCode::OK, r#"{"statusCode":401,"message":"expired"}"#),
        _ => (StatusCode::OK, r#"{"calls":[]}"#),
    })
    .await;
    let (tokens, script) = tokens();
    let bearer = Bearer::new(tokens, [api.origin()]).unwrap().with_rejection_in_body(auth_voipex::is_rejection);
    let client = client_with(bearer);
    let response = client.get(api.url("/a/path")).send().await.unwrap();
    assert_eq!(Outcome::of(response.extensions()), Outcome::Replayed);
    assert_eq!(response.text().await.unwrap(), r#"{"calls":[]}"#);
    let response = client.get(api.url("/a/path")).send().await.unwrap();
    assert_eq!(response.url().path(), "/a/path");
    assert_eq!((response.content_length(), &*response.text().await.unwrap()), (Some(12), r#"{"calls":[]}"#));
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test]
async fn a_proxy_receives_no_token() {
    use rcgen::generate_simple_self_signed;
    use tokio_rustls::rustls::{ServerConfig, pki_types::PrivateKeyDer};

    let certificate = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let api = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = api.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let mut stream = acceptor.accept(api.accept().await.unwrap().0).await.unwrap();
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        String::from_utf8(request[..length].to_vec()).unwrap()
    });
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy_url = format!("http://{}", proxy.local_addr().unwrap());
    let seen = tokio::spawn(async move {
        let (mut client, _) = proxy.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let length = client.read(&mut head).await.unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut server = tokio::net::TcpStream::connect(address).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        String::from_utf8(head[..length].to_vec()).unwrap()
    });

    let (tokens, _) = tokens();
    let origin = format!("https://localhost:{}", address.port());
    let root = reqwest::Certificate::from_der(certificate.cert.der()).unwrap();
    let builder = reqwest::Client::builder().proxy(reqwest::Proxy::all(proxy_url).unwrap()).tls_certs_only([root]);
    let client = auth_middleware::reqwest::client(builder, Bearer::new(tokens, [&origin]).unwrap()).unwrap();
    assert_eq!(client.get(format!("{origin}/calls")).send().await.unwrap().status(), StatusCode::OK);
    drop(client);
    let (served, seen) = (served.await.unwrap(), seen.await.unwrap());
    assert!(served.contains("Bearer first"), "{served}");
    assert!(seen.starts_with("CONNECT localhost:") && !seen.contains("first"), "{seen}");
}

#[test]
fn a5_an_allow_list_is_required() {
    let (tokens, _) = tokens();
    for origins in [&[][..], &["http://api.example.com"], &["https://api.example.com", "https://api.example.com/v1"]] {
        let error = Bearer::new(tokens.clone(), origins).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{origins:?}");
    }
}

#[tokio::test]
async fn a3_missing_permission_causes_no_login_even_if_the_body_rejects() {
    let body = r#"{"statusCode":401,"code":"unauthorized"}"#;
    let api = Api::start(move |request| match &*request.path {
        "/forbidden" => (StatusCode::FORBIDDEN, body).into_response(),
        _ => (StatusCode::UNAUTHORIZED, [("www-authenticate", r#"Bearer error="insufficient_scope""#)], body)
            .into_response(),
    })
    .await;
    let (tokens, script) = tokens();
    let client =
        client_with(Bearer::new(tokens, [api.origin()]).unwrap().with_rejection_in_body(auth_voipex::is_rejection));
    for path in ["/forbidden", "/scope"] {
        client.get(api.url(path)).send().await.unwrap();
    }
    assert_eq!((api.received().len(), script.requests().len()), (2, 1));
}

#[tokio::test]
async fn a1_a_post_that_was_redirected_is_not_sent_twice() {
    let api = Api::start(|request| match &*request.path {
        "/make" => Redirect::to("/made").into_response(),
        _ => StatusCode::UNAUTHORIZED.into_response(),
    })
    .await;
    let (tokens, _) = tokens();
    let response =
        client(tokens.clone(), &[api.origin()]).post(api.url("/make")).body("a payment").send().await.unwrap();
    assert_eq!(Outcome::of(response.extensions()), Outcome::Rejected(NotReplayed::Redirected));
    assert_eq!(api.received().iter().filter(|request| request.path == "/make").count(), 1);
    assert!(tokens.cached().is_none(), "the token was rejected");
}

#[tokio::test]
async fn a1_a_401_from_another_origin_does_not_reject_the_token() {
    let other = Api::start(|_| StatusCode::UNAUTHORIZED).await;
    let target = other.url("/");
    let api = Api::start(move |_| Redirect::temporary(&target)).await;
    let (tokens, script) = tokens();
    // This client follows redirects to any host.
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let bearer = Bearer::new(tokens.clone(), [api.origin()]).unwrap();
    let client = reqwest_middleware::ClientBuilder::new(client);
    let client = client.with(auth_middleware::reqwest::AuthMiddleware::new(bearer)).build();
    for _ in 0..3 {
        assert_eq!(client.get(api.url("/")).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!((script.requests().len(), tokens.cached().is_some()), (1, true));
    assert_eq!(other.authorizations(), [""; 3]);
}

#[tokio::test]
async fn a5_a_token_for_a_loopback_api_is_not_sent_through_a_proxy() {
    let (api, proxy) = (Api::accepting(&["first"]).await, Api::start(|_| StatusCode::OK).await);
    let (tokens, _) = tokens();
    let builder = reqwest::Client::builder().proxy(reqwest::Proxy::all(proxy.origin()).unwrap());
    let client = auth_middleware::reqwest::client(builder, Bearer::new(tokens, [api.origin()]).unwrap()).unwrap();
    assert_eq!(client.get(api.url("/")).send().await.unwrap().text().await.unwrap(), "welcome");
    assert_eq!(proxy.received().len(), 0);
}

fn bearer(api: &Api) -> Bearer {
    Bearer::new(tokens().0, [api.origin()]).unwrap()
}

#[tokio::test]
async fn two_stacked_middlewares_serve_two_apis() {
    let (one, two) = (Api::accepting(&["second"]).await, Api::accepting(&["second"]).await);
    let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::builder().no_proxy().build().unwrap())
        .with(auth_middleware::reqwest::AuthMiddleware::new(bearer(&one)))
        .with(auth_middleware::reqwest::AuthMiddleware::new(bearer(&two)))
        .build();
    for api in [&one, &two] {
        let response = client.get(api.url("/")).send().await.unwrap();
        assert_eq!((response.status(), Outcome::of(response.extensions())), (StatusCode::OK, Outcome::Replayed));
        assert_eq!(api.authorizations(), ["Bearer first", "Bearer second"]);
    }
    let response = client.get(one.url("/")).send().await.unwrap();
    assert_eq!(Outcome::of(response.extensions()), Outcome::Attached);
}

#[test]
fn o2_replays_are_counted() {
    let recorder = metrics_util::debugging::DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let api = Api::accepting(&["second"]).await;
            for is_marked in [false, true] {
                let client = client(tokens().0, &[api.origin()]);
                let request = client.get(api.url("/"));
                let request = if is_marked { request.with_extension(NoReplay) } else { request };
                request.send().await.unwrap();
            }
        });
    });
    let mut counted: Vec<_> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .filter(|(key, ..)| key.key().name() == "auth_replays_total")
        .map(|(key, _, _, value)| format!("{} {value:?}", key.key().labels().next().unwrap().value()))
        .collect();
    counted.sort();
    assert_eq!(counted, ["no Counter(1)", "yes Counter(1)"]);
}

#[tokio::test]
async fn a1_a_fragment_does_not_count_as_a_redirect() {
    let api = Api::accepting(&["second"]).await;
    let (tokens, _) = tokens();
    let response = client(tokens, &[api.origin()]).post(api.url("/a?b#c")).body("a body").send().await.unwrap();
    assert_eq!((response.status(), Outcome::of(response.extensions())), (StatusCode::OK, Outcome::Replayed));
}

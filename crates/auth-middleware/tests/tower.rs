//! A1 to A6 over real HTTP, with tower and the client of hyper-util, including HTTP/2 with trailers.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test may panic")]

mod support;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use auth_core::http::{HeaderMap, HeaderValue, Request, Response};
use auth_core::{ErrorKind, TokenSource};
use auth_middleware::tower::AuthLayer;
use auth_middleware::{Bearer, BoxError, NoReplay, NotReplayed, Outcome};
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use support::{Api, no_tokens, tokens};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_http::follow_redirect::FollowRedirectLayer;

fn hyper() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).build_http()
}

fn get(url: &str) -> Request<Body> {
    Request::get(url).body(Body::empty()).unwrap()
}

fn layer(source: impl TokenSource, origins: &[String]) -> AuthLayer {
    AuthLayer::new(Bearer::new(source, origins).unwrap())
}

async fn text(body: impl http_body::Body<Data = Bytes, Error: std::fmt::Debug>) -> String {
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a1_a_rejected_request_is_sent_again_with_the_next_token() {
    let api = Api::accepting(&["second"]).await;
    let (tokens, script) = tokens();
    let mut service = ServiceBuilder::new().layer(layer(tokens, &[api.origin()])).service(hyper());
    let request = Request::post(api.url("/calls")).header("x-own", "kept").body(Body::from("a body")).unwrap();
    let response = service.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(Outcome::of(response.extensions()), Outcome::Replayed);
    assert_eq!((response.status(), text(response.into_body()).await), (StatusCode::OK, "welcome".into()));
    assert_eq!(api.authorizations(), ["Bearer first", "Bearer second"]);
    assert!(api.received().iter().all(|request| request.body == "a body" && request.headers["x-own"] == "kept"));
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test]
async fn a2_five_hundred_rejections_of_one_token_cause_one_login() {
    let api = Api::accepting(&["second"]).await;
    let (tokens, script) = tokens();
    let service = ServiceBuilder::new().layer(layer(tokens.clone(), &[api.origin()])).service(hyper());
    tokens.token().await.unwrap();
    let calls = (0..500).map(|_| service.clone().oneshot(get(&api.url("/"))));
    for response in futures::future::join_all(calls).await {
        assert_eq!(response.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test]
async fn a3_a_second_rejection_is_returned_unchanged() {
    let api = Api::accepting(&[]).await;
    let (tokens, _) = tokens();
    let service = ServiceBuilder::new().layer(layer(tokens, &[api.origin()])).service(hyper());
    let response = service.oneshot(get(&api.url("/"))).await.unwrap();
    assert_eq!((response.status(), text(response.into_body()).await), (StatusCode::UNAUTHORIZED, "no".into()));
    assert_eq!(api.received().len(), 2);
}

#[tokio::test]
async fn a4_streams_and_requests_with_no_replay_are_not_sent_again() {
    let api = Api::accepting(&[]).await;
    let (first, _) = tokens();
    let service = ServiceBuilder::new().layer(layer(first.clone(), &[api.origin()])).service(hyper());
    let stream = futures::stream::iter([Ok::<_, Infallible>("a "), Ok("stream")]);
    let request = Request::post(api.url("/")).body(Body::from_stream(stream)).unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(Outcome::of(response.extensions()), Outcome::Rejected(NotReplayed::Body));
    assert_eq!(&*api.received()[0].body, b"a stream");
    assert!(first.cached().is_none(), "the token was rejected");

    let (tokens, _) = tokens();
    let service = ServiceBuilder::new().layer(layer(tokens, &[api.origin()])).service(hyper());
    let mut request = get(&api.url("/"));
    request.extensions_mut().insert(NoReplay);
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(Outcome::of(response.extensions()), Outcome::Rejected(NotReplayed::SwitchedOff));
    assert_eq!(api.received().len(), 2);
}

#[tokio::test]
async fn a5_each_hop_of_a_redirect_gets_a_token_only_if_its_origin_is_listed() {
    let api = Api::start(|_| StatusCode::OK).await;
    let home = api.url("/home");
    let other = Api::start(move |_| Redirect::temporary(&home)).await;
    let away = other.url("/away");
    let start = Api::start(move |request| match &*request.path {
        "/start" => Redirect::temporary(&away).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    })
    .await;
    let (tokens, _) = tokens();
    let service = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(layer(tokens, &[start.origin(), api.origin()]))
        .service(hyper());
    assert_eq!(service.oneshot(get(&start.url("/start"))).await.unwrap().status(), StatusCode::OK);
    assert_eq!(start.authorizations(), ["Bearer first"]);
    assert_eq!(other.authorizations(), [""], "the origin of the second hop is not listed");
    assert_eq!(api.authorizations(), ["Bearer first"]);
}

#[tokio::test]
async fn a5_an_authorization_header_of_the_caller_is_not_changed() {
    let api = Api::accepting(&["first"]).await;
    let (tokens, script) = tokens();
    let service = ServiceBuilder::new().layer(layer(tokens, &[api.origin()])).service(hyper());
    let request = Request::get(api.url("/")).header("authorization", "Basic bWU6bWU=").body(Body::empty()).unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(Outcome::of(response.extensions()), Outcome::OwnAuthorization);
    assert_eq!((api.authorizations(), script.requests().len()), (vec!["Basic bWU6bWU=".to_owned()], 0));
}

#[tokio::test]
async fn a6_without_a_token_nothing_is_sent() {
    let api = Api::accepting(&["first"]).await;
    let service = ServiceBuilder::new().layer(layer(no_tokens(), &[api.origin()])).service(hyper());
    let error: BoxError = service.oneshot(get(&api.url("/"))).await.unwrap_err();
    assert_eq!(error.downcast::<auth_core::Error>().unwrap().kind(), ErrorKind::Unavailable);
    assert_eq!(api.received().len(), 0);
}

#[tokio::test]
async fn dropped_requests_cause_no_further_logins() {
    let api = Api::accepting(&["second"]).await;
    let (tokens, script) = tokens();
    let service = ServiceBuilder::new().layer(layer(tokens, &[api.origin()])).service(hyper());
    for milliseconds in 0..5 {
        let call = service.clone().oneshot(get(&api.url("/")));
        let _ = tokio::time::timeout(Duration::from_millis(milliseconds), call).await;
    }
    assert_eq!(service.oneshot(get(&api.url("/"))).await.unwrap().status(), StatusCode::OK);
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test]
async fn a_rejection_in_the_body_is_recognised() {
    let api = Api::start(|request| match request.authorization() {
        "Bearer first" => r#"{"code":"unauthorized"}"#,
        _ => r#"{"data":[]}"#,
    })
    .await;
    let (tokens, script) = tokens();
    let bearer = Bearer::new(tokens, [api.origin()]).unwrap().with_rejection_in_body(auth_zoqq::is_rejection);
    let service = ServiceBuilder::new().layer(AuthLayer::new(bearer)).service(hyper());
    for outcome in [Outcome::Replayed, Outcome::Attached] {
        let response = service.clone().oneshot(get(&api.url("/"))).await.unwrap();
        assert_eq!(Outcome::of(response.extensions()), outcome);
        assert_eq!(http_body::Body::size_hint(response.body()).exact(), Some(11));
        assert_eq!(text(response.into_body()).await, r#"{"data":[]}"#);
    }
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test]
async fn a_reqwest_client_works_as_the_inner_service() {
    let api = Api::accepting(&["second"]).await;
    let (tokens, _) = tokens();
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let client = tower::service_fn(move |request: Request<reqwest::Body>| {
        let client = client.clone();
        async move { client.execute(request.try_into()?).await.map(Response::<reqwest::Body>::from) }
    });
    let service = ServiceBuilder::new().layer(layer(tokens, &[api.origin()])).service(client);
    let request = Request::post(api.url("/")).body(reqwest::Body::from("a body")).unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!((response.status(), api.received().len()), (StatusCode::OK, 2));
}

/// Starts a server that responds as a gRPC server does, over HTTP/2.
async fn grpc() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(grpc_response)).await });
    address
}

/// Responds with several data frames and trailers.
async fn grpc_response(headers: HeaderMap, message: Bytes) -> (StatusCode, Body) {
    let is_accepted = headers.get("authorization").is_some_and(|value| value == "Bearer second");
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]);
    let frames = [Frame::data(Bytes::from("frame ")), Frame::data(message), Frame::trailers(trailers)];
    let body = Body::new(StreamBody::new(futures::stream::iter(frames.map(Ok::<_, Infallible>))));
    (if is_accepted { StatusCode::OK } else { StatusCode::UNAUTHORIZED }, body)
}

#[tokio::test]
async fn http2_trailers_of_a_response_are_unchanged() {
    let address = grpc().await;
    let (tokens, _) = tokens();
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let service = ServiceBuilder::new().layer(layer(tokens, &[format!("http://{address}")])).service(client);
    for outcome in [Outcome::Replayed, Outcome::Attached] {
        let request = Request::post(format!("http://{address}/service/method"))
            .header("te", "trailers")
            .header("content-type", "application/grpc")
            .body(Body::from("message"))
            .unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!((response.status(), Outcome::of(response.extensions())), (StatusCode::OK, outcome));
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(body.to_bytes(), "frame message");
    }
}

#[tokio::test]
async fn a5_a_path_without_a_slash_does_not_change_the_host() {
    let (tokens, _) = tokens();
    let hosts = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = hosts.clone();
    let server = tower::service_fn(move |request: Request<Body>| {
        seen.lock().unwrap().push(request.uri().clone());
        std::future::ready(Ok::<_, Infallible>(Response::builder().status(401).body(Body::empty()).unwrap()))
    });
    let service = ServiceBuilder::new().layer(layer(tokens, &["https://api.example.com".into()])).service(server);
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some("https".parse().unwrap());
    parts.authority = Some("api.example.com".parse().unwrap());
    parts.path_and_query = Some("*".parse().unwrap());
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = http::Uri::from_parts(parts).unwrap();
    let _ = service.oneshot(request).await;
    for uri in hosts.lock().unwrap().iter() {
        assert_eq!(uri.host(), Some("api.example.com"), "{uri}");
    }
    assert_eq!(hosts.lock().unwrap().len(), 2);
}

fn with_trailers(url: &str) -> Request<Body> {
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("7"))]);
    let body = http_body_util::Full::new(Bytes::from("a body")).with_trailers(async { Some(Ok(trailers)) });
    Request::post(url).body(Body::new(body)).unwrap()
}

#[tokio::test]
async fn a_request_with_trailers_is_an_error_unless_bodies_are_not_buffered() {
    let (tokens, _) = tokens();
    let server = tower::service_fn(async |request: Request<Body>| {
        let sent = request.into_body().collect().await.unwrap();
        let trailer = sent.trailers().map(|trailers| trailers["x-sum"].clone());
        Ok::<_, Infallible>(Response::new(format!("{trailer:?} {:?}", sent.to_bytes())))
    });
    let origin = "https://api.example.com";
    let bearer = Bearer::new(tokens, [origin]).unwrap();
    let error = AuthLayer::new(bearer.clone()).layer(server).oneshot(with_trailers(origin)).await.unwrap_err();
    assert!(error.to_string().contains("body_limit"), "{error}");
    let response =
        AuthLayer::new(bearer.with_body_limit(0)).layer(server).oneshot(with_trailers(origin)).await.unwrap();
    assert_eq!(text(response.into_body()).await, r#"Some("7") b"a body""#);
}

#[tokio::test]
async fn k1_the_debug_output_of_a_response_does_not_contain_its_body() {
    let api = Api::start(|request| request.authorization().to_owned()).await;
    let (tokens, _) = tokens();
    let bearer = Bearer::new(tokens, [api.origin()]).unwrap().with_rejection_in_body(|_| false);
    let service = ServiceBuilder::new().layer(AuthLayer::new(bearer)).service(hyper());
    let response = service.oneshot(get(&api.url("/"))).await.unwrap();
    assert!(!format!("{response:?}").contains("first"));
    assert_eq!(text(response.into_body()).await, "Bearer first");
}

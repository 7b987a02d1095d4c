//! Compares a call through the middleware with the same call with a constant header. Neither sends anything.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::task::{Context, Poll};
use std::time::Instant;

use async_trait::async_trait;
use auth_core::SystemClock;
use auth_middleware::Bearer;
use auth_middleware::reqwest::AuthMiddleware;
use auth_middleware::tower::AuthLayer;
use auth_testing::{Script, ScriptedResponse};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderValue, Request, Response};
use http_body_util::Full;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use tokio::runtime::{Builder, Runtime};
use tower_layer::Layer;
use tower_service::Service;

use crate::{Result, Row, median};

const ROUNDS: usize = 15;
const CALLS: u32 = 50_000;
/// The most that the middleware may add to a call, in nanoseconds.
const MAX_OVERHEAD: f64 = 250.0;

pub(crate) fn with_a_token() -> Result<Vec<Row>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let script = Script::new([ScriptedResponse::token(&"x".repeat(700), 86_400)]);
    let tokens = script.builder().with_clock(SystemClock).build()?;
    let token = runtime.block_on(tokens.token())?;
    let header = token.authorization().clone();
    let bearer = Bearer::new(tokens, ["https://api.example.com"])?;

    let constant_service = ConstantHeaderService(header.clone(), Echo);
    let layered_service = AuthLayer::new(bearer.clone()).layer(Echo);
    let constant_client = client(ConstantHeader(header));
    let auth_client = client(AuthMiddleware::new(bearer));
    let mut figures: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        figures[0].push(time_service(&runtime, &constant_service)?);
        figures[1].push(time_service(&runtime, &layered_service)?);
        figures[2].push(time_client(&runtime, &constant_client)?);
        figures[3].push(time_client(&runtime, &auth_client)?);
    }
    let [tower, layer, reqwest, middleware] = figures.map(median);
    Ok(vec![
        Row::new("tower call: constant header", tower, tower, None),
        Row::new("tower call: AuthLayer", layer, tower, Some(max_ratio(tower))),
        Row::new("reqwest-middleware call: constant header", reqwest, reqwest, None),
        Row::new("reqwest-middleware call: AuthMiddleware", middleware, reqwest, Some(max_ratio(reqwest))),
    ])
}

fn max_ratio(floor: f64) -> f64 {
    (floor + MAX_OVERHEAD) / floor
}

fn request() -> Result<Request<Full<Bytes>>> {
    let request = Request::get("https://api.example.com/v1/calls").header("accept", "application/json");
    Ok(request.header("user-agent", "bench").header("x-request-id", "4711").body(Full::default())?)
}

fn time_service<S>(runtime: &Runtime, service: &S) -> Result<f64>
where
    S: Service<Request<Full<Bytes>>, Error: std::fmt::Debug> + Clone,
{
    let request = request()?;
    let mut service = service.clone();
    Ok(runtime.block_on(async {
        let start = Instant::now();
        for _ in 0..CALLS {
            black_box(service.call(request.clone()).await.is_ok());
        }
        per_call(start)
    }))
}

fn time_client(runtime: &Runtime, client: &ClientWithMiddleware) -> Result<f64> {
    let request = reqwest::Request::try_from(request()?.map(|_| reqwest::Body::default()))?;
    Ok(runtime.block_on(async {
        let start = Instant::now();
        for _ in 0..CALLS {
            if let Some(request) = request.try_clone() {
                black_box(client.execute(request).await.is_ok());
            }
        }
        per_call(start)
    }))
}

fn per_call(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
}

/// A service that returns the body of the request at once.
#[derive(Clone)]
struct Echo;

impl Service<Request<Full<Bytes>>> for Echo {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<std::result::Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        ready(Ok(Response::new(request.into_body())))
    }
}

/// A service that adds a constant header.
#[derive(Clone)]
struct ConstantHeaderService<S>(HeaderValue, S);

impl<S: Service<Request<Full<Bytes>>>> Service<Request<Full<Bytes>>> for ConstantHeaderService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<std::result::Result<(), S::Error>> {
        self.1.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Full<Bytes>>) -> Self::Future {
        request.headers_mut().insert(AUTHORIZATION, self.0.clone());
        self.1.call(request)
    }
}

fn client(middleware: impl Middleware) -> ClientWithMiddleware {
    ClientBuilder::new(reqwest::Client::new()).with(middleware).with(EmptyResponse).build()
}

/// A middleware that adds a constant header.
struct ConstantHeader(HeaderValue);

#[async_trait]
impl Middleware for ConstantHeader {
    async fn handle(
        &self,
        mut request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        request.headers_mut().insert(AUTHORIZATION, self.0.clone());
        next.run(request, extensions).await
    }
}

/// A middleware that returns an empty response and sends nothing.
struct EmptyResponse;

#[async_trait]
impl Middleware for EmptyResponse {
    async fn handle(
        &self,
        request: reqwest::Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        drop(request);
        Ok(Response::new("").into())
    }
}

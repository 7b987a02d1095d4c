//! Counts allocations: a hit makes none, and the middleware adds at most one to a call.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;

use auth_core::{SystemClock, TokenPool, TokenSource};
use auth_middleware::Bearer;
use auth_middleware::tower::AuthLayer;
use auth_testing::{Script, ScriptedResponse, TestProvider};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service};

/// Counts the allocations of a thousand calls, after ten calls that may initialise lasting state.
fn allocations(mut call: impl FnMut()) -> u64 {
    (0..10).for_each(|_| call());
    let counted = allocation_counter::measure(|| (0..1000).for_each(|_| call()));
    counted.count_total
}

#[test]
fn a_hit_allocates_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let script = Script::default().then_always(ScriptedResponse::token("fake-token", 86_400));
    let tokens = script.builder().with_clock(SystemClock).build().unwrap();
    let object: Arc<dyn TokenSource> = Arc::new(tokens.clone());
    runtime.block_on(tokens.token()).unwrap();

    assert!(allocations(|| drop(black_box(Box::new(1)))) >= 1000, "the counter sees allocations");
    let header = |source: &dyn TokenSource| source.cached().unwrap().authorization().clone();
    assert_eq!(allocations(|| drop(black_box(header(&tokens)))), 0);
    assert_eq!(allocations(|| drop(black_box(header(&*object)))), 0);
    runtime.block_on(async {
        let mut calls = 0;
        let mut token = None;
        let counted = {
            // `measure` takes a synchronous function, so the future is polled here. On a hit the first poll is ready.
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            allocation_counter::measure(|| {
                while calls < 1000 {
                    let mut future = object.token();
                    let polled = std::pin::Pin::new(&mut future).poll(&mut context);
                    assert!(polled.is_ready());
                    token = Some(polled);
                    calls += 1;
                }
            })
        };
        assert_eq!(counted.count_total, 0, "through `dyn TokenSource`, awaited");
    });

    let pool = TokenPool::builder(|_: u32| TestProvider::new("p")).with_transport(script).build();
    runtime.block_on(async { pool.get(&1).unwrap().token().await }).unwrap();
    assert_eq!(allocations(|| drop(black_box(header(&pool.get(&1).unwrap())))), 0);
    assert_eq!(allocations(|| drop(black_box(pool.cached(&1)))), 0);
}

#[test]
fn a_pool_account_uses_at_most_two_kib() {
    const ACCOUNTS: u64 = 10_000;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let script = Script::default().then_always(ScriptedResponse::token("fake-token", 86_400));
    let pool = TokenPool::builder(|key: u64| TestProvider::new(&key.to_string())).with_transport(script).build();
    // No account has logged in yet, so this is the memory that an account needs in addition to its token.
    let counted = allocation_counter::measure(|| (0..ACCOUNTS).for_each(|key| drop(pool.get(&key).unwrap())));
    let each = counted.bytes_current / ACCOUNTS as i64;
    assert!(each <= 2048, "{each} bytes per account");
    runtime.block_on(async { pool.get(&1).unwrap().token().await }).unwrap();
}

/// Returns the body of the request.
async fn echo(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(request.into_body()))
}

fn api_request() -> Request<Full<Bytes>> {
    let request = Request::get("https://api.example.com/v1/calls").header("accept", "application/json");
    request.header("x-request-id", "4711").body(Full::default()).unwrap()
}

#[test]
fn the_tower_layer_adds_at_most_one_allocation_to_a_call() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let script = Script::new([ScriptedResponse::token("fake-token", 86_400)]);
    let tokens = script.builder().with_clock(SystemClock).build().unwrap();
    let token = runtime.block_on(tokens.token()).unwrap();
    let mut service = tower::service_fn(echo);
    let bearer = Bearer::new(tokens, ["https://api.example.com"]).unwrap();
    let mut with_layer = AuthLayer::new(bearer).layer(service);
    let constant = allocation_counter::measure(|| {
        let mut request = api_request();
        request.headers_mut().insert("authorization", token.authorization().clone());
        runtime.block_on(service.call(request)).unwrap();
    });
    let attached = allocation_counter::measure(|| drop(runtime.block_on(with_layer.call(api_request())).unwrap()));
    assert!(attached.count_total <= constant.count_total + 1, "{attached:?}, {constant:?}");
}

//! What a hit allocates: nothing; and what a call with a token adds.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;

use auth_testing::{Script, ScriptedResponse, TestProvider};
use auth_core::{SystemClock, TokenManager, TokenPool, TokenSource};
use auth_middleware::Bearer;
use auth_middleware::tower::AuthLayer;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service};

/// How often memory was asked for in a thousand calls; the first calls may set up what stays.
fn allocations(mut call: impl FnMut()) -> u64 {
    (0..10).for_each(|_| call());
    let counted = allocation_counter::measure(|| (0..1000).for_each(|_| call()));
    counted.count_total
}

#[test]
fn a_hit_allocates_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let script = Script::default().then_always(ScriptedResponse::token("fake-token", 86_400));
    let tokens = TokenManager::new(script.login().with_clock(SystemClock));
    let object: Arc<dyn TokenSource> = Arc::new(tokens.clone());
    runtime.block_on(tokens.token()).unwrap();

    assert!(allocations(|| drop(black_box(Box::new(1)))) >= 1000, "the counter counts");
    let header = |source: &dyn TokenSource| source.cached().unwrap().authorization().clone();
    assert_eq!(allocations(|| drop(black_box(header(&tokens)))), 0);
    assert_eq!(allocations(|| drop(black_box(header(&*object)))), 0);
    runtime.block_on(async {
        let mut calls = 0;
        let mut token = None;
        let counted = {
            // `measure` takes a function that does not wait, and on a hit nothing does.
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

    let pool = TokenPool::new(script, |_: &u32| Ok(TestProvider::new("p")));
    runtime.block_on(async { pool.get(&1).unwrap().token().await }).unwrap();
    assert_eq!(allocations(|| drop(black_box(header(&pool.get(&1).unwrap())))), 0);
    assert_eq!(allocations(|| drop(black_box(pool.cached(&1)))), 0);
}

#[test]
fn an_account_of_a_pool_takes_less_than_two_kib() {
    const ACCOUNTS: u64 = 10_000;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let script = Script::default().then_always(ScriptedResponse::token("fake-token", 86_400));
    let pool = TokenPool::new(script, |key: &u64| Ok(TestProvider::new(&key.to_string())));
    // Without a login first: what an account takes beyond its token.
    let counted = allocation_counter::measure(|| (0..ACCOUNTS).for_each(|key| drop(pool.get(&key).unwrap())));
    let each = counted.bytes_current / ACCOUNTS as i64;
    assert!(each <= 2048, "{each} bytes for each account");
    runtime.block_on(async { pool.get(&1).unwrap().token().await }).unwrap();
}

#[test]
fn a_call_with_a_token_takes_one_allocation_more_than_with_a_constant_header() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let script = Script::new([ScriptedResponse::token("fake-token", 86_400)]);
    let tokens = TokenManager::new(script.login().with_clock(SystemClock));
    let token = runtime.block_on(tokens.token()).unwrap();
    let answer =
        |request: Request<Full<Bytes>>| std::future::ready(Ok::<_, Infallible>(Response::new(request.into_body())));
    let mut service = tower::service_fn(answer);
    let bearer = Bearer::new(tokens, ["https://api.example.com"]).unwrap();
    let mut with_layer = AuthLayer::new(bearer).layer(service);
    let request = || {
        let request = Request::get("https://api.example.com/v1/calls").header("accept", "application/json");
        request.header("x-request-id", "4711").body(Full::default()).unwrap()
    };
    let constant = allocation_counter::measure(|| {
        let mut request = request();
        request.headers_mut().insert("authorization", token.authorization().clone());
        runtime.block_on(service.call(request)).unwrap();
    });
    let attached = allocation_counter::measure(|| drop(runtime.block_on(with_layer.call(request())).unwrap()));
    assert!(attached.count_total <= constant.count_total + 1, "{attached:?}, {constant:?}");
}

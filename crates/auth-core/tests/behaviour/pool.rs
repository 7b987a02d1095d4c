//! Tests of a pool of accounts.

use std::time::Duration;

use auth_core::{Error, Policy, TokenPool, TokenPoolBuilder};
use auth_testing::{MemoryStore, Script, ScriptedResponse, TestProvider, VirtualClock};
use tokio::runtime::Handle;

fn pool(script: &Script) -> TokenPool<u32> {
    builder(script).build()
}

fn builder(script: &Script) -> TokenPoolBuilder<u32> {
    let builder = TokenPool::builder(credentials).with_transport(script.clone());
    builder.with_clock(VirtualClock::new()).with_runtime(Handle::current())
}

/// Returns the credentials of an account. The account 0 is unknown.
fn credentials(key: &u32) -> Result<TestProvider, Error> {
    match key {
        0 => Err(Error::misconfigured("tenant", "is not known")),
        key => Ok(TestProvider::new(&format!("password-{key}"))),
    }
}

#[tokio::test(start_paused = true)]
async fn s10_each_account_has_its_own_token() {
    let script = Script::new([ScriptedResponse::token("one", 1000), ScriptedResponse::token("two", 1000)]);
    let pool = pool(&script);
    for (key, token) in [(1, "one"), (2, "two"), (1, "one"), (2, "two")] {
        assert_eq!(pool.token(&key).await.unwrap().expose(), token);
        assert_eq!(pool.cached(&key).unwrap().expose(), token);
    }
    assert_eq!(script.requests().len(), 2);
    assert_eq!(pool.get(&0).unwrap_err().setting(), Some("tenant"));
    assert!(pool.cached(&3).is_none());
    assert_eq!(pool.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn s9_a_login_that_hangs_for_one_account_never_delays_another() {
    let hung = ScriptedResponse::token("late", 1000).after(Duration::from_secs(3600));
    let script = Script::new([hung, ScriptedResponse::token("two", 1000)]);
    let pool = pool(&script);
    let start = tokio::time::Instant::now();
    let (one, two) = (pool.get(&1).unwrap(), pool.get(&2).unwrap());
    tokio::select! {
        biased;
        _ = one.token() => panic!("the login of the first account must hang"),
        token = two.token() => assert_eq!(token.unwrap().expose(), "two"),
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_full_pool_removes_the_account_that_was_unused_for_the_longest_time() {
    let script = Script::default().then_always(ScriptedResponse::token("t", 86_400));
    let pool = builder(&script).with_capacity(100).build();
    for key in 1..=1000 {
        pool.get(&1).unwrap().token().await.unwrap();
        pool.get(&(key + 1)).unwrap().token().await.unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(pool.len() <= 100);
    }
    assert!(pool.cached(&1).is_some(), "an account in use is kept");
    assert!(pool.cached(&1001).is_some());
    assert!(pool.cached(&2).is_none());
}

#[tokio::test(start_paused = true)]
async fn r4_an_account_that_was_refused_is_not_removed_before_the_others() {
    let script = Script::new([ScriptedResponse::refusal()]);
    let pool = builder(&script).with_capacity(10).build();
    pool.token(&1).await.unwrap_err();
    for key in 2..100 {
        tokio::time::advance(Duration::from_millis(1)).await;
        pool.get(&key).unwrap();
    }
    pool.token(&1).await.unwrap_err();
    assert_eq!(script.requests().len(), 1, "the refusal is still remembered");
}

#[tokio::test(start_paused = true)]
async fn s6_the_policy_of_a_pool_applies_to_each_account() {
    let script = Script::default().then_always(ScriptedResponse::token("late", 1000).after(Duration::from_secs(20)));
    let pool = builder(&script).with_policy(Policy::default().with_deadline(Duration::from_secs(5))).build();
    for key in [1, 2] {
        let start = tokio::time::Instant::now();
        pool.get(&key).unwrap().token().await.unwrap_err();
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }
}

#[tokio::test(start_paused = true)]
async fn accounts_are_removed_after_the_idle_timeout() {
    let pool = builder(&Script::default()).with_capacity(50).with_idle_timeout(Duration::from_secs(60)).build();
    for key in 1..=50 {
        pool.get(&key).unwrap();
    }
    tokio::time::advance(Duration::from_secs(61)).await;
    pool.get(&7).unwrap();
    pool.get(&51).unwrap();
    assert_eq!(pool.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn p1_s10_pools_share_tokens_through_the_store_by_account() {
    let script = Script::new([ScriptedResponse::token("one", 1000), ScriptedResponse::token("two", 1000)]);
    let store = MemoryStore::new();
    let pools = [(); 3].map(|()| builder(&script).with_store(store.shared()).build());
    for pool in &pools {
        for (key, token) in [(1, "one"), (2, "two")] {
            assert_eq!(pool.get(&key).unwrap().token().await.unwrap().expose(), token);
        }
    }
    assert_eq!((script.requests().len(), store.entries().len()), (2, 2));
}

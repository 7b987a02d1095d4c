//! A pool of accounts.

use std::time::Duration;

use auth_core::{Error, Policy, TokenPool, TokenSource};
use auth_testing::{MemoryStore, Script, ScriptedResponse, TestProvider, VirtualClock};

fn pool(script: &Script) -> TokenPool<u32, TestProvider, Script> {
    let credentials = |key: &u32| match key {
        0 => Err(Error::misconfigured("tenant", "is not known")),
        key => Ok(TestProvider::new(&format!("password-{key}"))),
    };
    TokenPool::new(script.clone(), credentials).with_clock(VirtualClock::new())
}

#[tokio::test(start_paused = true)]
async fn s10_each_account_has_a_token_of_its_own() {
    let script = Script::new([ScriptedResponse::token("one", 1000), ScriptedResponse::token("two", 1000)]);
    let pool = pool(&script);
    for (key, token) in [(1, "one"), (2, "two"), (1, "one"), (2, "two")] {
        assert_eq!(pool.get(&key).unwrap().token().await.unwrap().expose(), token);
        assert_eq!(pool.cached(&key).unwrap().expose(), token);
    }
    assert_eq!(script.requests().len(), 2);
    assert_eq!(pool.get(&0).unwrap_err().setting(), Some("tenant"));
    assert!(pool.cached(&3).is_none());
    assert_eq!(pool.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn s9_a_miss_on_one_key_never_delays_another() {
    let hung = ScriptedResponse::token("late", 1000).after(Duration::from_secs(3600));
    let script = Script::new([hung, ScriptedResponse::token("two", 1000)]);
    let pool = pool(&script);
    let start = tokio::time::Instant::now();
    let (one, two) = (pool.get(&1).unwrap(), pool.get(&2).unwrap());
    tokio::select! {
        biased;
        _ = one.token() => panic!("it hangs"),
        token = two.token() => assert_eq!(token.unwrap().expose(), "two"),
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn it_bounds_itself_and_forgets_the_longest_unused() {
    let script = Script::default().then_always(ScriptedResponse::token("t", 86_400));
    let pool = pool(&script).with_capacity(100);
    for key in 1..=1000 {
        pool.get(&1).unwrap().token().await.unwrap();
        pool.get(&(key + 1)).unwrap().token().await.unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(pool.len() <= 100);
    }
    assert!(pool.cached(&1).is_some(), "an account in use stays");
    assert!(pool.cached(&1001).is_some());
    assert!(pool.cached(&2).is_none());
}

#[tokio::test(start_paused = true)]
async fn r4_a_refused_account_is_not_forgotten_before_the_others() {
    let script = Script::new([ScriptedResponse::refusal()]);
    let pool = pool(&script).with_capacity(10);
    pool.get(&1).unwrap().token().await.unwrap_err();
    for key in 2..100 {
        tokio::time::advance(Duration::from_millis(1)).await;
        pool.get(&key).unwrap();
    }
    pool.get(&1).unwrap().token().await.unwrap_err();
    assert_eq!(script.requests().len(), 1, "its refusal is remembered");
}

#[tokio::test(start_paused = true)]
async fn s6_its_policy_is_that_of_all_accounts() {
    let script = Script::default().then_always(ScriptedResponse::token("late", 1000).after(Duration::from_secs(20)));
    let pool = pool(&script).with_policy(Policy::default().with_deadline(Duration::from_secs(5)));
    for key in [1, 2] {
        let start = tokio::time::Instant::now();
        pool.get(&key).unwrap().token().await.unwrap_err();
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }
}

#[tokio::test(start_paused = true)]
async fn the_idle_go_first() {
    let pool = pool(&Script::default()).with_capacity(50).with_idle_timeout(Duration::from_secs(60));
    for key in 1..=50 {
        pool.get(&key).unwrap();
    }
    tokio::time::advance(Duration::from_secs(61)).await;
    pool.get(&7).unwrap();
    pool.get(&51).unwrap();
    assert_eq!(pool.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn p1_s10_pools_share_each_accounts_token_and_no_other() {
    let script = Script::new([ScriptedResponse::token("one", 1000), ScriptedResponse::token("two", 1000)]);
    let store = MemoryStore::new();
    let pools = [(); 3].map(|()| pool(&script).with_store(store.shared()));
    for pool in &pools {
        for (key, token) in [(1, "one"), (2, "two")] {
            assert_eq!(pool.get(&key).unwrap().token().await.unwrap().expose(), token);
        }
    }
    assert_eq!((script.requests().len(), store.entries().len()), (2, 2));
}

//! Tests of a pool of accounts.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use auth_core::{CredentialSource, Error, Policy, TokenPool, TokenPoolBuilder, credentials, targets};
use auth_testing::{MemoryStore, Script, ScriptedResponse, TestProvider, VirtualClock};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::support::Warnings;

fn pool(script: &Script) -> TokenPool<u32> {
    builder(script).build()
}

fn builder(script: &Script) -> TokenPoolBuilder<u32> {
    let builder = TokenPool::builder(account).with_transport(script.clone());
    builder.with_clock(VirtualClock::new()).with_runtime(Handle::current())
}

/// Returns the credentials of an account. The account 0 is unknown.
fn account(key: u32) -> impl CredentialSource {
    credentials::from_async_fn(move || async move {
        match key {
            0 => Err(Error::misconfigured("tenant", "is not known")),
            key => Ok(TestProvider::new(&format!("password-{key}"))),
        }
    })
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
    assert_eq!(pool.token(&0).await.unwrap_err().setting(), Some("tenant"));
    assert!(pool.cached(&3).is_none());
    assert_eq!(pool.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn s9_a_login_that_hangs_for_one_account_never_delays_another() {
    let hung = ScriptedResponse::token("late", 1000).after(Duration::from_secs(3600));
    let script = Script::new([hung, ScriptedResponse::token("two", 1000)]);
    let pool = pool(&script);
    let start = Instant::now();
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
async fn r4_a_refused_account_keeps_the_count_of_its_refusals_in_a_pool_under_churn() {
    let script = Script::default().then_always(ScriptedResponse::refusal());
    let pool = builder(&script).with_capacity(10).build();
    let start = Instant::now();
    let mut times = Vec::new();
    let mut others = 0;
    while start.elapsed() < Duration::from_secs(600) {
        let before = script.requests().len();
        pool.token(&1).await.unwrap_err();
        if script.requests().len() > before {
            times.push(start.elapsed().as_secs());
        }
        for _ in 0..20 {
            others += 1;
            pool.get(&(1 + others)).unwrap();
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(times.len(), 4, "{times:?}");
    assert!(pool.len() <= 32, "{} accounts", pool.len());
}

#[tokio::test(start_paused = true)]
async fn an_account_is_kept_for_a_second_until_its_manager_is_asked_for_a_token() {
    let script = Script::default().then_always(ScriptedResponse::token("t", 3000));
    let pool = builder(&script).with_capacity(4).build();
    let managers: Vec<_> = (1..=20).map(|key| pool.get(&key).unwrap()).collect();
    for manager in managers {
        manager.token().await.unwrap();
    }
    for key in 1..=20 {
        pool.token(&key).await.unwrap();
    }
    assert_eq!(script.requests().len(), 20, "each account has one manager");
    // An account that nobody used makes room after a second.
    pool.get(&21).unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    for key in 22..=60 {
        pool.get(&key).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!(pool.len() <= 5, "{} accounts", pool.len());
}

#[tokio::test(start_paused = true)]
async fn r5_an_account_in_a_pause_is_not_dropped() {
    let hour = ScriptedResponse::status(429).with_header(http::header::RETRY_AFTER, "3600");
    let script = Script::new([hour]).then_always(ScriptedResponse::token("t", 3000));
    let pool = builder(&script).with_capacity(8).build();
    pool.token(&1).await.unwrap_err();
    for key in 2..100 {
        pool.token(&key).await.unwrap();
        tokio::time::advance(Duration::from_secs(2)).await;
    }
    pool.token(&1).await.unwrap_err();
    assert_eq!(script.requests().len(), 99);
}

#[tokio::test(start_paused = true)]
async fn refused_accounts_push_no_other_out_of_the_pool() {
    let script = Script::new((0..16).map(|_| ScriptedResponse::refusal()));
    let script = script.then_always(ScriptedResponse::token("t", 3000));
    let pool = builder(&script).with_capacity(16).build();
    for key in 1..=16 {
        pool.token(&key).await.unwrap_err();
    }
    for _ in 0..10 {
        for key in 101..=110 {
            pool.token(&key).await.unwrap();
        }
        tokio::time::advance(Duration::from_secs(2)).await;
    }
    assert_eq!(script.requests().len(), 26);
    for key in 111..200 {
        pool.token(&key).await.unwrap();
    }
    assert!(pool.len() <= 32, "{} accounts", pool.len());
}

#[tokio::test(start_paused = true)]
async fn twelve_thousand_cold_tenants_are_twelve_thousand_logins_in_the_default_pool() {
    let slow = ScriptedResponse::token("t", 3000).after(Duration::from_millis(1500));
    let script = Script::default().then_always(slow);
    let (lines, _guard) = Warnings::log(targets::POOL);
    let pool = Arc::new(builder(&script).build());
    let calls: Vec<_> = (1..=12_000)
        .map(|key| {
            let pool = pool.clone();
            tokio::spawn(async move {
                // Each tenant is asked for twice, by tasks that come and go.
                for _ in 0..2 {
                    pool.token(&key).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(script.requests().len(), 12_000);

    // The logins are over, so the next new account brings the pool back to its capacity.
    for key in 12_001..14_000 {
        pool.get(&key).unwrap();
    }
    assert!(pool.len() <= 12_000, "{} accounts", pool.len());
    assert_eq!(lines.count(), 1, "a working set beyond the capacity is told, once");
}

#[tokio::test(start_paused = true)]
async fn accounts_without_a_usable_token_are_dropped_first_and_without_a_warning() {
    let script = Script::default().then_always(ScriptedResponse::token("t", 1000));
    let (lines, _guard) = Warnings::log(targets::POOL);
    let pool = builder(&script).with_capacity(16).build();
    for key in 1..=8 {
        pool.token(&key).await.unwrap();
    }
    tokio::time::advance(Duration::from_secs(1000)).await;
    for key in 9..=16 {
        pool.token(&key).await.unwrap();
    }
    // The eight tokens have ended, although their accounts were used last.
    for key in 1..=8 {
        assert!(pool.cached(&key).is_none());
    }
    for key in 17..=24 {
        pool.token(&key).await.unwrap();
    }
    assert!((9..=24).all(|key| pool.cached(&key).is_some()));
    assert_eq!(lines.count(), 0);
    pool.token(&25).await.unwrap();
    assert_eq!((lines.count(), pool.len()), (1, 16));
}

#[test]
fn the_hash_of_a_key_is_computed_outside_the_lock() {
    /// A key whose hash takes long if the key is `slow`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Key {
        number: u32,
        is_slow: bool,
    }

    impl Hash for Key {
        fn hash<H: Hasher>(&self, state: &mut H) {
            if self.is_slow {
                std::thread::sleep(Duration::from_millis(300));
            }
            self.number.hash(state);
        }
    }

    let script = Script::default().then_always(ScriptedResponse::token("t", 3000));
    let pool = TokenPool::builder(|_: Key| TestProvider::new("p")).with_transport(script).build();
    let hot = Key { number: 1, is_slow: false };
    pool.get(&hot).unwrap().blocking_token().unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 2..5 {
                pool.get(&Key { number, is_slow: true }).unwrap();
            }
            is_done.store(true, Ordering::SeqCst);
        });
        let mut longest = Duration::ZERO;
        while !is_done.load(Ordering::SeqCst) {
            let start = std::time::Instant::now();
            pool.get(&hot).unwrap();
            longest = longest.max(start.elapsed());
        }
        assert!(longest < Duration::from_millis(150), "{longest:?}");
    });
}

#[tokio::test(start_paused = true)]
async fn keys_with_the_same_hash_are_different_accounts() {
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Key(u32);

    impl Hash for Key {
        fn hash<H: Hasher>(&self, state: &mut H) {
            0.hash(state);
        }
    }

    let script = Script::default().then_always(ScriptedResponse::token("t", 3000));
    let account = |key: Key| TestProvider::new(&key.0.to_string());
    let pool = TokenPool::builder(account).with_transport(script.clone()).with_runtime(Handle::current()).build();
    for key in [1, 2, 1, 2] {
        pool.token(&Key(key)).await.unwrap();
    }
    pool.forget(&Key(1));
    assert!(pool.cached(&Key(1)).is_none() && pool.cached(&Key(2)).is_some());
    let bodies: Vec<_> = script.requests().iter().map(|request| request.body().to_vec()).collect();
    assert_eq!(bodies, [b"by=1", b"by=2"]);
}

#[tokio::test(start_paused = true)]
async fn s6_the_policy_of_a_pool_applies_to_each_account() {
    let script = Script::default().then_always(ScriptedResponse::token("late", 1000).after(Duration::from_secs(20)));
    let pool = builder(&script).with_policy(Policy::default().with_deadline(Duration::from_secs(5))).build();
    for key in [1, 2] {
        let start = Instant::now();
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

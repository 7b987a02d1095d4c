//! Helpers for the tests of one manager.

use std::time::Duration;

use auth_core::{AccessToken, Error, TokenManager, TokenSource};
use auth_testing::{Script, ScriptedResponse, TestProvider};

pub(crate) type Manager = TokenManager<TestProvider, Script>;

pub(crate) const LIFETIMES: [u64; 6] = [5, 10, 60, 300, 1800, 86400];

pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

pub(crate) fn manager(script: &Script) -> Manager {
    TokenManager::new(script.login())
}

/// Returns a token after two seconds.
pub(crate) fn slow(token: &str, lifetime: u64) -> ScriptedResponse {
    ScriptedResponse::token(token, lifetime).after(seconds(2.0))
}

/// Calls `token` from this number of tasks at the same time and returns their results.
pub(crate) async fn stampede(tokens: &Manager, callers: usize) -> Vec<Result<AccessToken, Error>> {
    let calls: Vec<_> = (0..callers)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::spawn(async move { tokens.token().await })
        })
        .collect();
    let mut results = Vec::new();
    for call in calls {
        results.push(call.await.unwrap());
    }
    results
}

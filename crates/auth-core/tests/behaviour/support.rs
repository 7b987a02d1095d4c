//! Helpers for the tests of one manager.

use std::time::Duration;

use auth_core::{AccessToken, Error, Policy, TokenManager};
use auth_testing::{Script, ScriptedResponse};

pub(crate) type Manager = TokenManager;

pub(crate) const LIFETIMES: [u64; 6] = [5, 10, 60, 300, 1800, 86400];

pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

pub(crate) fn manager(script: &Script) -> Manager {
    script.manager()
}

pub(crate) fn manager_with(script: &Script, policy: Policy) -> Manager {
    script.builder().with_policy(policy).build().unwrap()
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

//! Tests random policies with random responses.

use std::time::Duration;

use auth_core::http::header::RETRY_AFTER;
use auth_core::{Clock, Policy};
use auth_testing::{Script, ScriptedResponse, VirtualClock};
use proptest::prelude::*;

fn any_time() -> impl Strategy<Value = Duration> {
    proptest::sample::select(vec![
        Duration::ZERO,
        Duration::from_millis(1),
        Duration::from_secs(1),
        Duration::from_secs(1000),
        Duration::MAX,
    ])
}

prop_compose! {
    fn any_policy()(times in [(); 9].map(|()| any_time()), attempts: u32, first: u8, last: u8) -> Policy {
        let [deadline, margin, backoff, max_backoff, retry_after, refusal, max_refusal, rejection, session] = times;
        Policy::default()
            .with_deadline(deadline)
            .with_attempts(attempts)
            .with_refresh_window(first..=last)
            .with_margin(margin)
            .with_backoff(backoff, max_backoff)
            .with_longest_retry_after(retry_after)
            .with_refusal_backoff(refusal, max_refusal)
            .with_rejection_interval(rejection)
            .with_ending_session(session)
    }
}

fn any_response() -> impl Strategy<Value = ScriptedResponse> {
    proptest::sample::select(vec![
        ScriptedResponse::refusal(),
        ScriptedResponse::status(503),
        ScriptedResponse::status(429).with_header(RETRY_AFTER, "99999999"),
        ScriptedResponse::token("short", 2),
        ScriptedResponse::token("long", 1000),
    ])
}

proptest! {
    #[test]
    fn f6_no_policy_hands_out_an_expired_token(
        policy in any_policy(),
        responses in prop::collection::vec(any_response(), 1..20),
    ) {
        let calls = async {
            let clock = VirtualClock::new();
            let tokens = Script::new(responses).builder().with_clock(clock.clone()).with_policy(policy).build().unwrap();
            for step in 0..60 {
                if let Ok(token) = tokens.token().await {
                    assert!(!token.remaining_at(&clock.now()).is_zero());
                    if step % 7 == 0 {
                        tokens.reject(&token);
                    }
                }
                tokio::time::advance(Duration::from_secs(step)).await;
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(calls);
    }
}

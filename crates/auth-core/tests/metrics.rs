//! Tests O2: the metrics of a manager.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::time::Duration;

use auth_testing::{MemoryStore, Script, ScriptedResponse, StoreFault};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

/// Returns the metrics since the last call, by `name{label=value,…}`.
///
/// The value is the sum of a counter, the value of a gauge, or the number of values in a histogram.
fn counted(snapshotter: &Snapshotter) -> BTreeMap<String, u64> {
    let snapshot = snapshotter.snapshot().into_vec().into_iter();
    let counted = snapshot.map(|(key, _, _, value)| {
        let value = match value {
            DebugValue::Counter(sum) => sum,
            DebugValue::Gauge(value) => value.0 as u64,
            DebugValue::Histogram(values) => values.len() as u64,
        };
        (display(key.key()), value)
    });
    counted.filter(|(_, value)| *value > 0).collect()
}

fn display(key: &metrics::Key) -> String {
    let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
    format!("{}{{{}}}", key.name(), labels.join(","))
}

#[track_caller]
fn assert_counted(snapshotter: &Snapshotter, expected: &[(&str, u64)]) {
    let expected = expected.iter().map(|(line, value)| ((*line).to_owned(), *value)).collect();
    assert_eq!(counted(snapshotter), expected);
}

#[test]
fn o2_requests_flights_and_waits_are_counted_without_a_secret() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(count_without_store(&snapshotter)));
}

async fn count_without_store(snapshotter: &Snapshotter) {
    let script = Script::new([ScriptedResponse::token("SENTINEL", 100), ScriptedResponse::refusal()])
        .then_always(ScriptedResponse::status(503));
    let tokens = script.manager();

    tokens.token().await.unwrap();
    assert_counted(
        snapshotter,
        &[
            ("auth_flight_seconds{provider=test,outcome=ok}", 1),
            ("auth_flights_total{provider=test,reason=cold,outcome=ok}", 1),
            ("auth_token_requests_total{provider=test,result=wait}", 1),
            ("auth_token_wait_seconds{provider=test}", 1),
        ],
    );

    tokio::time::advance(Duration::from_secs(10)).await;
    tokens.token().await.unwrap();
    tokens.cached().unwrap();
    assert_counted(
        snapshotter,
        &[
            ("auth_token_requests_total{provider=test,result=hit}", 2),
            ("auth_token_seconds_to_expiry{provider=test}", 90),
        ],
    );

    tokio::time::advance(Duration::from_secs(75)).await;
    tokens.token().await.unwrap(); // starts a flight, which is refused
    tokio::time::sleep(Duration::from_secs(1)).await;
    tokens.token().await.unwrap(); // starts no flight: the refusal's cooldown has begun
    assert_counted(
        snapshotter,
        &[
            ("auth_flight_seconds{provider=test,outcome=refused}", 1),
            ("auth_flights_total{provider=test,reason=stale,outcome=refused}", 1),
            ("auth_suppressed_attempts_total{provider=test}", 1),
            ("auth_token_requests_total{provider=test,result=stale}", 2),
            ("auth_token_seconds_to_expiry{provider=test}", 14),
        ],
    );

    tokio::time::advance(Duration::from_secs(20)).await;
    tokens.token().await.unwrap_err();
    assert_counted(
        snapshotter,
        &[
            ("auth_suppressed_attempts_total{provider=test}", 1),
            ("auth_token_requests_total{provider=test,result=error}", 1),
            ("auth_token_wait_seconds{provider=test}", 1),
        ],
    );
}

#[test]
fn o2_calls_to_a_store_are_counted_by_result() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(count_with_store(&snapshotter)));
}

/// Returns the calls to the store since the last call, as `{call=…,result=…} COUNT`.
fn store_calls(snapshotter: &Snapshotter) -> Vec<String> {
    let calls = counted(snapshotter).into_iter().filter_map(|(line, count)| {
        let labels = line.strip_prefix("auth_store_calls_total")?.replace("provider=test,", "");
        Some(format!("{labels} {count}"))
    });
    calls.collect()
}

async fn count_with_store(snapshotter: &Snapshotter) {
    let granted = ScriptedResponse::json(200, r#"{"token":"SENTINEL","expires_in":100,"refresh":"SENTINEL"}"#);
    let (script, store) = (Script::default().then_always(granted), MemoryStore::new());
    let process = || script.builder().with_store(store.shared()).build().unwrap();

    process().token().await.unwrap();
    assert_eq!(store_calls(snapshotter), ["{call=lease,result=granted} 1", "{call=save,result=ok} 1"]);
    process().token().await.unwrap();
    assert_eq!(store_calls(snapshotter), ["{call=lease,result=changed} 1"]);

    store.tamper(|record| record.access = Some("SENTINEL".into()));
    process().token().await.unwrap();
    let expected = [
        "{call=claim,result=ok} 1",
        "{call=lease,result=changed} 1",
        "{call=lease,result=granted} 1",
        "{call=open,result=unreadable} 1",
        "{call=save,result=ok} 1",
    ];
    assert_eq!(store_calls(snapshotter), expected);
    store.set_fault(StoreFault::Down);
    process().token().await.unwrap();
    assert_eq!(store_calls(snapshotter), ["{call=lease,result=error} 1"]);
}

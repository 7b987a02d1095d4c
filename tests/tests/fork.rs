//! S8: a forked child, which has none of its parent's threads.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::thread;
use std::time::{Duration, Instant};

use auth_core::TokenManager;
use auth_sandbox::{Api, Fault, Sandbox};
use auth_tests::SUBJECTS;
use fork::{Fork, fork};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// Longer than a login, and shorter than its deadline of 30 s.
const SOON: Duration = Duration::from_secs(10);

fn voipex(sandbox: &Sandbox) -> TokenManager {
    let voipex = SUBJECTS[3];
    voipex.manager(&sandbox.base_url(voipex.api)).unwrap()
}

/// Runs `in_child` in a forked process and checks that it returns `true` soon.
fn assert_in_child(in_child: impl FnOnce() -> bool) {
    match fork().unwrap() {
        Fork::Child => std::process::exit(if in_child() { 0 } else { 1 }),
        Fork::Parent(child) => assert_eq!(exit_code(Pid::from_raw(child).unwrap()), Some(0)),
    }
}

/// Returns the exit code of a process, or `None` if it had to be killed.
fn exit_code(process: Pid) -> Option<i32> {
    let start = Instant::now();
    while start.elapsed() < SOON {
        if let Some((_, status)) = waitpid(Some(process), WaitOptions::NOHANG).unwrap() {
            return status.exit_status();
        }
        thread::sleep(Duration::from_millis(10));
    }
    kill_process(process, Signal::KILL).unwrap();
    waitpid(Some(process), WaitOptions::empty()).unwrap();
    None
}

#[test]
fn s8_a_forked_child_gets_tokens_and_uses_no_refresh_token_of_its_parent() {
    let sandbox = Sandbox::start().unwrap();
    let tokens = voipex(&sandbox);
    let first = tokens.blocking_token().unwrap();
    assert_in_child(|| {
        let inherited = tokens.blocking_token().unwrap();
        tokens.reject(&inherited);
        let next = tokens.blocking_token().unwrap();
        inherited.expose() == first.expose() && next.expose() != first.expose()
    });
    let counters = sandbox.counters(Api::Voipex);
    assert_eq!((counters.logins, counters.refreshes), (2, 0));

    // The refresh token is still the parent's.
    tokens.reject(&first);
    tokens.blocking_token().unwrap();
    assert_eq!(sandbox.counters(Api::Voipex).refreshes, 1);
}

#[test]
fn s8_a_child_that_is_forked_during_a_login_logs_in_itself() {
    let sandbox = Sandbox::start().unwrap();
    let tokens = voipex(&sandbox);
    sandbox.fail_next(Api::Voipex, Fault::Latency(Duration::from_secs(1)));
    let login = thread::spawn({
        let tokens = tokens.clone();
        move || tokens.blocking_token()
    });
    while sandbox.counters(Api::Voipex).requests == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    assert_in_child(|| tokens.blocking_token().is_ok());
    login.join().unwrap().unwrap();
    assert_eq!(sandbox.counters(Api::Voipex).logins, 2);
}

//! S8: a process that cannot start threads. In a file of its own, because the limit is one of the whole process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;
use std::{fs, thread};

use auth_core::{ErrorKind, Policy};
use auth_testing::{Script, ScriptedResponse};
use rustix::param::page_size;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Less than the stack of a thread, which is 2 MiB.
const SPARE: u64 = 1 << 20;

fn address_space() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    pages * page_size() as u64
}

#[test]
fn s8_without_threads_a_login_is_unavailable_and_a_later_one_works() {
    let pause = Duration::from_millis(300);
    let script = Script::new([ScriptedResponse::token("one", 1000)]);
    let tokens = script.builder().with_policy(Policy::default().with_backoff(pause, pause)).build().unwrap();
    let unlimited = getrlimit(Resource::As);
    setrlimit(Resource::As, Rlimit { current: Some(address_space() + SPARE), ..unlimited }).unwrap();
    let error = tokens.blocking_token().unwrap_err();
    setrlimit(Resource::As, unlimited).unwrap();

    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("the threads for logins cannot be started"), "{error}");
    assert!(script.requests().is_empty());
    thread::sleep(error.retry_after().unwrap() + Duration::from_millis(50)); // the clock ticks every few milliseconds
    assert_eq!(tokens.blocking_token().unwrap().expose(), "one");
}

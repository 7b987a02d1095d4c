//! S8: a process that ends while a renewal is under way.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use auth_sandbox::{Api, Fault, Sandbox};

/// How long a renewal takes.
const LATENCY: Duration = Duration::from_secs(2);

/// Runs the program, and returns what it prints and how long it runs after that.
fn run(argument: Option<&str>) -> (String, Duration) {
    let sandbox = Sandbox::start().unwrap();
    // A token of 10 s is stale after 8 s at the latest, and usable for 9 s.
    sandbox.set_lifetime(Api::Cambyopro, Duration::from_secs(10));
    let mut program = Command::new(env!("CARGO_BIN_EXE_exit-when-stale"));
    let mut program = program.args(argument).envs(sandbox.env()).stdout(Stdio::piped()).spawn().unwrap();
    while sandbox.counters(Api::Cambyopro).requests == 0 && program.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    sandbox.fail_always(Api::Cambyopro, Fault::Latency(LATENCY));
    let mut line = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let start = Instant::now();
    assert!(program.wait().unwrap().success());
    (line, start.elapsed())
}

#[test]
fn s8_a_renewal_does_not_delay_the_end_of_a_process() {
    let (line, time) = run(None);
    assert_eq!(line, "stale: true, renewed: false\n");
    assert!(time < LATENCY / 2, "{time:?}");
}

#[test]
fn s8_a_process_can_wait_for_its_renewal_before_it_ends() {
    let (line, _) = run(Some("wait"));
    assert_eq!(line, "stale: true, renewed: true\n");
}

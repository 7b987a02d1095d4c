//! Measures the start of the program: a cached `auth token` compared with `true`. Run by `cargo bench -p auth-cli`.
#![allow(clippy::unwrap_used, reason = "a bench may panic")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use auth_sandbox::Sandbox;

const ROUNDS: usize = 200;

fn main() {
    let home = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start().unwrap();
    let command = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).envs(sandbox.env()).env("HOME", home.path()).stdout(Stdio::null());
        command
    };
    let mut auth = command(env!("CARGO_BIN_EXE_auth"), &["token", "voipex"]);
    let mut baseline = command("true", &[]);
    run(&mut auth);
    // The programs take turns, so that a change of load affects both.
    let mut took: [Vec<Duration>; 2] = Default::default();
    for _ in 0..ROUNDS {
        took[0].push(run(&mut auth));
        took[1].push(run(&mut baseline));
    }
    for (name, took) in ["a cached `auth token`", "`true`"].into_iter().zip(&mut took) {
        took.sort_unstable();
        println!("{name}: median {:.1?}, 95th percentile {:.1?}", took[ROUNDS / 2], took[ROUNDS * 95 / 100]);
    }
}

fn run(command: &mut Command) -> Duration {
    let start = Instant::now();
    assert!(command.status().unwrap().success());
    start.elapsed()
}

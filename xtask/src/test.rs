//! `cargo xtask test`: runs every test of the repository.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::run::{Result, cargo, run, target_dir};
use crate::steps::Steps;
use crate::tools::{Program, install_missing};

const REDIS: [Program; 1] = [Program::new("redis-server", "redis-server").with_service("redis-server")];

/// For the test of `auth token --format curl`.
const CURL: [Program; 1] = [Program::new("curl", "curl")];

/// The programs for tests with a real Secret Service on a private D-Bus.
const KEYRING: [Program; 3] = [
    Program::new("dbus-run-session", "dbus"),
    Program::new("gnome-keyring-daemon", "gnome-keyring"),
    Program::new("secret-tool", "libsecret-tools"),
];

/// Installs the programs that the tests need, runs all tests, and lists the groups that were left out.
pub(crate) fn all(root: &Path) -> Result<()> {
    let mut steps = Steps::new();
    steps.step("programs that the tests use", |_| {
        // Only printed: the tests that need a missing program report that they are left out.
        for programs in [&REDIS[..], &CURL[..], &KEYRING[..]] {
            if let Err(error) = install_missing(programs) {
                println!("{error}");
            }
        }
        Ok(())
    })?;
    steps.step("tests and doctests", |steps| workspace(root, steps))?;
    steps.finish("cargo xtask test")
}

/// Runs the models of the manager and of the lease protocol.
pub(crate) fn models(root: &Path) -> Result<()> {
    run(&mut cargo(root, &["test", "--locked", "--workspace", "--manifest-path", "models/Cargo.toml"]))
}

/// Runs at full length the tests that [`all`] shortens.
pub(crate) fn long(root: &Path, steps: &mut Steps) -> Result<()> {
    let mut tests = cargo(root, &["test", "--locked", "-p", "auth-tests", "--test", "fleet", "--test", "soak"]);
    run_and_collect(root, steps, tests.env("AUTH_TESTS_FULL", "1"))
}

fn workspace(root: &Path, steps: &mut Steps) -> Result<()> {
    let mut tests =
        cargo(root, &["test", "--locked", "--workspace", "--no-fail-fast", "--features", "auth-cli/keyring"]);
    run_and_collect(root, steps, &mut tests)
}

/// Runs tests and collects the groups that they leave out. The crate `left-out` writes those to a file.
fn run_and_collect(root: &Path, steps: &mut Steps, tests: &mut Command) -> Result<()> {
    let list = target_dir(root).join("tests-left-out.txt");
    fs::create_dir_all(target_dir(root))?;
    fs::write(&list, "")?;
    // More threads than cores, because most tests wait for processes, sockets and clocks.
    if env::var_os("RUST_TEST_THREADS").is_none() {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        tests.env("RUST_TEST_THREADS", (2 * cores).to_string());
    }
    let result = run(tests.env("AUTH_TESTS_LEFT_OUT", &list));
    for group in fs::read_to_string(&list)?.lines() {
        steps.leave_out(group);
    }
    result
}

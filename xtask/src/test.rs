//! `cargo xtask test`: every test of the repository, on any machine.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::run::{Result, cargo, run, target_dir};
use crate::steps::Steps;
use crate::tools::{Program, provide};

/// Makes the tests run at full length.
const FULL: &str = "AUTH_TESTS_FULL";

const REDIS: [Program; 1] = [Program::new("redis-server", "redis-server").with_service("redis-server")];

/// A real Secret Service on a bus of its own.
const KEYRING: [Program; 3] = [
    Program::new("dbus-run-session", "dbus"),
    Program::new("gnome-keyring-daemon", "gnome-keyring"),
    Program::new("secret-tool", "libsecret-tools"),
];

/// How many rounds the tests make that could go on for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// Enough to find a mistake of today.
    Short,
    /// Enough to trust a release.
    Full,
}

/// Installs what the tests need, runs them all, and lists what was left out.
pub(crate) fn all(root: &Path) -> Result<()> {
    let mut steps = Steps::new();
    steps.step("programs that the tests use", |_| {
        // A test without its program says so itself and is in the list at the end; this says why it was not installed.
        for programs in [&REDIS[..], &KEYRING[..]] {
            if let Err(error) = provide(programs) {
                println!("{error}");
            }
        }
        Ok(())
    })?;
    steps.step("tests and doctests", |steps| workspace(root, steps))?;
    steps.step("models", |_| models(root, Length::Short))?;
    steps.finish("cargo xtask test")
}

/// The manager in the orders of events that shuttle comes upon; at full length, the lease of a store in all orders too.
pub(crate) fn models(root: &Path, length: Length) -> Result<()> {
    let mut models = cargo(root, &["test", "--locked", "--manifest-path", "models/Cargo.toml"]);
    if length == Length::Full {
        models.arg("--workspace");
    }
    run(of_length(&mut models, length))
}

/// The tests that are cut in [`all`], at full length.
pub(crate) fn long(root: &Path, steps: &mut Steps) -> Result<()> {
    let mut tests = cargo(root, &["test", "--locked", "-p", "auth-tests", "--test", "fleet", "--test", "soak"]);
    collected(root, steps, of_length(&mut tests, Length::Full))
}

fn of_length(tests: &mut Command, length: Length) -> &mut Command {
    match length {
        Length::Short => tests.env_remove(FULL),
        Length::Full => tests.env(FULL, "1"),
    }
}

fn workspace(root: &Path, steps: &mut Steps) -> Result<()> {
    let mut tests = cargo(root, &["test", "--locked", "--workspace", "--features", "auth-cli/keyring"]);
    collected(root, steps, &mut tests)
}

/// Runs tests, and collects what each group of them leaves out: `tests/left-out` writes it to a file.
fn collected(root: &Path, steps: &mut Steps, tests: &mut Command) -> Result<()> {
    let list = target_dir(root).join("tests-left-out.txt");
    fs::create_dir_all(target_dir(root))?;
    fs::write(&list, "")?;
    // Most tests wait for processes, sockets and clocks rather than for a core.
    if env::var_os("RUST_TEST_THREADS").is_none() {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        tests.env("RUST_TEST_THREADS", (2 * cores).to_string());
    }
    run(tests.env("AUTH_TESTS_LEFT_OUT", &list))?;
    for group in fs::read_to_string(&list)?.lines() {
        steps.leave_out(group);
    }
    Ok(())
}

//! Checks with other compilers, other versions of dependencies, and an interpreter.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::packages::{flags, libraries};
use crate::run::{Result, cargo, output, run, succeeds};
use crate::steps::Steps;
use crate::tools::{has_compiler, has_component};

/// The crates that need Rust 1.89, for file locks in `std`. The others need 1.88, for the crate `time`.
const FILE_LOCKING: [&str; 3] = ["auth-store-file", "auth-all", "auth-cli"];

/// Checks each crate with the compiler of its `rust-version`.
pub(crate) fn lowest(root: &Path, steps: &mut Steps) -> Result<()> {
    if !(has_compiler("1.88.0") && has_compiler("1.89.0")) {
        steps.leave_out("lowest-compilers: Rust 1.88.0 or 1.89.0 is not installed, and rustup cannot install it");
        return Ok(());
    }
    let others: Vec<_> = libraries(root)?.into_iter().filter(|library| !FILE_LOCKING.contains(&&**library)).collect();
    check(root, "1.88.0", &[flags(&others), vec!["--all-features".into()]].concat())?;
    check(root, "1.88.0", &["-p".into(), "auth-all".into()])?;
    check(root, "1.89.0", &[flags(&FILE_LOCKING), vec!["--all-features".into()]].concat())
}

fn check(root: &Path, compiler: &str, arguments: &[String]) -> Result<()> {
    let mut check = cargo(root, &[&format!("+{compiler}"), "check", "--quiet", "--locked"]);
    run(check.args(arguments))
}

/// Checks the crates with the oldest dependencies that their manifests allow.
pub(crate) fn lowest_versions(root: &Path, steps: &mut Steps) -> Result<()> {
    if !has_compiler("nightly") {
        steps.leave_out("lowest-versions: needs a nightly compiler, and rustup cannot install one");
        return Ok(());
    }
    let copy = tempfile::tempdir()?;
    let files = output(Command::new("git").args(["ls-files", "-z"]).current_dir(root))?;
    for file in files.split_terminator('\0').filter(|file| root.join(file).is_file()) {
        let to = copy.path().join(file);
        fs::create_dir_all(to.parent().unwrap_or(copy.path()))?;
        fs::copy(root.join(file), to)?;
    }
    let mut update = cargo(root, &["+nightly", "update", "--quiet", "-Z", "direct-minimal-versions"]);
    run(update.current_dir(copy.path()))?;
    let crates = [flags(&libraries(root)?), flags(&["auth-cli"])].concat();
    run(cargo(root, &["check", "--quiet", "--all-features"]).args(crates).current_dir(copy.path()))
}

/// Runs the quick tests of the manager under Miri, an interpreter that detects undefined behaviour.
///
/// The other tests would take minutes, because Miri needs that long for an hour of virtual time.
pub(crate) fn miri(root: &Path, steps: &mut Steps) -> Result<()> {
    let has_miri = has_compiler("nightly")
        && has_component("nightly", "miri")
        && has_component("nightly", "rust-src")
        && succeeds(Command::new("cargo").args(["+nightly", "miri", "--version"]));
    if !has_miri {
        steps.leave_out("miri: not installed; install with: rustup component add --toolchain nightly miri rust-src");
        return Ok(());
    }
    let miri = |target: &[&str], filters: &[&str]| {
        let mut miri = cargo(root, &["+nightly", "miri", "test", "--quiet", "--locked", "-p", "auth-core"]);
        miri.args(target).arg("--").args(filters).env("MIRIFLAGS", "-Zmiri-disable-isolation");
        miri
    };
    run(&mut miri(&["--lib"], &["secret::"]))?;
    // A renamed test would be dropped silently, so their number is checked.
    let quick = ["manager::a2_a_running", "manager::o3_", "manager::o4_", "freshness::f8_", "flight::s7_"];
    let listed = output(&mut cargo(
        root,
        &["test", "--quiet", "--locked", "-p", "auth-core", "--test", "behaviour", "--", "--list"],
    ))?;
    if let Some(filter) = quick.iter().find(|filter| !listed.contains(**filter)) {
        return Err(format!("no test of auth-core's `behaviour` begins with {filter}").into());
    }
    run(&mut miri(&["--test", "behaviour"], &quick))
}

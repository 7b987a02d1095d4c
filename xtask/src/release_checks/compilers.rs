//! Other compilers and other versions than those of every day.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::packages::{flags, libraries};
use crate::run::{Result, cargo, output, run, succeeds};
use crate::steps::Steps;
use crate::tools::{has_compiler, has_component};

/// The crates that lock files, which std does since Rust 1.89; the others need 1.88, for `time`.
const LOCKING: [&str; 3] = ["auth-store-file", "auth-all", "auth-cli"];

/// Each crate by its `rust-version`.
pub(crate) fn lowest(root: &Path, steps: &mut Steps) -> Result<()> {
    if !(has_compiler("1.88.0") && has_compiler("1.89.0")) {
        steps.leave_out("lowest-compilers: Rust 1.88.0 and 1.89.0 are not installed and cannot be");
        return Ok(());
    }
    let others: Vec<_> = libraries(root)?.into_iter().filter(|library| !LOCKING.contains(&&**library)).collect();
    let check = |compiler: &str, arguments: &[String]| {
        let mut check = cargo(root, &[&format!("+{compiler}"), "check", "--quiet", "--locked"]);
        run(check.args(arguments))
    };
    check("1.88.0", &[flags(&others), vec!["--all-features".into()]].concat())?;
    check("1.88.0", &["-p".into(), "auth-all".into()])?;
    check("1.89.0", &[flags(&LOCKING), vec!["--all-features".into()]].concat())
}

/// With the oldest versions of dependencies that the manifests allow.
pub(crate) fn lowest_versions(root: &Path, steps: &mut Steps) -> Result<()> {
    if !has_compiler("nightly") {
        steps.leave_out("lowest-versions: there is no nightly compiler, which finds them");
        return Ok(());
    }
    let copy = tempfile::tempdir()?;
    let files = output(Command::new("git").args(["ls-files", "-z"]).current_dir(root))?;
    for file in files.split_terminator('\0').filter(|file| root.join(file).is_file()) {
        let to = copy.path().join(file);
        fs::create_dir_all(to.parent().unwrap_or(copy.path()))?;
        fs::copy(root.join(file), to)?;
    }
    let within = |arguments: &[&str]| {
        let mut command = cargo(root, arguments);
        command.current_dir(copy.path());
        command
    };
    run(&mut within(&["+nightly", "update", "--quiet", "-Z", "direct-minimal-versions"]))?;
    let crates = [flags(&libraries(root)?), flags(&["auth-cli"])].concat();
    run(within(&["check", "--quiet", "--all-features"]).args(crates))
}

/// The manager and what it stands on, under an interpreter that sees every wrong access to memory: the quick tests,
/// because a virtual hour of the others takes it minutes.
pub(crate) fn miri(root: &Path, steps: &mut Steps) -> Result<()> {
    let has_miri = has_compiler("nightly")
        && has_component("nightly", "miri")
        && has_component("nightly", "rust-src")
        && succeeds(Command::new("cargo").args(["+nightly", "miri", "--version"]));
    if !has_miri {
        steps.leave_out("miri: no nightly compiler has it (rustup component add --toolchain nightly miri rust-src)");
        return Ok(());
    }
    let mut miri = cargo(root, &["+nightly", "miri", "test", "--quiet", "--locked", "-p", "auth-core"]);
    miri.args(["--no-default-features", "--lib", "--"]).env("MIRIFLAGS", "-Zmiri-disable-isolation").args([
        "manager::tests::a2_a_flight",
        "manager::tests::f8",
        "manager::tests::f9",
        "manager::tests::f10_nothing",
        "manager::tests::o3",
        "manager::tests::o4",
        "manager::tests::s7",
        "secret::",
    ]);
    run(&mut miri)
}

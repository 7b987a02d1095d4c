//! `cargo xtask release-checks`: the checks before a release. `.ci/run` runs those that a change can break.

mod changes;
mod compilers;
mod fuzzing;
mod interfaces;
pub(crate) mod packages;
mod platforms;

use std::path::Path;

use crate::footprint;
use crate::run::{Result, cargo, run};
use crate::steps::Steps;
use crate::test;
use crate::tools::install_tool;

/// One check.
struct Check {
    /// The name that selects it on the command line.
    name: &'static str,
    /// The files that can break it: paths from the root. `*` matches one folder, a trailing `/` everything below.
    broken_by: &'static [&'static str],
    run: fn(&Path, &mut Steps) -> Result<()>,
}

const MANIFESTS: [&str; 3] = ["Cargo.toml", "Cargo.lock", "crates/*/Cargo.toml"];

const CHECKS: [Check; 15] = [
    Check { name: "spelling", broken_by: &[], run: spelling },
    Check { name: "unused-dependencies", broken_by: &MANIFESTS, run: unused_dependencies },
    Check { name: "features", broken_by: &MANIFESTS, run: features },
    Check { name: "lowest-compilers", broken_by: &MANIFESTS, run: compilers::lowest },
    Check { name: "lowest-versions", broken_by: &MANIFESTS, run: compilers::lowest_versions },
    Check { name: "packages", broken_by: &MANIFESTS, run: packages::build },
    Check { name: "interfaces", broken_by: &["api/"], run: interfaces::check },
    Check { name: "docs-rs", broken_by: &MANIFESTS, run: interfaces::docs_rs },
    Check { name: "windows", broken_by: &MANIFESTS, run: platforms::windows },
    Check { name: "musl", broken_by: &MANIFESTS, run: platforms::musl },
    Check { name: "models", broken_by: &["models/", "crates/auth-core/src/"], run: models },
    Check { name: "miri", broken_by: &[], run: compilers::miri },
    Check { name: "fuzzing", broken_by: &["fuzz/"], run: fuzzing::all },
    Check { name: "full-length", broken_by: &[], run: full_length },
    Check { name: "footprint", broken_by: &MANIFESTS, run: footprint_check },
];

/// Runs the named checks, or all if there are no names.
pub(crate) fn named(root: &Path, names: &[&str]) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| CHECKS.iter().all(|check| check.name != **name)) {
        let known: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
        return Err(format!("unknown release check `{unknown}`; expected one of: {}", known.join(", ")).into());
    }
    let mut steps = Steps::new();
    for check in CHECKS.iter().filter(|check| names.is_empty() || names.contains(&check.name)) {
        steps.step(check.name, |steps| (check.run)(root, steps))?;
    }
    steps.finish("cargo xtask release-checks")
}

/// Runs the checks that the changes since the base can break.
pub(crate) fn changed(root: &Path) -> Result<()> {
    let changes = changes::since_base(root)?;
    println!("release checks: {}", changes.description);
    let mut steps = Steps::new();
    for check in &CHECKS {
        if let Some(file) = changes.first_match(check.broken_by) {
            println!("\n{} runs because {file} has changed", check.name);
            steps.step(check.name, |steps| (check.run)(root, steps))?;
        }
    }
    let skipped = CHECKS.iter().filter(|check| changes.first_match(check.broken_by).is_none());
    let skipped: Vec<_> = skipped.map(|check| check.name).collect();
    println!("\nrelease checks that this change cannot break: {}", skipped.join(", "));
    steps.finish("cargo xtask release-checks --changed")
}

fn spelling(root: &Path, _: &mut Steps) -> Result<()> {
    install_tool("typos-cli", "1.52.0")?;
    run(std::process::Command::new("typos").current_dir(root))
}

fn unused_dependencies(root: &Path, _: &mut Steps) -> Result<()> {
    install_tool("cargo-machete", "0.9.2")?;
    // Not `cargo machete`: inside a `cargo run`, the tool would take its own name for a folder.
    run(std::process::Command::new("cargo-machete").current_dir(root))
}

/// Checks each crate separately with every combination of its features.
///
/// A workspace build would hide a missing feature, because each crate also gets the features that other crates enable.
/// `auth-all` has too many features for all combinations, so it is checked with those of its providers, then with the
/// others.
fn features(root: &Path, _: &mut Steps) -> Result<()> {
    install_tool("cargo-hack", "0.6.46")?;
    for library in packages::libraries(root)?.iter().filter(|library| *library != "auth-all") {
        feature_powerset(root, &["-p", library])?;
    }
    feature_powerset(root, &["-p", "auth-all", "--exclude-features", "metrics,store-file,store-redis"])?;
    feature_powerset(root, &["-p", "auth-all", "--exclude-features", "zoqq,roecny,cambyopro,voipex"])
}

fn feature_powerset(root: &Path, arguments: &[&str]) -> Result<()> {
    let all = ["hack", "clippy", "--quiet", "--locked", "--exclude-features", "default", "--feature-powerset"];
    run(&mut cargo(root, &[&all[..], arguments, &["--", "-D", "warnings"]].concat()))
}

/// Runs the models at full length.
fn models(root: &Path, _: &mut Steps) -> Result<()> {
    test::models(root)
}

/// Runs at full length the tests that `cargo xtask test` shortens.
fn full_length(root: &Path, steps: &mut Steps) -> Result<()> {
    test::long(root, steps)
}

fn footprint_check(root: &Path, _: &mut Steps) -> Result<()> {
    footprint::check(root)
}

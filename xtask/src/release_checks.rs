//! `cargo xtask release-checks`: what must hold before a release, and what `.ci/run` runs when a change can break it.

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
use crate::tools::tool;

/// One check, by the name that selects it.
struct Check {
    name: &'static str,
    /// What a change must touch to break it: paths from the root, where `*` stands for one folder and a trailing `/` for
    /// everything below.
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

/// Runs all checks, or those that are named.
pub(crate) fn named(root: &Path, names: &[&str]) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| CHECKS.iter().all(|check| check.name != **name)) {
        let known: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
        return Err(format!("there is no release check `{unknown}`; there are: {}", known.join(", ")).into());
    }
    let mut steps = Steps::new();
    for check in CHECKS.iter().filter(|check| names.is_empty() || names.contains(&check.name)) {
        steps.step(check.name, |steps| (check.run)(root, steps))?;
    }
    steps.finish("cargo xtask release-checks")
}

/// Runs the checks that the changes since the base can break.
pub(crate) fn of_changes(root: &Path) -> Result<()> {
    let changes = changes::since_base(root)?;
    println!("release checks: {}", changes.what);
    let mut steps = Steps::new();
    for check in &CHECKS {
        if let Some(file) = changes.first_match(check.broken_by) {
            println!("\n{} is run because of {file}", check.name);
            steps.step(check.name, |steps| (check.run)(root, steps))?;
        }
    }
    let not_run = CHECKS.iter().filter(|check| changes.first_match(check.broken_by).is_none());
    let not_run: Vec<_> = not_run.map(|check| check.name).collect();
    println!("\nrelease checks that this change does not concern: {}", not_run.join(", "));
    steps.finish("cargo xtask release-checks --changed")
}

fn spelling(root: &Path, _: &mut Steps) -> Result<()> {
    tool("typos-cli", "1.52.0")?;
    run(std::process::Command::new("typos").current_dir(root))
}

fn unused_dependencies(root: &Path, _: &mut Steps) -> Result<()> {
    tool("cargo-machete", "0.9.2")?;
    run(&mut cargo(root, &["machete"]))
}

/// Each crate alone, with every combination of its features: a workspace build would give it the features that its
/// neighbours ask for. The umbrella has too many: its providers, then the rest.
fn features(root: &Path, _: &mut Steps) -> Result<()> {
    tool("cargo-hack", "0.6.46")?;
    let powerset = |arguments: &[&str]| {
        let all = ["hack", "clippy", "--quiet", "--locked", "--exclude-features", "default", "--feature-powerset"];
        run(&mut cargo(root, &[&all[..], arguments, &["--", "-D", "warnings"]].concat()))
    };
    for library in packages::libraries(root)?.iter().filter(|library| *library != "auth-all") {
        powerset(&["-p", library])?;
    }
    powerset(&["-p", "auth-all", "--exclude-features", "metrics,store-file,store-redis"])?;
    powerset(&["-p", "auth-all", "--exclude-features", "zoqq,roecny,cambyopro,voipex"])
}

/// The manager over primitives whose every interleaving shuttle decides, at full length.
fn models(root: &Path, _: &mut Steps) -> Result<()> {
    test::models(root, test::Length::Full)
}

/// The tests whose number of rounds is cut in `cargo xtask test`.
fn full_length(root: &Path, steps: &mut Steps) -> Result<()> {
    test::long(root, steps)
}

fn footprint_check(root: &Path, _: &mut Steps) -> Result<()> {
    footprint::check(root)
}

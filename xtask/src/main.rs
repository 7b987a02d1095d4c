//! The commands of a maintainer: `cargo xtask COMMAND`.

#![forbid(unsafe_code)]

mod api;
mod footprint;
mod links;
mod release;
mod release_checks;
mod run;
mod steps;
mod test;
mod tools;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use run::{Result, cargo, run};

const USAGE: &str = "\
cargo xtask COMMAND

    test            installs what the tests need if it may, runs every test, and lists what was left out
    release-checks  [NAME ...]: what must hold before a release; all of it, or the checks that are named
                    --changed: the checks that the changes since the base can break
    licences        checks licences, bans and sources of all dependencies by deny.toml
    links           checks that every link in the project's own pages leads somewhere
    api             writes the public interfaces to api/; with --check it compares them
    release         NAME [VERSION]: what the crate's interface has lost since its last release, and whether the
                    number fits
    footprint       measures trees, build times and sizes, and writes the README's table";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match &arguments[..] {
        ["test"] => test::all(&root()),
        ["release-checks", "--changed"] => release_checks::of_changes(&root()),
        ["release-checks", names @ ..] => release_checks::named(&root(), names),
        ["licences"] => licences(&root()),
        ["links"] => links::check(&root()),
        ["api"] => api::write(&root()),
        ["api", "--check"] => api::check(&root()),
        ["release", name] => release::judge(&root(), name, None),
        ["release", name, version] => release::judge(&root(), name, Some(version)),
        ["footprint"] => footprint::write(&root()),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(format!("there is no `cargo xtask {}`\n\n{USAGE}", arguments.join(" ")).into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace.
fn root() -> PathBuf {
    // As cargo says now: a target directory that checkouts share may hold the build of another.
    let own = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    own.parent().unwrap_or(&own).to_owned()
}

fn licences(root: &Path) -> Result<()> {
    tools::tool("cargo-deny", "0.20.2")?;
    run(&mut cargo(root, &["fetch", "--locked"]))?;
    run(&mut cargo(root, &["deny", "--log-level", "error", "check", "bans", "licenses", "sources"]))
}

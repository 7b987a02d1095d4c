//! Maintenance commands of the repository: `cargo xtask COMMAND`.

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

    test                       Installs the programs that the tests need, if it may, runs all tests, and lists the
                               groups that were left out
    release-checks [NAME ...]  Runs the checks for a release: all, or those that are named
    release-checks --changed   Runs the checks that the changes since the base can break
    licences                   Checks licences, bans and sources of all dependencies against deny.toml
    links                      Checks the links between the project's pages
    api                        Writes the public interfaces to api/
    api --check                Compares the public interfaces with api/
    release NAME [VERSION]     Counts the removals from a crate's interface since its last release. Fails if there are
                               any and VERSION is not a breaking version
    footprint                  Measures dependency trees, build times and sizes, and writes the README's table";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let result = match &arguments[..] {
        ["test"] => test::all(&root()),
        ["release-checks", "--changed"] => release_checks::changed(&root()),
        ["release-checks", names @ ..] => release_checks::named(&root(), names),
        ["licences"] => licences(&root()),
        ["links"] => links::check(&root()),
        ["api"] => api::write(&root()),
        ["api", "--check"] => api::check(&root()),
        ["release", name] => release::check(&root(), name, None),
        ["release", name, version] => release::check(&root(), name, Some(version)),
        ["footprint"] => footprint::write(&root()),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(format!("unknown command `{}`\n\n{USAGE}", arguments.join(" ")).into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the workspace's directory.
fn root() -> PathBuf {
    // The variable at run time comes first: checkouts that share a target directory may run each other's build.
    let manifest_dir =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    manifest_dir.parent().unwrap_or(&manifest_dir).to_owned()
}

fn licences(root: &Path) -> Result<()> {
    tools::install_tool("cargo-deny", "0.20.2")?;
    run(&mut cargo(root, &["fetch", "--locked"]))?;
    run(&mut cargo(root, &["deny", "--log-level", "error", "check", "bans", "licenses", "sources"]))
}

//! The commands of a maintainer: `cargo xtask COMMAND`.

#![forbid(unsafe_code)]

mod api;
mod footprint;
mod links;
mod release;
mod run;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use run::{Result, cargo};

const USAGE: &str = "\
cargo xtask COMMAND

    check      what a change must pass before it is sent: format, lints, tests, documentation, links
    links      that every link in the project's own pages leads somewhere
    api        writes the public interfaces to api/; with --check it compares them
    release    NAME [VERSION]: what the crate's interface has lost since its last release, and whether the number fits
    footprint  measures trees, build times and sizes, and writes the README's table";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["check"] => check(),
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

fn check() -> Result<()> {
    let root = root();
    cargo(&root, &["fmt", "--all", "--check"])?;
    cargo(&root, &["clippy", "--locked", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])?;
    cargo(&root, &["test", "--locked", "--workspace"])?;
    let strict = "build.rustdocflags=['-D', 'warnings']";
    cargo(&root, &["--config", strict, "doc", "--locked", "--workspace", "--no-deps", "--all-features"])?;
    links::check(&root)
}

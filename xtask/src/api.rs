//! The public interfaces as text, so that a review shows their changes.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::release_checks::packages::libraries;
use crate::run::{Result, output, target_dir};
use crate::tools::install_tool;

const VERSION: &str = "0.52.0";

/// Writes the interface of each library to `api/`.
pub(crate) fn write(root: &Path) -> Result<()> {
    install_tool("cargo-public-api", VERSION)?;
    for name in libraries(root)? {
        fs::write(root.join("api").join(format!("{name}.txt")), listing(root, &name)?)?;
    }
    Ok(())
}

/// Compares the interface of each library with `api/`.
pub(crate) fn check(root: &Path) -> Result<()> {
    install_tool("cargo-public-api", VERSION)?;
    let mut changed = Vec::new();
    for name in libraries(root)? {
        let file = format!("api/{name}.txt");
        let committed = fs::read_to_string(root.join(&file)).unwrap_or_default();
        let current = listing(root, &name)?;
        if committed != current {
            let added = current.lines().find(|line| !committed.contains(line));
            let removed = committed.lines().find(|line| !current.contains(line));
            changed.push(format!("{file} (for example: {})", added.or(removed).unwrap_or("the order of its lines")));
        }
    }
    let advice = "run `cargo xtask api` to update them, and `git diff api` to see what changes for users";
    if changed.is_empty() { Ok(()) } else { Err(format!("out of date: {}; {advice}", changed.join(", ")).into()) }
}

/// Returns the public interface of a crate, without the implementations that the compiler adds to every type.
///
/// Needs cargo-public-api and a nightly compiler.
fn listing(root: &Path, name: &str) -> Result<String> {
    let arguments = ["public-api", "--package", name, "--all-features", "-sss", "--color", "never"];
    output(Command::new("cargo").args(arguments).current_dir(root).env("CARGO_TARGET_DIR", target_dir(root)))
}

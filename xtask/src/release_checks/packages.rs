//! Builds the crates as they would be published.

use std::fs;
use std::path::Path;

use crate::run::{Result, cargo, run};
use crate::steps::Steps;

/// Returns the names of all library crates.
pub(crate) fn libraries(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join("crates"))? {
        let entry = entry?;
        if entry.path().join("src/lib.rs").exists() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Returns `-p NAME` for each name.
pub(crate) fn flags<S: AsRef<str>>(names: &[S]) -> Vec<String> {
    names.iter().flat_map(|name| ["-p".to_owned(), name.as_ref().to_owned()]).collect()
}

/// Packages every crate and builds it from the package, in the order of the dependencies.
pub(crate) fn build(root: &Path, _: &mut Steps) -> Result<()> {
    let mut package = cargo(root, &["package", "--quiet", "--locked", "--allow-dirty", "-p", "auth-cli"]);
    run(package.args(flags(&libraries(root)?)))
}

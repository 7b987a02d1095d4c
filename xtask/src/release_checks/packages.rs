//! Builds the crates as they would be published.

use std::path::{Path, PathBuf};
use std::{env, fs};

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
    let libraries = libraries(root)?;
    remove_earlier_run(root, &libraries)?;
    let mut package = cargo(root, &["package", "--quiet", "--locked", "--allow-dirty", "-p", "auth-cli"]);
    run(package.args(flags(&libraries)))
}

/// Removes what an earlier run has unpacked and built of these crates.
///
/// Cargo passes packages to each other through a registry in the target directory, and knows what comes from a registry
/// by name and version. Between two releases the version stays the same, so cargo would build against the crates of the
/// earlier run.
fn remove_earlier_run(root: &Path, names: &[String]) -> Result<()> {
    run(cargo(root, &["clean", "--quiet", "--locked"]).args(flags(names)))?;
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let Some(Ok(registries)) = home.map(|home| fs::read_dir(home.join("registry/src"))) else { return Ok(()) };
    for registry in registries {
        let registry = registry?;
        // The name of a registry starts with its host. Only a registry in a directory has none.
        if !registry.file_name().to_string_lossy().starts_with('-') {
            continue;
        }
        for unpacked in fs::read_dir(registry.path())? {
            let unpacked = unpacked?;
            let package = unpacked.file_name().to_string_lossy().into_owned();
            if names.iter().any(|name| package.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('-'))) {
                fs::remove_dir_all(unpacked.path())?;
            }
        }
    }
    Ok(())
}

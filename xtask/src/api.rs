//! The public interfaces as text, so that a review sees what changes of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::release_checks::packages::libraries;
use crate::run::{Result, output};

pub(crate) fn write(root: &Path) -> Result<()> {
    for name in libraries(root)? {
        fs::write(root.join("api").join(format!("{name}.txt")), listing(root, &name)?)?;
    }
    Ok(())
}

pub(crate) fn check(root: &Path) -> Result<()> {
    let mut changed = Vec::new();
    for name in libraries(root)? {
        let file = format!("api/{name}.txt");
        let (written, now) = (fs::read_to_string(root.join(&file)).unwrap_or_default(), listing(root, &name)?);
        if written != now {
            let differs = now.lines().find(|line| !written.contains(line));
            let gone = written.lines().find(|line| !now.contains(line));
            changed.push(format!("{file} (such as: {})", differs.or(gone).unwrap_or("their order")));
        }
    }
    let advice = "`cargo xtask api` writes them, and `git diff api` shows what a user would notice";
    if changed.is_empty() { Ok(()) } else { Err(format!("not as the code: {}; {advice}", changed.join(", ")).into()) }
}

/// Needs cargo-public-api and a nightly compiler. Without what every type has by itself.
fn listing(root: &Path, name: &str) -> Result<String> {
    let arguments = ["public-api", "--package", name, "--all-features", "-sss", "--color", "never"];
    output(Command::new("cargo").args(arguments).current_dir(root))
}

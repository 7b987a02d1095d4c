//! Runs each fuzz target briefly.

use std::path::Path;
use std::process::Command;

use crate::run::{Result, output, run, target_dir};
use crate::steps::Steps;
use crate::tools::install_tool;

/// Runs each fuzz target for eight seconds.
///
/// Starts with the corpus and does not change it. Uses no sanitizer: that would need a nightly compiler and would find
/// little, because the crates have no `unsafe` code.
pub(crate) fn all(root: &Path, _: &mut Steps) -> Result<()> {
    install_tool("cargo-fuzz", "0.13.2")?;
    let found = tempfile::tempdir()?;
    for target in output(&mut cargo_fuzz(root, &["list"]))?.lines() {
        let new = found.path().join(target);
        std::fs::create_dir(&new)?;
        println!("{target}");
        let mut command = cargo_fuzz(root, &["run", "--sanitizer", "none", target]);
        command.arg(new).args([&format!("corpus/{target}"), "--", "-max_total_time=8", "-dict=responses.dict"]);
        run(command.arg("-verbosity=0"))?;
    }
    Ok(())
}

fn cargo_fuzz(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.arg("fuzz").args(arguments).current_dir(root.join("fuzz")).env("CARGO_TARGET_DIR", target_dir(root));
    command
}

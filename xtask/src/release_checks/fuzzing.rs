//! The fuzz targets, for a few seconds each.

use std::path::Path;
use std::process::Command;

use crate::run::{Result, output, run, target_dir};
use crate::steps::Steps;
use crate::tools::tool;

/// From the corpus on, which stays as it is; without a sanitizer, which needs a nightly compiler, because there is no
/// `unsafe` code.
pub(crate) fn all(root: &Path, _: &mut Steps) -> Result<()> {
    tool("cargo-fuzz", "0.13.2")?;
    let found = tempfile::tempdir()?;
    let fuzz = |arguments: &[&str]| {
        let mut command = Command::new("cargo");
        command.arg("fuzz").args(arguments).current_dir(root.join("fuzz")).env("CARGO_TARGET_DIR", target_dir(root));
        command
    };
    for target in output(&mut fuzz(&["list"]))?.lines() {
        let new = found.path().join(target);
        std::fs::create_dir(&new)?;
        println!("{target}");
        let mut command = fuzz(&["run", "--sanitizer", "none", target]);
        command.arg(new).args([&format!("corpus/{target}"), "--", "-max_total_time=8", "-dict=answers.dict"]);
        run(command.arg("-verbosity=0"))?;
    }
    Ok(())
}

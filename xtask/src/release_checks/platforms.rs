//! Builds for other platforms.

use std::path::Path;
use std::process::Command;

use crate::run::{Result, cargo, output, run, target_dir};
use crate::steps::Steps;
use crate::tools::{Program, find, has_target, install_missing};

/// Builds the published crates for Windows. Uses the prebuilt objects of aws-lc-rs, so that it needs no NASM.
pub(crate) fn windows(root: &Path, steps: &mut Steps) -> Result<()> {
    const TARGET: &str = "x86_64-pc-windows-gnu";
    let compiler = [Program::new("x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64")];
    if let Err(error) = install_missing(&compiler) {
        steps.leave_out(format!("windows: {error}"));
        return Ok(());
    }
    if !has_target(root, TARGET) {
        steps.leave_out(format!("windows: rustup cannot install the target {TARGET}"));
        return Ok(());
    }
    let mut build =
        cargo(root, &["build", "--quiet", "--locked", "--target", TARGET, "-p", "auth-cli", "-p", "auth-all"]);
    run(build.args(["-p", "auth-store-redis"]).env("AWS_LC_SYS_PREBUILT_NASM", "1"))
}

/// Builds the program `auth` as a static binary and runs it.
pub(crate) fn musl(root: &Path, steps: &mut Steps) -> Result<()> {
    const TARGET: &str = "x86_64-unknown-linux-musl";
    if let Err(error) = install_missing(&[Program::new("musl-gcc", "musl-tools")]) {
        steps.leave_out(format!("musl: {error}"));
        return Ok(());
    }
    if !has_target(root, TARGET) {
        steps.leave_out(format!("musl: rustup cannot install the target {TARGET}"));
        return Ok(());
    }
    run(&mut cargo(root, &["build", "--quiet", "--locked", "--target", TARGET, "-p", "auth-cli"]))?;
    let program = target_dir(root).join(TARGET).join("debug/auth");
    match find("ldd") {
        Some(ldd) => {
            let output = Command::new(ldd).arg(&program).output()?;
            let libraries = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            if libraries.contains("=>") {
                return Err(format!("{} is not static:\n{libraries}", program.display()).into());
            }
        }
        None => steps.leave_out("musl: whether the program is static, because ldd was not found"),
    }
    let demo = output(Command::new(&program).arg("demo"))?;
    if demo.lines().count() == 4 { Ok(()) } else { Err(format!("`auth demo` printed:\n{demo}").into()) }
}

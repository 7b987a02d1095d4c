//! Programs, run to their end.

use std::path::Path;
use std::process::Command;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Runs cargo, with its output where this program's is.
pub(crate) fn cargo(directory: &Path, arguments: &[&str]) -> Result<()> {
    let status = Command::new("cargo").args(arguments).current_dir(directory).status()?;
    if status.success() { Ok(()) } else { Err(format!("cargo {}: {status}", arguments.join(" ")).into()) }
}

/// Runs a program for what it prints.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

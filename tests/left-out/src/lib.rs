//! Reports each group of tests that cannot run on this machine.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// The variable that names the report file. Each line is appended to it, and `cargo xtask test` reads it.
const REPORT_FILE: &str = "AUTH_TESTS_LEFT_OUT";

/// Reports on stderr that a group of tests is left out, and why. Each group is reported once per process.
///
/// Writes to the stream directly, because the test harness hides the output of `eprintln!` in tests that pass.
///
/// # Panics
/// Panics if the report file cannot be written, because no test may be left out silently.
pub fn left_out(group: &str, why: &str) {
    static REPORTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if !REPORTED.lock().unwrap_or_else(PoisonError::into_inner).insert(group.to_owned()) {
        return;
    }
    let line = format!("{group}: {why}\n");
    let _ = io::stderr().write_all(format!("\nLEFT OUT: {line}").as_bytes());
    if let Some(file) = std::env::var_os(REPORT_FILE) {
        append(&file, &line).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

fn append(file: &OsStr, line: &str) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).open(file)?.write_all(line.as_bytes())
}

/// Returns whether a program is on the `PATH`.
#[must_use]
pub fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

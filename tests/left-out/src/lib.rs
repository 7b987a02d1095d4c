//! One loud line for each group of tests that cannot run on this machine.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// Names the file to which each line is appended; `cargo xtask test` reads it.
const LIST: &str = "AUTH_TESTS_LEFT_OUT";

/// Says on stderr that a group of tests is left out and why, once per process for each group.
///
/// Written to the stream itself, because the test harness drops what a passing test prints by a macro.
///
/// # Panics
/// If the list cannot be written: a test must not be left out silently.
pub fn left_out(group: &str, why: &str) {
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if !TOLD.lock().unwrap_or_else(PoisonError::into_inner).insert(group.to_owned()) {
        return;
    }
    let line = format!("{group}: {why}\n");
    let _ = io::stderr().write_all(format!("\nLEFT OUT: {line}").as_bytes());
    if let Some(list) = std::env::var_os(LIST) {
        append(&list, &line).unwrap_or_else(|error| panic!("{}: {error}", list.display()));
    }
}

fn append(list: &OsStr, line: &str) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).open(list)?.write_all(line.as_bytes())
}

/// Whether a program is on the path.
#[must_use]
pub fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

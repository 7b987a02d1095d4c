//! Steps that run one after the other, and what they left out.

use std::env;
use std::time::Instant;

use crate::run::Result;

/// Runs named steps, says how long each took, and collects what was left out.
pub(crate) struct Steps {
    start: Instant,
    left_out: Vec<String>,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), left_out: Vec::new() }
    }

    /// Runs a step. The first one that fails ends the run.
    pub(crate) fn step(&mut self, name: &str, step: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        println!("\n== {name}");
        let start = Instant::now();
        step(self).map_err(|error| format!("{name}: {error}"))?;
        println!("== {name}: {} s", start.elapsed().as_secs());
        Ok(())
    }

    /// Remembers, and prints at once, that something was left out and why.
    pub(crate) fn leave_out(&mut self, what: impl Into<String>) {
        let what = what.into();
        println!("LEFT OUT: {what}");
        if !self.left_out.contains(&what) {
            self.left_out.push(what);
        }
    }

    /// Prints the summary. With `CI_STRICT=1`, leaving something out is a failure.
    pub(crate) fn finish(self, what: &str) -> Result<()> {
        let seconds = self.start.elapsed().as_secs();
        if self.left_out.is_empty() {
            println!("\n{what}: all passed, nothing left out ({seconds} s)");
            return Ok(());
        }
        println!("\n{what}: all that ran passed ({seconds} s). Left out:");
        for what in &self.left_out {
            println!("    {what}");
        }
        match env::var_os("CI_STRICT") {
            Some(strict) if !strict.is_empty() => Err("CI_STRICT is set, so nothing may be left out".into()),
            _ => Ok(()),
        }
    }
}

//! Runs steps in sequence and collects what they left out.

use std::env;
use std::time::Instant;

use crate::run::Result;

/// Runs named steps, prints the duration of each, and collects what was left out.
pub(crate) struct Steps {
    start: Instant,
    left_out: Vec<String>,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), left_out: Vec::new() }
    }

    /// Runs a step and prints its duration.
    pub(crate) fn step(&mut self, name: &str, step: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        println!("\n== {name}");
        let start = Instant::now();
        step(self).map_err(|error| format!("{name}: {error}"))?;
        println!("== {name}: {} s", start.elapsed().as_secs());
        Ok(())
    }

    /// Records and prints that something was left out, and why.
    pub(crate) fn leave_out(&mut self, item: impl Into<String>) {
        let item = item.into();
        if !self.left_out.contains(&item) {
            println!("LEFT OUT: {item}");
            self.left_out.push(item);
        }
    }

    /// Prints the summary. Fails if something was left out and `CI_STRICT` is set.
    pub(crate) fn finish(self, title: &str) -> Result<()> {
        let seconds = self.start.elapsed().as_secs();
        if self.left_out.is_empty() {
            println!("\n{title}: all steps passed, nothing was left out ({seconds} s)");
            return Ok(());
        }
        println!("\n{title}: all steps that ran passed ({seconds} s). Left out:");
        for item in &self.left_out {
            println!("    {item}");
        }
        match env::var_os("CI_STRICT") {
            Some(strict) if !strict.is_empty() => Err("nothing may be left out if CI_STRICT is set".into()),
            _ => Ok(()),
        }
    }
}

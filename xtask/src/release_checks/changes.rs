//! What a change touches.

use std::env;
use std::path::Path;
use std::process::Command;

use crate::run::{Result, output};

/// The files that differ from a base.
pub(crate) struct Changes {
    /// What is compared with what, for people.
    pub(crate) what: String,
    files: Vec<String>,
}

/// Compares the working tree with `CI_BASE` if that names a commit; else with the place where this branch left
/// `origin/main`; and on `main` itself, where that is the same commit, with the `main` of a day before its newest commit.
pub(crate) fn since_base(root: &Path) -> Result<Changes> {
    let git = |arguments: &[&str]| output(Command::new("git").args(arguments).current_dir(root));
    let head = git(&["rev-parse", "HEAD"])?.trim().to_owned();
    let given = env::var("CI_BASE").ok().filter(|base| !base.is_empty());
    let (base, why) = match given {
        Some(base) => (base, "CI_BASE"),
        None => match git(&["merge-base", "HEAD", "origin/main"]).map(|base| base.trim().to_owned()) {
            Ok(base) if base != head => (base, "origin/main"),
            _ => (a_day_before(&git)?, "a day before"),
        },
    };
    let listed = if base.is_empty() { git(&["ls-files"])? } else { git(&["diff", "--name-only", &base])? };
    let files: Vec<_> = listed.lines().map(str::to_owned).collect();
    let short: String = base.chars().take(9).collect();
    let base = if short.is_empty() { "the beginning".to_owned() } else { format!("{short} ({why})") };
    Ok(Changes { what: format!("{} files changed since {base}", files.len()), files })
}

/// The last commit that is a day older than the newest; empty if all are younger.
fn a_day_before(git: &impl Fn(&[&str]) -> Result<String>) -> Result<String> {
    let newest: u64 = git(&["show", "--no-patch", "--format=%ct", "HEAD"])?.trim().parse()?;
    let before = format!("--before={}", newest.saturating_sub(24 * 3600));
    Ok(git(&["rev-list", "--max-count=1", &before, "HEAD"])?.trim().to_owned())
}

impl Changes {
    /// The first changed file that one of the patterns covers.
    pub(crate) fn first_match(&self, patterns: &[&str]) -> Option<&str> {
        self.files.iter().map(String::as_str).find(|file| patterns.iter().any(|pattern| covers(pattern, file)))
    }
}

/// Whether a pattern covers a path: `*` stands for one part of it, and a trailing `/` for everything below.
fn covers(pattern: &str, path: &str) -> bool {
    let (mut parts, mut rest) = (path.split('/'), pattern.split('/'));
    loop {
        match (rest.next(), parts.next()) {
            (None, None) => return true,
            (Some(""), Some(_)) => return true,
            (Some("*"), Some(_)) => {}
            (Some(expected), Some(part)) if expected == part => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_pattern_covers_a_file_or_a_folder() {
        for (pattern, path, expected) in [
            ("Cargo.toml", "Cargo.toml", true),
            ("Cargo.toml", "crates/a/Cargo.toml", false),
            ("crates/*/Cargo.toml", "crates/a/Cargo.toml", true),
            ("crates/*/Cargo.toml", "crates/a/src/Cargo.toml", false),
            ("crates/*/Cargo.toml", "crates/a", false),
            ("api/", "api/a.txt", true),
            ("api/", "api/b/a.txt", true),
            ("api/", "apis", false),
        ] {
            assert_eq!(covers(pattern, path), expected, "{pattern} {path}");
        }
    }
}

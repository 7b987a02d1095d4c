//! The files that a change touches.

use std::env;
use std::path::Path;
use std::process::Command;

use crate::run::{Result, output};

/// The files that differ from a base commit.
pub(crate) struct Changes {
    /// A description of the comparison, for people.
    pub(crate) description: String,
    files: Vec<String>,
}

/// Compares the working tree with a base commit:
///
/// 1. `CI_BASE`, if it is set.
/// 2. The merge base with `origin/main`, unless that is `HEAD` itself.
/// 3. The last commit that is at least a day older than `HEAD`.
/// 4. The empty tree, if all commits are younger.
pub(crate) fn since_base(root: &Path) -> Result<Changes> {
    let git = |arguments: &[&str]| output(Command::new("git").args(arguments).current_dir(root));
    let head = git(&["rev-parse", "HEAD"])?.trim().to_owned();
    let from_env = env::var("CI_BASE").ok().filter(|base| !base.is_empty());
    let (base, source) = match from_env {
        Some(base) => (base, "CI_BASE"),
        None => match git(&["merge-base", "HEAD", "origin/main"]).map(|base| base.trim().to_owned()) {
            Ok(base) if base != head => (base, "origin/main"),
            _ => (a_day_before(&git)?, "a day before"),
        },
    };
    let listed = if base.is_empty() { git(&["ls-files"])? } else { git(&["diff", "--name-only", &base])? };
    let files: Vec<_> = listed.lines().map(str::to_owned).collect();
    let short: String = base.chars().take(9).collect();
    let base = if short.is_empty() { "the first commit".to_owned() } else { format!("{short} ({source})") };
    Ok(Changes { description: format!("{} files changed since {base}", files.len()), files })
}

/// Returns the last commit that is at least a day older than `HEAD`, or an empty string if all are younger.
fn a_day_before(git: &impl Fn(&[&str]) -> Result<String>) -> Result<String> {
    let newest: u64 = git(&["show", "--no-patch", "--format=%ct", "HEAD"])?.trim().parse()?;
    let before = format!("--before={}", newest.saturating_sub(24 * 3600));
    Ok(git(&["rev-list", "--max-count=1", &before, "HEAD"])?.trim().to_owned())
}

impl Changes {
    /// Returns the first changed file that matches one of the patterns.
    pub(crate) fn first_match(&self, patterns: &[&str]) -> Option<&str> {
        self.files.iter().map(String::as_str).find(|file| patterns.iter().any(|pattern| matches(pattern, file)))
    }
}

/// Returns whether a pattern matches a path. `*` matches one part of the path, a trailing `/` everything below.
fn matches(pattern: &str, path: &str) -> bool {
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
    use super::matches;

    #[test]
    fn a_pattern_matches_a_file_or_a_folder() {
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
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }
}

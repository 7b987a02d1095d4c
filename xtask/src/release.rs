//! Checks a crate's next version number against the removals from its interface.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::run::{Result, output};

/// Reports what a library's interface has lost since its last release.
///
/// Fails if something was removed and `new_version` is not a breaking version. It finds only removals. For other
/// breaking changes, use `cargo semver-checks`.
pub(crate) fn check(root: &Path, name: &str, new_version: Option<&str>) -> Result<()> {
    let listing = format!("api/{name}.txt");
    let Ok(current) = fs::read_to_string(root.join(&listing)) else {
        println!("{name}: a program without a public interface");
        return Ok(());
    };
    let tags = output(git(root).args(["tag", "--list", "--sort=-version:refname", &format!("{name}-v*")]))?;
    let Some(tag) = tags.lines().next() else {
        println!("{name}: no release to compare with");
        return Ok(());
    };
    let old = output(git(root).args(["show", &format!("{tag}:{listing}")]))?;
    let removed = removed_lines(&old, &current);
    println!("{name}: {} lines of the interface were removed since {tag}", removed.len());
    let released = tag.trim_start_matches(name).trim_start_matches("-v");
    let Some(version) = new_version.filter(|version| !removed.is_empty() && is_compatible(released, version)) else {
        return Ok(());
    };
    Err(format!(
        "{name} {version} is not compatible with {released}: choose a breaking version\n{}",
        removed.join("\n")
    )
    .into())
}

fn git(root: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(root);
    git
}

fn removed_lines<'a>(old: &'a str, new: &str) -> Vec<&'a str> {
    let new: HashSet<_> = new.lines().collect();
    old.lines().filter(|line| !new.contains(line)).collect()
}

/// Returns whether cargo may select the new version for a program that requires the old one.
fn is_compatible(old: &str, new: &str) -> bool {
    release_series(old) == release_series(new)
}

/// Returns the part of a version that changes in a breaking release: `1.` of `1.2.3`, `0.1.` of `0.1.2`.
fn release_series(version: &str) -> String {
    version.split_inclusive('.').take(1 + usize::from(version.starts_with("0."))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_shows_whether_it_is_compatible() {
        for (old, new, expected) in [
            ("0.1.0", "0.1.1", true),
            ("0.1.0", "0.2.0", false),
            ("0.9.3", "1.0.0", false),
            ("1.2.0", "1.3.0", true),
            ("1.2.0", "2.0.0", false),
        ] {
            assert_eq!(is_compatible(old, new), expected, "{old} to {new}");
        }
    }

    #[test]
    fn a_moved_line_is_not_removed() {
        assert_eq!(removed_lines("a\nb\nc", "c\nb\nd"), ["a"]);
    }
}

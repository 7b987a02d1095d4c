//! Whether a crate's next number fits what its interface has lost.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::run::{Result, output};

/// Fails where a library has lost something since its last release that its users could have used, and the number says
/// that nothing breaks; without a number it only tells. What breaks in other ways, `cargo semver-checks` finds.
pub(crate) fn judge(root: &Path, name: &str, new: Option<&str>) -> Result<()> {
    let listing = format!("api/{name}.txt");
    let Ok(now) = fs::read_to_string(root.join(&listing)) else {
        println!("{name}: a program, which has no interface");
        return Ok(());
    };
    let tags = output(git(root).args(["tag", "--list", "--sort=-version:refname", &format!("{name}-v*")]))?;
    let Some(tag) = tags.lines().next() else {
        println!("{name}: no release to compare with");
        return Ok(());
    };
    let old = output(git(root).args(["show", &format!("{tag}:{listing}")]))?;
    let gone = gone(&old, &now);
    println!("{name}: {} lines of its interface are gone since {tag}", gone.len());
    let released = tag.trim_start_matches(name).trim_start_matches("-v");
    let Some(new) = new.filter(|new| !gone.is_empty() && fits(released, new)) else { return Ok(()) };
    Err(format!("{name} {new} breaks what used {released}: make it a breaking release\n{}", gone.join("\n")).into())
}

fn git(root: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(root);
    git
}

fn gone<'a>(old: &'a str, now: &str) -> Vec<&'a str> {
    let now: HashSet<_> = now.lines().collect();
    old.lines().filter(|line| !now.contains(line)).collect()
}

/// Whether a program that asks for the old version may get the new one.
fn fits(old: &str, new: &str) -> bool {
    let series = |version: &str| {
        version.split_inclusive('.').take(1 + usize::from(version.starts_with("0."))).collect::<String>()
    };
    series(old) == series(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_says_whether_something_breaks() {
        for (old, new, expected) in [
            ("0.1.0", "0.1.1", true),
            ("0.1.0", "0.2.0", false),
            ("0.9.3", "1.0.0", false),
            ("1.2.0", "1.3.0", true),
            ("1.2.0", "2.0.0", false),
        ] {
            assert_eq!(fits(old, new), expected, "{old} to {new}");
        }
    }

    #[test]
    fn what_is_moved_is_not_gone() {
        assert_eq!(gone("a\nb\nc", "c\nb\nd"), ["a"]);
    }
}

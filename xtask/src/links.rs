//! Links in the project's pages: to files that are there, and to headings that are in them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::run::{Result, output};

/// Checks each page that is under version control. Links to other sites are not followed.
pub(crate) fn check(root: &Path) -> Result<()> {
    let pages = output(
        Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard", "*.md"]).current_dir(root),
    )?;
    let mut broken = Vec::new();
    for page in pages.lines() {
        let text = fs::read_to_string(root.join(page))?;
        let is_crates = page.starts_with("crates/");
        let dead = links(&text).filter(|link| match is_crates {
            // A crate is published without its neighbours.
            true if link.starts_with("..") => true,
            true if is_item(link) => false,
            _ => !leads_somewhere(&root.join(page), &text, link),
        });
        broken.extend(dead.map(|link| format!("{page}: {link}")));
    }
    if broken.is_empty() { Ok(()) } else { Err(format!("links that lead nowhere:\n{}", broken.join("\n")).into()) }
}

/// The targets of inline links, but for those in code.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    let prose = text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    prose.flat_map(|line| line.split("](").skip(1)).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link)
}

/// What rustdoc resolves, in a page that is a crate's documentation as well.
fn is_item(link: &str) -> bool {
    link.contains("::") || !link.contains(['/', '.', '#'])
}

fn leads_somewhere(page: &Path, text: &str, link: &str) -> bool {
    if link.contains("://") || link.starts_with("mailto:") {
        return true;
    }
    let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
    let target = page.with_file_name("").join(file);
    match heading {
        None => target.exists(),
        Some(heading) if file.is_empty() => has_heading(text, heading),
        Some(heading) => fs::read_to_string(target).is_ok_and(|text| has_heading(&text, heading)),
    }
}

fn has_heading(text: &str, anchor: &str) -> bool {
    text.lines()
        .filter_map(|line| line.strip_prefix('#'))
        .any(|heading| slug(heading.trim_start_matches('#')) == anchor)
}

/// A heading as the place of a link, by the rule of the common forges.
fn slug(heading: &str) -> String {
    let kept =
        heading.trim().chars().filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_'));
    kept.map(|character| if character == ' ' { '-' } else { character.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_in_prose_alone() {
        let text = "a [b](c.md) [d](e#f)\n```\n[g](h.md)\n```\n![i](j.svg)";
        assert_eq!(links(text).collect::<Vec<_>>(), ["c.md", "e#f", "j.svg"]);
    }

    #[test]
    fn headings_have_their_places() {
        assert!(has_heading("# One\n\n## At a shell prompt\n", "at-a-shell-prompt"));
        assert!(has_heading("## See it, test it", "see-it-test-it"));
        assert!(!has_heading("At a shell prompt", "at-a-shell-prompt"));
    }
}

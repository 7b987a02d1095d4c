//! Checks the links in the project's pages: their files and headings must exist.

use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path};
use std::process::Command;

use pulldown_cmark::{BrokenLink, CowStr, Event, Parser, Tag, TagEnd};

use crate::run::{Result, output};

/// Checks each page that git does not ignore. Links to other sites are not checked.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut list = Command::new("git");
    list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]).current_dir(root);
    let pages = output(&mut list)?;
    let mut broken = Vec::new();
    for page in pages.split_terminator('\0').map(Path::new) {
        let text = fs::read_to_string(root.join(page)).map_err(|error| format!("{}: {error}", page.display()))?;
        let dead = links(&text).into_iter().filter(|link| !resolves(root, page, &text, link));
        broken.extend(dead.map(|link| format!("{}: {link}", page.display())));
    }
    if broken.is_empty() { Ok(()) } else { Err(format!("broken links:\n{}", broken.join("\n")).into()) }
}

/// Returns the targets of links and images, and references without a definition.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut undefined = Vec::new();
    let note = |link: BrokenLink<'_>| {
        undefined.push(link.reference.to_string());
        None::<(CowStr<'_>, CowStr<'_>)>
    };
    for event in Parser::new_with_broken_link_callback(text, pulldown_cmark::Options::ENABLE_TABLES, Some(note)) {
        if let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = event {
            links.push(dest_url.into_string());
        }
    }
    // An undefined `[text]` without a path is a rustdoc link or plain text.
    links.extend(undefined.into_iter().filter(|reference| reference.contains(['/', '#'])));
    links
}

fn resolves(root: &Path, page: &Path, text: &str, link: &str) -> bool {
    if link.contains("://") || link.starts_with("mailto:") {
        return true;
    }
    // A page of a crate is also its rustdoc front page, so rustdoc resolves links to items.
    let is_in_crate = page.starts_with("crates");
    if is_in_crate && (link.contains("::") || !link.contains(['/', '.', '#'])) {
        return true;
    }
    let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
    let target = page.with_file_name("").join(file);
    // A published crate does not contain files from outside its own directory.
    if is_in_crate && Path::new(file).components().any(|part| part == Component::ParentDir) {
        return false;
    }
    match heading {
        None => root.join(target).exists(),
        Some(heading) if file.is_empty() => anchors(text).contains(&heading.to_owned()),
        Some(heading) => {
            fs::read_to_string(root.join(target)).is_ok_and(|text| anchors(&text).contains(&heading.to_owned()))
        }
    }
}

/// Returns the anchors of the headings, in the format of GitHub and GitLab: a repeated heading gets a number.
fn anchors(text: &str) -> Vec<String> {
    let mut anchors = Vec::new();
    let mut counts = HashMap::<String, usize>::new();
    let mut heading = None::<String>;
    for event in Parser::new(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => heading.iter_mut().for_each(|heading| heading.push_str(&text)),
            Event::End(TagEnd::Heading(_)) => {
                let slug = slug(&heading.take().unwrap_or_default());
                let count = counts.entry(slug.clone()).or_default();
                anchors.push(if *count == 0 { slug } else { format!("{slug}-{count}") });
                *count += 1;
            }
            _ => {}
        }
    }
    anchors
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_'));
    kept.map(|character| if character == ' ' { '-' } else { character }).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_code_are_ignored() {
        let text =
            "a [b](c.md \"title\") [d](<e#f>) `[x](y.md)`\n````\n```\n[g](h.md)\n````\n![i](j.svg) [k][l]\n\n[l]: m.md";
        assert_eq!(links(text), ["c.md", "e#f", "j.svg", "m.md"]);
    }

    #[test]
    fn each_heading_has_an_anchor() {
        let text = "# One\n\n## At a `shell` prompt\n\n```sh\n# no\n```\n\n## See it, test it\n\nTwo\n---\n\n# One";
        assert_eq!(anchors(text), ["one", "at-a-shell-prompt", "see-it-test-it", "two", "one-1"]);
    }

    #[test]
    fn a_link_resolves_only_if_its_target_exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (page, link, expected) in [
            ("README.md", "src", true),
            ("README.md", "src/links.rs", true),
            ("README.md", "nowhere", false),
            ("README.md", "src/none.rs", false),
            ("README.md", "#there", true),
            ("README.md", "#not-there", false),
            ("README.md", "https://example.com/anything", true),
            ("crates/x/README.md", "Item", true),
            ("crates/x/README.md", "x::Item", true),
            ("crates/x/README.md", "./../../src", false),
        ] {
            assert_eq!(resolves(root, Path::new(page), "# There", link), expected, "{link} in {page}");
        }
    }
}

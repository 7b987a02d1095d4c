//! The settings of every provider, as its page shows them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use auth_all::ProviderConfig;

#[test]
fn the_page_of_each_provider_lists_exactly_its_settings() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/providers");
    for provider in ProviderConfig::PROVIDERS {
        let page = fs::read_to_string(pages.join(format!("{provider}.md"))).unwrap();
        let section = page.split("## Settings\n").nth(1).unwrap().split("\n#").next().unwrap();
        let rows: Vec<_> = section.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect();

        let settings = ProviderConfig::settings(provider).unwrap().iter();
        let expected = settings.map(|setting| {
            let variable = format!("{provider}_{}", setting.name).to_ascii_uppercase();
            let is_secret = if setting.is_secret { "yes" } else { "no" };
            format!("| `{variable}` | {is_secret} | {} |", setting.help)
        });
        assert_eq!(rows, expected.collect::<Vec<_>>(), "{provider}");
    }
}

//! Checks a provider's table of settings.

use std::fmt;

use auth_core::{Error, ProviderInfo, Secret, Setting, setting_names};
use serde::de::DeserializeOwned;

const SENTINEL: &str = "conformance-sentinel-value";

/// Checks a provider's table of settings against the builder `B` that reads them, and against the provider's page:
///
/// - The table names exactly the fields of `B`, in the same order.
/// - A setting is marked as a secret if and only if `Debug` of the builder hides its value.
/// - The table under the heading `## Settings` of `page` (Markdown) has one row for each setting, in the same order,
///   and each row begins with the setting's environment variable in backticks.
///
/// ```
/// use auth_core::{ProviderInfo, Secret, Setting};
/// use auth_testing::conformance;
///
/// #[derive(Debug, Default, serde::Deserialize)]
/// #[serde(default)]
/// struct Settings {
///     base_url: Option<String>,
///     pin: Option<Secret>,
/// }
///
/// let table = [Setting::plain("base_url", "the address"), Setting::secret("pin", "the PIN")];
/// let page = "## Settings\n\n| variable | required |\n|---|---|\n| `ACME_BASE_URL` | yes |\n| `ACME_PIN` | yes |\n";
/// conformance::settings::<Settings>(ProviderInfo::new("acme", "ACME"), &table, page);
/// ```
///
/// # Panics
/// If one of the checks fails. The message names the setting.
pub fn settings<B: DeserializeOwned + fmt::Debug>(info: ProviderInfo, table: &[Setting], page: &str) {
    let names: Vec<_> = table.iter().map(|setting| setting.name).collect();
    assert_eq!(names, setting_names::<B>(), "the table of settings (left) must have the fields of the builder (right)");

    for setting in table {
        let is_hidden = match with_sentinel::<B>(info, setting.name) {
            Ok(builder) => !format!("{builder:?} {builder:#?}").contains(SENTINEL),
            // A setting that accepts only certain words, such as a revision.
            Err(_) => false,
        };
        assert_eq!(
            setting.is_secret, is_hidden,
            "K1: `{}` must be a secret in the table (left) if and only if `Debug` hides its value (right)",
            setting.name
        );
    }

    let variables: Vec<_> = table.iter().map(|setting| info.variable(setting.name)).collect();
    assert_eq!(
        variables,
        rows(page),
        "the variables of the table of settings (left) must be the rows of the table on the page (right)"
    );
}

fn with_sentinel<B: DeserializeOwned>(info: ProviderInfo, name: &str) -> Result<B, Error> {
    info.read_settings(|field| Ok((field == name).then(|| Secret::from(SENTINEL))))
}

/// Returns the text in backticks in the first cell of each row, in the section `## Settings` of a page.
fn rows(page: &str) -> Vec<&str> {
    let section = page.split("## Settings\n").nth(1).unwrap_or_default();
    let section = section.split("\n#").next().unwrap_or_default();
    section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use serde::Deserialize;

    use super::*;

    const INFO: ProviderInfo = ProviderInfo::new("test", "TEST");
    const TABLE: [Setting; 2] = [Setting::plain("base_url", "the address"), Setting::secret("pin", "the PIN")];
    const PAGE: &str =
        "# Test\n\n## Settings\n\n| variable |\n|---|\n| `TEST_BASE_URL` |\n| `TEST_PIN` |\n\n## Other\n";

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Good {
        #[allow(dead_code, reason = "shown by `Debug`")]
        base_url: Option<String>,
        #[allow(dead_code, reason = "shown by `Debug`")]
        pin: Option<Secret>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Leaking {
        #[allow(dead_code, reason = "shown by `Debug`")]
        base_url: Option<String>,
        #[allow(dead_code, reason = "shown by `Debug`")]
        pin: Option<String>,
    }

    #[test]
    fn a_table_that_matches_passes() {
        settings::<Good>(INFO, &TABLE, PAGE);
    }

    #[test]
    fn a_secret_that_debug_shows_fails() {
        assert!(catch_unwind(|| settings::<Leaking>(INFO, &TABLE, PAGE)).is_err());
    }

    #[test]
    fn a_setting_that_is_missing_from_the_table_or_the_page_fails() {
        assert!(catch_unwind(|| settings::<Good>(INFO, &TABLE[..1], PAGE)).is_err());
        assert!(catch_unwind(|| settings::<Good>(INFO, &TABLE, "## Settings\n| `TEST_PIN` |")).is_err());
    }
}

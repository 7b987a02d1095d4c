//! `auth demo`: logs in to the four providers in a sandbox.

use auth_all::ProviderConfig;
use auth_sandbox::{Api, Sandbox};

use crate::error::{CliError, Result};
use crate::output;
use crate::setting::variable;

pub(crate) async fn run() -> Result<()> {
    let sandbox = Sandbox::start().map_err(|error| CliError::other(format!("cannot start the sandbox: {error}")))?;
    let mut rows = Vec::new();
    for api in Api::ALL {
        rows.push(row(&sandbox, api).await?);
    }
    output::table(&["PROVIDER", "TOKEN", "TYPE", "SCOPE", "LIFETIME", "RENEWED BY"], &rows)
}

/// Logs in, revokes the token and gets the next one. Returns the cells of the table.
async fn row(sandbox: &Sandbox, api: Api) -> Result<Vec<String>> {
    let tokens = config(sandbox, api)?.into_manager()?;
    let first = tokens.token().await?;
    sandbox.revoke_all(api);
    tokens.reject(&first);
    tokens.token().await?;
    let renewed_by = if sandbox.counters(api).refreshes > 0 { "its refresh token" } else { "a new login" };
    Ok(vec![
        api.name().into(),
        format!("[redacted, {} chars]", first.expose().len()),
        first.token_type().into(),
        first.scope().unwrap_or("-").into(),
        format!("{} s", first.lifetime().as_secs()),
        renewed_by.into(),
    ])
}

/// Returns the settings with which the sandbox accepts a login.
fn config(sandbox: &Sandbox, api: Api) -> Result<ProviderConfig> {
    let settings = sandbox.env();
    let find = |setting| settings.iter().find(|(name, _)| *name == variable(api.name(), setting));
    let config =
        ProviderConfig::from_settings(api.name(), |setting| Ok(find(setting).map(|(_, value)| value.as_str().into())));
    Ok(config?)
}

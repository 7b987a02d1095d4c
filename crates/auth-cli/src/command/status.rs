//! `auth status`: shows accounts, their settings and their cached tokens.

use std::io;
use std::time::SystemTime;

use auth_all::core::SecretBytes;
use auth_all::store_file::FileStore;
use serde::Serialize;

use crate::account::Account;
use crate::accounts::Accounts;
use crate::args::{StatusArgs, StatusFormat};
use crate::error::{CliError, Result};
use crate::output;
use crate::session::{Session, open_cache};
use crate::text::{next_attempt, with_causes};
use crate::timestamp::{rfc3339, unix_seconds};

pub(crate) async fn run(args: StatusArgs) -> Result<()> {
    let accounts = Accounts::new(&args.flags)?;
    let names = accounts.names_or_all(args.providers)?;
    let cache = open_cache()?;
    let mut shown = Vec::new();
    let mut results = Vec::new();
    for name in names {
        let result = match accounts.account(&name) {
            Ok(account) => AccountStatus::of(account, &cache).await,
            Err(error) => Err(error),
        };
        shown.push(result.as_ref().cloned().unwrap_or_else(|error| AccountStatus::incomplete(name, error)));
        results.push(result);
    }
    // The table shows every account, also the ones with errors. The errors decide the exit code.
    print(&shown, args.format)?;
    CliError::collect(results).map(drop)
}

fn print(accounts: &[AccountStatus], format: StatusFormat) -> Result<()> {
    match format {
        StatusFormat::Json => {
            let mut out = SecretBytes::with_capacity(4096);
            serde_json::to_writer_pretty(&mut out, accounts).map_err(io::Error::from)?;
            out.push(b"\n");
            output::write(out.as_ref())
        }
        StatusFormat::Table => {
            let rows: Vec<_> = accounts.iter().map(AccountStatus::cells).collect();
            output::table(&["NAME", "PROVIDER", "ACCOUNT", "SETTINGS", "TOKEN", "UNTIL", "NOTE"], &rows)
        }
    }
}

/// The status of one account.
#[derive(Debug, Clone, Default, Serialize)]
struct AccountStatus {
    name: String,
    provider: Option<&'static str>,
    /// The user name or the client id.
    account: Option<String>,
    /// The places that the settings come from.
    settings: Vec<&'static str>,
    token: TokenState,
    issued_at: Option<String>,
    expires_at: Option<String>,
    expires_at_unix: Option<i64>,
    /// The error of the last login.
    error: Option<String>,
    next_attempt_at: Option<String>,
    /// The note in the table: the error and the time of the next attempt.
    #[serde(skip)]
    note: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum TokenState {
    /// A usable token is cached.
    Cached,
    /// The next call logs in.
    None,
    /// The next call fails, because the last login failed and its cooldown has not ended.
    Failed,
    /// The settings are incomplete.
    #[default]
    Unset,
}

impl TokenState {
    fn name(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::None => "none",
            Self::Failed => "failed",
            Self::Unset => "unset",
        }
    }
}

impl AccountStatus {
    async fn of(account: Account, cache: &FileStore) -> Result<Self> {
        let session = Session::new(account, Some(cache))?;
        session.load_cached().await?;
        let status = session.tokens.status();
        let account = &session.account;
        let token = match (status.expires_at, status.next_attempt_at) {
            (Some(_), _) => TokenState::Cached,
            (None, Some(_)) => TokenState::Failed,
            (None, None) => TokenState::None,
        };
        let timestamp = |at: Option<SystemTime>| at.map(rfc3339);
        let error = status.last_error.map(|error| with_causes(&error));
        let wait = status.next_attempt_at.map_or(String::new(), next_attempt);
        Ok(Self {
            name: account.name.clone(),
            provider: Some(account.provider),
            account: account.user().map(str::to_owned),
            settings: account.origins(),
            token,
            issued_at: timestamp(status.issued_at),
            expires_at: timestamp(status.expires_at),
            expires_at_unix: status.expires_at.map(unix_seconds),
            note: error.as_ref().map_or("-".into(), |error| format!("{error}{wait}")),
            error,
            next_attempt_at: timestamp(status.next_attempt_at),
        })
    }

    fn incomplete(name: String, error: &CliError) -> Self {
        let error = error.text().to_owned();
        Self { name, note: error.clone(), error: Some(error), ..Self::default() }
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            or_dash(self.provider),
            or_dash(self.account.as_deref()),
            if self.settings.is_empty() { "-".into() } else { self.settings.join(", ") },
            self.token.name().into(),
            or_dash(self.expires_at.as_deref()),
            self.note.clone(),
        ]
    }
}

fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

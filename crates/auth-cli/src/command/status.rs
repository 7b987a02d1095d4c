//! `auth status`: who, where from, until when.

use std::io;
use std::time::SystemTime;

use auth_all::core::SecretBytes;
use auth_all::store_file::FileStore;
use serde::Serialize;

use crate::account::Account;
use crate::accounts::Accounts;
use crate::args::{StatusArgs, StatusFormat};
use crate::clock::{stamp, unix};
use crate::failure::{Failure, Result, wait_until, with_causes};
use crate::output;
use crate::session::{Session, cache};

pub(crate) async fn run(args: StatusArgs) -> Result<()> {
    let accounts = Accounts::new(&args.flags)?;
    let names = accounts.names_or_all(args.providers)?;
    let cache = cache()?;
    let (mut lines, mut results) = (Vec::new(), Vec::new());
    for name in names {
        let line = match accounts.one(&name) {
            Ok(account) => Line::of(account, &cache).await,
            Err(failure) => Err(failure),
        };
        lines.push(line.as_ref().cloned().unwrap_or_else(|failure| Line::unknown(name, failure)));
        results.push(line);
    }
    print(&lines, args.format)?;
    Failure::all(results).map(drop)
}

fn print(lines: &[Line], format: StatusFormat) -> Result<()> {
    match format {
        StatusFormat::Json => {
            let mut out = SecretBytes::with_capacity(4096);
            serde_json::to_writer_pretty(&mut out, lines).map_err(io::Error::from)?;
            out.push(b"\n");
            output::write(out.as_ref())
        }
        StatusFormat::Table => {
            let rows: Vec<_> = lines.iter().map(Line::cells).collect();
            output::table(&["NAME", "PROVIDER", "ACCOUNT", "SETTINGS", "TOKEN", "UNTIL", "NOTE"], &rows)
        }
    }
}

/// What is told of one account.
#[derive(Debug, Clone, Default, Serialize)]
struct Line {
    name: String,
    provider: Option<&'static str>,
    /// The user name or the client id.
    account: Option<String>,
    /// Where the settings come from.
    settings: Vec<&'static str>,
    token: Standing,
    issued_at: Option<String>,
    expires_at: Option<String>,
    expires_at_unix: Option<i64>,
    /// Why there is none, if that is known.
    error: Option<String>,
    next_attempt_at: Option<String>,
    /// As it stands in a table.
    #[serde(skip)]
    note: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Standing {
    /// One is cached, and usable.
    Cached,
    /// The next call logs in.
    None,
    /// The next call fails, for the last one did.
    Failed,
    /// The settings are not complete.
    #[default]
    Unset,
}

impl Standing {
    fn name(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::None => "none",
            Self::Failed => "failed",
            Self::Unset => "unset",
        }
    }
}

impl Line {
    async fn of(account: Account, cache: &FileStore) -> Result<Self> {
        let session = Session::new(account, Some(cache))?;
        session.recall().await?;
        let (status, account) = (session.tokens.status(), &session.account);
        let standing = match (status.expires_at, status.next_attempt_at) {
            (Some(_), _) => Standing::Cached,
            (None, Some(_)) => Standing::Failed,
            (None, None) => Standing::None,
        };
        let text = |at: Option<SystemTime>| at.map(stamp);
        let error = status.last_error.map(|error| with_causes(&error));
        let wait = status.next_attempt_at.map_or(String::new(), wait_until);
        Ok(Self {
            name: account.name.clone(),
            provider: Some(account.provider),
            account: account.who().map(str::to_owned),
            settings: account.origins(),
            token: standing,
            issued_at: text(status.issued_at),
            expires_at: text(status.expires_at),
            expires_at_unix: status.expires_at.map(unix),
            note: error.as_ref().map_or("-".into(), |error| format!("{error}{wait}")),
            error,
            next_attempt_at: text(status.next_attempt_at),
        })
    }

    fn unknown(name: String, failure: &Failure) -> Self {
        let error = failure.text().to_owned();
        Self { name, note: error.clone(), error: Some(error), ..Self::default() }
    }

    fn cells(&self) -> Vec<String> {
        let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
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

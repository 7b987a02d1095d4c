//! `auth exec`: a command with tokens in its environment.

use std::collections::HashSet;
use std::env;
use std::io::{Error, ErrorKind};
use std::process::Command;
use std::time::Duration;

use auth_all::core::AccessToken;
use futures::future::join_all;

use crate::account::{Account, Accounts, Origin, is_secret, variable};
use crate::args::ExecArgs;
use crate::failure::{Failure, Result};
use crate::format::variables;
use crate::session::{Session, cache};

/// Names the accounts in the environment of the command.
const MARK: &str = "AUTH_EXEC";

pub(crate) async fn run(args: ExecArgs) -> Result<()> {
    if let Some(outer) = env::var_os(MARK) {
        let problem = format!("this runs within `auth exec {}` already: name all providers there", outer.display());
        return Err(Failure::usage(problem));
    }
    let accounts = Accounts::new(&args.flags)?.named(&args.providers)?;
    distinct(&accounts)?;
    let cache = cache()?;
    let sessions = Failure::all(accounts.into_iter().map(|account| Session::new(account, Some(&cache))))?;
    let tokens = join_all(sessions.iter().map(|session| session.token(Duration::ZERO))).await;
    let tokens = Failure::all(tokens)?;

    let Some((program, arguments)) = args.command.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    command.args(arguments).env(MARK, args.providers.join(" "));
    for (session, (token, _)) in sessions.iter().zip(&tokens) {
        for name in scrubbed(&session.account, token) {
            command.env_remove(name);
        }
        for (name, value) in variables(&session.account, token) {
            command.env(name, value.expose());
        }
    }
    replace_by(command).map_err(|error| cannot_run(&program.display().to_string(), &error))
}

/// No two may set the same variables.
fn distinct(accounts: &[Account]) -> Result<()> {
    let mut prefixes = HashSet::new();
    let twice = accounts.iter().find(|account| !prefixes.insert(account.prefix()));
    twice.map_or(Ok(()), |account| {
        Err(Failure::usage(format!("{}_ACCESS_TOKEN would be that of two accounts", account.prefix())))
    })
}

/// The variables with the secrets that got the token, but for those which the API wants beside it.
fn scrubbed(account: &Account, token: &AccessToken) -> Vec<String> {
    let wanted = |name: &String| {
        let value = env::var(name).unwrap_or_default();
        token.api_headers().iter().any(|(_, header)| header.as_bytes() == value.as_bytes())
    };
    let secrets = account.settings.iter().filter(|setting| is_secret(setting.name));
    let names = secrets.flat_map(|setting| {
        let reference = match &setting.found {
            Some((_, Origin::Reference(name))) => Some(name.clone()),
            _ => None,
        };
        [Some(variable(account.provider, setting.name)), reference]
    });
    names.flatten().filter(|name| !wanted(name)).collect()
}

/// By the codes of shells.
fn cannot_run(program: &str, error: &Error) -> Failure {
    let code = if error.kind() == ErrorKind::NotFound { 127 } else { 126 };
    Failure::command(code, format!("{program} cannot be run: {error}"))
}

/// The command takes this process's place; what comes back is why it did not.
#[cfg(unix)]
fn replace_by(mut command: Command) -> std::result::Result<(), Error> {
    Err(std::os::unix::process::CommandExt::exec(&mut command))
}

#[cfg(not(unix))]
fn replace_by(mut command: Command) -> std::result::Result<(), Error> {
    std::process::exit(command.status()?.code().unwrap_or(1))
}

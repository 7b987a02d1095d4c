//! `auth exec`: a command with tokens in its environment.

use std::collections::HashSet;
use std::env;
use std::io::{Error, ErrorKind};
use std::process::Command;

use auth_all::ProviderConfig;
use auth_all::core::AccessToken;
use futures::future::join_all;

use crate::account::Account;
use crate::accounts::Accounts;
use crate::args::ExecArgs;
use crate::config::Config;
use crate::failure::{Failure, Result};
use crate::format::variables;
use crate::session::{Session, cache};
use crate::setting::variable;

/// Names the accounts in the environment of the command. One within another would not find what the outer one took away.
const MARK: &str = "AUTH_EXEC";

/// What opens the cache.
const CACHE_KEYS: &str = "AUTH_CACHE_KEYS";

pub(crate) async fn run(args: ExecArgs) -> Result<()> {
    if let Some(outer) = env::var_os(MARK).filter(|outer| !outer.is_empty()) {
        let problem = format!("this runs within `auth exec {}` already: name all providers there", outer.display());
        return Err(Failure::usage(problem));
    }
    let known = Accounts::new(&args.flags)?;
    let accounts = known.named(&args.providers)?;
    distinct(&accounts)?;
    let cache = if args.wish.no_cache { None } else { Some(cache()?) };
    let sessions = Failure::all(accounts.into_iter().map(|account| Session::new(account, cache.as_ref())))?;
    let tokens = join_all(sessions.iter().map(|session| session.token(args.wish.min_ttl))).await;
    let tokens: Vec<_> = Failure::all(tokens)?.into_iter().map(|(token, _)| token).collect();

    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Failure::usage("there is no command"));
    };
    let mut command = Command::new(program);
    command.args(arguments).env(MARK, args.providers.join(" "));
    for name in secrets(known.config()).filter(|name| !is_wanted(name, &tokens)) {
        command.env_remove(name);
    }
    for (session, token) in sessions.iter().zip(&tokens) {
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
        let name = account.prefix();
        Err(Failure::usage(format!("{name}_ACCESS_TOKEN would be set twice: name each PROVIDER once, and none alike")))
    })
}

/// The variables that hold a provider's secret, or that of a profile: of any, for the command is to have none.
fn secrets(config: &Config) -> impl Iterator<Item = String> {
    let usual = ProviderConfig::PROVIDERS.iter().flat_map(|provider| {
        let settings = ProviderConfig::settings(provider).unwrap_or_default();
        settings.iter().filter(|setting| setting.is_secret).map(|setting| variable(provider, setting.name))
    });
    let named = config.secret_variables().map(str::to_owned);
    usual.chain(named).chain([CACHE_KEYS.to_owned()])
}

/// Whether an API wants the value of a variable beside its token.
fn is_wanted(variable: &str, tokens: &[AccessToken]) -> bool {
    let value = env::var(variable).unwrap_or_default();
    tokens.iter().flat_map(AccessToken::api_headers).any(|(_, header)| header.as_bytes() == value.as_bytes())
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

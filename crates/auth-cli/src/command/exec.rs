//! `auth exec`: runs a command with tokens in its environment.

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
use crate::error::{CliError, Result};
use crate::format::variables;
use crate::session::{Session, open_cache};
use crate::setting::variable;

/// The variable that names the accounts of the surrounding `auth exec`.
///
/// A nested `auth exec` is refused, because the secrets that it needs have been removed from its environment.
const NESTING: &str = "AUTH_EXEC";

/// The variable with the keys of the cache.
const CACHE_KEYS: &str = "AUTH_CACHE_KEYS";

pub(crate) async fn run(args: ExecArgs) -> Result<()> {
    if let Some(outer) = env::var_os(NESTING).filter(|outer| !outer.is_empty()) {
        let text = format!("already running in `auth exec {}`; name all providers in that command", outer.display());
        return Err(CliError::usage(text));
    }
    let known = Accounts::new(&args.flags)?;
    let accounts = known.accounts(&args.providers)?;
    check_distinct_variables(&accounts)?;
    let cache = if args.options.no_cache { None } else { Some(open_cache()?) };
    let sessions = CliError::collect(accounts.into_iter().map(|account| Session::new(account, cache.as_ref())))?;
    let tokens = join_all(sessions.iter().map(|session| session.token(args.options.min_ttl))).await;
    let tokens: Vec<_> = CliError::collect(tokens)?.into_iter().map(|(token, _)| token).collect();

    let Some((program, arguments)) = args.command.split_first() else {
        return Err(CliError::usage("no command given"));
    };
    let mut command = Command::new(program);
    command.args(arguments).env(NESTING, args.providers.join(" "));
    // The secrets are removed before the tokens are set: a profile may take its secret from a variable such as
    // ZOQQ_ACCESS_TOKEN.
    for name in secrets(known.config()).filter(|name| !is_api_header(name, &tokens)) {
        command.env_remove(name);
    }
    for (session, token) in sessions.iter().zip(&tokens) {
        for (name, value) in variables(&session.account, token) {
            command.env(name, value.expose());
        }
    }
    replace_process(command).map_err(|error| cannot_run(&program.display().to_string(), &error))
}

/// Refuses two accounts whose tokens would be in the same variable.
fn check_distinct_variables(accounts: &[Account]) -> Result<()> {
    let mut prefixes = HashSet::new();
    let duplicate = accounts.iter().find(|account| !prefixes.insert(account.variable_prefix()));
    duplicate.map_or(Ok(()), |account| {
        let text = format!(
            "{}_ACCESS_TOKEN would be set twice; name each PROVIDER once, and no two that share this variable",
            account.variable_prefix()
        );
        Err(CliError::usage(text))
    })
}

/// Returns the variables with secrets of every provider and every profile, not only of the given ones.
fn secrets(config: &Config) -> impl Iterator<Item = String> {
    let usual = ProviderConfig::PROVIDERS.iter().flat_map(|provider| {
        let settings = ProviderConfig::settings(provider).unwrap_or_default();
        settings.iter().filter(|setting| setting.is_secret).map(|setting| variable(provider, setting.name))
    });
    let named = config.secret_variables().map(str::to_owned);
    usual.chain(named).chain([CACHE_KEYS.to_owned()])
}

/// Returns whether an API requires the value of a variable as a header in addition to its token.
fn is_api_header(variable: &str, tokens: &[AccessToken]) -> bool {
    let value = env::var(variable).unwrap_or_default();
    tokens.iter().flat_map(AccessToken::api_headers).any(|(_, header)| header.as_bytes() == value.as_bytes())
}

/// Returns the error of a command that cannot be run, with the exit code that shells use.
fn cannot_run(program: &str, error: &Error) -> CliError {
    let code = if error.kind() == ErrorKind::NotFound { 127 } else { 126 };
    CliError::command(code, format!("{program} cannot be run: {error}"))
}

/// Replaces this process with the command. Returns only if that fails.
#[cfg(unix)]
fn replace_process(mut command: Command) -> std::result::Result<(), Error> {
    Err(std::os::unix::process::CommandExt::exec(&mut command))
}

/// Runs the command and exits with its code, because these systems cannot replace a process.
#[cfg(not(unix))]
fn replace_process(mut command: Command) -> std::result::Result<(), Error> {
    std::process::exit(command.status()?.code().unwrap_or(1))
}

//! The command line: commands, options and help texts.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::flags::Flags;
use crate::sandbox_fault::SandboxFault;

const LONG_HELP: &str = "\
Exit codes:
    0  success; also if sandbox or proxy is interrupted
    1  other error: a redirect, an untrusted certificate, a response without a token, a closed pipe
    2  wrong usage, or a setting that is missing or wrong
    4  the provider refuses the credentials; each further refusal makes the time until the next attempt longer
   75  temporary error: no response, an unreadable response, too many logins; the message says when the next attempt is
  130  interrupted

A setting comes from a flag, otherwise from the environment (VOIPEX_USERNAME, ...), otherwise from a profile in
~/.config/auth/config.toml:

    [profile.support-desk]
    provider = \"voipex\"
    username = \"support@example.com\"
    password = { command = [\"pass\", \"show\", \"voipex\"] }

A secret can be { command = [...] }, { env = \"NAME\" }, { file = \"PATH\" } or { keyring = \"SERVICE/USER\" }.

Environment:
    ZOQQ_*, ROECNY_*, CAMBYOPRO_*, VOIPEX_*  settings; `auth check PROVIDER` lists the ones that it finds
    AUTH_CA_FILE                             file of root certificates (PEM) to trust in addition to the system's
    AUTH_CACHE_DIR                           directory of the cache
    AUTH_CACHE_KEYS, AUTH_CACHE_KEYS_FILE    keys that encrypt the cache, or the file that contains them
    XDG_CONFIG_HOME, XDG_CACHE_HOME          directories to use instead of ~/.config and ~/.cache
    HTTPS_PROXY, NO_PROXY, NO_COLOR          as usual";

/// Gets access tokens for Zoqq, Roecny, Cambyopro and Voipex.
#[derive(Debug, Parser)]
// Lines are not wrapped, so that the examples can be copied.
#[command(name = "auth", version, term_width = 0, after_long_help = LONG_HELP)]
#[command(after_help = "`auth --help` explains exit codes and settings, `auth COMMAND --help` shows examples.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Logs each login, its attempts and its result to stderr, without secrets
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Logs in to all four providers in a built-in sandbox; needs no credentials
    #[command(after_help = "Example:\n    auth demo")]
    Demo,
    /// Prints an access token and nothing else
    Token(TokenArgs),
    /// Runs a command with access tokens in its environment
    Exec(ExecArgs),
    /// Shows accounts and cached tokens without sending a request; never prints a token
    Status(StatusArgs),
    /// Checks the settings and the connection step by step, without logging in
    Check(CheckArgs),
    /// Removes cached tokens and remembered refusals
    Clear(ClearArgs),
    /// Serves the four login APIs on this machine until interrupted
    Sandbox(SandboxArgs),
    /// Forwards requests to an API and adds the token, until interrupted
    Proxy(ProxyArgs),
    /// Prints the completions for a shell
    #[command(after_help = "Examples:
    auth completions bash > ~/.local/share/bash-completion/completions/auth
    auth completions fish > ~/.config/fish/completions/auth.fish")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Writes the manual pages, one per command
    #[command(after_help = "Example:\n    auth man ~/.local/share/man/man1 && man auth-token")]
    Man {
        /// The directory for the pages; it is created if it does not exist
        #[arg(value_hint = ValueHint::DirPath)]
        directory: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
    curl -H \"$(auth token voipex --format header)\" https://ipbxapi.voipex.io/calls
    auth token zoqq --format curl | curl -K - https://api.example.com/v1/balances
    eval \"$(auth token voipex --format env)\" && echo $VOIPEX_ACCESS_TOKEN_EXPIRES_AT
    auth token voipex --min-ttl 10m
    pass show voipex | auth token voipex --username me@example.com --password-stdin")]
pub(crate) struct TokenArgs {
    /// A provider or a profile of the config file
    pub(crate) provider: String,
    /// Sets the output format
    #[arg(long, value_enum, default_value_t = Format::Token)]
    pub(crate) format: Format,
    /// Gets a new token even if the cached one is valid; if that fails, the cached one is kept
    #[arg(long)]
    pub(crate) refresh: bool,
    #[command(flatten)]
    pub(crate) options: TokenOptions,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// The options of the commands that get tokens.
#[derive(Debug, Args)]
pub(crate) struct TokenOptions {
    /// Sets the minimum time for which the token must still be valid, such as 90s or 10m
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[arg(default_value = "0s", hide_default_value = true)]
    pub(crate) min_ttl: Duration,
    /// Does not use the cache; refused credentials are then not remembered
    #[arg(long)]
    pub(crate) no_cache: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The token
    Token,
    /// `Authorization: Bearer ...`
    Header,
    /// A JSON object with the token, its times, its scope and its source
    Json,
    /// `export` lines for sh, bash and zsh
    Env,
    /// `set` lines for fish
    Fish,
    /// `$env:` lines for PowerShell
    Powershell,
    /// An ExecCredential for kubectl
    ExecCredential,
    /// A config for `curl -K -`, with all headers that the API requires
    Curl,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
    auth exec voipex -- sh -c 'curl -H \"Authorization: Bearer $VOIPEX_ACCESS_TOKEN\" https://ipbxapi.voipex.io/calls'
    auth exec zoqq roecny -- make reports

For each PROVIDER, the command gets two variables: SUPPORT_DESK_ACCESS_TOKEN for support-desk, with the token, and
SUPPORT_DESK_ACCESS_TOKEN_EXPIRES_AT. Variables with passwords, keys and other login secrets are removed, except those
that the API requires in addition to the token (ZOQQ_API_KEY). AUTH_EXEC contains the PROVIDERs; if it is set,
a nested `auth exec` refuses to run.

The exit code is that of the command, 126 if the command cannot be run, or 127 if it does not exist. A token can expire
during a long command; `auth proxy` avoids that.")]
pub(crate) struct ExecArgs {
    /// Providers or profiles of the config file
    #[arg(required = true, value_name = "PROVIDER")]
    pub(crate) providers: Vec<String>,
    #[command(flatten)]
    pub(crate) options: TokenOptions,
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
    auth status
    auth status voipex --format json")]
pub(crate) struct StatusArgs {
    /// Providers or profiles of the config file; without any, all that are set up
    #[arg(value_name = "PROVIDER")]
    pub(crate) providers: Vec<String>,
    /// Sets the output format
    #[arg(long, value_enum, default_value_t = StatusFormat::Table)]
    pub(crate) format: StatusFormat,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusFormat {
    /// One line per account; tab-separated and without a heading if stdout is not a terminal
    Table,
    /// A JSON array of objects
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
    auth check voipex
    AUTH_CA_FILE=company.pem auth check")]
pub(crate) struct CheckArgs {
    /// Providers or profiles of the config file; without any, all that are set up
    #[arg(value_name = "PROVIDER")]
    pub(crate) providers: Vec<String>,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
    auth clear voipex
    auth clear")]
pub(crate) struct ClearArgs {
    /// Providers or profiles of the config file; without any, the whole cache
    #[arg(value_name = "PROVIDER")]
    pub(crate) providers: Vec<String>,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
    auth sandbox > sandbox.env & sleep 1; . ./sandbox.env; auth token zoqq
    auth sandbox --port 8099 --ttl 10s
    auth sandbox --fault voipex=503 --fault zoqq=latency:2s

A fault applies to every login response of the API:
    503                  this status (200 to 999)
    retry-after:SECONDS  status 429 with this Retry-After header
    latency:DURATION     a delay before the response
    drip:DURATION        a delay before each byte of the body
    truncated            a connection that closes in the middle of the body
    oversized            a body of 64 MiB
    redirect:URL         a redirect to this URL
    body:TEXT            status 200 with this body

In addition, the path /api/protected responds with 200 to every token that this sandbox has issued.")]
pub(crate) struct SandboxArgs {
    /// Sets the port; without this option, a free one is chosen
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(crate) port: u16,
    /// Sets the lifetime of tokens, in whole seconds from 1s to 365days; without this option, that of the real APIs
    #[arg(long, value_name = "DURATION", value_parser = whole_seconds)]
    pub(crate) ttl: Option<Duration>,
    /// Sets the fault of an API; can be given once per API
    #[arg(long = "fault", value_name = "API=FAULT")]
    pub(crate) faults: Vec<SandboxFault>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
    auth proxy voipex --to https://ipbxapi.voipex.io --listen 127.0.0.1:8080
    curl http://127.0.0.1:8080/calls

The proxy prints its address, and accepts only requests for that address. If the API rejects the token, the request is
sent once more with a new token. Without a token, nothing is sent.")]
pub(crate) struct ProxyArgs {
    /// A provider or a profile of the config file
    pub(crate) provider: String,
    /// Sets the scheme and host of the API, such as `https://api.example.com`; the token is sent nowhere else
    #[arg(long, value_name = "ORIGIN", value_hint = ValueHint::Url)]
    pub(crate) to: String,
    /// Sets the loopback address to listen on; port 0 chooses a free one
    #[arg(long, value_name = "ADDR", value_parser = loopback, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Does not use the cache; refused credentials are remembered until the proxy stops
    #[arg(long)]
    pub(crate) no_cache: bool,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn whole_seconds(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let is_valid = (Duration::from_secs(1)..=YEAR).contains(&duration) && duration.subsec_nanos() == 0;
    if is_valid { Ok(duration) } else { Err("expected whole seconds from 1s to 365days".into()) }
}

/// Parses an address to listen on. Other machines must not reach the proxy, because every client can use the token.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "expected an address and a port, such as 127.0.0.1:8080".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("expected a loopback address, because every client of the proxy can use the token".into())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_passes_the_checks_of_clap() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Example"), "{}", command.get_name());
        }
    }
}

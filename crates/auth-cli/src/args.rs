//! What can be said on the command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::fault::ApiFault;
use crate::flags::Flags;

const CODES: &str = "\
Exit codes:
    0  done; for sandbox and proxy also where they are interrupted
    1  another failure: a redirect, an untrusted certificate, an answer that holds no token, a broken pipe
    2  usage, or a setting that is missing or wrong
    4  the provider refuses the credentials; they are tried again ever more rarely, whoever asks
   75  temporary: no answer, one that cannot be read, too many logins; the message says when to try again
  130  interrupted

Settings come from flags, then from the environment (VOIPEX_USERNAME, ...), then from a profile in
~/.config/auth/config.toml:

    [profile.support-desk]
    provider = \"voipex\"
    username = \"support@example.com\"
    password = { command = [\"pass\", \"show\", \"voipex\"] }

A secret is { command = [...] }, { env = \"NAME\" }, { file = \"PATH\" } or { keyring = \"SERVICE/USER\" }.

Environment:
    ZOQQ_*, ROECNY_*, CAMBYOPRO_*, VOIPEX_*  settings; `auth check PROVIDER` lists those that it finds
    AUTH_CA_FILE                             root certificates (PEM), beside the system's
    AUTH_CACHE_DIR                           where the cache is
    AUTH_CACHE_KEYS, AUTH_CACHE_KEYS_FILE    what it is sealed with, or the file that holds that
    XDG_CONFIG_HOME, XDG_CACHE_HOME          in place of ~/.config and ~/.cache
    HTTPS_PROXY, NO_PROXY, NO_COLOR          as usual";

/// Access tokens for Zoqq, Roecny, Cambyopro and Voipex.
#[derive(Debug, Parser)]
// Lines are not wrapped: what stands there is meant to be copied.
#[command(name = "auth", version, term_width = 0, after_long_help = CODES)]
#[command(after_help = "`auth --help` tells the exit codes and the settings, `auth COMMAND --help` shows examples.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Tells on stderr of each login, its attempts and its end; never a secret
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Logs in to all four against a built-in sandbox; needs no credentials
    #[command(after_help = "Example:\n    auth demo")]
    Demo,
    /// Prints an access token, and nothing else
    Token(TokenArgs),
    /// Runs a command with access tokens in its environment
    Exec(ExecArgs),
    /// Tells what is known of the tokens, without a request; never a token
    Status(StatusArgs),
    /// Finds out what is wrong, step by step; does not log in
    Check(CheckArgs),
    /// Forgets cached tokens, and what is remembered of refusals
    Clear(ClearArgs),
    /// Serves the four login APIs on this machine, until interrupted
    Sandbox(SandboxArgs),
    /// Serves an API on this machine with the token added, until interrupted
    Proxy(ProxyArgs),
    /// Prints the completions for a shell
    #[command(after_help = "Examples:
    auth completions bash > ~/.local/share/bash-completion/completions/auth
    auth completions fish > ~/.config/fish/completions/auth.fish")]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Writes the manual pages, one for each command
    #[command(after_help = "Example:\n    auth man ~/.local/share/man/man1 && man auth-token")]
    Man {
        /// Where to; it is made where it is missing
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
    /// A provider, or a profile of the config file
    pub(crate) provider: String,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Token)]
    pub(crate) format: Format,
    /// Gets another token, though the cached one is good; that stays where this fails
    #[arg(long)]
    pub(crate) refresh: bool,
    #[command(flatten)]
    pub(crate) wish: Wish,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// What a token must be, and where it may come from.
#[derive(Debug, Args)]
pub(crate) struct Wish {
    /// How much of its life must be left, such as 90s or 10m
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "0s", hide_default_value = true)]
    pub(crate) min_ttl: Duration,
    /// Neither reads nor writes the cache; refusals are not remembered then
    #[arg(long)]
    pub(crate) no_cache: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The token
    Token,
    /// `Authorization: Bearer ...`
    Header,
    /// An object with the token, its times, its scope and where it is from
    Json,
    /// `export` lines for sh, bash and zsh
    Env,
    /// `set` lines for fish
    Fish,
    /// `$env:` lines for PowerShell
    Powershell,
    /// An ExecCredential for kubectl
    ExecCredential,
    /// A config for `curl -K -`, with the other headers that the API wants
    Curl,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
    auth exec voipex -- sh -c 'curl -H \"Authorization: Bearer $VOIPEX_ACCESS_TOKEN\" https://ipbxapi.voipex.io/calls'
    auth exec zoqq roecny -- make reports

For each PROVIDER the command gets its name in capitals and _ACCESS_TOKEN (SUPPORT_DESK_ACCESS_TOKEN for support-desk), and
the same with _EXPIRES_AT. It does not get the passwords, keys and secrets that log in, but for what the API wants beside
the token (ZOQQ_API_KEY). AUTH_EXEC names the providers there: within, `auth exec` refuses to run.

`auth` ends with the command's own exit code; 126 where it cannot be run, 127 where there is none. A token ends while a long
command runs: see `auth proxy` for that.")]
pub(crate) struct ExecArgs {
    /// Providers, or profiles of the config file
    #[arg(required = true, value_name = "PROVIDER")]
    pub(crate) providers: Vec<String>,
    #[command(flatten)]
    pub(crate) wish: Wish,
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
    /// Providers, or profiles of the config file; all that are set up where none is named
    #[arg(value_name = "PROVIDER")]
    pub(crate) providers: Vec<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = StatusFormat::Table)]
    pub(crate) format: StatusFormat,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusFormat {
    /// A line each; where stdout is no terminal without a heading, and with a tab between two columns
    Table,
    /// An array of objects
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
    auth check voipex
    AUTH_CA_FILE=company.pem auth check")]
pub(crate) struct CheckArgs {
    /// Providers, or profiles of the config file; all that are set up where none is named
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
    /// Providers, or profiles of the config file; the whole cache where none is named
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

Faults, of every login answer of an API: a status (503), retry-after:SECONDS (429 with that header), latency:DURATION,
drip:DURATION (that pause between two bytes), truncated, oversized, redirect:URL, body:TEXT (200 with that body).

Beside the logins, /api/protected at the root of the address answers 200 to any token that was issued there.")]
pub(crate) struct SandboxArgs {
    /// Which port; a free one where none is given
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(crate) port: u16,
    /// How long tokens live, in whole seconds from 1s to a year; as the real ones where it is not given
    #[arg(long, value_name = "DURATION", value_parser = whole_seconds)]
    pub(crate) ttl: Option<Duration>,
    /// What goes wrong, as API=FAULT; once for each API
    #[arg(long = "fault", value_name = "API=FAULT")]
    pub(crate) faults: Vec<ApiFault>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
    auth proxy voipex --to https://ipbxapi.voipex.io --listen 127.0.0.1:8080
    curl http://127.0.0.1:8080/calls

It prints its own address, and answers requests for that address alone. A request whose token is rejected is sent once
more with the next one; without a token nothing is sent.")]
pub(crate) struct ProxyArgs {
    /// A provider, or a profile of the config file
    pub(crate) provider: String,
    /// The API's scheme and host, such as `https://api.example.com`; the token goes nowhere else
    #[arg(long, value_name = "ORIGIN", value_hint = ValueHint::Url)]
    pub(crate) to: String,
    /// Where to listen, on this machine alone; port 0 is a free one
    #[arg(long, value_name = "ADDR", value_parser = loopback, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Neither reads nor writes the cache; refusals are remembered while it runs
    #[arg(long)]
    pub(crate) no_cache: bool,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn whole_seconds(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let is_good = (Duration::from_secs(1)..=YEAR).contains(&duration) && duration.subsec_nanos() == 0;
    if is_good { Ok(duration) } else { Err("give whole seconds, from 1s to 365days".into()) }
}

/// Whoever reaches the proxy has the token's power.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "give address and port, such as 127.0.0.1:8080")?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("whoever reaches the proxy has the token's power, so it is for this machine alone: give a loopback address"
            .into())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
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

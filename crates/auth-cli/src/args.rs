//! What can be said on the command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::fault::ApiFault;

const CODES: &str = "\
Exit codes:
    0  done
    1  another failure: an answer without a token, an untrusted certificate, a broken pipe
    2  usage, or a setting that is missing or wrong
    4  the provider refuses the credentials; `auth` tries them again ever more rarely, whoever asks
   75  temporary; the message says when to try again
  130  interrupted

Settings come from flags, then from the environment (VOIPEX_USERNAME, ...), then from a profile in
~/.config/auth/config.toml:

    [profile.support-desk]
    provider = \"voipex\"
    username = \"support@example.com\"
    password = { command = [\"pass\", \"show\", \"voipex\"] }   # or { env = ... }, { file = ... }, { keyring = ... }

AUTH_CA_FILE adds root certificates, AUTH_CACHE_DIR moves the cache, HTTPS_PROXY and NO_PROXY are obeyed.";

/// Access tokens for Zoqq, Roecny, Cambyopro and Voipex.
#[derive(Debug, Parser)]
#[command(name = "auth", version, after_long_help = CODES, after_help = "`auth --help` tells the exit codes and the settings, `auth COMMAND --help` shows examples.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Tells more on stderr: -v each login, -vv each step; never a secret
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
        /// Where to; it must exist
        #[arg(value_hint = ValueHint::DirPath)]
        directory: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
    curl -H \"$(auth token voipex --format header)\" https://ipbxapi.voipex.io/calls
    auth token zoqq --format curl | curl -K - https://api.example.com/v1/balances
    eval \"$(auth token voipex --format env)\"           # VOIPEX_ACCESS_TOKEN, VOIPEX_ACCESS_TOKEN_EXPIRES_AT
    auth token voipex --min-ttl 10m                    # with ten minutes left at least
    pass show voipex | auth token voipex --username me@example.com --password-stdin")]
pub(crate) struct TokenArgs {
    /// A provider, or a profile of the config file
    pub(crate) provider: String,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Token)]
    pub(crate) format: Format,
    /// How much of its life must be left, such as 90s or 10m
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) min_ttl: Option<Duration>,
    /// Takes the cached token for rejected, and gets another
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Neither reads nor writes the cache; refusals are not remembered then
    #[arg(long, conflicts_with = "refresh")]
    pub(crate) no_cache: bool,
    #[command(flatten)]
    pub(crate) flags: Flags,
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

The command gets PROVIDER_ACCESS_TOKEN and PROVIDER_ACCESS_TOKEN_EXPIRES_AT for each, and not the passwords and keys that
got them; those that the API wants beside the token (ZOQQ_API_KEY) stay. Its exit code is that of `auth`; 126 where it
cannot be run, 127 where there is none. A token ends while a long command runs: see `auth proxy` for that.")]
pub(crate) struct ExecArgs {
    /// Providers, or profiles of the config file
    #[arg(required = true, value_name = "PROVIDER")]
    pub(crate) providers: Vec<String>,
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
    /// A line each; with tabs where stdout is no terminal
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
    auth sandbox > sandbox.env &                       # then: . ./sandbox.env; auth token zoqq
    auth sandbox --port 8099 --ttl 10s
    auth sandbox --fault voipex=503 --fault zoqq=latency:2s

Faults, of every login answer of an API: a status (503), retry-after:SECONDS (429 with that header), latency:DURATION,
drip:DURATION (that pause between two bytes), truncated, oversized, redirect:URL, body:TEXT (200 with that body).")]
pub(crate) struct SandboxArgs {
    /// Which port; a free one where none is given
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(crate) port: u16,
    /// How long tokens live, in whole seconds from 1s to a year; as the real ones where it is not given
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) ttl: Option<Duration>,
    /// What goes wrong, as API=FAULT; may be given for each API
    #[arg(long = "fault", value_name = "API=FAULT")]
    pub(crate) faults: Vec<ApiFault>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
    auth proxy voipex --to https://ipbxapi.voipex.io --listen 127.0.0.1:8080
    curl http://127.0.0.1:8080/calls                   # with the token, whoever asks on this machine

It prints its own address, and answers requests for that address alone. A request whose token is rejected is sent once
more with the next one; without a token nothing is sent.")]
pub(crate) struct ProxyArgs {
    /// A provider, or a profile of the config file
    pub(crate) provider: String,
    /// The API's scheme and host, such as https://api.example.com; the token goes nowhere else
    #[arg(long, value_name = "ORIGIN", value_hint = ValueHint::Url)]
    pub(crate) to: String,
    /// Where to listen, on this machine alone; port 0 is a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// The settings of a provider. None of these takes a secret.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Settings of the provider")]
pub(crate) struct Flags {
    /// Scheme, host and an optional path prefix
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    base_url: Option<String>,
    /// The path of the login
    #[arg(long, value_name = "PATH")]
    login_path: Option<String>,
    /// Which revision of the login the server speaks
    #[arg(long, value_name = "NAME")]
    revision: Option<String>,
    /// The client id
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The user name
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// The e-mail address
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// The scope to ask for, space-separated
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,
    /// Reads the password from stdin
    #[arg(long, group = "stdin")]
    password_stdin: bool,
    /// Reads the API key from stdin
    #[arg(long, group = "stdin")]
    api_key_stdin: bool,
    /// Reads the client secret from stdin
    #[arg(long, group = "stdin")]
    client_secret_stdin: bool,
}

impl Flags {
    /// What was given, by the names of the settings.
    pub(crate) fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("base_url", &self.base_url),
            ("login_path", &self.login_path),
            ("revision", &self.revision),
            ("client_id", &self.client_id),
            ("username", &self.username),
            ("email", &self.email),
            ("scope", &self.scope),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }

    /// The setting whose value is on stdin.
    pub(crate) fn on_stdin(&self) -> Option<&'static str> {
        let all = [
            ("password", self.password_stdin),
            ("api_key", self.api_key_stdin),
            ("client_secret", self.client_secret_stdin),
        ];
        all.into_iter().find(|(_, is_given)| *is_given).map(|(name, _)| name)
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

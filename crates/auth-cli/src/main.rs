//! The program `auth`: access tokens at a shell prompt.
//!
//! Modules import only from layers before theirs: (`text`, `timestamp`, `flags`, `sandbox_fault`), (`args`, `error`),
//! (`output`, `setting`, `signal`, `transport`), (`account`, `config`), (`accounts`, `session`), `format`, `command`.

#![forbid(unsafe_code)]

mod account;
mod accounts;
mod args;
mod command;
mod config;
mod error;
mod flags;
mod format;
mod output;
mod sandbox_fault;
mod session;
mod setting;
mod signal;
mod text;
mod timestamp;
mod transport;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use args::Cli;
use error::{CliError, Result};

fn main() -> ExitCode {
    let cli = Cli::parse();
    init_logging(cli.verbose);
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

fn run(cli: Cli) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::other(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(command::run(cli.command))
}

/// Sends log events to stderr, from this project's crates only: other crates may log an API's data.
fn init_logging(verbose: u8) {
    let level = if verbose == 0 { Level::WARN } else { Level::DEBUG };
    let mut targets = Targets::new().with_default(LevelFilter::OFF).with_target("auth", level);
    if verbose == 0 {
        // The command reports a failed login itself.
        targets = targets.with_target(auth_all::core::targets::FLIGHT, LevelFilter::OFF);
    }
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).without_time().with_ansi(false);
    tracing_subscriber::registry().with(lines).with(targets).init();
}

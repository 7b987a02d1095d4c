//! The program `auth`: access tokens at a shell prompt.

#![forbid(unsafe_code)]

mod account;
mod accounts;
mod args;
mod clock;
mod command;
mod config;
mod failure;
mod fault;
mod flags;
mod format;
mod output;
mod reference;
mod session;
mod setting;
mod signal;
mod transport;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use args::Cli;
use failure::{Failure, Result};

fn main() -> ExitCode {
    let cli = Cli::parse();
    log(cli.verbose);
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::other(format!("no runtime: {error}")))?;
    runtime.block_on(command::run(cli.command))
}

/// To stderr, from this project's own crates: those beneath were never asked to keep an API's data to themselves.
fn log(verbose: u8) {
    let level = if verbose == 0 { Level::WARN } else { Level::DEBUG };
    let mut targets = Targets::new().with_default(LevelFilter::OFF).with_target("auth", level);
    if verbose == 0 {
        // The command says it itself.
        targets = targets.with_target(auth_all::core::targets::FLIGHT, LevelFilter::OFF);
    }
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).without_time().with_ansi(false);
    tracing_subscriber::registry().with(lines).with(targets).init();
}

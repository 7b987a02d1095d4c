//! The commands, one file each.

mod check;
mod clear;
mod demo;
mod exec;
mod generate;
mod proxy;
mod sandbox;
mod status;
mod token;

use crate::args::Command;
use crate::error::Result;

pub(crate) async fn run(command: Command) -> Result<()> {
    match command {
        Command::Demo => demo::run().await,
        Command::Token(args) => token::run(args).await,
        Command::Exec(args) => exec::run(args).await,
        Command::Status(args) => status::run(args).await,
        Command::Check(args) => check::run(args).await,
        Command::Clear(args) => clear::run(&args),
        Command::Sandbox(args) => sandbox::run(args).await,
        Command::Proxy(args) => proxy::run(args).await,
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { directory } => generate::manual(&directory),
    }
}

//! `auth completions` and `auth man`: generated from the definition of the command line.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::error::{CliError, Result};
use crate::output;

pub(crate) fn completions(shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "auth", &mut script);
    output::write(&script)
}

pub(crate) fn manual(directory: &Path) -> Result<()> {
    let written = fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(Cli::command(), directory));
    written.map_err(|error| CliError::other(format!("{}: {error}", directory.display())))
}

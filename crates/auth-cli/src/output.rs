//! Writes to stdout: whole results, and tables for people.

use std::io::{self, IsTerminal, Write};

use tabwriter::TabWriter;

use crate::error::{CliError, Result};
use crate::text::printable;

/// Writes a result and flushes it.
///
/// The result must end with a line end: whole lines pass through stdout's buffer, so that no copy of a token stays
/// there.
pub(crate) fn write(result: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(result).and_then(|()| stdout.flush()).map_err(stdout_error)
}

/// Writes a line for people. Parts that come from outside must be [`printable`].
pub(crate) fn line(line: &str) -> Result<()> {
    writeln!(anstream::stdout(), "{line}").map_err(stdout_error)
}

/// Writes rows of cells: in columns under a heading on a terminal, otherwise separated by tabs and without a heading.
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>]) -> Result<()> {
    let rows: String = rows.iter().map(|row| tab_separated(row)).collect();
    if !io::stdout().is_terminal() {
        return write(rows.as_bytes());
    }
    let columns = aligned(&format!("{}\n{rows}", heading.join("\t")))?;
    let (heading, rows) = columns.split_once('\n').unwrap_or((&columns, ""));
    let bold = anstyle::Style::new().bold();
    line(&format!("{bold}{}{bold:#}\n{}", heading.trim_end(), rows.trim_end()))
}

fn tab_separated(row: &[String]) -> String {
    let cells: Vec<_> = row.iter().map(|cell| printable(cell)).collect();
    cells.join("\t") + "\n"
}

fn aligned(text: &str) -> Result<String> {
    let mut columns = TabWriter::new(Vec::new()).padding(2);
    columns.write_all(text.as_bytes())?;
    let bytes = columns.into_inner().map_err(|error| CliError::other(error.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn stdout_error(error: io::Error) -> CliError {
    CliError::other(format!("stdout: {error}"))
}

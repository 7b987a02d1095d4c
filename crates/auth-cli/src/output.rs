//! Stdout: whole results, and tables for people.

use std::io::{self, IsTerminal, Write};

use tabwriter::TabWriter;

use crate::failure::{Failure, Result};

/// Writes a result in one go: whole lines pass through stdout's buffer, so that no copy of a token stays there.
pub(crate) fn write(result: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    told(stdout.write_all(result).and_then(|()| stdout.flush()))
}

fn told(written: io::Result<()>) -> Result<()> {
    written.map_err(|error| Failure::other(format!("stdout: {error}")))
}

/// Writes a line for people. What comes from elsewhere must be [`printable`].
pub(crate) fn line(line: &str) -> Result<()> {
    told(writeln!(anstream::stdout(), "{line}"))
}

/// Without what a terminal would act upon.
pub(crate) fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// Rows of cells: in columns under a heading on a terminal, else with tabs and nothing else.
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>]) -> Result<()> {
    let cells = |row: &Vec<String>| row.iter().map(|cell| printable(cell)).collect::<Vec<_>>();
    let rows: String = rows.iter().map(|row| format!("{}\n", cells(row).join("\t"))).collect();
    if !io::stdout().is_terminal() {
        return write(rows.as_bytes());
    }
    let columns = columns(&format!("{}\n{rows}", heading.join("\t")))?;
    let (heading, rows) = columns.split_once('\n').unwrap_or((&columns, ""));
    let bold = anstyle::Style::new().bold();
    line(&format!("{bold}{}{bold:#}\n{}", heading.trim_end(), rows.trim_end()))
}

fn columns(text: &str) -> Result<String> {
    let mut columns = TabWriter::new(Vec::new()).padding(2);
    columns.write_all(text.as_bytes())?;
    let bytes = columns.into_inner().map_err(|error| Failure::other(error.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

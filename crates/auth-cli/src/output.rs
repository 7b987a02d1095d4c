//! Stdout: whole results, and tables for people.

use std::io::{self, IsTerminal, Write};

use auth_all::core::Body;
use tabwriter::TabWriter;

use crate::failure::{Failure, Result};

/// Writes a result in one go. Text that ends with its last line is not copied on the way.
pub(crate) fn write(result: &Body) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(result.as_ref()).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::other(format!("stdout: {error}")))
}

/// Writes a line for people.
pub(crate) fn line(line: &str) -> Result<()> {
    writeln!(anstream::stdout(), "{line}").map_err(|error| Failure::other(format!("stdout: {error}")))
}

/// Rows of cells: in columns under a heading on a terminal, else with tabs and nothing else.
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>]) -> Result<()> {
    let line = |cells: &[String]| format!("{}\n", cells.join("\t"));
    let body: String = rows.iter().map(|row| line(row)).collect();
    let mut stdout = anstream::stdout().lock();
    let written = if io::stdout().is_terminal() {
        let heading = heading.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut columns = TabWriter::new(Vec::new()).padding(2);
        columns
            .write_all(line(&heading).as_bytes())
            .and_then(|()| columns.write_all(body.as_bytes()))
            .and_then(|()| columns.into_inner().map_err(|error| io::Error::other(error.to_string())))
            .and_then(|text| {
                let text = String::from_utf8_lossy(&text).into_owned();
                let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
                let bold = anstyle::Style::new().bold();
                write!(stdout, "{bold}{}{bold:#}\n{rest}", first.trim_end())
            })
    } else {
        stdout.write_all(body.as_bytes())
    };
    written.and_then(|()| stdout.flush()).map_err(|error| Failure::other(format!("stdout: {error}")))
}

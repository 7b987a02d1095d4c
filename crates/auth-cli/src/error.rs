//! The error of a command: the lines for stderr and the exit code.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use auth_all::core::{Error, ErrorKind};

use crate::text::{next_attempt, printable, with_causes};

/// The error that ends a command.
#[derive(Debug, Clone)]
pub(crate) struct CliError {
    category: Category,
    lines: Vec<String>,
}

/// Decides the exit code.
///
/// If several accounts fail, the greatest category counts. The order puts errors that the user can fix last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Category {
    Temporary,
    Other,
    Refused,
    Usage,
    /// Occurs in `auth exec` only, and never together with another error.
    Command(u8),
}

pub(crate) type Result<T> = std::result::Result<T, CliError>;

impl CliError {
    fn new(category: Category, text: &str) -> Self {
        Self { category, lines: vec![printable(text)] }
    }

    /// Creates an error of the command line or of a setting.
    pub(crate) fn usage(text: impl AsRef<str>) -> Self {
        Self::new(Category::Usage, text.as_ref())
    }

    /// Creates an error that may pass if the command is run again later.
    pub(crate) fn temporary(text: impl AsRef<str>) -> Self {
        Self::new(Category::Temporary, text.as_ref())
    }

    /// Creates an error that fits no other category.
    pub(crate) fn other(text: impl AsRef<str>) -> Self {
        Self::new(Category::Other, text.as_ref())
    }

    /// Creates the error of a command that `auth exec` cannot run, with the exit code that shells use.
    pub(crate) fn command(code: u8, text: impl AsRef<str>) -> Self {
        Self::new(Category::Command(code), text.as_ref())
    }

    /// Creates the error of a failed login that is not attempted again before `retry_at`.
    pub(crate) fn login(error: &Error, retry_at: Option<SystemTime>) -> Self {
        let mut text = with_causes(error);
        // An error that knows its next attempt already says so in its message.
        if let Some(at) = retry_at.filter(|_| error.retry_at().is_none()) {
            text.push_str(&next_attempt(at));
        }
        Self::new(Category::of(error), &text)
    }

    /// Adds a line of advice if the network may have caused the error.
    pub(crate) fn with_network_advice(self, advice: &str) -> Self {
        if matches!(self.category, Category::Temporary | Category::Other) { self.with_advice(advice) } else { self }
    }

    /// Adds a line of advice.
    pub(crate) fn with_advice(mut self, advice: &str) -> Self {
        self.lines.push(printable(advice));
        self
    }

    /// Prefixes the first line with the account, file or setting that the error is about.
    pub(crate) fn in_context(mut self, context: &str) -> Self {
        if let Some(first) = self.lines.first_mut() {
            *first = format!("{}: {first}", printable(context));
        }
        self
    }

    /// Returns all values, or one error with the lines of all errors.
    pub(crate) fn collect<T>(results: impl IntoIterator<Item = Result<T>>) -> Result<Vec<T>> {
        let mut values = Vec::new();
        let mut combined = None::<Self>;
        for result in results {
            match (result, &mut combined) {
                (Ok(value), _) => values.push(value),
                (Err(error), None) => combined = Some(error),
                (Err(error), Some(combined)) => {
                    combined.category = combined.category.max(error.category);
                    combined.lines.extend(error.lines);
                }
            }
        }
        combined.map_or(Ok(values), Err)
    }

    /// Drops the lines and keeps the exit code, for an error that has been printed already.
    pub(crate) fn without_text(self) -> Self {
        Self { lines: Vec::new(), ..self }
    }

    /// Returns the first line.
    pub(crate) fn text(&self) -> &str {
        self.lines.first().map_or("", String::as_str)
    }

    /// Prints the lines to stderr and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        for line in &self.lines {
            // If stderr is closed, the exit code still reports the error.
            let _ = writeln!(io::stderr(), "auth: {line}");
        }
        ExitCode::from(match self.category {
            Category::Temporary => 75,
            Category::Other => 1,
            Category::Refused => 4,
            Category::Usage => 2,
            Category::Command(code) => code,
        })
    }
}

impl Category {
    fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Misconfigured => Self::Usage,
            ErrorKind::Refused => Self::Refused,
            _ if error.is_transient() => Self::Temporary,
            _ => Self::Other,
        }
    }
}

impl From<Error> for CliError {
    fn from(error: Error) -> Self {
        Self::new(Category::of(&error), &with_causes(&error))
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::other(error.to_string())
    }
}

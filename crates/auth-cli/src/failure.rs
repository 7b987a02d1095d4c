//! How a command fails: what is said of it, and with which exit code.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::SystemTime;

use auth_all::core::{Error, ErrorKind};

use crate::clock::stamp;

/// Says why a command ends before its end.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    class: Class,
    text: String,
}

/// In the order in which they count, where several accounts fail: what the user can mend comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Temporary,
    Other,
    Refused,
    Usage,
    /// `auth exec` alone; no other failure goes with it.
    Command(u8),
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// The command line or a setting is wrong.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { class: Class::Usage, text: text.into() }
    }

    /// It may be better in a while.
    pub(crate) fn temporary(text: impl Into<String>) -> Self {
        Self { class: Class::Temporary, text: text.into() }
    }

    pub(crate) fn other(text: impl Into<String>) -> Self {
        Self { class: Class::Other, text: text.into() }
    }

    /// A command cannot be run; by the codes of shells.
    pub(crate) fn command(code: u8, text: impl Into<String>) -> Self {
        Self { class: Class::Command(code), text: text.into() }
    }

    /// A login failed; none is tried before `retry_at`.
    pub(crate) fn login(error: &Error, retry_at: Option<SystemTime>) -> Self {
        let class = match error.kind() {
            ErrorKind::Misconfigured => Class::Usage,
            ErrorKind::Refused => Class::Refused,
            _ if error.is_transient() => Class::Temporary,
            _ => Class::Other,
        };
        let mut text = with_causes(error);
        // The error itself may say it.
        if let Some(at) = retry_at.filter(|_| error.retry_at().is_none()) {
            let _ = write!(text, "; not again before {}", stamp(at));
        }
        Self { class, text }
    }

    /// Adds in front whom it is about.
    pub(crate) fn of(mut self, account: &str) -> Self {
        self.text.insert_str(0, &format!("{account}: "));
        self
    }

    /// All results, or all failures in one.
    pub(crate) fn all<T>(results: impl IntoIterator<Item = Result<T>>) -> Result<Vec<T>> {
        let (mut done, mut failed) = (Vec::new(), None::<Self>);
        for result in results {
            match (result, &mut failed) {
                (Ok(value), _) => done.push(value),
                (Err(failure), None) => failed = Some(failure),
                (Err(failure), Some(all)) => {
                    all.class = all.class.max(failure.class);
                    let _ = write!(all.text, "\n{}", failure.text);
                }
            }
        }
        failed.map_or(Ok(done), Err)
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Says it on stderr.
    pub(crate) fn report(&self) -> ExitCode {
        for line in self.text.lines() {
            // Where stderr is gone, the exit code still tells.
            let _ = writeln!(io::stderr(), "auth: {line}");
        }
        ExitCode::from(match self.class {
            Class::Temporary => 75,
            Class::Other => 1,
            Class::Refused => 4,
            Class::Usage => 2,
            Class::Command(code) => code,
        })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::login(&error, None)
    }
}

/// An error and what lies beneath it, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let _ = write!(text, ": {cause}");
        next = cause.source();
    }
    text
}

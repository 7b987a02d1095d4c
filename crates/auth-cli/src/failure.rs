//! How a command fails: what is said of it, and with which exit code.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use auth_all::core::{Error, ErrorKind};

use crate::output::printable;

/// Says why a command ends before its end.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    class: Class,
    lines: Vec<String>,
}

/// In the order in which they count, where several accounts fail: what the user can mend counts most.
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
    fn new(class: Class, text: &str) -> Self {
        Self { class, lines: vec![printable(text)] }
    }

    /// The command line or a setting is wrong.
    pub(crate) fn usage(text: impl AsRef<str>) -> Self {
        Self::new(Class::Usage, text.as_ref())
    }

    /// It may be better in a while.
    pub(crate) fn temporary(text: impl AsRef<str>) -> Self {
        Self::new(Class::Temporary, text.as_ref())
    }

    pub(crate) fn other(text: impl AsRef<str>) -> Self {
        Self::new(Class::Other, text.as_ref())
    }

    /// A command cannot be run; by the codes of shells.
    pub(crate) fn command(code: u8, text: impl AsRef<str>) -> Self {
        Self::new(Class::Command(code), text.as_ref())
    }

    /// A login failed, and none is tried before `retry_at`.
    pub(crate) fn login(error: &Error, retry_at: Option<SystemTime>) -> Self {
        // The error may say it itself.
        let wait = retry_at.filter(|_| error.retry_at().is_none()).map(wait_until);
        Self::new(Class::of(error), &(with_causes(error) + &wait.unwrap_or_default()))
    }

    /// Adds a line that helps where the network may be at fault.
    pub(crate) fn with_hint(self, hint: &str) -> Self {
        if matches!(self.class, Class::Temporary | Class::Other) { self.with_advice(hint) } else { self }
    }

    /// Adds a line that helps.
    pub(crate) fn with_advice(mut self, advice: &str) -> Self {
        self.lines.push(printable(advice));
        self
    }

    /// Adds in front whom it is about.
    pub(crate) fn of(mut self, whom: &str) -> Self {
        if let Some(first) = self.lines.first_mut() {
            *first = format!("{}: {first}", printable(whom));
        }
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
                    all.lines.extend(failure.lines);
                }
            }
        }
        failed.map_or(Ok(done), Err)
    }

    /// The exit code alone, for what was said already.
    pub(crate) fn silent(self) -> Self {
        Self { lines: Vec::new(), ..self }
    }

    /// What is said first.
    pub(crate) fn text(&self) -> &str {
        self.lines.first().map_or("", String::as_str)
    }

    /// Says it on stderr.
    pub(crate) fn report(&self) -> ExitCode {
        for line in &self.lines {
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

impl Class {
    fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Misconfigured => Self::Usage,
            ErrorKind::Refused => Self::Refused,
            _ if error.is_transient() => Self::Temporary,
            _ => Self::Other,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(Class::of(&error), &with_causes(&error))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::other(error.to_string())
    }
}

/// In the words of the library's errors.
pub(crate) fn wait_until(at: SystemTime) -> String {
    let wait = at.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO);
    format!("; next attempt in {} s", wait.as_secs_f64().ceil())
}

/// An error and what lies beneath it, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

//! Processes that share a store, and what is counted of them.

use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Longer than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(120);

/// What all processes of a fleet have in common.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// The program `fleet-worker`.
    pub program: &'static str,
    /// The provider's name.
    pub provider: &'static str,
    /// `redis`, `file` or `none`.
    pub store: &'static str,
    /// How long a login may take.
    pub deadline: Duration,
    /// The settings of provider and store.
    pub env: Vec<(String, String)>,
}

/// One process.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

/// What a worker got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The token, or why there is none.
    pub result: Result<String, String>,
    /// How long the call took.
    pub took: Duration,
}

impl Fleet {
    /// The same fleet with one setting more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts a process, and waits until it can be asked.
    ///
    /// # Panics
    /// Where it does not start.
    pub async fn start(&self) -> Worker {
        self.start_at(0).await
    }

    /// Starts a process whose wall clock is so many seconds off.
    ///
    /// # Panics
    /// Where it does not start.
    pub async fn start_at(&self, clock: i64) -> Worker {
        let mut worker = self.spawn(clock);
        assert_eq!(worker.line().await, "ready");
        worker
    }

    /// Starts so many processes at once.
    ///
    /// # Panics
    /// Where one does not start.
    pub async fn start_many(&self, count: usize) -> Vec<Worker> {
        let mut workers: Vec<_> = (0..count).map(|_| self.spawn(0)).collect();
        for worker in &mut workers {
            assert_eq!(worker.line().await, "ready");
        }
        workers
    }

    fn spawn(&self, clock: i64) -> Worker {
        // The store and the API of a fleet have machines of their own; here they have precedence. `nice` becomes the worker.
        let child = Command::new("nice")
            .args(["-n", "19", self.program])
            .args([self.provider, self.store, &self.deadline.as_millis().to_string(), &clock.to_string()])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = child.unwrap_or_else(|error| panic!("the worker does not start: {error}"));
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            panic!("the worker has no pipes");
        };
        Worker { child, stdin, stdout: BufReader::new(stdout).lines() }
    }
}

impl Worker {
    /// Tells it to do something.
    ///
    /// # Panics
    /// Where it is gone.
    pub async fn tell(&mut self, command: &str) {
        let sent = self.stdin.write_all(format!("{command}\n").as_bytes()).await;
        assert!(sent.is_ok(), "the worker is gone");
    }

    /// Waits for its answer.
    ///
    /// # Panics
    /// Where there is none within two minutes.
    pub async fn answer(&mut self) -> Answer {
        let line = self.line().await;
        let mut words = line.splitn(3, ' ');
        let (kind, took, rest) = (words.next(), words.next(), words.next().unwrap_or_default().to_owned());
        let took = Duration::from_millis(took.and_then(|took| took.parse().ok()).unwrap_or_default());
        let result = if kind == Some("ok") { Ok(rest) } else { Err(rest) };
        Answer { result, took }
    }

    /// Tells, and waits.
    ///
    /// # Panics
    /// As [`answer`](Self::answer).
    pub async fn ask(&mut self, command: &str) -> Answer {
        self.tell(command).await;
        self.answer().await
    }

    /// Kills it (`SIGKILL`).
    pub async fn kill(mut self) {
        let _ = self.child.kill().await;
    }

    async fn line(&mut self) -> String {
        match tokio::time::timeout(TIMEOUT, self.stdout.next_line()).await {
            Ok(Ok(Some(line))) => line,
            other => panic!("the worker does not answer: {other:?}"),
        }
    }
}

/// Asks all at once, and gives all answers.
///
/// # Panics
/// As [`Worker::answer`].
pub async fn ask_all(workers: &mut [Worker], command: &str) -> Vec<Answer> {
    for worker in &mut *workers {
        worker.tell(command).await;
    }
    let mut answers = Vec::new();
    for worker in workers {
        answers.push(worker.answer().await);
    }
    answers
}

/// What a proof found, as a row of a table.
#[derive(Debug, Default)]
pub struct Row {
    what: String,
    /// How often it was done.
    pub rounds: usize,
    /// Logins and refreshes that the server saw.
    pub logins: u64,
    errors: usize,
    longest: Duration,
}

impl Row {
    /// Starts with nothing counted.
    #[must_use]
    pub fn new(what: &str) -> Self {
        Self { what: what.to_owned(), ..Self::default() }
    }

    /// Counts what callers got.
    pub fn count<'a>(&mut self, answers: impl IntoIterator<Item = &'a Answer>) {
        for answer in answers {
            self.errors += usize::from(answer.result.is_err());
            self.longest = self.longest.max(answer.took);
        }
    }

    /// The longest that a caller waited.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// Shows the row, which is for people, and checks that no caller saw an error.
    ///
    /// # Panics
    /// Where one did.
    pub fn report(&self) {
        println!("{self}");
        assert_eq!(self.errors, 0, "{self}");
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, rounds, logins, errors, longest } = self;
        write!(f, "| {what} | {rounds} | {logins} | {errors} | {} ms |", longest.as_millis())
    }
}

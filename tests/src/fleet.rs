//! Processes that share a store, and a summary of how their calls went.

use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Longer than any step of these tests takes.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The settings that all processes of a fleet share.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// The path of the program `fleet-worker`.
    pub program: &'static str,
    /// The provider's name.
    pub provider: &'static str,
    /// The store: `redis`, `file` or `none`.
    pub store: &'static str,
    /// The deadline of a login.
    pub deadline: Duration,
    /// The environment variables that configure the provider and the store.
    pub env: Vec<(String, String)>,
}

/// One process of a fleet.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

/// A worker's response to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerResponse {
    /// The token, or the error's text.
    pub result: Result<String, String>,
    /// The duration of the call.
    pub duration: Duration,
}

impl Fleet {
    /// Adds an environment variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts a process and waits until it accepts commands.
    ///
    /// # Panics
    /// Panics if it does not start.
    pub async fn start(&self) -> Worker {
        self.start_with_clock_offset(0).await
    }

    /// Starts a process whose wall clock is off by `clock_offset` seconds.
    ///
    /// # Panics
    /// Panics if it does not start.
    pub async fn start_with_clock_offset(&self, clock_offset: i64) -> Worker {
        let mut worker = self.spawn(clock_offset);
        assert_eq!(worker.line().await, "ready");
        worker
    }

    /// Starts `count` processes at the same time.
    ///
    /// # Panics
    /// Panics if one does not start.
    pub async fn start_many(&self, count: usize) -> Vec<Worker> {
        let mut workers: Vec<_> = (0..count).map(|_| self.spawn(0)).collect();
        for worker in &mut workers {
            assert_eq!(worker.line().await, "ready");
        }
        workers
    }

    fn spawn(&self, clock_offset: i64) -> Worker {
        // A real fleet does not share its cores with the store and the API. Workers run at the lowest priority here, so
        // that the store and the sandbox get a core first. `nice` replaces itself with the worker (same process id).
        let child = Command::new("nice")
            .args(["-n", "19", self.program])
            .args([self.provider, self.store, &self.deadline.as_millis().to_string(), &clock_offset.to_string()])
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
    /// Sends a command without waiting for the response.
    ///
    /// # Panics
    /// Panics if the process has ended.
    pub async fn send(&mut self, command: &str) {
        let sent = self.stdin.write_all(format!("{command}\n").as_bytes()).await;
        assert!(sent.is_ok(), "the worker has ended");
    }

    /// Waits for the response to the last command.
    ///
    /// # Panics
    /// Panics if there is no response within two minutes.
    pub async fn response(&mut self) -> WorkerResponse {
        let line = self.line().await;
        let mut words = line.splitn(3, ' ');
        let kind = words.next();
        let millis = words.next().and_then(|millis| millis.parse().ok());
        let rest = words.next().unwrap_or_default().to_owned();
        let result = if kind == Some("ok") { Ok(rest) } else { Err(rest) };
        WorkerResponse { result, duration: Duration::from_millis(millis.unwrap_or_default()) }
    }

    /// Sends a command and waits for the response.
    ///
    /// # Panics
    /// Panics in the same cases as [`response`](Self::response).
    pub async fn request(&mut self, command: &str) -> WorkerResponse {
        self.send(command).await;
        self.response().await
    }

    /// Kills the process with `SIGKILL`.
    pub async fn kill(mut self) {
        let _ = self.child.kill().await;
    }

    async fn line(&mut self) -> String {
        match tokio::time::timeout(TIMEOUT, self.stdout.next_line()).await {
            Ok(Ok(Some(line))) => line,
            other => panic!("no response from the worker: {other:?}"),
        }
    }
}

/// Sends a command to all workers at the same time and returns their responses in the same order.
///
/// # Panics
/// Panics in the same cases as [`Worker::response`].
pub async fn request_all(workers: &mut [Worker], command: &str) -> Vec<WorkerResponse> {
    for worker in &mut *workers {
        worker.send(command).await;
    }
    let mut responses = Vec::new();
    for worker in workers {
        responses.push(worker.response().await);
    }
    responses
}

/// The figures of one scenario, printed as a row of a Markdown table.
#[derive(Debug, Default)]
pub struct Summary {
    scenario: String,
    /// How often the scenario was run.
    pub rounds: usize,
    /// Logins and refreshes that reached the server.
    pub logins: u64,
    errors: usize,
    longest_wait: Duration,
}

impl Summary {
    /// Creates an empty summary.
    #[must_use]
    pub fn new(scenario: &str) -> Self {
        Self { scenario: scenario.to_owned(), ..Self::default() }
    }

    /// Adds responses to the figures.
    pub fn add<'a>(&mut self, responses: impl IntoIterator<Item = &'a WorkerResponse>) {
        for response in responses {
            self.errors += usize::from(response.result.is_err());
            self.longest_wait = self.longest_wait.max(response.duration);
        }
    }

    /// Returns the longest time that a caller waited.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        self.longest_wait
    }

    /// Prints the row and checks that no caller got an error.
    ///
    /// # Panics
    /// Panics if a caller got an error.
    pub fn report(&self) {
        println!("{self}");
        assert_eq!(self.errors, 0, "{self}");
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, rounds, logins, errors, longest_wait } = self;
        write!(f, "| {scenario} | {rounds} | {logins} | {errors} | {} ms |", longest_wait.as_millis())
    }
}

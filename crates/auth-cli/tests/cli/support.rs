//! Runs the real program with its own home directory and a sandbox.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use auth_sandbox::Sandbox;
use tempfile::TempDir;

/// The longest time that a test waits for a program to exit.
const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) struct Home {
    dir: TempDir,
    pub(crate) sandbox: Sandbox,
    env: Vec<(String, String)>,
}

/// The exit code and the output of a finished program.
#[derive(Debug)]
pub(crate) struct RunResult {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    /// Creates a home whose environment has the sandbox's settings.
    pub(crate) fn new() -> Self {
        let mut home = Self::bare();
        home.env = home.sandbox.env().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        home
    }

    /// Creates a home whose environment has no settings.
    pub(crate) fn bare() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), sandbox: Sandbox::start().unwrap(), env: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Returns the value with which the sandbox accepts a login, by the name of its variable.
    pub(crate) fn setting(&self, name: &str) -> String {
        self.sandbox.env().into_iter().find(|(known, _)| *known == name).unwrap().1
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.path().join(".cache/auth")
    }

    /// Returns the files of the cached entries.
    pub(crate) fn entries(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.cache()).unwrap().map(|file| file.unwrap().path());
        files.filter(|file| file.extension().is_some_and(|extension| extension == "json")).collect()
    }

    /// Writes the config file.
    pub(crate) fn configure(&self, text: &str, mode: u32) {
        let directory = self.path().join(".config/auth");
        fs::create_dir_all(&directory).unwrap();
        let file = directory.join("config.toml");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Returns a program with the environment of this home and nothing else.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(self.variables()).stdin(Stdio::null());
        command
    }

    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let mut variables = self.env.clone();
        variables.push(("HOME".into(), self.path().display().to_string()));
        variables.push(("PATH".into(), std::env::var("PATH").unwrap()));
        variables
    }

    pub(crate) fn auth(&self, arguments: &[&str]) -> Command {
        self.command(PROGRAM, arguments)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> RunResult {
        self.auth(arguments).output().unwrap().into()
    }

    /// Runs a script in sh, in which `auth` is the program.
    pub(crate) fn sh(&self, script: &str) -> RunResult {
        let script = format!("auth() {{ {PROGRAM} \"$@\"; }}\n{script}");
        self.command("sh", &["-c", &script]).output().unwrap().into()
    }

    pub(crate) fn run_with_stdin(&self, arguments: &[&str], stdin: &str) -> RunResult {
        let mut command = self.auth(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    }
}

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_auth");

impl From<Output> for RunResult {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl RunResult {
    /// Returns the only line on stdout. Panics if the program failed or printed anything else.
    pub(crate) fn stdout_line(&self) -> &str {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{self:?}");
        let line = self.stdout.strip_suffix('\n').unwrap();
        assert!(!line.contains('\n'), "{self:?}");
        line
    }

    /// Panics if the program failed or printed anything.
    pub(crate) fn assert_silent(&self) {
        assert_eq!((self.code, self.stdout.as_str(), self.stderr.as_str()), (0, "", ""), "{self:?}");
    }

    /// Returns stderr. Panics if the exit code is another one, or if stdout is not empty.
    pub(crate) fn failed(&self, code: i32) -> &str {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        &self.stderr
    }
}

/// A server in the foreground, which is killed at the end of the test.
pub(crate) struct Server {
    child: Child,
    pub(crate) lines: Vec<String>,
    stderr: Arc<Mutex<String>>,
}

impl Server {
    /// Starts a server and reads this number of lines from its stdout.
    pub(crate) fn start(command: &mut Command, lines: usize) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let lines = (0..lines).map(|_| stdout.next().expect("a line").unwrap()).collect();
        let pipe = BufReader::new(child.stderr.take().unwrap());
        let stderr = Arc::new(Mutex::new(String::new()));
        let shared = stderr.clone();
        thread::spawn(move || {
            pipe.lines().map_while(Result::ok).for_each(|line| shared.lock().unwrap().push_str(&(line + "\n")))
        });
        Self { child, lines, stderr }
    }

    /// Returns the output on stderr so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    pub(crate) fn signal(&self, name: &str) {
        send_signal(self.child.id(), name);
    }

    /// Waits until the server exits. Returns as [`wait_for_exit`] does.
    pub(crate) fn end(&mut self) -> i32 {
        wait_for_exit(&mut self.child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn send_signal(pid: u32, signal: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -s {signal} {pid}")]).status().unwrap();
    assert!(sent.success());
}

/// Waits until a process exits. Returns its exit code, or the negative number of the signal that killed it.
pub(crate) fn wait_for_exit(child: &mut Child) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    let start = Instant::now();
    while start.elapsed() < TIMEOUT {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or_else(|| -status.signal().unwrap());
        }
        thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    panic!("the program does not exit");
}

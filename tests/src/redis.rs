//! A Redis of a test's own: on loopback, in a directory of its own, ended with the value.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use left_out::{has_program, left_out};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const PROGRAM: &str = "redis-server";

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    port: u16,
    options: Vec<String>,
    dir: TempDir,
}

impl RedisServer {
    /// Starts one, or returns `None` and says so on stderr if there is no `redis-server` on this machine.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts one with options of its command line, where `{port}` stands for its port.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with(options: &[&str]) -> Option<Self> {
        if !has_program(PROGRAM) {
            left_out("the tests that need Redis", "no redis-server on the path; `cargo xtask test` installs it");
            return None;
        }
        let (Ok(dir), Some(port)) = (tempfile::tempdir(), free_port()) else {
            panic!("no directory or no port");
        };
        let options: Vec<_> = options.iter().map(|option| option.replace("{port}", &port.to_string())).collect();
        let child = spawn(port, &options, &dir);
        Some(Self { child, port, options, dir })
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Lets it hang: connections are taken by the system, and nothing is answered.
    ///
    /// # Panics
    /// Where the process is gone.
    pub fn hang(&self) {
        self.signal(Signal::STOP);
    }

    /// Ends a hang.
    ///
    /// # Panics
    /// Where the process is gone.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Stops it.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again, empty, on the same port.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn restart(&mut self) {
        self.stop();
        self.child = spawn(self.port, &self.options, &self.dir);
    }

    /// The directory where it dumps.
    #[must_use]
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        assert!(pid.is_some_and(|pid| kill_process(pid, signal).is_ok()), "the server is gone");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(port: u16, options: &[String], dir: &TempDir) -> Child {
    // In a fleet it has a machine of its own; here it has precedence, where that is allowed. `nice` becomes the server.
    let mut command = Command::new("nice");
    command.args(["-n", "-19", PROGRAM]);
    // A file of settings comes first.
    command.args(options.first().filter(|option| option.ends_with(".conf")));
    command.args(["--bind", "127.0.0.1", "--save", "", "--dir"]).arg(dir.path());
    if !options.iter().any(|option| option == "--port") {
        command.arg("--port").arg(port.to_string());
    }
    let options = options.iter().filter(|option| !option.ends_with(".conf"));
    let child = command.args(options).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = child else { panic!("no `nice` on the path") };
    let start = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        let is_gone = matches!(child.try_wait(), Ok(Some(_)));
        assert!(!is_gone && start.elapsed() < Duration::from_secs(10), "{PROGRAM} does not start");
        thread::sleep(Duration::from_millis(10));
    }
    child
}

/// A port that was free a moment ago.
#[must_use]
pub fn free_port() -> Option<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    listener.local_addr().ok().map(|address| address.port())
}

//! A Redis server for one test, on loopback and in a temporary directory. It stops when the value is dropped.

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
    /// Starts a server. Without `redis-server` on this machine, reports that on stderr and returns `None`.
    ///
    /// # Panics
    /// Panics if the server does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts a server with these command line options. `{port}` in an option is replaced with the port.
    ///
    /// # Panics
    /// Panics if the server does not start.
    #[must_use]
    pub fn start_with(options: &[&str]) -> Option<Self> {
        if !has_program(PROGRAM) {
            left_out("the tests that need Redis", "no redis-server on the path; `cargo xtask test` installs it");
            return None;
        }
        let (Ok(dir), Some(port)) = (tempfile::tempdir(), free_port()) else {
            panic!("no temporary directory or no free port");
        };
        let options: Vec<_> = options.iter().map(|option| option.replace("{port}", &port.to_string())).collect();
        let child = spawn(port, &options, &dir);
        Some(Self { child, port, options, dir })
    }

    /// Returns the port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Suspends the process: the system still accepts connections, but nothing responds.
    ///
    /// # Panics
    /// Panics if the process has ended.
    pub fn suspend(&self) {
        self.signal(Signal::STOP);
    }

    /// Resumes a suspended process.
    ///
    /// # Panics
    /// Panics if the process has ended.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Stops the server.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Restarts the server on the same port, without its data.
    ///
    /// # Panics
    /// Panics if the server does not start.
    pub fn restart(&mut self) {
        self.stop();
        self.child = spawn(self.port, &self.options, &self.dir);
    }

    /// Returns the directory into which it writes `dump.rdb`.
    #[must_use]
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        assert!(pid.is_some_and(|pid| kill_process(pid, signal).is_ok()), "the server has ended");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(port: u16, options: &[String], dir: &TempDir) -> Child {
    // In a real fleet, Redis does not share its cores with the clients, so it gets the highest priority here. Without
    // the right to do that, `nice` only warns. `nice` replaces itself with the server (same process id).
    let mut command = Command::new("nice");
    command.args(["-n", "-19", PROGRAM]);
    // Redis accepts a configuration file only as its first argument.
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
        let has_ended = matches!(child.try_wait(), Ok(Some(_)));
        assert!(!has_ended && start.elapsed() < Duration::from_secs(10), "{PROGRAM} does not start");
        thread::sleep(Duration::from_millis(10));
    }
    child
}

/// Returns a port that was free a moment ago.
#[must_use]
pub fn free_port() -> Option<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    listener.local_addr().ok().map(|address| address.port())
}

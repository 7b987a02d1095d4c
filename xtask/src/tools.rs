//! Finds or installs what the checks need: programs, cargo tools and compilers.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::run::{Result, output, run, succeeds};

/// A program of the operating system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// The package that contains it, on Debian and its derivatives.
    pub(crate) package: &'static str,
    /// The service that the package starts, which is stopped again.
    pub(crate) service: Option<&'static str>,
}

impl Program {
    pub(crate) const fn new(name: &'static str, package: &'static str) -> Self {
        Self { name, package, service: None }
    }

    pub(crate) const fn with_service(mut self, service: &'static str) -> Self {
        self.service = Some(service);
        self
    }
}

/// Installs the packages of the programs that are missing.
///
/// # Errors
/// The error names the missing programs, the reason, and the command that installs them.
pub(crate) fn install_missing(programs: &[Program]) -> Result<()> {
    let missing: Vec<_> = programs.iter().filter(|program| find(program.name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|program| program.name).collect();
    let packages: Vec<_> = missing.iter().map(|program| program.package).collect();
    let (names, advice) = (names.join(", "), format!("install with: apt-get install {}", packages.join(" ")));
    let installer = Installer::get().ok_or_else(|| format!("{names} not found ({}); {advice}", Installer::WHY_NOT))?;
    println!("installing {}", packages.join(", "));
    installer
        .install(&packages)
        .map_err(|error| format!("{names} not found, and the installation failed: {error}; {advice}"))?;
    for service in missing.iter().filter_map(|program| program.service) {
        // The tests start their own server on a free port.
        let _ = installer.as_root("service").args([service, "stop"]).output();
    }
    match missing.iter().find(|program| find(program.name).is_none()) {
        Some(program) => Err(format!("the package {} has no program {}", program.package, program.name).into()),
        None => Ok(()),
    }
}

/// Returns the path of a program in `PATH`.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// `apt-get`, if the current user can install packages without a password.
#[derive(Debug, Clone, Copy)]
struct Installer {
    is_root: bool,
}

impl Installer {
    const WHY_NOT: &str = "cannot install it: needs apt-get, and root or sudo without a password";

    fn get() -> Option<Self> {
        find("apt-get")?;
        let is_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
        let may_install = is_root || succeeds(Command::new("sudo").args(["-n", "true"]).stdin(Stdio::null()));
        may_install.then_some(Self { is_root })
    }

    fn as_root(self, program: &str) -> Command {
        if self.is_root {
            return Command::new(program);
        }
        let mut command = Command::new("sudo");
        command.args(["-n", program]);
        command
    }

    fn install(self, packages: &[&str]) -> Result<()> {
        static UPDATED: OnceLock<()> = OnceLock::new();
        if UPDATED.set(()).is_ok() {
            output(self.as_root("apt-get").args(["update", "-q"]))?;
        }
        let mut command = self.as_root("env");
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q", "--no-install-recommends"]);
        output(command.args(packages)).map(drop)
    }
}

/// Installs exactly this version of a cargo tool, unless it is already installed.
///
/// Uses a debug build, because the tools run for seconds and a release build takes minutes.
pub(crate) fn install_tool(name: &str, version: &str) -> Result<()> {
    let installed = output(Command::new("cargo").args(["install", "--list"]))?;
    if installed.lines().any(|line| line == format!("{name} v{version}:")) {
        return Ok(());
    }
    println!("installing {name} {version}");
    let mut install = Command::new("cargo");
    install.args(["install", "--quiet", "--debug", "--locked", &format!("{name}@{version}")]);
    // Linking takes half the time without debug information.
    run(install.env("CARGO_PROFILE_DEV_DEBUG", "0").env_remove("CARGO_TARGET_DIR").env_remove("CARGO_INCREMENTAL"))
}

/// Returns whether a compiler is installed. Installs it if possible.
pub(crate) fn has_compiler(name: &str) -> bool {
    succeeds(Command::new("cargo").args([&format!("+{name}"), "--version"]))
        || succeeds(Command::new("rustup").args([
            "toolchain",
            "install",
            name,
            "--profile=minimal",
            "--no-self-update",
        ]))
}

/// Returns whether a component of a compiler is installed. Installs it if possible.
pub(crate) fn has_component(compiler: &str, component: &str) -> bool {
    succeeds(Command::new("rustup").args(["component", "add", "--toolchain", compiler, component]))
}

/// Returns whether the standard library of a target is installed. Installs it if possible.
pub(crate) fn has_target(root: &Path, target: &str) -> bool {
    succeeds(Command::new("rustup").args(["target", "add", target]).current_dir(root))
}

//! Measures what the crates cost their users: crates in the tree, cold build time and program size.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::run::{Result, cargo, output, run};

const START: &str = "<!-- footprint: written by `cargo xtask footprint` -->";
const END: &str = "<!-- footprint ends -->";

/// The number of builds. The fastest one counts, because other load on the machine can only slow a build down.
const ROUNDS: usize = 2;

/// A small program to measure.
struct Subject {
    name: &'static str,
    dependencies: &'static str,
    code: &'static str,
}

/// The others are compared with the first.
const SUBJECTS: [Subject; 4] = [
    Subject {
        name: "bare reqwest, with the same TLS",
        dependencies: r#"reqwest = { version = "0.13.4", default-features = false, features = ["rustls"] }"#,
        code: r#"println!("{}", reqwest::Client::new().get("https://api.example.com").send().await.unwrap().status());"#,
    },
    Subject {
        name: "`auth-voipex`",
        dependencies: r#"auth-voipex = { path = "ROOT/crates/auth-voipex" }"#,
        code: "use auth_voipex::{TokenManager, Voipex};
    let tokens = TokenManager::new(Voipex::from_env().unwrap()).unwrap();
    println!(\"{:?}\", tokens.token().await);",
    },
    Subject {
        name: "`auth-all`, default features",
        dependencies: r#"auth-all = { path = "ROOT/crates/auth-all" }"#,
        code: "let tokens = auth_all::ProviderConfig::from_env(\"voipex\").unwrap().into_manager().unwrap();
    println!(\"{:?}\", tokens.token().await);",
    },
    Subject {
        name: "`auth-voipex` without a transport",
        dependencies: r#"auth-voipex = { path = "ROOT/crates/auth-voipex", default-features = false }"#,
        code: "use auth_voipex::core::Provider;
    println!(\"{:?}\", auth_voipex::Voipex::from_env().unwrap().login_request());",
    },
];

struct Cost {
    crates: usize,
    build: Duration,
    bytes: u64,
}

/// Measures the programs and writes the table into the README.
pub(crate) fn write(root: &Path) -> Result<()> {
    let costs = SUBJECTS.iter().map(|subject| measure(root, subject)).collect::<Result<Vec<_>>>()?;
    let table = table(&costs)?;
    let path = root.join("README.md");
    let readme = fs::read_to_string(&path)?;
    let (before, rest) = readme.split_once(START).ok_or("the README has no start mark for the table")?;
    let (_, after) = rest.split_once(END).ok_or("the README has no end mark for the table")?;
    fs::write(path, format!("{before}{START}\n\n{table}\n{END}{after}"))?;
    print!("{table}");
    Ok(())
}

/// Checks that the programs compile and that the README's table has their numbers of crates. It measures no times and no
/// sizes, which depend on the machine.
pub(crate) fn check(root: &Path) -> Result<()> {
    let readme = fs::read_to_string(root.join("README.md"))?;
    for subject in &SUBJECTS {
        let directory = tempfile::tempdir()?;
        let crates = prepare(root, subject, directory.path())?;
        run(cargo(root, &["check", "--quiet", "--offline"]).current_dir(directory.path()))?;
        let row = format!("| {} | {crates}", subject.name);
        println!("{row}");
        if !readme.lines().any(|line| line == row || line.starts_with(&format!("{row} "))) {
            return Err(format!(
                "the README's table has no row that begins with `{row}`; `cargo xtask footprint` writes it"
            )
            .into());
        }
    }
    Ok(())
}

fn table(costs: &[Cost]) -> Result<String> {
    let Some(bare) = costs.first() else { return Ok(String::new()) };
    let mut table = String::from("| program | crates | cold release build | stripped size |\n|---|---|---|---|\n");
    for (index, (subject, cost)) in SUBJECTS.iter().zip(costs).enumerate() {
        let added = cost.crates as i64 - bare.crates as i64;
        let slower = 100.0 * (cost.build.as_secs_f64() / bare.build.as_secs_f64() - 1.0);
        let compared = |text: String| if index == 0 { String::new() } else { format!(" ({text})") };
        let (crates, build) = (compared(format!("{added:+}")), compared(format!("{slower:+.0} %")));
        let (seconds, size) = (cost.build.as_secs_f64(), cost.bytes as f64 / 1e6);
        writeln!(table, "| {} | {}{crates} | {seconds:.0} s{build} | {size:.1} MB |", subject.name, cost.crates)?;
    }
    Ok(table)
}

/// Writes the program of a subject into a directory. Returns the number of crates that it depends on.
fn prepare(root: &Path, subject: &Subject, directory: &Path) -> Result<usize> {
    let path = |name: &str| directory.join(name);
    let dependencies = subject.dependencies.replace("ROOT", &root.display().to_string());
    let manifest = format!(
        "[package]\nname = \"probe\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n{dependencies}\n\
         tokio = {{ version = \"1\", features = [\"macros\", \"rt\"] }}\n\n[profile.release]\nstrip = true\n\n[workspace]\n"
    );
    fs::write(path("Cargo.toml"), manifest)?;
    fs::create_dir(path("src"))?;
    let code = format!("#[tokio::main(flavor = \"current_thread\")]\nasync fn main() {{\n    {}\n}}\n", subject.code);
    fs::write(path("src/main.rs"), code)?;
    // The same versions of dependencies as in the tests of the workspace.
    fs::copy(root.join("Cargo.lock"), path("Cargo.lock"))?;
    let tree = output(probe_cargo(directory).args([
        "tree",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]))?;
    let crates: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    // The program itself does not count.
    Ok(crates.len() - 1)
}

fn measure(root: &Path, subject: &Subject) -> Result<Cost> {
    let directory = tempfile::tempdir()?;
    let crates = prepare(root, subject, directory.path())?;
    let mut build = Duration::MAX;
    for _ in 0..ROUNDS {
        output(probe_cargo(directory.path()).arg("clean"))?;
        let start = Instant::now();
        output(probe_cargo(directory.path()).args(["build", "--release", "--offline"]))?;
        build = build.min(start.elapsed());
    }
    let program = directory.path().join("target/release/probe");
    Ok(Cost { crates, build, bytes: fs::metadata(program)?.len() })
}

/// Returns a cargo command for the program in this directory, with its own target directory, so that nothing is cached.
fn probe_cargo(directory: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(directory).env("CARGO_TARGET_DIR", directory.join("target"));
    cargo
}

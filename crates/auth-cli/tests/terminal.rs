//! On a pseudo-terminal.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::io::Read;

use pty_process::blocking::{Command, open};
use support::{Home, PROGRAM};

/// Runs it on a terminal of 120 columns; gives its exit code and all that it wrote there.
fn on_terminal(home: &Home, arguments: &[&str]) -> (i32, String) {
    let (mut terminal, its_end) = open().unwrap();
    terminal.resize(pty_process::Size::new(40, 120)).unwrap();
    let command = Command::new(PROGRAM).args(arguments).env_clear().envs(home.variables()).env("TERM", "xterm");
    let mut child = command.spawn(its_end).unwrap();
    let mut shown = Vec::new();
    // Its end is an error (EIPE's kin, EIO) on Linux.
    let _ = terminal.read_to_end(&mut shown);
    (child.wait().unwrap().code().unwrap(), String::from_utf8(shown).unwrap())
}

#[test]
fn a_token_is_a_line_there_too() {
    let home = Home::new();
    let token = home.run(&["token", "zoqq"]).line().to_owned();
    assert_eq!(on_terminal(&home, &["token", "zoqq"]), (0, format!("{token}\r\n")));
}

#[test]
fn a_command_gets_the_terminal() {
    let home = Home::new();
    let script = "test -t 0 && test -t 1 && test -t 2 && stty size && test -n \"$ZOQQ_ACCESS_TOKEN\"";
    assert_eq!(on_terminal(&home, &["exec", "zoqq", "--", "sh", "-c", script]), (0, "40 120\r\n".into()));
}

#[test]
fn tables_have_a_heading_and_colour_unless_asked_not_to() {
    let home = Home::new();
    home.run(&["token", "zoqq"]).line();
    let (code, shown) = on_terminal(&home, &["status"]);
    assert_eq!(code, 0);
    assert!(shown.starts_with("\u{1b}[1mNAME ") && !shown.contains('\t'), "{shown:?}");
    assert!(on_terminal(&home, &["check", "zoqq"]).1.contains("\u{1b}[32mok"));
    let plain = home.with("NO_COLOR", "1");
    for arguments in [&["status"][..], &["check", "zoqq"], &["--help"]] {
        let shown = on_terminal(&plain, arguments).1;
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
    assert!(on_terminal(&plain, &["status"]).1.starts_with("NAME "));
}

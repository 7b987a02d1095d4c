//! The output on a pseudo-terminal.

use std::io::Read;

use pty_process::blocking::{Command, open};

use crate::support::{Home, PROGRAM};

/// Runs the program on a terminal of 120 columns. Returns its exit code and its whole output.
fn on_terminal(home: &Home, arguments: &[&str]) -> (i32, String) {
    let (mut terminal, program_side) = open().unwrap();
    terminal.resize(pty_process::Size::new(40, 120)).unwrap();
    let command = Command::new(PROGRAM).args(arguments).env_clear().envs(home.variables()).env("TERM", "xterm");
    let mut child = command.spawn(program_side).unwrap();
    let mut output = Vec::new();
    // On Linux, reading fails with EIO after the program has closed its side.
    let _ = terminal.read_to_end(&mut output);
    (child.wait().unwrap().code().unwrap(), String::from_utf8(output).unwrap())
}

#[test]
fn a_token_is_one_line_on_a_terminal() {
    let home = Home::new();
    let token = home.run(&["token", "zoqq"]).stdout_line().to_owned();
    assert_eq!(on_terminal(&home, &["token", "zoqq"]), (0, format!("{token}\r\n")));
}

#[test]
fn the_command_of_exec_gets_the_terminal() {
    let home = Home::new();
    let script = "test -t 0 && test -t 1 && test -t 2 && stty size && test -n \"$ZOQQ_ACCESS_TOKEN\"";
    assert_eq!(on_terminal(&home, &["exec", "zoqq", "--", "sh", "-c", script]), (0, "40 120\r\n".into()));
}

#[test]
fn tables_have_a_heading_and_colour_unless_no_color_is_set() {
    let home = Home::new();
    home.run(&["token", "zoqq"]).stdout_line();
    let (code, output) = on_terminal(&home, &["status"]);
    assert_eq!(code, 0);
    assert!(output.starts_with("\u{1b}[1mNAME ") && !output.contains('\t'), "{output:?}");
    assert!(on_terminal(&home, &["check", "zoqq"]).1.contains("\u{1b}[32mok"));
    let plain = home.with("NO_COLOR", "1");
    for arguments in [&["status"][..], &["check", "zoqq"], &["--help"]] {
        let output = on_terminal(&plain, arguments).1;
        assert!(!output.contains('\u{1b}'), "{output:?}");
    }
    assert!(on_terminal(&plain, &["status"]).1.starts_with("NAME "));
}

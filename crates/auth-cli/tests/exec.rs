//! `auth exec`: a command with tokens in its environment.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use auth_sandbox::Api;
use support::{Home, PROGRAM};

#[test]
fn the_command_has_the_tokens_and_not_what_got_them() {
    let home = Home::new().with("VOIPEX_ACCESS_TOKEN", "of an earlier day").with("OTHER", "stays");
    let home = home.with("AUTH_CACHE_KEYS", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let ran = home.run(&["exec", "voipex", "zoqq", "--", "env"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let value = |name: &str| ran.stdout.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    assert_eq!(value("VOIPEX_ACCESS_TOKEN"), Some(home.run(&["token", "voipex"]).line()));
    assert_eq!(value("ZOQQ_ACCESS_TOKEN"), Some(home.run(&["token", "zoqq"]).line()));
    assert!(value("ZOQQ_ACCESS_TOKEN_EXPIRES_AT").unwrap().ends_with('Z'));
    assert_eq!(value("VOIPEX_PASSWORD"), None);
    assert_eq!(value("ZOQQ_API_KEY").map(str::to_owned), Some(home.setting("ZOQQ_API_KEY")), "its API wants it, too");
    assert_eq!(value("CAMBYOPRO_CLIENT_SECRET"), None, "nor those of others");
    assert_eq!(value("AUTH_CACHE_KEYS"), None, "what opens the cache");
    assert_eq!(value("AUTH_EXEC"), Some("voipex zoqq"));
    assert_eq!(value("OTHER"), Some("stays"));
}

#[test]
fn a_profiles_variables_are_its_names_and_what_it_refers_to_is_taken_away() {
    let home = Home::new()
        .with("DESK_PASSWORD", "x")
        .with("OTHER_PASSWORD", "x")
        .with("ZOQQ_ACCESS_TOKEN", "in place of a password");
    home.configure(
        "[profile.support-desk]\nprovider = \"voipex\"\npassword = { env = \"DESK_PASSWORD\" }\n
        [profile.odd]\nprovider = \"roecny\"\napi_key = { env = \"ZOQQ_ACCESS_TOKEN\" }\n
        [profile.other]\nprovider = \"voipex\"\npassword = { env = \"OTHER_PASSWORD\" }\n",
        0o644,
    );
    let ran = home.run(&["exec", "zoqq", "support-desk", "odd", "--", "env"]);
    let has = |start: &str| ran.stdout.lines().any(|line| line.starts_with(start));
    assert!(has("SUPPORT_DESK_ACCESS_TOKEN=eyJ") && has("SUPPORT_DESK_ACCESS_TOKEN_EXPIRES_AT=2"), "{ran:?}");
    assert!(!has("DESK_PASSWORD="), "although VOIPEX_PASSWORD counted");
    assert!(!has("OTHER_PASSWORD="), "although that profile was not asked for");
    assert!(has("ZOQQ_ACCESS_TOKEN=eyJ"), "what is taken away is not what was just set");
}

#[test]
fn the_command_takes_the_place_of_the_program_and_its_status() {
    let home = Home::new();
    let child =
        home.auth(&["exec", "zoqq", "--", "sh", "-c", "echo $$; exit 7"]).stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), pid.to_string());
    assert_eq!(output.status.code(), Some(7));
    let ran = home.sh("auth exec zoqq -- sh -c 'kill -TERM $$'; echo $?");
    assert_eq!(ran.stdout, "143\n");
    assert_eq!(home.sh("echo in | auth exec zoqq -- cat").stdout, "in\n");
    let cut = home.sh("{ auth exec zoqq -- yes; echo $? >&2; } | head -n 1");
    assert_eq!((cut.stdout.as_str(), cut.stderr.as_str()), ("y\n", "141\n"), "a closed pipe ends the command as ever");
}

#[test]
fn what_cannot_be_run_has_the_codes_of_shells() {
    let home = Home::new();
    let script = home.path().join("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(home.run(&["exec", "zoqq", "--", script.to_str().unwrap()]).failed(126).contains("script cannot be run"));
    assert!(home.run(&["exec", "zoqq", "--", "no-such-command"]).failed(127).contains("no-such-command"));
}

#[test]
fn without_a_token_nothing_is_run() {
    let home = Home::new().with("ROECNY_API_KEY", "wrong");
    home.run(&["exec", "zoqq", "roecny", "--", "echo", "ran"]).failed(4);
    home.run(&["exec", "zoqq"]).failed(2);
    home.run(&["exec", "--", "echo", "ran"]).failed(2);
}

#[test]
fn nesting_and_two_accounts_of_one_variable_are_refused() {
    let home = Home::new();
    let nested = home.run(&["exec", "zoqq", "--", PROGRAM, "exec", "voipex", "--", "echo", "ran"]);
    assert!(nested.failed(2).contains("within `auth exec zoqq`"));
    home.configure("[profile.a-b]\nprovider = \"zoqq\"\n[profile.a_b]\nprovider = \"zoqq\"\n", 0o644);
    assert!(home.run(&["exec", "a-b", "a_b", "--", "echo", "ran"]).failed(2).contains("A_B_ACCESS_TOKEN"));
    assert!(home.run(&["exec", "zoqq", "zoqq", "--", "echo", "ran"]).failed(2).contains("ZOQQ_ACCESS_TOKEN"));
    assert_eq!(home.sandbox.counters(Api::Voipex).requests, 0);
}

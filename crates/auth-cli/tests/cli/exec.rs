//! `auth exec`: runs a command with tokens in its environment.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use auth_sandbox::Api;

use crate::support::{Home, PROGRAM};

#[test]
fn the_command_gets_the_tokens_and_not_the_login_secrets() {
    let home = Home::new().with("VOIPEX_ACCESS_TOKEN", "of an earlier day").with("OTHER", "stays");
    let home = home.with("AUTH_CACHE_KEYS", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let result = home.run(&["exec", "voipex", "zoqq", "--", "env"]);
    assert_eq!((result.code, result.stderr.as_str()), (0, ""));
    let value = |name: &str| result.stdout.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    assert_eq!(value("VOIPEX_ACCESS_TOKEN"), Some(home.run(&["token", "voipex"]).stdout_line()));
    assert_eq!(value("ZOQQ_ACCESS_TOKEN"), Some(home.run(&["token", "zoqq"]).stdout_line()));
    assert!(value("ZOQQ_ACCESS_TOKEN_EXPIRES_AT").unwrap().ends_with('Z'));
    assert_eq!(value("VOIPEX_PASSWORD"), None);
    assert_eq!(
        value("ZOQQ_API_KEY").map(str::to_owned),
        Some(home.setting("ZOQQ_API_KEY")),
        "its API requires the key in addition to the token"
    );
    assert_eq!(value("CAMBYOPRO_CLIENT_SECRET"), None, "secrets of other providers are removed too");
    assert_eq!(value("AUTH_CACHE_KEYS"), None, "the keys of the cache are removed");
    assert_eq!(value("AUTH_EXEC"), Some("voipex zoqq"));
    assert_eq!(value("OTHER"), Some("stays"));
}

#[test]
fn a_profile_names_its_variables_and_the_secrets_that_profiles_refer_to_are_removed() {
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
    let result = home.run(&["exec", "zoqq", "support-desk", "odd", "--", "env"]);
    let has = |start: &str| result.stdout.lines().any(|line| line.starts_with(start));
    assert!(has("SUPPORT_DESK_ACCESS_TOKEN=eyJ") && has("SUPPORT_DESK_ACCESS_TOKEN_EXPIRES_AT=2"), "{result:?}");
    assert!(!has("DESK_PASSWORD="), "removed although VOIPEX_PASSWORD has precedence");
    assert!(!has("OTHER_PASSWORD="), "removed although that profile was not requested");
    assert!(has("ZOQQ_ACCESS_TOKEN=eyJ"), "secrets are removed before the tokens are set");
}

#[test]
fn the_command_replaces_the_program_and_its_exit_code_is_kept() {
    let home = Home::new();
    let child =
        home.auth(&["exec", "zoqq", "--", "sh", "-c", "echo $$; exit 7"]).stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), pid.to_string());
    assert_eq!(output.status.code(), Some(7));
    let result = home.sh("auth exec zoqq -- sh -c 'kill -TERM $$'; echo $?");
    assert_eq!(result.stdout, "143\n");
    assert_eq!(home.sh("echo in | auth exec zoqq -- cat").stdout, "in\n");
    let closed = home.sh("{ auth exec zoqq -- yes; echo $? >&2; } | head -n 1");
    assert_eq!(
        (closed.stdout.as_str(), closed.stderr.as_str()),
        ("y\n", "141\n"),
        "a closed pipe ends the command as usual"
    );
}

#[test]
fn a_command_that_cannot_be_run_gives_the_exit_codes_of_shells() {
    let home = Home::new();
    let script = home.path().join("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(home.run(&["exec", "zoqq", "--", script.to_str().unwrap()]).failed(126).contains("script cannot be run"));
    assert!(home.run(&["exec", "zoqq", "--", "no-such-command"]).failed(127).contains("no-such-command"));
}

#[test]
fn without_a_token_the_command_is_not_run() {
    let home = Home::new().with("ROECNY_API_KEY", "wrong");
    home.run(&["exec", "zoqq", "roecny", "--", "echo", "ran"]).failed(4);
    home.run(&["exec", "zoqq"]).failed(2);
    home.run(&["exec", "--", "echo", "ran"]).failed(2);
}

#[test]
fn nesting_and_two_accounts_with_the_same_variable_are_refused() {
    let home = Home::new();
    let nested = home.run(&["exec", "zoqq", "--", PROGRAM, "exec", "voipex", "--", "echo", "ran"]);
    assert!(nested.failed(2).contains("running in `auth exec zoqq`"));
    home.configure("[profile.a-b]\nprovider = \"zoqq\"\n[profile.a_b]\nprovider = \"zoqq\"\n", 0o644);
    assert!(home.run(&["exec", "a-b", "a_b", "--", "echo", "ran"]).failed(2).contains("A_B_ACCESS_TOKEN"));
    assert!(home.run(&["exec", "zoqq", "zoqq", "--", "echo", "ran"]).failed(2).contains("ZOQQ_ACCESS_TOKEN"));
    assert_eq!(home.sandbox.counters(Api::Voipex).requests, 0);
}

//! Profiles of the config file, and the settings with precedence over them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use auth_sandbox::{Api, CLIENT_ID, CLIENT_SECRET, PASSWORD, USERNAME};

use crate::support::{Home, RunResult};

/// Returns a profile of Voipex with this value of `password`.
fn voipex(home: &Home, password: &str) -> String {
    let base_url = home.sandbox.base_url(Api::Voipex);
    format!("provider = \"voipex\"\nbase_url = \"{base_url}\"\nusername = \"{USERNAME}\"\npassword = {password}\n")
}

fn token(home: &Home, profile: &str) -> RunResult {
    home.run(&["token", profile, "--format", "json"])
}

#[test]
fn a_secret_can_be_a_reference() {
    let home = Home::bare().with("DESK_PASSWORD", PASSWORD);
    fs::write(home.path().join("key"), format!("{PASSWORD}\n")).unwrap();
    fs::create_dir_all(home.path().join(".config/auth")).unwrap();
    fs::write(home.path().join(".config/auth/key"), PASSWORD).unwrap();
    let references = [
        "{ env = \"DESK_PASSWORD\" }".to_owned(),
        format!("{{ file = \"{}\" }}", home.path().join("key").display()),
        "{ file = \"~/key\" }".to_owned(),
        "{ file = \"key\" }".to_owned(),
        format!("{{ command = [\"echo\", \"{PASSWORD}\"] }}"),
    ];
    for reference in references {
        home.configure(&format!("[profile.desk]\n{}", voipex(&home, &reference)), 0o644);
        let result = token(&home, "desk");
        assert!(
            result.stdout_line().contains("\"provider\":\"voipex\",\"profile\":\"desk\""),
            "{reference}: {result:?}"
        );
    }
    assert_eq!(
        home.sandbox.counters(Api::Voipex).logins,
        1,
        "the same identity, no matter where the password is stored"
    );
}

#[test]
fn a_reference_that_cannot_be_resolved_is_named() {
    let home = Home::bare();
    let cases = [
        ("{ env = \"UNSET\" }", "the variable UNSET is unset or empty"),
        ("{ file = \"/no/such\" }", "/no/such cannot be read"),
        ("{ command = [\"no-such-program\"] }", "`no-such-program` cannot be run"),
        ("{ command = [\"false\"] }", "`false` failed"),
        ("{ command = [\"yes\"] }", "longer than 64 KiB"),
        ("{ file = \"/dev/zero\" }", "longer than 64 KiB"),
        ("{ command = [\"true\"] }", "the output of `true` is empty"),
    ];
    for (reference, expected) in cases {
        home.configure(&format!("[profile.desk]\n{}", voipex(&home, reference)), 0o644);
        let result = token(&home, "desk");
        let stderr = result.failed(2);
        assert!(stderr.contains("desk: `password`") && stderr.contains(expected), "{stderr}");
    }
    #[cfg(not(feature = "keyring"))]
    {
        home.configure(&format!("[profile.desk]\n{}", voipex(&home, "{ keyring = \"a/b\" }")), 0o644);
        assert!(token(&home, "desk").failed(2).contains("without the feature `keyring`"));
    }
}

#[test]
fn a_literal_secret_is_refused_if_other_users_can_read_the_file() {
    let home = Home::bare();
    let text = format!("[profile.desk]\n{}", voipex(&home, &format!("\"{PASSWORD}\"")));
    for mode in [0o644, 0o640, 0o604] {
        home.configure(&text, mode);
        let result = token(&home, "desk");
        let stderr = result.failed(2);
        assert!(stderr.contains("chmod 600") && !stderr.contains(PASSWORD), "{stderr}");
    }
    home.configure(&text, 0o600);
    token(&home, "desk").stdout_line();
}

#[test]
fn a_file_that_other_users_can_change_is_refused() {
    let home = Home::bare();
    for mode in [0o620, 0o602] {
        home.configure("", mode);
        assert!(home.run(&["token", "zoqq"]).failed(2).contains("chmod go-w"));
    }
}

#[test]
fn flags_override_the_environment_and_the_environment_overrides_the_profile() {
    let mut home = Home::bare();
    home.configure(
        &format!("[profile.desk]\n{}", voipex(&home, &format!("\"{PASSWORD}\""))).replace(USERNAME, "nobody"),
        0o600,
    );
    let account = |home: &Home, more: &[&str]| {
        let arguments = [&["status", "desk", "--format", "json"], more].concat();
        let result = home.run(&arguments);
        result.stdout.lines().find(|line| line.contains("\"account\"")).unwrap().trim().to_owned()
    };
    assert_eq!(account(&home, &[]), "\"account\": \"nobody\",");
    home.set("VOIPEX_USERNAME", "from-environment");
    assert_eq!(account(&home, &[]), "\"account\": \"from-environment\",");
    assert_eq!(account(&home, &["--username", USERNAME]), format!("\"account\": \"{USERNAME}\","));
    home.run(&["token", "desk", "--username", USERNAME]).stdout_line();
    home.set("VOIPEX_USERNAME", "");
    assert_eq!(account(&home, &[]), "\"account\": \"nobody\",", "an empty variable counts as unset");
    assert!(home.run(&["status", "desk", "zoqq", "--username", "x"]).failed(2).contains("one PROVIDER"));
}

#[test]
fn a_relative_path_of_a_program_starts_at_the_config_file() {
    let home = Home::bare();
    home.configure(&format!("[profile.desk]\n{}", voipex(&home, "{ command = [\"./password\"] }")), 0o644);
    let program = |directory: &std::path::Path, prints: &str| {
        let path = directory.join("password");
        fs::write(&path, format!("#!/bin/sh\necho {prints}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    program(&home.path().join(".config/auth"), PASSWORD);
    let hostile = tempfile::tempdir().unwrap();
    program(hostile.path(), "wrong");
    let result = home.auth(&["token", "desk"]).current_dir(hostile.path()).output().unwrap();
    RunResult::from(result).stdout_line();
}

#[test]
fn a_command_is_run_only_if_its_value_is_used() {
    let home = Home::bare().with("VOIPEX_PASSWORD", PASSWORD);
    let mark = home.path().join("ran");
    let command = format!("{{ command = [\"touch\", \"{}\"] }}", mark.display());
    home.configure(&format!("[profile.desk]\n{}", voipex(&home, &command)), 0o644);
    token(&home, "desk").stdout_line();
    assert!(!mark.exists());
}

#[test]
fn s10_accounts_of_one_provider_are_kept_separate() {
    let home = Home::bare();
    let base_url = home.sandbox.base_url(Api::Cambyopro);
    let profile = |name: &str, path: &str| {
        format!(
            "[profile.{name}]\nprovider = \"cambyopro\"\nbase_url = \"{base_url}\"\nclient_id = \"{CLIENT_ID}\"\n\
             client_secret = {{ file = \"{path}\" }}\n"
        )
    };
    fs::create_dir_all(home.path().join(".config/auth")).unwrap();
    fs::write(home.path().join(".config/auth/right"), CLIENT_SECRET).unwrap();
    fs::write(home.path().join(".config/auth/wrong"), "x").unwrap();
    home.configure(&(profile("one", "right") + &profile("two", "wrong")), 0o644);
    token(&home, "one").stdout_line();
    assert!(token(&home, "two").failed(4).starts_with("auth: two: cambyopro: "));
    let status = home.run(&["status"]);
    assert_eq!((status.code, status.stdout.lines().count()), (0, 2), "{status:?}");
    let rows: Vec<Vec<&str>> = status.stdout.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(
        (&rows[0][..5], &rows[1][..5]),
        (
            &["one", "cambyopro", CLIENT_ID, "profile", "cached"][..],
            &["two", "cambyopro", CLIENT_ID, "profile", "failed"][..],
        )
    );
}

#[test]
fn an_error_in_the_file_names_its_place() {
    let home = Home::bare();
    let cases = [
        ("[profile.desk]\nprovider = \"acme\"\n", "profile desk: `provider` must be one of: zoqq"),
        ("[profile.desk]\nprovider = \"voipex\"\napi_key = \"k\"\n", "voipex has no setting `api_key`"),
        ("[profile.desk]\nprovider = \"voipex\"\npassword = \"sentinel\n", "config.toml: line 3"),
        ("[profile.desk]\nprovider = \"zoqq\"\nrevision = \"sentinel\"\n", "must be one of: headers-and-scope"),
    ];
    for (text, expected) in cases {
        home.configure(text, 0o600);
        let result = token(&home, "desk");
        let stderr = result.failed(2);
        assert!(stderr.contains(expected) && !stderr.contains("sentinel"), "{text}: {stderr}");
    }
    let file = home.path().join(".config/auth/config.toml");
    fs::remove_file(&file).unwrap();
    let made = home.command("mkfifo", &[file.to_str().unwrap()]).status().unwrap();
    assert!(
        made.success() && token(&home, "desk").failed(2).contains("config.toml: cannot be opened: not a regular file")
    );
}

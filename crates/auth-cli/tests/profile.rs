//! Profiles of the config file, and what comes before them.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use auth_sandbox::{Api, CLIENT_ID, CLIENT_SECRET, PASSWORD, USERNAME};
use support::Home;

/// A profile of Voipex by this password.
fn voipex(home: &Home, password: &str) -> String {
    let base_url = home.sandbox.base_url(Api::Voipex);
    format!("provider = \"voipex\"\nbase_url = \"{base_url}\"\nusername = \"{USERNAME}\"\npassword = {password}\n")
}

fn token(home: &Home, profile: &str) -> support::Ran {
    home.run(&["token", profile, "--format", "json"])
}

#[test]
fn a_secret_is_a_reference() {
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
        let ran = token(&home, "desk");
        assert!(ran.line().contains("\"provider\":\"voipex\",\"profile\":\"desk\""), "{reference}: {ran:?}");
    }
    assert_eq!(home.sandbox.counters(Api::Voipex).logins, 1, "one identity, wherever the password is kept");
}

#[test]
fn a_reference_that_leads_nowhere_is_named() {
    let home = Home::bare();
    let cases = [
        ("{ env = \"UNSET\" }", "the variable UNSET is not set, or empty"),
        ("{ file = \"/no/such\" }", "/no/such cannot be read"),
        ("{ command = [\"no-such-program\"] }", "`no-such-program` cannot be run"),
        ("{ command = [\"false\"] }", "`false` failed"),
        ("{ command = [\"yes\"] }", "longer than 64 KiB"),
        ("{ file = \"/dev/zero\" }", "longer than 64 KiB"),
        ("{ command = [\"true\"] }", "`true` gives nothing"),
    ];
    for (reference, expected) in cases {
        home.configure(&format!("[profile.desk]\n{}", voipex(&home, reference)), 0o644);
        let ran = token(&home, "desk");
        let told = ran.failed(2);
        assert!(told.contains("desk: `password`") && told.contains(expected), "{told}");
    }
    #[cfg(not(feature = "keyring"))]
    {
        home.configure(&format!("[profile.desk]\n{}", voipex(&home, "{ keyring = \"a/b\" }")), 0o644);
        assert!(token(&home, "desk").failed(2).contains("without the feature `keyring`"));
    }
}

#[test]
fn a_literal_secret_is_for_the_owners_eyes() {
    let home = Home::bare();
    let text = format!("[profile.desk]\n{}", voipex(&home, &format!("\"{PASSWORD}\"")));
    for mode in [0o644, 0o640, 0o604] {
        home.configure(&text, mode);
        let ran = token(&home, "desk");
        let told = ran.failed(2);
        assert!(told.contains("chmod 600") && !told.contains(PASSWORD), "{told}");
    }
    home.configure(&text, 0o600);
    token(&home, "desk").line();
}

#[test]
fn a_file_that_others_can_change_is_refused() {
    let home = Home::bare();
    for mode in [0o620, 0o602] {
        home.configure("", mode);
        assert!(home.run(&["token", "zoqq"]).failed(2).contains("chmod go-w"));
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_profile() {
    let mut home = Home::bare();
    home.configure(
        &format!("[profile.desk]\n{}", voipex(&home, &format!("\"{PASSWORD}\""))).replace(USERNAME, "nobody"),
        0o600,
    );
    let who = |home: &Home, more: &[&str]| {
        let arguments = [&["status", "desk", "--format", "json"], more].concat();
        let ran = home.run(&arguments);
        ran.stdout.lines().find(|line| line.contains("\"account\"")).unwrap().trim().to_owned()
    };
    assert_eq!(who(&home, &[]), "\"account\": \"nobody\",");
    home.set("VOIPEX_USERNAME", "of-the-environment");
    assert_eq!(who(&home, &[]), "\"account\": \"of-the-environment\",");
    assert_eq!(who(&home, &["--username", USERNAME]), format!("\"account\": \"{USERNAME}\","));
    home.run(&["token", "desk", "--username", USERNAME]).line();
    home.set("VOIPEX_USERNAME", "");
    assert_eq!(who(&home, &[]), "\"account\": \"nobody\",", "an empty variable counts as unset");
    assert!(home.run(&["status", "desk", "zoqq", "--username", "x"]).failed(2).contains("one PROVIDER"));
}

#[test]
fn a_program_by_a_relative_path_lies_beside_the_file() {
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
    let ran = home.auth(&["token", "desk"]).current_dir(hostile.path()).output().unwrap();
    support::Ran::from(ran).line();
}

#[test]
fn a_command_is_run_only_where_its_value_counts() {
    let home = Home::bare().with("VOIPEX_PASSWORD", PASSWORD);
    let mark = home.path().join("ran");
    let command = format!("{{ command = [\"touch\", \"{}\"] }}", mark.display());
    home.configure(&format!("[profile.desk]\n{}", voipex(&home, &command)), 0o644);
    token(&home, "desk").line();
    assert!(!mark.exists());
}

#[test]
fn s10_accounts_of_one_provider_are_kept_apart() {
    let home = Home::bare();
    let base_url = home.sandbox.base_url(Api::Cambyopro);
    let profile = |name: &str, path: &str| {
        format!(
            "[profile.{name}]\nprovider = \"cambyopro\"\nbase_url = \"{base_url}\"\nclient_id = \"{CLIENT_ID}\"\nclient_secret = {{ file = \"{path}\" }}\n"
        )
    };
    fs::create_dir_all(home.path().join(".config/auth")).unwrap();
    fs::write(home.path().join(".config/auth/right"), CLIENT_SECRET).unwrap();
    fs::write(home.path().join(".config/auth/wrong"), "x").unwrap();
    home.configure(&(profile("one", "right") + &profile("two", "wrong")), 0o644);
    token(&home, "one").line();
    assert!(token(&home, "two").failed(4).starts_with("auth: two: cambyopro: "));
    let status = home.run(&["status"]);
    assert_eq!((status.code, status.stdout.lines().count()), (0, 2), "{status:?}");
    let words: Vec<Vec<&str>> = status.stdout.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(
        (&words[0][..5], &words[1][..5]),
        (
            &["one", "cambyopro", CLIENT_ID, "profile", "cached"][..],
            &["two", "cambyopro", CLIENT_ID, "profile", "failed"][..],
        )
    );
}

#[test]
fn what_is_wrong_in_the_file_is_told_with_its_place() {
    let home = Home::bare();
    let cases = [
        ("[profile.desk]\nprovider = \"acme\"\n", "profile desk: `provider` must be one of: zoqq"),
        ("[profile.desk]\nprovider = \"voipex\"\napi_key = \"k\"\n", "voipex has no setting `api_key`"),
        ("[profile.desk]\nprovider = \"voipex\"\npassword = \"sentinel\n", "config.toml: line 3"),
        ("[profile.desk]\nprovider = \"zoqq\"\nrevision = \"sentinel\"\n", "must be one of: headers-and-scope"),
    ];
    for (text, expected) in cases {
        home.configure(text, 0o600);
        let ran = token(&home, "desk");
        let told = ran.failed(2);
        assert!(told.contains(expected) && !told.contains("sentinel"), "{text}: {told}");
    }
    let file = home.path().join(".config/auth/config.toml");
    fs::remove_file(&file).unwrap();
    let made = home.command("mkfifo", &[file.to_str().unwrap()]).status().unwrap();
    assert!(made.success() && token(&home, "desk").failed(2).contains("config.toml: cannot be opened: it is no file"));
}

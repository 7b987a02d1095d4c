//! Runs every example and checks its output.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use auth_sandbox::{Api, Sandbox};

/// Runs an example and returns whether it succeeded, and its output. `cargo test` has built it next to this test.
fn run(name: &str, arguments: &[&str], variables: &[(&str, String)]) -> (bool, String) {
    let directory = env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples");
    let output = Command::new(directory.join(name))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().cloned())
        .output()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn demo_prints_four_logins_and_no_token() {
    let (is_ok, text) = run("demo", &[], &[]);
    assert!(is_ok, "{text}");
    let lines: Vec<_> = text.lines().skip(1).collect();
    assert_eq!(lines.len(), 4, "{text}");
    for (line, words) in lines.iter().zip([
        ["zoqq", "1800 s", "a new login"],
        ["roecny", "1800 s", "a new login"],
        ["cambyopro", "86400 s", "a new login"],
        ["voipex", "3000 s", "its refresh token"],
    ]) {
        assert!(words.iter().all(|word| line.contains(word)) && line.contains("Bearer"), "{line}");
    }
    assert!(!text.contains("atk_") && !text.contains("eyJ"), "{text}");
}

#[test]
fn one_crate_reads_its_settings_from_the_environment() {
    let sandbox = Sandbox::start().unwrap();
    let (is_ok, text) = run("one_crate", &[], &sandbox.env());
    assert!(is_ok && text.contains("profile email") && text.contains("Sensitive"), "{text}");

    let (is_ok, text) = run("one_crate", &[], &[]);
    assert!(!is_ok && text.contains("VOIPEX_USERNAME") && text.contains("VOIPEX_PASSWORD"), "{text}");
}

#[test]
fn from_config_reads_any_provider() {
    let sandbox = Sandbox::start().unwrap();
    let value = |name: &str| sandbox.env().into_iter().find(|(known, _)| *known == name).unwrap().1;
    let config = format!(
        "[calls]\nprovider = \"voipex\"\nbase_url = \"{}\"\nusername = \"{}\"\npassword = \"wrong\"\n\
         [payments]\nprovider = \"zoqq\"\nbase_url = \"{}\"\nclient_id = \"{}\"\napi_key = \"{}\"\nscope = \"r:a\"\n",
        sandbox.base_url(Api::Voipex),
        value("VOIPEX_USERNAME"),
        value("ZOQQ_BASE_URL"),
        value("ZOQQ_CLIENT_ID"),
        value("ZOQQ_API_KEY"),
    );
    let path: PathBuf = env::temp_dir().join(format!("auth-examples-{}.toml", std::process::id()));
    fs::write(&path, config).unwrap();
    let (is_ok, text) = run("from_config", &[path.to_str().unwrap()], &[]);
    fs::remove_file(path).unwrap();
    assert!(is_ok, "{text}");
    let refused = "calls: voipex: the credentials are refused (HTTP 401, invalid_grant); next attempt in 6";
    assert!(text.starts_with(refused) && text.ends_with("\npayments: a token for 1800 s\n"), "{text}");
}

#[test]
fn from_config_does_not_quote_an_invalid_file() {
    let path = env::temp_dir().join(format!("auth-examples-{}-wrong.toml", std::process::id()));
    fs::write(&path, "[calls]\nprovider = \"voipex\"\npassword = \"SENTINEL\"\npasword = \"SENTINEL\"\n").unwrap();
    let (is_ok, text) = run("from_config", &[path.to_str().unwrap()], &[]);
    fs::remove_file(path).unwrap();
    assert!(!is_ok && text.contains("pasword") && !text.contains("SENTINEL"), "{text}");
}

#[test]
fn custom_provider_works() {
    let (is_ok, text) = run("custom_provider", &[], &[]);
    assert!(
        is_ok && text.contains("a token for 60 s") && text.contains("pin_expired") && text.contains("ACME_PIN"),
        "{text}"
    );
}

#[test]
fn test_your_app_passes_its_own_checks() {
    let (is_ok, text) = run("test_your_app", &[], &[]);
    assert!(is_ok && text.starts_with("all as expected"), "{text}");
}

#[test]
fn calls_are_replayed_after_a_revoked_token() {
    for name in ["call_with_reqwest", "call_with_hyper"] {
        let (is_ok, text) = run(name, &[], &[]);
        assert!(is_ok, "{name}: {text}");
        assert_eq!(text, "200 OK, Attached\nafter the token was revoked: 200 OK, Replayed\n", "{name}");
    }
}

#[test]
fn axum_service_passes_on_responses_and_retry_after() {
    let (is_ok, text) = run("axum_service", &[], &[]);
    assert!(is_ok, "{text}");
    assert_eq!(text, "200 OK: {\"provider\":\"zoqq\"}\n503 Service Unavailable, retry-after: 8\n");
}

#[test]
fn share_a_token_makes_one_login_for_three_processes() {
    let (is_ok, text) = run("share_a_token", &[], &[]);
    assert!(is_ok && text.contains("three processes, 1 login"), "{text}");
    assert_eq!(text.matches("Sensitive").count(), 3, "{text}");

    let (is_ok, text) = run("share_a_token", &[], &[("AUTH_REDIS_URL", "redis://127.0.0.1:1/0".into())]);
    assert!(!is_ok && text.contains("AUTH_REDIS_KEYS") && text.contains("dangerously_unsealed"), "{text}");
}

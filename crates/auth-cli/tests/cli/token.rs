//! `auth token`, as scripts use it.

use std::fs;
use std::io::Read;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use auth_sandbox::{Api, Fault};
use left_out::{has_program, left_out};

use crate::support::{Home, RunResult, send_signal, wait_for_exit};

#[test]
fn token_prints_only_the_token_and_a_second_call_sends_no_request() {
    let home = Home::new();
    for api in Api::ALL {
        let first = home.run(&["token", api.name()]);
        let second = home.run(&["token", api.name()]);
        assert!(first.stdout_line().len() > 20);
        assert_eq!(first.stdout_line(), second.stdout_line());
        assert_eq!(home.sandbox.counters(api).requests, 1, "{api:?}");
    }
}

#[test]
fn p9_two_hundred_processes_log_in_once() {
    let home = Home::new();
    home.sandbox.fail_next(Api::Voipex, Fault::Latency(Duration::from_millis(300)));
    let spawn = || home.auth(&["token", "voipex"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let children: Vec<_> = (0..200).map(|_| spawn()).collect();
    let results = children.into_iter().map(|child| RunResult::from(child.wait_with_output().unwrap()));
    let mut tokens: Vec<_> = results.map(|result| result.stdout_line().to_owned()).collect();
    tokens.dedup();
    assert_eq!((tokens.len(), home.sandbox.counters(Api::Voipex).requests), (1, 1));
}

#[test]
fn r4_repeated_wrong_passwords_cause_one_login_and_the_right_one_works_immediately() {
    let mut home = Home::new().with("VOIPEX_PASSWORD", "sentinel-wrong");
    for _ in 0..20 {
        let stderr = home.run(&["token", "voipex"]).failed(4).to_owned();
        assert!(stderr.contains("next attempt in ") && !stderr.contains("sentinel"), "{stderr}");
    }
    assert_eq!(home.sandbox.counters(Api::Voipex).requests, 1);
    let right = home.setting("VOIPEX_PASSWORD");
    home.set("VOIPEX_PASSWORD", &right);
    home.run(&["token", "voipex"]).stdout_line();
}

#[test]
fn every_error_has_its_exit_code_and_says_what_to_do() {
    let bare = Home::bare();
    let stderr = bare.run(&["exec", "zoqq", "voipex", "--", "true"]).failed(2).to_owned();
    for name in ["ZOQQ_BASE_URL", "ZOQQ_CLIENT_ID", "ZOQQ_API_KEY", "ZOQQ_SCOPE", "VOIPEX_USERNAME", "VOIPEX_PASSWORD"]
    {
        assert!(stderr.contains(name), "all missing settings at once: {stderr}");
    }
    assert!(bare.run(&["token", "acme"]).failed(2).contains("zoqq, roecny, cambyopro, voipex"));
    assert!(bare.run(&["token"]).failed(2).contains("Usage"));
    assert!(
        bare.run(&["token", "zoqq", "--api-key", "k"]).failed(2).contains("unexpected argument"),
        "no flag takes a secret"
    );

    let home = Home::new();
    home.sandbox.fail_always(Api::Zoqq, Fault::Status(503));
    let stderr = home.run(&["token", "zoqq"]).failed(75).to_owned();
    assert!(stderr.contains("HTTP 503") && stderr.contains("next attempt in "), "{stderr}");
    home.sandbox.fail_always(Api::Roecny, Fault::RetryAfter(429, "120".into()));
    assert!(home.run(&["token", "roecny"]).failed(75).contains("next attempt in 1"));
    home.sandbox.fail_always(Api::Cambyopro, Fault::Redirect(307, "https://other.example/".into()));
    assert!(home.run(&["token", "cambyopro"]).failed(1).contains("https://other.example"));
    home.sandbox.fail_always(Api::Voipex, Fault::Body("sentinel".into()));
    let stderr = home.run(&["token", "voipex"]).failed(75).to_owned();
    assert!(stderr.contains("cannot be read") && !stderr.contains("sentinel"), "{stderr}");

    let dead = Home::new().with("ZOQQ_BASE_URL", "http://127.0.0.1:9");
    assert!(dead.run(&["token", "zoqq"]).failed(75).contains("could not connect"));
    let wrong = Home::new().with("ZOQQ_BASE_URL", "http://bank.example");
    assert!(wrong.run(&["token", "zoqq"]).failed(2).contains("ZOQQ_BASE_URL"));
}

#[test]
fn min_ttl_is_satisfied_or_an_error_and_repeated_calls_do_not_log_in() {
    let home = Home::new();
    home.sandbox.set_lifetime(Api::Zoqq, Duration::from_secs(60));
    let first = home.run(&["token", "zoqq"]);
    assert_eq!(home.run(&["token", "zoqq", "--min-ttl", "30s"]).stdout_line(), first.stdout_line());
    for too_long in ["60s", "1h", "18446744073709551615s"] {
        for _ in 0..3 {
            let result = home.run(&["token", "zoqq", "--min-ttl", too_long]);
            assert!(result.failed(2).starts_with("auth: --min-ttl: no token of zoqq"), "{result:?}");
        }
    }
    assert_eq!(home.sandbox.counters(Api::Zoqq).logins, 1);

    home.sandbox.set_lifetime(Api::Roecny, Duration::from_secs(10));
    let first = home.run(&["token", "roecny"]);
    thread::sleep(Duration::from_millis(2500));
    assert_ne!(home.run(&["token", "roecny", "--min-ttl", "8s"]).stdout_line(), first.stdout_line());
}

#[test]
fn refresh_uses_the_refresh_token_and_repeated_calls_do_not() {
    let home = Home::new();
    let first = home.run(&["token", "voipex"]);
    assert_eq!(
        home.run(&["token", "voipex", "--refresh"]).stdout_line(),
        first.stdout_line(),
        "a token that is less than 5 s old counts as new"
    );
    thread::sleep(Duration::from_millis(5200));
    let second = home.run(&["token", "voipex", "--refresh"]);
    assert_ne!(first.stdout_line(), second.stdout_line());
    for _ in 0..10 {
        assert_eq!(home.run(&["token", "voipex", "--refresh"]).stdout_line(), second.stdout_line());
    }
    let counters = home.sandbox.counters(Api::Voipex);
    assert_eq!((counters.logins, counters.refreshes), (1, 1));

    assert_eq!(home.run(&["token", "voipex", "--refresh", "--min-ttl", "30m"]).stdout_line(), second.stdout_line());
    assert!(home.run(&["token", "voipex", "--refresh", "--min-ttl", "1h"]).failed(2).contains("--min-ttl"));

    thread::sleep(Duration::from_millis(5200));
    home.sandbox.fail_always(Api::Voipex, Fault::Status(503));
    home.run(&["token", "voipex", "--refresh"]).failed(75);
    assert_eq!(home.run(&["token", "voipex"]).stdout_line(), second.stdout_line(), "R2: the old token is still used");
}

#[test]
fn no_cache_stores_nothing() {
    let home = Home::new();
    home.run(&["token", "zoqq", "--no-cache"]).stdout_line();
    home.run(&["token", "zoqq", "--no-cache"]).stdout_line();
    assert_eq!(home.sandbox.counters(Api::Zoqq).logins, 2);
    assert!(!home.cache().exists());
}

#[test]
fn p6_a_corrupt_entry_is_a_miss_with_a_warning() {
    let home = Home::new();
    home.run(&["token", "zoqq"]).stdout_line();
    for file in home.entries() {
        fs::write(file, "{ garbage").unwrap();
    }
    let result = home.run(&["token", "zoqq"]);
    assert_eq!((result.code, result.stdout.lines().count()), (0, 1));
    assert!(result.stderr.contains("is not a valid entry"), "{}", result.stderr);
    home.run(&["token", "zoqq"]).stdout_line();
    assert_eq!(home.sandbox.counters(Api::Zoqq).logins, 2);
}

#[test]
fn a_cache_that_other_users_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    fs::create_dir_all(home.cache()).unwrap();
    fs::set_permissions(home.cache(), fs::Permissions::from_mode(0o755)).unwrap();
    let stderr = home.run(&["token", "zoqq"]).failed(2).to_owned();
    assert!(
        stderr.contains("chmod 700") && stderr.contains(".cache/auth") && stderr.contains("--no-cache"),
        "{stderr}"
    );
    assert_eq!(home.sandbox.counters(Api::Zoqq).requests, 0);
    home.run(&["token", "zoqq", "--no-cache"]).stdout_line();
}

#[test]
fn r4_with_an_unusable_cache_the_call_fails_without_a_login() {
    let home = Home::new();
    home.run(&["token", "zoqq"]).stdout_line();
    for file in home.entries() {
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
    }
    let result = home.run(&["token", "zoqq"]);
    assert!(result.code != 0 && result.stderr.contains("--no-cache"), "{result:?}");
    assert_eq!(home.sandbox.counters(Api::Zoqq).requests, 1);
    home.run(&["token", "zoqq", "--no-cache"]).stdout_line();
}

#[test]
fn p9_processes_wait_for_the_lock_and_share_one_refused_login() {
    let mut home = Home::new();
    home.run(&["token", "zoqq"]).stdout_line();
    let lock = fs::File::options().write(true).open(home.cache().join("lock")).unwrap();
    lock.lock().unwrap();
    home.set("VOIPEX_PASSWORD", "wrong");
    let spawn = || home.auth(&["token", "voipex"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut children: Vec<_> = (0..20).map(|_| spawn()).collect();
    thread::sleep(Duration::from_millis(1500));
    drop(lock);
    assert!(children.iter_mut().all(|child| wait_for_exit(child) == 4));
    assert_eq!(
        home.sandbox.counters(Api::Voipex).requests,
        1,
        "R4: twenty processes with a wrong password log in once"
    );
}

#[test]
fn the_cache_directory_can_be_set_and_keys_encrypt_the_cache() {
    let xdg = tempfile::tempdir().unwrap();
    let home = Home::new().with("XDG_CACHE_HOME", xdg.path().to_str().unwrap());
    home.run(&["token", "zoqq"]).stdout_line();
    assert!(xdg.path().join("auth/lock").exists() && !home.cache().exists());

    let elsewhere = home.path().join("elsewhere");
    let home = home.with("AUTH_CACHE_DIR", elsewhere.to_str().unwrap());
    let home = home.with("AUTH_CACHE_KEYS", "1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let token = home.run(&["token", "zoqq"]).stdout_line().to_owned();
    assert_eq!(home.run(&["token", "zoqq"]).stdout_line(), token);
    for file in fs::read_dir(&elsewhere).unwrap() {
        assert!(!fs::read_to_string(file.unwrap().path()).unwrap().contains(&token));
    }
    let homeless = home.with("HOME", "").with("XDG_CONFIG_HOME", xdg.path().to_str().unwrap());
    assert_eq!(homeless.run(&["token", "zoqq"]).stdout_line(), token);
}

#[test]
fn shells_curl_and_kubectl_read_their_formats() {
    let home = Home::new();
    let token = home.run(&["token", "zoqq"]).stdout_line().to_owned();
    let script = "eval \"$(auth token zoqq --format env)\"
        printf '%s %s\\n' \"$ZOQQ_ACCESS_TOKEN\" \"$ZOQQ_ACCESS_TOKEN_EXPIRES_AT\"";
    let result = home.sh(script);
    let (found, expires_at) = result.stdout_line().split_once(' ').unwrap();
    assert_eq!(found, token);
    assert!(expires_at.ends_with('Z'), "{expires_at}");
    let header = home.run(&["token", "zoqq", "--format", "header"]);
    assert_eq!(header.stdout_line(), format!("Authorization: Bearer {token}"));
    let curl = home.run(&["token", "zoqq", "--format", "curl"]);
    assert!(curl.stdout.contains("header = \"x-api-key: "), "{}", curl.stdout);
    if has_program("curl") {
        let url = home.sandbox.protected_url();
        let response = home.sh(&format!("auth token zoqq --format curl | curl -s -K - {url}"));
        assert_eq!(response.stdout, "{\"provider\":\"zoqq\"}");
    } else {
        left_out("the test of curl's format", "no curl on the path; `cargo xtask test` installs it");
    }
    let exec_info = r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1"}"#;
    let credential =
        home.sh(&format!("export KUBERNETES_EXEC_INFO='{exec_info}'; auth token zoqq --format exec-credential"));
    assert!(
        credential
            .stdout_line()
            .starts_with("{\"apiVersion\":\"client.authentication.k8s.io/v1beta1\",\"kind\":\"ExecCredential\"")
    );

    let home = Home::new().with("KUBERNETES_EXEC_INFO", "{}");
    home.run(&["token", "zoqq", "--format", "exec-credential"]).failed(2);
    assert_eq!(home.sandbox.counters(Api::Zoqq).requests, 0, "the error comes before a login");
    home.run(&["token", "zoqq", "--format", "json"]).stdout_line();
}

#[test]
fn json_contains_the_source_of_the_token() {
    let home = Home::new();
    let source = || {
        let result = home.run(&["token", "voipex", "--format", "json"]);
        let line = result.stdout_line().to_owned();
        line.rsplit_once("\"source\":").unwrap().1.to_owned()
    };
    assert_eq!((source(), source()), ("\"login\"}".to_owned(), "\"cache\"}".to_owned()));
}

#[test]
fn a_secret_is_read_from_stdin() {
    let home = Home::new().with("VOIPEX_PASSWORD", "wrong");
    let password = home.setting("VOIPEX_PASSWORD");
    let arguments = ["token", "voipex", "--password-stdin"];
    home.run_with_stdin(&arguments, &format!("{password}\n")).stdout_line();
    home.run_with_stdin(&arguments, &format!("{password}\r\n")).stdout_line();
    assert!(home.run_with_stdin(&arguments, "").failed(2).contains("stdin: the input is empty"));
    assert!(
        home.run_with_stdin(&arguments, &"x".repeat(70_000)).failed(2).contains("longer than"),
        "a long secret is refused, not cut"
    );
    assert_eq!(home.sandbox.counters(Api::Voipex).requests, 1);
    for (name, flag, variable) in
        [("zoqq", "--api-key-stdin", "ZOQQ_API_KEY"), ("cambyopro", "--client-secret-stdin", "CAMBYOPRO_CLIENT_SECRET")]
    {
        home.run_with_stdin(&["token", name, flag], &home.setting(variable)).stdout_line();
    }
    let misplaced = home.run_with_stdin(&["token", "zoqq", "--password-stdin"], "x");
    assert!(misplaced.failed(2).contains("zoqq has no setting `password`"));
}

#[test]
fn k1_stderr_contains_no_secret_at_any_verbosity() {
    let faults = [
        None,
        Some(Fault::Status(503)),
        Some(Fault::Status(401)),
        Some(Fault::Body("{\"token\":5}".into())),
        Some(Fault::Redirect(302, "https://other.example/sentinel-path".into())),
        Some(Fault::Truncated),
    ];
    for fault in faults {
        for (api, variable) in [(Api::Zoqq, "ZOQQ_API_KEY"), (Api::Voipex, "VOIPEX_PASSWORD")] {
            let mut home = Home::new();
            if fault.is_none() {
                let right = home.setting(variable);
                let result = home.run(&["-vvvv", "token", api.name()]);
                assert_eq!(result.code, 0);
                assert!(
                    !result.stderr.contains(&right) && !result.stderr.contains(result.stdout.trim()),
                    "{}",
                    result.stderr
                );
                assert!(result.stderr.contains("flight ended"), "the login is logged: {}", result.stderr);
            }
            home.set(variable, "sentinel-secret");
            if let Some(fault) = fault.clone() {
                home.sandbox.fail_always(api, fault);
            }
            let result = home.run(&["-vvvv", "token", api.name()]);
            assert!(result.code != 0 && !result.stderr.contains("sentinel"), "{fault:?}: {result:?}");
        }
    }
}

#[test]
fn a_closed_pipe_causes_no_panic() {
    let home = Home::new();
    home.run(&["token", "zoqq"]).stdout_line();
    let mut child = home.auth(&["token", "zoqq"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(wait_for_exit(&mut child), 1);
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(stderr.starts_with("auth: stdout: ") && stderr.lines().count() == 1, "{stderr}");

    let full = home.sh("auth token zoqq > /dev/full");
    assert!(full.failed(1).contains("No space"));
    assert_eq!(home.sh("auth token zoqq >&-; echo $? >&2").code, 0);
    let mut child = home.auth(&["token", "acme"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(wait_for_exit(&mut child), 2, "the exit code is right although stderr is closed");
}

#[test]
fn an_interrupt_ends_the_program_by_the_signal() {
    // A shell without job control starts background jobs with SIGINT ignored, and every child inherits that.
    if is_interrupt_ignored() {
        left_out("the test of an interrupt", "SIGINT is ignored here; run the tests in the foreground");
        return;
    }
    let home = Home::new();
    home.sandbox.fail_always(Api::Zoqq, Fault::Latency(Duration::from_secs(20)));
    let mut child = home.auth(&["token", "zoqq"]).stdout(Stdio::null()).spawn().unwrap();
    while home.sandbox.counters(Api::Zoqq).requests == 0 {
        thread::sleep(Duration::from_millis(5));
    }
    send_signal(child.id(), "INT");
    assert_eq!(wait_for_exit(&mut child), -2, "killed by the signal; a shell shows that as 130");
    home.sandbox.clear_faults(Api::Zoqq);
    home.run(&["token", "zoqq"]).stdout_line();
}

/// Returns whether this process ignores `SIGINT`, by the second bit of its mask of ignored signals.
fn is_interrupt_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 0b10 != 0)
}

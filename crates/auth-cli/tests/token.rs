//! `auth token`, as scripts use it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::Read;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use auth_sandbox::{Api, Fault};
use left_out::left_out;
use support::{Home, ended, kill};

#[test]
fn it_prints_the_token_and_nothing_else_and_the_second_call_makes_no_request() {
    let home = Home::new();
    for api in Api::ALL {
        let first = home.run(&["token", api.name()]);
        let second = home.run(&["token", api.name()]);
        assert!(first.line().len() > 20);
        assert_eq!(first.line(), second.line());
        assert_eq!(home.sandbox.counters(api).requests, 1, "{api:?}");
    }
}

#[test]
fn p9_two_hundred_at_once_log_in_once() {
    let home = Home::new();
    home.sandbox.fail_next(Api::Voipex, Fault::Latency(Duration::from_millis(300)));
    let spawn = || home.auth(&["token", "voipex"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let children: Vec<_> = (0..200).map(|_| spawn()).collect();
    let ran = children.into_iter().map(|child| support::Ran::from(child.wait_with_output().unwrap()));
    let mut tokens: Vec<_> = ran.map(|ran| ran.line().to_owned()).collect();
    tokens.dedup();
    assert_eq!((tokens.len(), home.sandbox.counters(Api::Voipex).requests), (1, 1));
}

#[test]
fn r4_a_loop_of_wrong_passwords_is_one_login_and_the_right_one_works_at_once() {
    let mut home = Home::new().with("VOIPEX_PASSWORD", "sentinel-wrong");
    for _ in 0..20 {
        let told = home.run(&["token", "voipex"]).failed(4).to_owned();
        assert!(told.contains("not again") && !told.contains("sentinel"), "{told}");
    }
    assert_eq!(home.sandbox.counters(Api::Voipex).requests, 1);
    let right = home.setting("VOIPEX_PASSWORD");
    home.set("VOIPEX_PASSWORD", &right);
    home.run(&["token", "voipex"]).line();
}

#[test]
fn every_exit_code_says_what_to_do() {
    let bare = Home::bare();
    let told = bare.run(&["exec", "zoqq", "voipex", "--", "true"]).failed(2).to_owned();
    for name in ["ZOQQ_BASE_URL", "ZOQQ_CLIENT_ID", "ZOQQ_API_KEY", "ZOQQ_SCOPE", "VOIPEX_USERNAME", "VOIPEX_PASSWORD"]
    {
        assert!(told.contains(name), "all at once: {told}");
    }
    assert!(bare.run(&["token", "acme"]).failed(2).contains("zoqq, roecny, cambyopro, voipex"));
    assert!(bare.run(&["token"]).failed(2).contains("Usage"));
    assert!(
        bare.run(&["token", "zoqq", "--api-key", "k"]).failed(2).contains("unexpected argument"),
        "no secret by flag"
    );

    let home = Home::new();
    home.sandbox.fail_always(Api::Zoqq, Fault::Status(503));
    let told = home.run(&["token", "zoqq"]).failed(75).to_owned();
    assert!(told.contains("HTTP 503") && told.contains("next attempt in "), "{told}");
    home.sandbox.fail_always(Api::Roecny, Fault::RetryAfter(429, "120".into()));
    assert!(home.run(&["token", "roecny"]).failed(75).contains("next attempt in 1"));
    home.sandbox.fail_always(Api::Cambyopro, Fault::Redirect(307, "https://other.example/".into()));
    assert!(home.run(&["token", "cambyopro"]).failed(1).contains("https://other.example"));
    home.sandbox.fail_always(Api::Voipex, Fault::Body("sentinel".into()));
    let told = home.run(&["token", "voipex"]).failed(75).to_owned();
    assert!(told.contains("cannot be read") && !told.contains("sentinel"), "{told}");

    let dead = Home::new().with("ZOQQ_BASE_URL", "http://127.0.0.1:9");
    assert!(dead.run(&["token", "zoqq"]).failed(75).contains("could not connect"));
    let wrong = Home::new().with("ZOQQ_BASE_URL", "http://bank.example");
    assert!(wrong.run(&["token", "zoqq"]).failed(2).contains("ZOQQ_BASE_URL"));
}

#[test]
fn min_ttl_is_kept_or_an_error_and_never_a_storm() {
    let home = Home::new();
    home.sandbox.set_lifetime(Api::Zoqq, Duration::from_secs(60));
    let first = home.run(&["token", "zoqq"]);
    assert_eq!(home.run(&["token", "zoqq", "--min-ttl", "30s"]).line(), first.line());
    for too_long in ["60s", "1h", "18446744073709551615s"] {
        for _ in 0..3 {
            let ran = home.run(&["token", "zoqq", "--min-ttl", too_long]);
            assert!(ran.failed(2).starts_with("auth: --min-ttl: no token of zoqq"), "{ran:?}");
        }
    }
    assert_eq!(home.sandbox.counters(Api::Zoqq).logins, 1);

    home.sandbox.set_lifetime(Api::Roecny, Duration::from_secs(10));
    let first = home.run(&["token", "roecny"]);
    thread::sleep(Duration::from_millis(2500));
    assert_ne!(home.run(&["token", "roecny", "--min-ttl", "8s"]).line(), first.line());
}

#[test]
fn refresh_gets_another_by_the_refresh_token_and_not_in_a_storm() {
    let home = Home::new();
    let first = home.run(&["token", "voipex"]);
    assert_eq!(home.run(&["token", "voipex", "--refresh"]).line(), first.line(), "it is as good as new");
    thread::sleep(Duration::from_millis(5200));
    let second = home.run(&["token", "voipex", "--refresh"]);
    assert_ne!(first.line(), second.line());
    for _ in 0..10 {
        assert_eq!(home.run(&["token", "voipex", "--refresh"]).line(), second.line());
    }
    let counters = home.sandbox.counters(Api::Voipex);
    assert_eq!((counters.logins, counters.refreshes), (1, 1));

    assert_eq!(home.run(&["token", "voipex", "--refresh", "--min-ttl", "30m"]).line(), second.line());
    assert!(home.run(&["token", "voipex", "--refresh", "--min-ttl", "1h"]).failed(2).contains("--min-ttl"));

    thread::sleep(Duration::from_millis(5200));
    home.sandbox.fail_always(Api::Voipex, Fault::Status(503));
    home.run(&["token", "voipex", "--refresh"]).failed(75);
    assert_eq!(home.run(&["token", "voipex"]).line(), second.line(), "R2: the old one is good still");
}

#[test]
fn without_the_cache_nothing_is_left() {
    let home = Home::new();
    home.run(&["token", "zoqq", "--no-cache"]).line();
    home.run(&["token", "zoqq", "--no-cache"]).line();
    assert_eq!(home.sandbox.counters(Api::Zoqq).logins, 2);
    assert!(!home.cache().exists());
}

#[test]
fn p6_a_corrupt_entry_is_a_miss_with_a_warning() {
    let home = Home::new();
    home.run(&["token", "zoqq"]).line();
    for file in home.entries() {
        fs::write(file, "{ garbage").unwrap();
    }
    let ran = home.run(&["token", "zoqq"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 1));
    assert!(ran.stderr.contains("counts as absent"), "{}", ran.stderr);
    home.run(&["token", "zoqq"]).line();
    assert_eq!(home.sandbox.counters(Api::Zoqq).logins, 2);
}

#[test]
fn a_cache_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    fs::create_dir_all(home.cache()).unwrap();
    fs::set_permissions(home.cache(), fs::Permissions::from_mode(0o755)).unwrap();
    let told = home.run(&["token", "zoqq"]).failed(2).to_owned();
    assert!(told.contains("chmod 700") && told.contains(".cache/auth") && told.contains("--no-cache"), "{told}");
    assert_eq!(home.sandbox.counters(Api::Zoqq).requests, 0);
    home.run(&["token", "zoqq", "--no-cache"]).line();
}

#[test]
fn r4_a_cache_that_cannot_be_used_is_an_error_and_no_login() {
    let home = Home::new();
    home.run(&["token", "zoqq"]).line();
    for file in home.entries() {
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
    }
    let ran = home.run(&["token", "zoqq"]);
    assert!(ran.code != 0 && ran.stderr.contains("--no-cache"), "{ran:?}");
    assert_eq!(home.sandbox.counters(Api::Zoqq).requests, 1);
    home.run(&["token", "zoqq", "--no-cache"]).line();
}

#[test]
fn p9_who_holds_the_lock_is_waited_for() {
    let mut home = Home::new();
    home.run(&["token", "zoqq"]).line();
    let lock = fs::File::options().write(true).open(home.cache().join("lock")).unwrap();
    lock.lock().unwrap();
    home.set("VOIPEX_PASSWORD", "wrong");
    let spawn = || home.auth(&["token", "voipex"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut children: Vec<_> = (0..20).map(|_| spawn()).collect();
    thread::sleep(Duration::from_millis(1500));
    drop(lock);
    assert!(children.iter_mut().all(|child| ended(child) == 4));
    assert_eq!(home.sandbox.counters(Api::Voipex).requests, 1, "R4: twenty wrong passwords are one login");
}

#[test]
fn the_cache_is_where_it_is_said_and_sealed_where_there_is_a_key() {
    let xdg = tempfile::tempdir().unwrap();
    let home = Home::new().with("XDG_CACHE_HOME", xdg.path().to_str().unwrap());
    home.run(&["token", "zoqq"]).line();
    assert!(xdg.path().join("auth/lock").exists() && !home.cache().exists());

    let elsewhere = home.path().join("elsewhere");
    let home = home.with("AUTH_CACHE_DIR", elsewhere.to_str().unwrap());
    let home = home.with("AUTH_CACHE_KEYS", "1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let token = home.run(&["token", "zoqq"]).line().to_owned();
    assert_eq!(home.run(&["token", "zoqq"]).line(), token);
    for file in fs::read_dir(&elsewhere).unwrap() {
        assert!(!fs::read_to_string(file.unwrap().path()).unwrap().contains(&token));
    }
    let homeless = home.with("HOME", "").with("XDG_CONFIG_HOME", xdg.path().to_str().unwrap());
    assert_eq!(homeless.run(&["token", "zoqq"]).line(), token);
}

#[test]
fn a_shell_reads_what_is_made_for_it() {
    let home = Home::new();
    let token = home.run(&["token", "zoqq"]).line().to_owned();
    let ran = home.sh("eval \"$(auth token zoqq --format env)\"; printf '%s %s\\n' \"$ZOQQ_ACCESS_TOKEN\" \"$ZOQQ_ACCESS_TOKEN_EXPIRES_AT\"");
    let (found, until) = ran.line().split_once(' ').unwrap();
    assert_eq!(found, token);
    assert!(until.ends_with('Z'), "{until}");
    let header = home.run(&["token", "zoqq", "--format", "header"]);
    assert_eq!(header.line(), format!("Authorization: Bearer {token}"));
    let curl = home.run(&["token", "zoqq", "--format", "curl"]);
    assert!(curl.stdout.contains("header = \"x-api-key: "), "{}", curl.stdout);
    let called = home.sh(&format!("auth token zoqq --format curl | curl -s -K - {}", home.sandbox.protected_url()));
    assert_eq!(called.stdout, "{\"provider\":\"zoqq\"}");
    let asked = home.sh("export KUBERNETES_EXEC_INFO='{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1beta1\"}'; auth token zoqq --format exec-credential");
    assert!(
        asked
            .line()
            .starts_with("{\"apiVersion\":\"client.authentication.k8s.io/v1beta1\",\"kind\":\"ExecCredential\"")
    );

    let home = Home::new().with("KUBERNETES_EXEC_INFO", "{}");
    home.run(&["token", "zoqq", "--format", "exec-credential"]).failed(2);
    assert_eq!(home.sandbox.counters(Api::Zoqq).requests, 0, "it is told before a login");
    home.run(&["token", "zoqq", "--format", "json"]).line();
}

#[test]
fn json_tells_where_it_is_from() {
    let home = Home::new();
    let source = || {
        let ran = home.run(&["token", "voipex", "--format", "json"]);
        let line = ran.line().to_owned();
        line.rsplit_once("\"source\":").unwrap().1.to_owned()
    };
    assert_eq!((source(), source()), ("\"login\"}".to_owned(), "\"cache\"}".to_owned()));
}

#[test]
fn a_secret_comes_by_stdin() {
    let home = Home::new().with("VOIPEX_PASSWORD", "wrong");
    let password = home.setting("VOIPEX_PASSWORD");
    let arguments = ["token", "voipex", "--password-stdin"];
    home.run_with_stdin(&arguments, &format!("{password}\n")).line();
    home.run_with_stdin(&arguments, &format!("{password}\r\n")).line();
    assert!(home.run_with_stdin(&arguments, "").failed(2).contains("stdin: it is empty"));
    assert!(home.run_with_stdin(&arguments, &"x".repeat(70_000)).failed(2).contains("longer than"), "none is cut");
    assert_eq!(home.sandbox.counters(Api::Voipex).requests, 1);
    for (name, flag, variable) in
        [("zoqq", "--api-key-stdin", "ZOQQ_API_KEY"), ("cambyopro", "--client-secret-stdin", "CAMBYOPRO_CLIENT_SECRET")]
    {
        home.run_with_stdin(&["token", name, flag], &home.setting(variable)).line();
    }
    let misplaced = home.run_with_stdin(&["token", "zoqq", "--password-stdin"], "x");
    assert!(misplaced.failed(2).contains("zoqq has no setting `password`"));
}

#[test]
fn k1_nothing_secret_is_on_stderr_at_any_verbosity() {
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
                let ran = home.run(&["-vvvv", "token", api.name()]);
                assert_eq!(ran.code, 0);
                assert!(!ran.stderr.contains(&right) && !ran.stderr.contains(ran.stdout.trim()), "{}", ran.stderr);
                assert!(ran.stderr.contains("flight ended"), "it does tell: {}", ran.stderr);
            }
            home.set(variable, "sentinel-secret");
            if let Some(fault) = fault.clone() {
                home.sandbox.fail_always(api, fault);
            }
            let ran = home.run(&["-vvvv", "token", api.name()]);
            assert!(ran.code != 0 && !ran.stderr.contains("sentinel"), "{fault:?}: {ran:?}");
        }
    }
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let home = Home::new();
    home.run(&["token", "zoqq"]).line();
    let mut child = home.auth(&["token", "zoqq"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(ended(&mut child), 1);
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(told.starts_with("auth: stdout: ") && told.lines().count() == 1, "{told}");

    let full = home.sh("auth token zoqq > /dev/full");
    assert!(full.failed(1).contains("No space"));
    assert_eq!(home.sh("auth token zoqq >&-; echo $? >&2").code, 0);
    let mut child = home.auth(&["token", "acme"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(ended(&mut child), 2, "stderr is gone, the code is not");
}

#[test]
fn an_interrupt_ends_it_as_shells_expect() {
    // A shell starts its background jobs with the signal ignored, and every child inherits that.
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
    kill(child.id(), "INT");
    assert_eq!(ended(&mut child), -2, "which a shell shows as 130");
    home.sandbox.heal(Api::Zoqq);
    home.run(&["token", "zoqq"]).line();
}

/// By the mask of ignored signals of this process, in which `SIGINT` is the second bit.
fn is_interrupt_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 0b10 != 0)
}

//! The other commands, as a user types them.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::fs;

use auth_sandbox::{Api, Fault};
use support::{Home, Server};

#[test]
fn demo_needs_nothing() {
    let ran = Home::bare().run(&["demo"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let rows: Vec<Vec<&str>> = ran.stdout.lines().map(|line| line.split('\t').collect()).collect();
    let names: Vec<_> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(names, ["zoqq", "roecny", "cambyopro", "voipex"]);
    assert!(rows.iter().all(|row| row.len() == 6 && row[1].starts_with("[redacted")));
    assert_eq!(rows[3][5], "its refresh token");
}

#[test]
fn status_makes_no_request_and_tells_no_token() {
    let home = Home::new();
    let before = home.run(&["status"]);
    assert!(before.stdout.lines().all(|line| line.contains("\tnone\t")), "{before:?}");
    let token = home.run(&["token", "zoqq"]).line().to_owned();
    home.sandbox.fail_always(Api::Roecny, Fault::Status(503));
    home.run(&["token", "roecny"]).failed(75);
    let asked = home.sandbox.counters(Api::Roecny).requests;
    for format in ["table", "json"] {
        let ran = home.run(&["status", "--format", format]);
        assert_eq!(ran.code, 0);
        assert!(
            !ran.stdout.contains(&token) && ran.stdout.contains("cached") && ran.stdout.contains("HTTP 503"),
            "{ran:?}"
        );
    }
    assert_eq!((home.sandbox.counters(Api::Roecny).requests, home.sandbox.counters(Api::Voipex).requests), (asked, 0));
    let half = Home::bare().with("VOIPEX_USERNAME", "me").run(&["status"]);
    assert_eq!(half.code, 2);
    assert!(half.stdout.starts_with("voipex\t-\t-\t-\tunset") && half.stderr.contains("VOIPEX_PASSWORD"), "{half:?}");
    assert!(Home::bare().run(&["status"]).failed(2).contains("nothing is set up"));
}

#[test]
fn check_goes_step_by_step_and_does_not_log_in() {
    let home = Home::new();
    let ran = home.run(&["check", "voipex"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    for step in ["settings", "login", "DNS", "connection", "HTTP", "clock"] {
        assert!(ran.stdout.contains(&format!("ok     {step}")), "{step}: {}", ran.stdout);
    }
    assert!(ran.stdout.contains("note   credentials  not tried") && ran.stdout.contains("(there is none)"), "{ran:?}");
    assert!(!ran.stdout.contains(&home.setting("VOIPEX_PASSWORD")));
    let counters = home.sandbox.counters(Api::Voipex);
    assert_eq!((counters.logins, counters.requests), (0, 1), "one, without credentials");
    home.sandbox.set_date_skew(-300);
    assert!(home.run(&["check", "voipex"]).stdout.contains("note   clock"));

    let wrong = |name: &str, value: &str, step: &str, code: i32| {
        let ran = Home::new().with(name, value).run(&["check", "voipex"]);
        assert_eq!(ran.code, code, "{ran:?}");
        let line = ran.stdout.lines().last().unwrap();
        assert!(line.contains(&format!("WRONG  {step}")) && ran.stderr.is_empty(), "told once: {ran:?}");
        assert!(!line.contains("voipex: voipex") && !line.contains("sentinel"), "{line}");
    };
    wrong("VOIPEX_USERNAME", "", "settings", 2);
    wrong("VOIPEX_BASE_URL", "https://user:sentinel@bank.example", "settings", 2);
    wrong("VOIPEX_BASE_URL", "https://no-such-host.invalid", "DNS", 75);
    wrong("VOIPEX_BASE_URL", "http://127.0.0.1:9", "connection", 75);
    wrong("VOIPEX_LOGIN_PATH", "/tokn", "HTTP", 2);
    wrong("AUTH_CA_FILE", "/no/such/file", "HTTP", 2);
    wrong("AUTH_CACHE_DIR", "/dev/null", "cache", 2);
    let refused = Home::new().with("VOIPEX_PASSWORD", "wrong");
    refused.run(&["token", "voipex"]).failed(4);
    let ran = refused.run(&["check"]);
    assert_eq!(ran.code, 4);
    assert!(ran.stdout.contains("WRONG  credentials"), "{ran:?}");
}

#[test]
fn what_a_terminal_would_act_upon_is_not_passed_on() {
    let home = Home::bare().with("VOIPEX_USERNAME", "nice\u{1b}]0;x\u{7}\r\nforged\tline").with("VOIPEX_PASSWORD", "x");
    let ran = home.run(&["status"]);
    assert_eq!((ran.code, ran.stdout.lines().count(), ran.stdout.matches('\t').count()), (0, 1, 6), "{ran:?}");
    assert!(!ran.stdout.contains(['\u{1b}', '\r']), "{ran:?}");
    let told = home.run(&["token", "a\u{1b}[2J\nauth: forged"]).failed(2).to_owned();
    assert!(told.lines().count() == 1 && !told.contains('\u{1b}'), "{told:?}");
}

#[test]
fn clear_forgets_one_or_all() {
    let home = Home::new();
    for name in ["zoqq", "voipex"] {
        home.run(&["token", name]).line();
    }
    let cached = || home.run(&["status"]).stdout.matches("\tcached\t").count();
    assert_eq!(cached(), 2);
    home.run(&["clear", "zoqq"]).silent();
    assert_eq!(cached(), 1);
    assert!(home.run(&["clear", "--username", "me"]).failed(2).contains("one PROVIDER"));
    assert_eq!(cached(), 1);
    home.run(&["clear"]).silent();
    assert_eq!(cached(), 0);
}

#[test]
fn the_sandbox_is_a_server_with_its_settings_on_stdout() {
    let home = Home::bare();
    let lines = home.sandbox.env().len();
    let mut sandbox = Server::start(&mut home.auth(&["sandbox", "--ttl", "60s", "--fault", "zoqq=503"]), lines);
    let exports = sandbox.lines.join("\n");
    let ran = home.sh(&format!("{exports}\nauth token voipex --format json"));
    assert!(ran.line().contains("\"access_token\""));
    let shown = home.sh(&format!("{exports}\nauth token zoqq"));
    assert!(shown.failed(75).contains("HTTP 503"));
    sandbox.signal("TERM");
    assert_eq!(sandbox.end(), 0);
    let mut other = Server::start(&mut home.auth(&["sandbox"]), lines);
    let port = other.lines[0].rsplit_once(':').unwrap().1.split('/').next().unwrap().to_owned();
    assert!(home.run(&["sandbox", "--port", &port]).failed(1).contains(&port));
    other.signal("INT");
    assert_eq!(other.end(), 0);
    home.run(&["sandbox", "--ttl", "10ms"]).failed(2);
    home.run(&["sandbox", "--fault", "zoqq=nonsense"]).failed(2);
}

#[test]
fn completions_and_manual_pages_are_made() {
    let home = Home::bare();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = home.run(&["completions", shell]);
        assert!(ran.code == 0 && ran.stdout.contains("min-ttl"), "{shell}");
    }
    let directory = home.path().join("share/man/man1");
    home.run(&["man", directory.to_str().unwrap()]).silent();
    let page = fs::read_to_string(directory.join("auth-token.1")).unwrap();
    assert!(page.contains("min\\-ttl") && page.contains("Examples"), "{page}");
    assert!(fs::read_to_string(directory.join("auth.1")).unwrap().contains("credentials"));
}

#[test]
fn help_has_the_exit_codes_and_the_examples() {
    let home = Home::bare();
    let help = home.run(&["--help"]).stdout;
    for code in ["0  done", "2  usage", "4  the provider refuses", "75  temporary", "130  interrupted"] {
        assert!(help.contains(code), "{help}");
    }
    assert!(home.run(&["token", "--help"]).stdout.contains("curl -K -"));
}

//! The commands other than `token`, `exec` and `proxy`, as a user types them.

use std::fs;

use auth_sandbox::{Api, Fault};

use crate::support::{Home, Server};

#[test]
fn demo_needs_no_settings() {
    let result = Home::bare().run(&["demo"]);
    assert_eq!((result.code, result.stderr.as_str()), (0, ""));
    let rows: Vec<Vec<&str>> = result.stdout.lines().map(|line| line.split('\t').collect()).collect();
    let names: Vec<_> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(names, ["zoqq", "roecny", "cambyopro", "voipex"]);
    assert!(rows.iter().all(|row| row.len() == 6 && row[1].starts_with("[redacted")));
    assert_eq!(rows[3][5], "its refresh token");
}

#[test]
fn status_sends_no_request_and_shows_no_token() {
    let home = Home::new();
    let before = home.run(&["status"]);
    assert!(before.stdout.lines().all(|line| line.contains("\tnone\t")), "{before:?}");
    let token = home.run(&["token", "zoqq"]).stdout_line().to_owned();
    home.sandbox.fail_always(Api::Roecny, Fault::Status(503));
    home.run(&["token", "roecny"]).failed(75);
    let requests = home.sandbox.counters(Api::Roecny).requests;
    for format in ["table", "json"] {
        let result = home.run(&["status", "--format", format]);
        assert_eq!(result.code, 0);
        assert!(
            !result.stdout.contains(&token) && result.stdout.contains("cached") && result.stdout.contains("HTTP 503"),
            "{result:?}"
        );
    }
    assert_eq!(home.sandbox.counters(Api::Roecny).requests, requests);
    assert_eq!(home.sandbox.counters(Api::Voipex).requests, 0);
    let incomplete = Home::bare().with("VOIPEX_USERNAME", "me").run(&["status"]);
    assert_eq!(incomplete.code, 2);
    assert!(
        incomplete.stdout.starts_with("voipex\t-\t-\t-\tunset") && incomplete.stderr.contains("VOIPEX_PASSWORD"),
        "{incomplete:?}"
    );
    assert!(Home::bare().run(&["status"]).failed(2).contains("nothing is set up"));
}

#[test]
fn check_tests_each_step_and_does_not_log_in() {
    let home = Home::new();
    let result = home.run(&["check", "voipex"]);
    assert_eq!((result.code, result.stderr.as_str()), (0, ""), "{result:?}");
    for step in ["settings", "login", "DNS", "connection", "HTTP", "clock"] {
        assert!(result.stdout.contains(&format!("ok     {step}")), "{step}: {}", result.stdout);
    }
    assert!(
        result.stdout.contains("note   credentials  not tested") && result.stdout.contains("(does not exist)"),
        "{result:?}"
    );
    assert!(!result.stdout.contains(&home.setting("VOIPEX_PASSWORD")));
    let counters = home.sandbox.counters(Api::Voipex);
    assert_eq!((counters.logins, counters.requests), (0, 1), "one request, without credentials");
    home.sandbox.set_date_skew(-300);
    assert!(home.run(&["check", "voipex"]).stdout.contains("note   clock"));

    let wrong = |name: &str, value: &str, step: &str, code: i32| {
        let result = Home::new().with(name, value).run(&["check", "voipex"]);
        assert_eq!(result.code, code, "{result:?}");
        let line = result.stdout.lines().last().unwrap();
        assert!(
            line.contains(&format!("WRONG  {step}")) && result.stderr.is_empty(),
            "the error is printed once: {result:?}"
        );
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
    let result = refused.run(&["check"]);
    assert_eq!(result.code, 4);
    assert!(result.stdout.contains("WRONG  credentials"), "{result:?}");
}

#[test]
fn control_characters_are_not_printed() {
    let home = Home::bare().with("VOIPEX_USERNAME", "nice\u{1b}]0;x\u{7}\r\nforged\tline").with("VOIPEX_PASSWORD", "x");
    let result = home.run(&["status"]);
    assert_eq!(
        (result.code, result.stdout.lines().count(), result.stdout.matches('\t').count()),
        (0, 1, 6),
        "{result:?}"
    );
    assert!(!result.stdout.contains(['\u{1b}', '\r']), "{result:?}");
    let stderr = home.run(&["token", "a\u{1b}[2J\nauth: forged"]).failed(2).to_owned();
    assert!(stderr.lines().count() == 1 && !stderr.contains('\u{1b}'), "{stderr:?}");
}

#[test]
fn clear_removes_one_account_or_all() {
    let home = Home::new();
    for name in ["zoqq", "voipex"] {
        home.run(&["token", name]).stdout_line();
    }
    let cached = || home.run(&["status"]).stdout.matches("\tcached\t").count();
    assert_eq!(cached(), 2);
    home.run(&["clear", "zoqq"]).assert_silent();
    assert_eq!(cached(), 1);
    assert!(home.run(&["clear", "--username", "me"]).failed(2).contains("one PROVIDER"));
    assert_eq!(cached(), 1);
    home.run(&["clear"]).assert_silent();
    assert_eq!(cached(), 0);
}

#[test]
fn sandbox_serves_and_prints_its_settings() {
    let home = Home::bare();
    let lines = home.sandbox.env().len();
    let mut sandbox = Server::start(&mut home.auth(&["sandbox", "--ttl", "60s", "--fault", "zoqq=503"]), lines);
    let exports = sandbox.lines.join("\n");
    let result = home.sh(&format!("{exports}\nauth token voipex --format json"));
    assert!(result.stdout_line().contains("\"access_token\""));
    let failed = home.sh(&format!("{exports}\nauth token zoqq"));
    assert!(failed.failed(75).contains("HTTP 503"));
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
fn completions_and_manual_pages_are_generated() {
    let home = Home::bare();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let result = home.run(&["completions", shell]);
        assert!(result.code == 0 && result.stdout.contains("min-ttl"), "{shell}");
    }
    let directory = home.path().join("share/man/man1");
    home.run(&["man", directory.to_str().unwrap()]).assert_silent();
    let page = fs::read_to_string(directory.join("auth-token.1")).unwrap();
    assert!(page.contains("min\\-ttl") && page.contains("Examples"), "{page}");
    assert!(fs::read_to_string(directory.join("auth.1")).unwrap().contains("credentials"));
}

#[test]
fn help_shows_the_exit_codes_and_examples() {
    let home = Home::bare();
    let help = home.run(&["--help"]).stdout;
    for code in ["0  success", "2  wrong usage", "4  the provider refuses", "75  temporary", "130  interrupted"] {
        assert!(help.contains(code), "{help}");
    }
    assert!(home.run(&["token", "--help"]).stdout.contains("curl -K -"));
}

//! Environment variables: settings and proxies. Each test starts a separate process with its own environment.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use auth_sandbox::{Api, Sandbox};

fn login(provider: &str, variables: &[(&str, &OsStr)]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_login-from-env"))
        .arg(provider)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn as_os<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a OsStr)> {
    variables.iter().map(|(name, value)| (*name, OsStr::new(value.as_str()))).collect()
}

#[test]
fn login_needs_only_the_documented_variables() {
    let sandbox = Sandbox::start().unwrap();
    let variables = sandbox.env();
    for (api, lifetime) in Api::ALL.into_iter().zip([1800, 1800, 86400, 3000]) {
        assert_eq!(login(api.name(), &as_os(&variables)), format!("ok {lifetime}\n"));
    }
}

#[test]
fn the_error_lists_all_missing_variables() {
    let cases = [
        (
            "zoqq",
            "`base_url` (environment: ZOQQ_BASE_URL), `client_id` (environment: ZOQQ_CLIENT_ID), `api_key` (environment: ZOQQ_API_KEY), `scope` (environment: ZOQQ_SCOPE)",
        ),
        (
            "roecny",
            "`base_url` (environment: ROECNY_BASE_URL), `client_id` (environment: ROECNY_CLIENT_ID), `api_key` (environment: ROECNY_API_KEY)",
        ),
        (
            "cambyopro",
            "`client_id` (environment: CAMBYOPRO_CLIENT_ID), `client_secret` (environment: CAMBYOPRO_CLIENT_SECRET)",
        ),
        ("voipex", "`username` (environment: VOIPEX_USERNAME), `password` (environment: VOIPEX_PASSWORD)"),
    ];
    for (provider, list) in cases {
        assert_eq!(login(provider, &[]), format!("Misconfigured {provider}: missing: {list}\n"));
    }
}

#[test]
fn the_error_names_an_invalid_variable_without_its_value() {
    let wrong = [
        ("ZOQQ_REVISION", OsStr::new("newest"), "ZOQQ_REVISION"),
        #[cfg(unix)]
        ("ZOQQ_API_KEY", std::os::unix::ffi::OsStrExt::from_bytes(b"\xff"), "ZOQQ_API_KEY"),
    ];
    for (variable, value, word) in wrong {
        let text = login("zoqq", &[(variable, value)]);
        assert!(text.starts_with("Misconfigured") && text.contains(word) && !text.contains("newest"), "{text}");
    }
    let text = login("acme", &[]);
    assert!(text.contains("zoqq, roecny, cambyopro, voipex"), "{text}");
}

#[test]
fn t4_plain_http_on_loopback_never_uses_a_proxy() {
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let proxy = format!("http://{}", trap.local_addr().unwrap());
    let sandbox = Sandbox::start().unwrap();
    let mut variables = sandbox.env();
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "HTTPS_PROXY"] {
        variables.push((name, proxy.clone()));
    }
    for api in Api::ALL {
        assert!(login(api.name(), &as_os(&variables)).starts_with("ok "));
    }
    assert!(trap.accept().is_err(), "nothing reached the proxy");
}

#[test]
fn https_uses_the_proxy_from_the_environment() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = proxy.local_addr().unwrap();
    let first_request = std::thread::spawn(move || {
        let (mut stream, _) = proxy.accept().unwrap();
        let mut request = [0; 64];
        let length = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").unwrap();
        drop(proxy);
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let variables = [
        ("HTTPS_PROXY", format!("http://{address}")),
        ("VOIPEX_BASE_URL", "https://login.example".into()),
        ("VOIPEX_USERNAME", "me".into()),
        ("VOIPEX_PASSWORD", "fake".into()),
    ];
    assert!(login("voipex", &as_os(&variables)).starts_with("Unavailable voipex: could not connect"));
    // Lets the thread end if the login never connected to the proxy.
    drop(TcpStream::connect(address));
    assert!(first_request.join().unwrap().starts_with("CONNECT login.example:443 "));
}

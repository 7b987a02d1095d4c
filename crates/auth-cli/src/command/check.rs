//! `auth check`: tests each step from the settings to a response of the server.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use anstyle::{AnsiColor, Style};
use auth_all::core::{ProviderInfo, Request, Response, Transport};
use auth_all::store_file::FileStore;
use http::{StatusCode, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::account::Account;
use crate::accounts::Accounts;
use crate::args::CheckArgs;
use crate::error::{CliError, Result};
use crate::output;
use crate::session::{Session, open_cache};
use crate::timestamp::rfc3339;

/// The timeout of each step on the network.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The largest difference between the clocks that counts as none: `Date` has whole seconds, and its way takes time.
const MAX_SKEW: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: CheckArgs) -> Result<()> {
    let accounts = report_error("config", Accounts::new(&args.flags))?;
    let names = accounts.names_or_all(args.providers)?;
    let config = accounts.config().path();
    let note = if config.exists() { "" } else { " (does not exist)" };
    report(Mark::Ok, "config", &format!("{}{note}", config.display()))?;
    let cache = report_error("cache", open_cache())?;
    report(Mark::Ok, "cache", &cache.dir().display().to_string())?;
    let mut results = Vec::new();
    for name in names {
        output::line(&format!("\n{name}"))?;
        results.push(match report_error("settings", accounts.account(&name)) {
            Ok(account) => check(account, &cache).await,
            Err(error) => Err(error),
        });
    }
    CliError::collect(results).map(drop)
}

async fn check(account: Account, cache: &FileStore) -> Result<()> {
    let settings = describe_settings(&account);
    let session = report_error("settings", Session::new(account, Some(cache)))?;
    report(Mark::Ok, "settings", &settings)?;
    let uri = session.provider.login_request().uri().clone();
    report(Mark::Ok, "login", &uri.to_string())?;

    let is_https = uri.scheme_str() == Some("https");
    // A login without https is on this machine, so no proxy is used.
    match Matcher::from_env().intercept(&uri).filter(|_| is_https) {
        Some(proxy) => {
            report(Mark::Ok, "proxy", &format!("{} resolves the host and connects to it", host_and_port(proxy.uri())))?
        }
        None => connect(&uri, &resolve(&uri).await?).await?,
    }
    let step = if is_https { "TLS, HTTP" } else { "HTTP" };
    let start = Instant::now();
    let response = report_error(step, send_empty_login(&session, &uri).await)?;
    let status = response.status();
    report_error(step, classify(status))?;
    let millis = start.elapsed().as_millis();
    let text = format!("response in {millis} ms (HTTP {} to a login without credentials)", status.as_u16());
    report(Mark::Ok, step, &text)?;
    check_clock(&response)?;
    report_error("cache", session.load_cached().await)?;
    report_error("credentials", check_last_login(&session))
}

/// Returns the name and the origin of each setting that is set, without the values.
fn describe_settings(account: &Account) -> String {
    let found = account.settings.iter().filter_map(|setting| {
        let (_, origin) = setting.found.as_ref()?;
        Some(format!("{} ({})", setting.name, origin.describe()))
    });
    found.collect::<Vec<_>>().join(", ")
}

async fn resolve(uri: &Uri) -> Result<Vec<SocketAddr>> {
    let host = uri.host().unwrap_or_default();
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let found = within(async { Ok(lookup_host((name, port(uri))).await?.collect::<Vec<_>>()) }).await;
    let addresses =
        found.and_then(|found| if found.is_empty() { Err("the host has no address".into()) } else { Ok(found) });
    let addresses = addresses.map_err(|problem| {
        CliError::temporary(format!(
            "{host}: {problem}; check the base URL and the network, and whether HTTPS_PROXY must be set"
        ))
    });
    let addresses = report_error("DNS", addresses)?;
    let list: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
    report(Mark::Ok, "DNS", &list.join(", "))?;
    Ok(addresses)
}

async fn connect(uri: &Uri, addresses: &[SocketAddr]) -> Result<()> {
    let start = Instant::now();
    let connected = within(TcpStream::connect(addresses)).await;
    let peer = connected.and_then(|stream| stream.peer_addr().map_err(|error| error.to_string()));
    let peer = peer.map_err(|problem| {
        CliError::temporary(format!("{}: {problem}; check the base URL and firewalls", host_and_port(uri)))
    });
    let peer = report_error("connection", peer)?;
    report(Mark::Ok, "connection", &format!("{peer} in {} ms", start.elapsed().as_millis()))
}

async fn within<R>(step: impl Future<Output = std::io::Result<R>>) -> std::result::Result<R, String> {
    match timeout(TIMEOUT, step).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("timeout after {} s", TIMEOUT.as_secs())),
    }
}

/// Sends a login request without credentials.
async fn send_empty_login(session: &Session, uri: &Uri) -> Result<Response> {
    let origin = format!("{}://{}", uri.scheme_str().unwrap_or_default(), host_and_port(uri));
    let info = ProviderInfo::new(session.account.provider, session.account.provider);
    let endpoint = info.endpoint(&origin, "login_path", uri.path())?;
    let transport = session.transport.build()?;
    match timeout(TIMEOUT, transport.send(Request::post(&endpoint))).await {
        Ok(response) => Ok(response?),
        Err(_) => Err(CliError::temporary(format!(
            "no response within {} s; check that the base URL is that of a web server",
            TIMEOUT.as_secs()
        ))),
    }
}

/// Returns an error if the status shows that the login cannot work. Any refusal is expected without credentials.
fn classify(status: StatusCode) -> Result<()> {
    let code = status.as_u16();
    match code {
        404 | 405 => Err(CliError::usage(format!(
            "HTTP {code}: there is no login at this address; check the base URL and the login path"
        ))),
        300..=399 => Err(CliError::other(format!(
            "HTTP {code}: redirects are never followed; set the base URL to the final address"
        ))),
        407 => Err(CliError::usage("HTTP 407: the proxy in HTTPS_PROXY requires other credentials")),
        429 | 500..=599 => Err(CliError::temporary(format!("HTTP {code}: the provider is unavailable at the moment"))),
        _ => Ok(()),
    }
}

/// Compares the local clock with the server's. A wrong clock is a note: logins work, but other programs may fail.
fn check_clock(response: &Response) -> Result<()> {
    let now = SystemTime::now();
    let Some(date) = response.date() else {
        return report(Mark::Note, "clock", "not compared, because the response has no Date header");
    };
    let skew = now.duration_since(date).or(date.duration_since(now)).unwrap_or_default();
    if skew <= MAX_SKEW {
        return report(Mark::Ok, "clock", "agrees with the server's");
    }
    let side = if now > date { "ahead of" } else { "behind" };
    let text = format!("{} s {side} the server's; tokens work nevertheless, but set the clock", skew.as_secs());
    report(Mark::Note, "clock", &text)
}

/// Reports the cached result of the last login.
fn check_last_login(session: &Session) -> Result<()> {
    let status = session.tokens.status();
    match (status.expires_at, status.last_error) {
        (Some(expires_at), _) => {
            report(Mark::Ok, "credentials", &format!("a token is cached and expires at {}", rfc3339(expires_at)))
        }
        (None, Some(error)) => Err(CliError::login(&error, status.next_attempt_at)),
        (None, None) => {
            let text = format!("not tested; run `auth token {}` to log in", session.account.name);
            report(Mark::Note, "credentials", &text)
        }
    }
}

fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 })
}

/// Returns the host and the port, without the user name and the password of a proxy.
fn host_and_port(uri: &Uri) -> String {
    format!("{}:{}", uri.host().unwrap_or_default(), port(uri))
}

/// Prints the error of a step, and removes its text so that it is not printed again at the end.
fn report_error<R>(step: &str, result: Result<R>) -> Result<R> {
    if let Err(error) = &result {
        report(Mark::Wrong, step, error.text())?;
    }
    result.map_err(CliError::without_text)
}

enum Mark {
    Ok,
    Note,
    Wrong,
}

fn report(mark: Mark, step: &str, text: &str) -> Result<()> {
    let (color, mark) = match mark {
        Mark::Ok => (AnsiColor::Green, "ok"),
        Mark::Note => (AnsiColor::Yellow, "note"),
        Mark::Wrong => (AnsiColor::Red, "WRONG"),
    };
    let style = Style::new().fg_color(Some(color.into()));
    output::line(&format!("  {style}{mark:<5}{style:#}  {step:<11}  {text}"))
}

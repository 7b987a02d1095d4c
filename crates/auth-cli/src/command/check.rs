//! `auth check`: what is wrong, step by step, from the settings to an answer of the server.

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
use crate::clock::stamp;
use crate::failure::{Failure, Result};
use crate::output;
use crate::session::{Session, cache};

/// Of each step on the network.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A server tells its clock in whole seconds, some time before that is read.
const SKEW: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: CheckArgs) -> Result<()> {
    let accounts = told("config", Accounts::new(&args.flags))?;
    let names = accounts.names_or_all(args.providers)?;
    let config = accounts.config().path();
    let is_there = if config.exists() { "" } else { " (there is none)" };
    tell(Mark::Ok, "config", &format!("{}{is_there}", config.display()))?;
    let cache = told("cache", cache())?;
    tell(Mark::Ok, "cache", &cache.dir().display().to_string())?;
    let mut results = Vec::new();
    for name in names {
        output::line(&format!("\n{name}"))?;
        results.push(match told("settings", accounts.one(&name)) {
            Ok(account) => check(account, &cache).await,
            Err(failure) => Err(failure),
        });
    }
    Failure::all(results).map(drop)
}

async fn check(account: Account, cache: &FileStore) -> Result<()> {
    let settings = describe(&account);
    let session = told("settings", Session::new(account, Some(cache)))?;
    tell(Mark::Ok, "settings", &settings)?;
    let uri = session.provider.login_request().uri().clone();
    tell(Mark::Ok, "login", &uri.to_string())?;

    let is_https = uri.scheme_str() == Some("https");
    // What is not https is this machine, where no proxy is used.
    match Matcher::from_env().intercept(&uri).filter(|_| is_https) {
        Some(proxy) => {
            tell(Mark::Ok, "proxy", &format!("{} looks the host up and connects", host_and_port(proxy.uri())))?
        }
        None => connect(&uri, &resolve(&uri).await?).await?,
    }
    let step = if is_https { "TLS, HTTP" } else { "HTTP" };
    let start = Instant::now();
    let answer = told(step, ask(&session, &uri).await)?;
    let status = answer.status().as_u16();
    told(step, judge(answer.status()))?;
    tell(
        Mark::Ok,
        step,
        &format!("answered, in {} ms (to a login without credentials: {status})", start.elapsed().as_millis()),
    )?;
    clock(&answer)?;
    told("cache", session.recall().await)?;
    told("credentials", remembered(&session))
}

/// Each setting that was found, and where; no values.
fn describe(account: &Account) -> String {
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
    let addresses = found.and_then(|found| if found.is_empty() { Err("no address".into()) } else { Ok(found) });
    let addresses = addresses.map_err(|problem| {
        Failure::temporary(format!(
            "{host}: {problem}; check the base URL, the network, and whether it needs HTTPS_PROXY"
        ))
    });
    let addresses = told("DNS", addresses)?;
    let list: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
    tell(Mark::Ok, "DNS", &list.join(", "))?;
    Ok(addresses)
}

async fn connect(uri: &Uri, addresses: &[SocketAddr]) -> Result<()> {
    let start = Instant::now();
    let connected = within(TcpStream::connect(addresses)).await;
    let peer = connected.and_then(|stream| stream.peer_addr().map_err(|error| error.to_string()));
    let peer = peer.map_err(|problem| {
        Failure::temporary(format!("{}: {problem}; check the base URL, and firewalls", host_and_port(uri)))
    });
    let peer = told("connection", peer)?;
    tell(Mark::Ok, "connection", &format!("{peer} in {} ms", start.elapsed().as_millis()))
}

async fn within<R>(step: impl Future<Output = std::io::Result<R>>) -> std::result::Result<R, String> {
    match timeout(TIMEOUT, step).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("nothing within {} s", TIMEOUT.as_secs())),
    }
}

/// Sends a login without credentials.
async fn ask(session: &Session, uri: &Uri) -> Result<Response> {
    let origin = format!("{}://{}", uri.scheme_str().unwrap_or_default(), host_and_port(uri));
    let profile = ProviderInfo::new(session.account.provider, session.account.provider);
    let endpoint = profile.endpoint(&origin, "login_path", uri.path())?;
    let transport = session.transport.build()?;
    match timeout(TIMEOUT, transport.send(Request::post(&endpoint))).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure::temporary(format!("no answer within {} s: is it a web server?", TIMEOUT.as_secs()))),
    }
}

/// What the status says: a login without credentials is refused in one way or another.
fn judge(status: StatusCode) -> Result<()> {
    let code = status.as_u16();
    match code {
        404 | 405 => Err(Failure::usage(format!(
            "HTTP {code}: nothing there takes a login; check the base URL and the login path"
        ))),
        300..=399 => Err(Failure::other(format!(
            "HTTP {code}: a redirect, which is never followed; set the base URL to the final address"
        ))),
        407 => Err(Failure::usage("HTTP 407: the proxy in HTTPS_PROXY asks for other credentials")),
        429 | 500..=599 => Err(Failure::temporary(format!("HTTP {code}: the provider cannot answer for the moment"))),
        _ => Ok(()),
    }
}

/// A wrong clock costs no token here, but other things fail by it.
fn clock(answer: &Response) -> Result<()> {
    let now = SystemTime::now();
    let Some(date) = answer.date() else { return tell(Mark::Note, "clock", "the server does not tell the time") };
    let skew = now.duration_since(date).or(date.duration_since(now)).unwrap_or_default();
    if skew <= SKEW {
        return tell(Mark::Ok, "clock", "as the server's");
    }
    let side = if now > date { "ahead of" } else { "behind" };
    tell(
        Mark::Note,
        "clock",
        &format!("{} s {side} the server's: tokens work all the same, but set it", skew.as_secs()),
    )
}

/// What the cache says of the last login.
fn remembered(session: &Session) -> Result<()> {
    let status = session.tokens.status();
    match (status.expires_at, status.last_error) {
        (Some(until), _) => tell(Mark::Ok, "credentials", &format!("a token is cached until {}", stamp(until))),
        (None, Some(error)) => Err(Failure::login(&error, status.next_attempt_at)),
        (None, None) => {
            tell(Mark::Note, "credentials", &format!("not tried; `auth token {}` logs in", session.account.name))
        }
    }
}

fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 })
}

/// Without a user name and a password.
fn host_and_port(uri: &Uri) -> String {
    format!("{}:{}", uri.host().unwrap_or_default(), port(uri))
}

/// Passes a result on; a failure is told here, and not again at the end.
fn told<R>(step: &str, result: Result<R>) -> Result<R> {
    if let Err(failure) = &result {
        tell(Mark::Wrong, step, failure.text())?;
    }
    result.map_err(Failure::silent)
}

enum Mark {
    Ok,
    Note,
    Wrong,
}

fn tell(mark: Mark, step: &str, text: &str) -> Result<()> {
    let (color, mark) = match mark {
        Mark::Ok => (AnsiColor::Green, "ok"),
        Mark::Note => (AnsiColor::Yellow, "note"),
        Mark::Wrong => (AnsiColor::Red, "WRONG"),
    };
    let style = Style::new().fg_color(Some(color.into()));
    output::line(&format!("  {style}{mark:<5}{style:#}  {step:<11}  {text}"))
}

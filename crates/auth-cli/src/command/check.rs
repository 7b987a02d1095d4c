//! `auth check`: what is wrong, step by step, from the settings to an answer of the server.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use anstyle::{AnsiColor, Style};
use auth_all::core::{Profile, Request, Response, Transport};
use auth_all::store_file::FileStore;
use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::account::{Account, Accounts};
use crate::args::CheckArgs;
use crate::clock::stamp;
use crate::failure::{Failure, Result};
use crate::output;
use crate::session::{Session, cache};

/// Of each step on the network.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server tells its clock in whole seconds, some time before that is read.
const SKEW: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: CheckArgs) -> Result<()> {
    let accounts = Accounts::new(&args.flags)?;
    let names = accounts.names_or_all(args.providers)?;
    let cache = cache()?;
    told("config", Ok(accounts.config().path().display().to_string()))?;
    told("cache", Ok(cache.dir().display().to_string()))?;
    let mut results = Vec::new();
    for name in names {
        output::line(&format!("\n{name}"))?;
        results.push(match accounts.one(&name) {
            Ok(account) => check(account, &cache).await.map_err(|failure| failure.of(&name)),
            Err(failure) => told("settings", Err(failure)),
        });
    }
    Failure::all(results).map(drop)
}

async fn check(account: Account, cache: &FileStore) -> Result<()> {
    let settings = describe(&account);
    let provider = account.provider;
    let session = match Session::new(account, Some(cache)) {
        Ok(session) => session,
        Err(failure) => return told("settings", Err(failure)),
    };
    told("settings", Ok(settings))?;
    let uri = session.provider.login().uri().clone();
    told("login", Ok(uri.to_string()))?;

    match Matcher::from_env().intercept(&uri).filter(|_| uri.scheme_str() == Some("https")) {
        Some(proxy) => told("proxy", Ok(format!("{} looks the host up and connects", host_and_port(proxy.uri()))))?,
        None => reach(&uri).await?,
    }
    let answer = ask(&session, provider, &uri).await?;
    clock(&answer)?;
    session.recall().await;
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

/// Looks the host up, and connects.
async fn reach(uri: &Uri) -> Result<()> {
    let (host, port) = (uri.host().unwrap_or_default(), port(uri));
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let found = within(async { Ok(lookup_host((name, port)).await?.collect::<Vec<SocketAddr>>()) }).await;
    let addresses = found.and_then(|found| if found.is_empty() { Err("no address".into()) } else { Ok(found) });
    let list = |addresses: &Vec<SocketAddr>| {
        addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ")
    };
    let advice = |problem| {
        Failure::temporary(format!(
            "{host} has no address ({problem}): check the base URL, the network, and whether it needs HTTPS_PROXY"
        ))
    };
    told("DNS", addresses.as_ref().map(list).map_err(advice))?;

    let (start, addresses) = (Instant::now(), addresses.unwrap_or_default());
    let connected = within(TcpStream::connect(&*addresses)).await;
    let connected = connected.and_then(|stream| stream.peer_addr().map_err(|error| error.to_string()));
    told(
        "connection",
        connected.map(|peer| format!("{peer} in {} ms", start.elapsed().as_millis())).map_err(|problem| {
            Failure::temporary(format!("no connection to {host}:{port} ({problem}): check the base URL, and firewalls"))
        }),
    )
}

async fn within<R>(step: impl Future<Output = std::io::Result<R>>) -> std::result::Result<R, String> {
    match timeout(PATIENCE, step).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("nothing within {} s", PATIENCE.as_secs())),
    }
}

/// Sends a request without credentials: any answer will do.
async fn ask(session: &Session, provider: &'static str, uri: &Uri) -> Result<Response> {
    let origin = format!("{}://{}", uri.scheme_str().unwrap_or_default(), host_and_port(uri));
    let endpoint = Profile::new(provider, "").endpoint(&origin, "base_url", "/")?;
    let step = if uri.scheme_str() == Some("https") { "TLS, HTTP" } else { "HTTP" };
    let transport = session.transport().build();
    let start = Instant::now();
    let answer = match transport {
        Ok(transport) => match timeout(PATIENCE, transport.send(Request::post(&endpoint))).await {
            Ok(answer) => answer.map_err(Failure::from),
            Err(_) => {
                Err(Failure::temporary(format!("no answer within {} s: is it a web server?", PATIENCE.as_secs())))
            }
        },
        Err(failure) => Err(failure),
    };
    let told_of =
        |answer: &Response| format!("answered ({}) in {} ms", answer.status().as_u16(), start.elapsed().as_millis());
    told(step, answer.as_ref().map(told_of).map_err(Clone::clone))?;
    answer
}

/// A wrong clock costs no token here, but other things fail by it.
fn clock(answer: &Response) -> Result<()> {
    let now = SystemTime::now();
    let Some(date) = answer.date() else { return told("clock", Ok("the server does not tell the time".into())) };
    let (ahead, behind) = (now.duration_since(date), date.duration_since(now));
    let skew = ahead.or(behind).unwrap_or_default();
    if skew <= SKEW {
        return told("clock", Ok("as the server's".into()));
    }
    let side = if now > date { "ahead of" } else { "behind" };
    let text = format!("{} s {side} the server's: tokens work all the same, but set it", skew.as_secs());
    told("clock", Ok(text))
}

/// What the cache says of the last login.
fn remembered(session: &Session) -> Result<String> {
    let status = session.tokens.status();
    match (status.expires_at, status.last_error) {
        (Some(until), _) => Ok(format!("a token is cached until {}", stamp(until))),
        (None, Some(error)) => Err(Failure::login(&error, status.next_attempt_at)),
        (None, None) => Ok(format!("not tried here; `auth token {}` logs in", session.account.name)),
    }
}

fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 })
}

/// Without a user name and a password.
fn host_and_port(uri: &Uri) -> String {
    format!("{}:{}", uri.host().unwrap_or_default(), port(uri))
}

/// Tells the outcome of one step, and passes a failure on.
fn told(step: &str, outcome: Result<String>) -> Result<()> {
    let (color, mark, text) = match &outcome {
        Ok(text) => (AnsiColor::Green, "ok", text.as_str()),
        Err(failure) => (AnsiColor::Red, "WRONG", failure.text()),
    };
    let style = Style::new().fg_color(Some(color.into()));
    output::line(&format!("  {style}{mark:<5}{style:#}  {step:<11}  {text}"))?;
    outcome.map(drop)
}

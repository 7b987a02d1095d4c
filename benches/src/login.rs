//! Compares a login over real HTTP with the same `POST` through bare reqwest.
//!
//! Once over TLS, which every provider uses, and once over plain HTTP on loopback, which shows only the CPU time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_core::{Provider, ReqwestTransport, TokenManager};
use auth_voipex::Voipex;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::{Certificate, ClientBuilder};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::{Result, Row, median};

const LOGINS: u32 = 5_000;

pub(crate) fn overhead() -> Result<Vec<Row>> {
    let certificate = generate_simple_self_signed(["localhost".to_owned()])?;
    let root = Certificate::from_der(certificate.cert.der())?;
    let server = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let tls = serve(&server, Some(acceptor(&certificate)?))?;
    let plain = serve(&server, None)?;

    let (bare, ours) = compare(&format!("https://localhost:{}", tls.port()), &root)?;
    let (bare_plain, ours_plain) = compare(&format!("http://127.0.0.1:{}", plain.port()), &root)?;
    let hand_over = hand_over()?;
    Ok(vec![
        Row::new("login over TLS: the same POST with bare reqwest", bare, bare, None),
        Row::new("login over TLS: a new TokenManager, token().await", ours, bare, Some(1.05)),
        Row::new("login over plain HTTP: bare reqwest", bare_plain, bare_plain, None),
        Row::new("login over plain HTTP: a new TokenManager, token().await", ours_plain, bare_plain, None),
        Row::new("a task on an idle runtime of two threads", hand_over, hand_over, None),
    ])
}

/// Returns how long a task takes on a runtime of two idle threads, as a login has it: from the caller and back.
fn hand_over() -> Result<f64> {
    let idle = Builder::new_multi_thread().worker_threads(2).build()?;
    let mut times = Vec::new();
    Builder::new_current_thread().build()?.block_on(async {
        for _ in 0..LOGINS {
            std::thread::sleep(Duration::from_micros(200));
            let start = Instant::now();
            idle.spawn(async {}).await?;
            times.push(nanoseconds(start));
        }
        Ok::<_, tokio::task::JoinError>(())
    })?;
    Ok(median(times))
}

/// Returns the medians of bare reqwest and of a login.
///
/// Each call opens a new connection, because real logins are half an hour or more apart.
fn compare(base_url: &str, root: &Certificate) -> Result<(f64, f64)> {
    let voipex =
        Voipex::builder().with_base_url(base_url).with_username("me@example.com").with_password("not-a-real-one");
    let voipex = voipex.build()?;
    let request = voipex.login_request();
    let (url, form) = (request.uri().to_string(), request.body().to_vec());
    let client = || ClientBuilder::new().no_proxy().tls_certs_only([root.clone()]);
    let transport = ReqwestTransport::from_client_builder(client())?;
    let tokens = || TokenManager::builder(voipex.clone()).with_transport(transport.clone()).build();
    let client = client().pool_max_idle_per_host(0).build()?;
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        // The two alternate call by call, and each is the first of a pair equally often. A round trip on loopback
        // depends mostly on what the other core has just done.
        for number in 0..2 * LOGINS {
            let tokens = tokens()?;
            let start = Instant::now();
            if number % 4 == 0 || number % 4 == 3 {
                let request = client.post(&url).header("content-type", "application/x-www-form-urlencoded");
                request.body(form.clone()).send().await?.bytes().await?;
                bare.push(nanoseconds(start));
            } else {
                tokens.token().await?;
                ours.push(nanoseconds(start));
            }
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    Ok((median(bare), median(ours)))
}

fn acceptor(certificate: &CertifiedKey<rcgen::KeyPair>) -> Result<TlsAcceptor> {
    let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der())?;
    let config = ServerConfig::builder().with_no_client_auth();
    Ok(TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate.cert.der().clone()], key)?)))
}

/// Starts a server that responds to each request with a token, one request per connection.
fn serve(runtime: &Runtime, acceptor: Option<TlsAcceptor>) -> Result<SocketAddr> {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = match &acceptor {
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => respond(stream).await,
                    Err(error) => Err(error),
                },
                None => respond(stream).await,
            };
        }
    });
    Ok(address)
}

async fn respond(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    let token = "x".repeat(700);
    let body =
        format!(r#"{{"access_token":"{token}","expires_in":3000,"token_type":"Bearer","scope":"profile email"}}"#);
    let mut request = Vec::new();
    while !request.ends_with(b"grant_type=password") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await?;
    stream.shutdown().await
}

fn nanoseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e9
}

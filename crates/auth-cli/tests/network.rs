//! Root certificates of one's own, and proxies of the environment.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use support::{Home, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Serves Cambyopro's login over TLS; gives its port and its certificate.
fn bank() -> (u16, String) {
    let own = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key);
    let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let body = r#"{"success":true,"message":"","accessToken":"of-the-bank","expiresIn":600}"#;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    };
    thread::spawn(move || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(serve));
    (port, own.cert.pem())
}

#[test]
fn a_proxy_speaks_tls_to_its_api() {
    let (port, pem) = bank();
    let origin = format!("https://localhost:{port}");
    let home = Home::new().with("CAMBYOPRO_BASE_URL", &origin);
    let file = home.path().join("company.pem");
    fs::write(&file, pem).unwrap();
    let answer = |home: &Home| {
        let proxy = Server::start(&mut home.auth(&["proxy", "cambyopro", "--to", &origin, "--no-cache"]), 1);
        let address = proxy.lines[0].strip_prefix("http://").unwrap().to_owned();
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(answer(&home).starts_with("HTTP/1.1 502"), "an issuer that nobody knows");
    let home = home.with("AUTH_CA_FILE", file.to_str().unwrap());
    let told = answer(&home);
    assert!(told.starts_with("HTTP/1.1 200") && told.contains("of-the-bank"), "{told}");
}

#[test]
fn t4_a_root_certificate_of_ones_own_is_added() {
    let (port, pem) = bank();
    let mut home = Home::new().with("CAMBYOPRO_BASE_URL", &format!("https://localhost:{port}"));
    assert!(home.run(&["token", "cambyopro", "--no-cache"]).failed(1).contains("unknown issuer"));
    assert!(home.run(&["check", "cambyopro"]).stdout.contains("WRONG  TLS, HTTP"));

    let file = home.path().join("company.pem");
    fs::write(&file, pem).unwrap();
    home.set("AUTH_CA_FILE", file.to_str().unwrap());
    assert_eq!(home.run(&["token", "cambyopro"]).line(), "of-the-bank");

    fs::write(&file, "nothing").unwrap();
    assert_eq!(home.run(&["token", "cambyopro"]).line(), "of-the-bank", "a cached token needs none");
    assert!(home.run(&["token", "cambyopro", "--no-cache"]).failed(2).contains("holds no certificate"));
}

/// A proxy that tells what it was asked, and goes.
fn proxy() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, asked) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            // Before the client can end.
            sender.send(line).unwrap();
        }
    });
    (address, asked)
}

#[test]
fn a_proxy_of_the_environment_is_asked_unless_excepted() {
    let (address, asked) = proxy();
    let home = Home::new()
        .with("CAMBYOPRO_BASE_URL", "https://bank.invalid")
        .with("HTTPS_PROXY", &format!("http://{address}"));
    home.run(&["token", "cambyopro", "--no-cache"]).failed(75);
    assert_eq!(asked.recv().unwrap(), "CONNECT bank.invalid:443 HTTP/1.1\r\n");
    assert!(home.run(&["check", "cambyopro"]).stdout.contains("proxy"));

    let (address, asked) = proxy();
    let home = home.with("HTTPS_PROXY", &format!("http://{address}")).with("NO_PROXY", "bank.invalid");
    home.run(&["token", "cambyopro", "--no-cache"]).failed(75);
    assert!(asked.try_recv().is_err());
}

//! Root certificates in `AUTH_CA_FILE`, and proxies in the environment.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::support::{Home, Server};

/// Serves Cambyopro's login over TLS. Returns the port and the self-signed certificate.
fn bank() -> (u16, String) {
    let certified = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], key);
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
            let body = r#"{"success":true,"message":"","accessToken":"bank-token","expiresIn":600}"#;
            let response = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n\
                 {body}",
                body.len()
            );
            let _ = stream.write_all(response.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    };
    thread::spawn(move || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(serve));
    (port, certified.cert.pem())
}

#[test]
fn auth_proxy_connects_to_the_api_over_tls() {
    let (port, pem) = bank();
    let origin = format!("https://localhost:{port}");
    let home = Home::new().with("CAMBYOPRO_BASE_URL", &origin);
    let file = home.path().join("company.pem");
    fs::write(&file, pem).unwrap();
    let get = |home: &Home| {
        let proxy = Server::start(&mut home.auth(&["proxy", "cambyopro", "--to", &origin, "--no-cache"]), 1);
        let address = proxy.lines[0].strip_prefix("http://").unwrap().to_owned();
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    };
    assert!(get(&home).starts_with("HTTP/1.1 502"), "unknown issuer");
    let home = home.with("AUTH_CA_FILE", file.to_str().unwrap());
    let response = get(&home);
    assert!(response.starts_with("HTTP/1.1 200") && response.contains("bank-token"), "{response}");
}

#[test]
fn t4_an_additional_root_certificate_is_trusted() {
    let (port, pem) = bank();
    let mut home = Home::new().with("CAMBYOPRO_BASE_URL", &format!("https://localhost:{port}"));
    assert!(home.run(&["token", "cambyopro", "--no-cache"]).failed(1).contains("unknown issuer"));
    assert!(home.run(&["check", "cambyopro"]).stdout.contains("WRONG  TLS, HTTP"));

    let file = home.path().join("company.pem");
    fs::write(&file, pem).unwrap();
    home.set("AUTH_CA_FILE", file.to_str().unwrap());
    assert_eq!(home.run(&["token", "cambyopro"]).stdout_line(), "bank-token");

    fs::write(&file, "nothing").unwrap();
    assert_eq!(home.run(&["token", "cambyopro"]).stdout_line(), "bank-token", "a cached token needs no certificate");
    assert!(home.run(&["token", "cambyopro", "--no-cache"]).failed(2).contains("contains no certificate"));
}

/// Starts a proxy that sends the first line of each request to the test and closes the connection.
fn proxy() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, requests) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            // Sent before the connection is closed, because the client exits then.
            sender.send(line).unwrap();
        }
    });
    (address, requests)
}

#[test]
fn the_proxy_in_the_environment_is_used_unless_no_proxy_excludes_the_host() {
    let (address, requests) = proxy();
    let home = Home::new()
        .with("CAMBYOPRO_BASE_URL", "https://bank.invalid")
        .with("HTTPS_PROXY", &format!("http://{address}"));
    home.run(&["token", "cambyopro", "--no-cache"]).failed(75);
    assert_eq!(requests.recv().unwrap(), "CONNECT bank.invalid:443 HTTP/1.1\r\n");
    assert!(home.run(&["check", "cambyopro"]).stdout.contains("proxy"));

    let (address, requests) = proxy();
    let home = home.with("HTTPS_PROXY", &format!("http://{address}")).with("NO_PROXY", "bank.invalid");
    home.run(&["token", "cambyopro", "--no-cache"]).failed(75);
    assert!(requests.try_recv().is_err());
}

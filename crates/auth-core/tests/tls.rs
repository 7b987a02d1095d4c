//! Tests T4: servers that must not be trusted, and the errors that say why.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![cfg(feature = "reqwest")]

use std::error::Error as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use auth_core::{Error, ErrorKind, ProviderInfo, Request, ReqwestTransport, Response, Transport};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn issuer(name: &str) -> Issuer {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn params(host: &str) -> CertificateParams {
    CertificateParams::new(vec![host.to_owned()]).unwrap()
}

/// Serves a certificate and responds to each request with status 200.
async fn serve(params: CertificateParams, issuer: &Issuer) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).unwrap()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        }
    });
    address
}

async fn send(address: SocketAddr, trusted: &Issuer) -> Result<Response, Error> {
    let root = reqwest::Certificate::from_der(trusted.der()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]);
    let transport = ReqwestTransport::from_client_builder(client).unwrap();
    let endpoint = ProviderInfo::new("test", "TEST")
        .endpoint(&format!("https://localhost:{}", address.port()), "login_path", "/login")
        .unwrap();
    transport.send(Request::post(&endpoint)).await
}

#[tokio::test]
async fn t4_a_trusted_certificate_is_accepted() {
    let issuer = issuer("trusted");
    let response = send(serve(params("localhost"), &issuer).await, &issuer).await.unwrap();
    assert_eq!(response.body(), b"ok");
}

#[tokio::test]
async fn t4_a_certificate_error_states_the_cause() {
    let issuer = issuer("trusted");
    let mut expired = params("localhost");
    expired.not_before = date_time_ymd(2001, 1, 1);
    expired.not_after = date_time_ymd(2002, 1, 1);
    let mut not_yet_valid = params("localhost");
    not_yet_valid.not_before = date_time_ymd(3001, 1, 1);
    not_yet_valid.not_after = date_time_ymd(3002, 1, 1);
    let cases = [
        (serve(expired, &issuer).await, "has expired"),
        (serve(not_yet_valid, &issuer).await, "not valid yet"),
        (serve(params("other.example"), &issuer).await, "another host"),
        (serve(params("localhost"), &self::issuer("another")).await, "unknown issuer"),
        (serve(params("localhost"), &self::issuer("trusted")).await, "unknown issuer"),
    ];
    for (address, words) in cases {
        let error = send(address, &issuer).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Untrusted);
        assert!(!error.is_transient());
        assert!(error.to_string().contains(words), "{error}: {:?}", error.source());
    }
}

/// Accepts one connection and sends these bytes after the client's first bytes.
fn respond_raw(response: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(response);
        let _ = stream.read(&mut [0; 4096]);
    });
    address
}

#[tokio::test]
async fn t4_tls_older_than_1_2_is_refused() {
    // A ServerHello of TLS 1.1 (RFC 4346 section 7.4.1.3): version 3.2, no session, one cipher suite, no compression.
    let mut hello = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2f, 0]);
    let error = send(respond_raw(hello.leak()), &issuer("trusted")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}: {:?}", error.source());
}

#[tokio::test]
async fn t4_a_server_without_tls_is_refused() {
    let error =
        send(respond_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), &issuer("trusted")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}: {:?}", error.source());
}

//! Runs the public conformance suites on the project's own providers, transport and stores.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth_core::ReqwestTransport;
use auth_sandbox::Api;
use auth_store_file::FileStore;
use auth_store_redis::RedisStore;
use auth_testing::MemoryStore;
use auth_testing::conformance;
use auth_tests::redis::RedisServer;
use auth_tests::{SUBJECTS, Subject};

const KEY: &str = "1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn provider(subject: Subject) {
    conformance::provider(
        |secret| subject.with_secret("https://login.example", secret).unwrap(),
        |token, lifetime| token_response(subject, token, lifetime),
        (401, subject.refusal),
    );
}

/// Returns a successful response body that states the lifetime in the provider's format.
fn token_response(subject: Subject, token: &str, lifetime: Duration) -> String {
    let stated = match subject.api {
        Api::Zoqq | Api::Roecny => {
            let end = SystemTime::now() + lifetime;
            format!(r#""expires_at":{}"#, end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs())
        }
        Api::Cambyopro => format!(r#""expiresIn":{}"#, lifetime.as_secs()),
        _ => format!(r#""expires_in":{}"#, lifetime.as_secs()),
    };
    let name = match subject.api {
        Api::Cambyopro => r#""success":true,"accessToken""#,
        Api::Voipex => r#""refresh_token":"fake-refresh","access_token""#,
        _ => r#""token""#,
    };
    format!(r#"{{{name}:"{token}",{stated}}}"#)
}

#[test]
fn zoqq() {
    provider(SUBJECTS[0]);
}

#[test]
fn roecny() {
    provider(SUBJECTS[1]);
}

#[test]
fn cambyopro() {
    provider(SUBJECTS[2]);
}

#[test]
fn voipex() {
    provider(SUBJECTS[3]);
}

#[test]
fn reqwest() {
    conformance::transport(|| ReqwestTransport::new().unwrap());
}

#[test]
fn memory_store() {
    let store = MemoryStore::new();
    conformance::store(|| store.shared());
}

#[test]
fn file_store() {
    let home = tempfile::tempdir().unwrap();
    conformance::store(|| Arc::new(FileStore::builder().with_dir(home.path().join("tokens")).build().unwrap()));
}

#[test]
fn redis_store() {
    let Some(server) = RedisServer::start() else { return };
    conformance::store(|| Arc::new(RedisStore::builder().with_url(server.url()).with_keys(KEY).build().unwrap()));
}

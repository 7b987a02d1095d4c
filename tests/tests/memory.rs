//! K2: memory that held a secret is zeroed when it is dropped.
//!
//! The tests search the memory of this process, so they are in a separate test binary.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use auth_core::store::TokenStore;
use auth_core::{Secret, TokenManager};
use auth_store_file::FileStore;
use auth_testing::{MemoryStore, Script, ScriptedResponse};
use auth_tests::SUBJECTS;
use zeroize::Zeroizing;

const MASK: u8 = 0x5a;
const LENGTH: usize = 24;

/// Precedes each secret, because an allocator overwrites the first bytes of memory that it has freed.
const PREFIX: &str = "a-prefix-that-is-not-searched-for.";

/// A random secret, stored masked, so that a search of the memory does not find this copy.
struct Sentinel([u8; LENGTH]);

impl Sentinel {
    fn new() -> Self {
        Self(std::array::from_fn(|_| fastrand::alphanumeric() as u8 ^ MASK))
    }

    fn reveal(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + LENGTH));
        text.push_str(PREFIX);
        text.extend(self.0.iter().map(|byte| char::from(byte ^ MASK)));
        text
    }

    fn is_at(&self, bytes: &[u8]) -> bool {
        bytes.iter().zip(&self.0).all(|(byte, masked)| *byte == masked ^ MASK)
    }
}

/// Counts the copies of `sentinel` in all writable memory of this process.
fn copies(sentinel: &Sentinel, buffer: &mut [u8]) -> usize {
    let own = buffer.as_ptr() as u64..buffer.as_ptr() as u64 + buffer.len() as u64;
    let memory = File::open("/proc/self/mem").unwrap();
    let mut found = 0;
    for line in fs::read_to_string("/proc/self/maps").unwrap().lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|hex| u64::from_str_radix(hex, 16).unwrap());
        let mut at = start;
        while at < end {
            let length = ((end - at) as usize).min(buffer.len());
            let Ok(read) = memory.read_at(&mut buffer[..length], at) else {
                break;
            };
            let first = sentinel.0[0] ^ MASK;
            let mut offset = 0;
            while let Some(next) = buffer[offset..read].iter().position(|byte| *byte == first) {
                offset += next;
                let is_own = own.contains(&(at + offset as u64));
                found += usize::from(!is_own && offset + LENGTH <= read && sentinel.is_at(&buffer[offset..read]));
                offset += 1;
            }
            buffer.fill(0);
            // The reads overlap, so that a copy across the border of two reads is found.
            at += if read < length || at + length as u64 == end { length } else { length - LENGTH + 1 } as u64;
        }
    }
    found
}

#[test]
fn k2_a_login_leaves_no_secret_in_memory() {
    let mut buffer = vec![0; 1 << 20];

    // Checks the search itself: it finds a live secret, and not a dropped one.
    let sentinel = Sentinel::new();
    let secret = Secret::from(sentinel.reveal().as_str());
    assert_eq!(copies(&sentinel, &mut buffer), 1);
    drop(secret);
    assert_eq!(copies(&sentinel, &mut buffer), 0);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for subject in SUBJECTS {
        let [credential, token] = [Sentinel::new(), Sentinel::new()];
        // Filled in place, because an intermediate copy would not be zeroed.
        let template = subject.token_response("@");
        let (before, after) = template.split_once('@').unwrap();
        let mut expected = Zeroizing::new(String::with_capacity(500));
        [before, &token.reveal(), after].iter().for_each(|part| expected.push_str(part));
        let script = Script::new([ScriptedResponse::json(200, &expected), ScriptedResponse::json(401, &expected)]);
        drop(expected);
        let provider = subject.with_secret("https://login.example", &credential.reveal()).unwrap();
        let tokens = TokenManager::builder(provider).with_transport(script.clone()).build().unwrap();
        let first = runtime.block_on(tokens.token()).unwrap();
        assert_eq!(first.expose(), token.reveal().as_str());
        tokens.reject(&first);
        runtime.block_on(tokens.token()).unwrap_err();
        drop((first, tokens));
        assert!(copies(&credential, &mut buffer) > 0, "the script still holds its requests");
        drop(script);
        for (name, sentinel) in [("credential", &credential), ("token", &token)] {
            let left = copies(sentinel, &mut buffer);
            assert_eq!(left, 0, "copies of the {name} left by {:?}", subject.api);
        }
    }
}

/// Covers both directions: saving to a store and loading from it.
#[test]
fn k2_a_store_leaves_no_secret_in_memory() {
    let mut buffer = vec![0; 1 << 20];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let home = tempfile::tempdir().unwrap();
    let dir = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let files = || FileStore::builder();
    let stores: [(&str, Arc<dyn TokenStore>); 3] = [
        ("a sealed store", MemoryStore::new().shared()),
        ("plain files", Arc::new(files().with_dir(dir("plain")).build().unwrap())),
        (
            "sealed files",
            Arc::new(
                files()
                    .with_dir(dir("sealed"))
                    .with_keys([b'A'; 43].map(char::from).iter().collect::<String>())
                    .build()
                    .unwrap(),
            ),
        ),
    ];
    for (name, store) in stores {
        let [token, refresh] = [Sentinel::new(), Sentinel::new()];
        let mut body = Zeroizing::new(String::with_capacity(500));
        for part in [r#"{"expires_in":1000,"token":""#, &token.reveal(), r#"","refresh":""#, &refresh.reveal(), r#""}"#]
        {
            body.push_str(part);
        }
        let script = Script::new([ScriptedResponse::json(200, &body), ScriptedResponse::status(401)]);
        drop(body);
        runtime.block_on(async {
            for _ in 0..2 {
                let tokens = script.builder().with_store(store.clone()).build().unwrap();
                assert_eq!(tokens.token().await.unwrap().expose(), token.reveal().as_str());
            }
            // Claims the refresh token from the store, and the server refuses it.
            let tokens = script.builder().with_store(store.clone()).build().unwrap();
            tokens.reject(&tokens.token().await.unwrap());
            tokens.token().await.unwrap_err();
        });
        drop(script);
        drop(store);
        for (what, sentinel) in [("token", &token), ("refresh token", &refresh)] {
            let left = copies(sentinel, &mut buffer);
            assert_eq!(left, 0, "copies of the {what} left by {name}");
        }
    }
}

//! Runs a login with a response made of arbitrary bytes, and checks the promises that hold for every response.

use std::fmt::Write;
use std::time::Duration;

use auth_core::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use auth_core::{AccessToken, Error, Request, Response, SecretBytes, TokenManagerBuilder, Transport, async_trait};
use auth_testing::VirtualClock;
use tokio::runtime::Handle;

/// The secret in every credential.
pub const SECRET: &str = "SENTINEL-5b1fd2";

/// The longest lifetime that any response may cause (F7).
const MAX_LIFETIME: Duration = Duration::from_secs(366 * 24 * 3600);

/// The longest text of an error, in bytes: the server's text, which is capped, plus our own.
const MAX_ERROR_TEXT: usize = 2000;

/// A transport that returns the same response to every request.
#[derive(Debug, Clone)]
pub struct Fixed(Response);

impl Fixed {
    /// Parses a response in its wire format (RFC 9112). Returns `None` if the bytes are not an HTTP response.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut head = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = head.parse(bytes).ok()? else {
            return None;
        };
        let status = StatusCode::from_u16(head.code?).ok()?;
        let headers = head.headers.iter().map(|header| {
            let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(header.value).ok()?))
        });
        let headers: HeaderMap = headers.collect::<Option<_>>()?;
        Some(Self(Response::new(status, headers, SecretBytes::from(bytes[length..].to_vec()))))
    }
}

#[async_trait]
impl Transport for Fixed {
    async fn send(&self, _: Request) -> Result<Response, Error> {
        Ok(self.0.clone())
    }
}

/// Logs in, renews, with the refresh token if there is one, and checks both results.
pub fn check(builder: impl FnOnce() -> TokenManagerBuilder) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("the runtime starts").block_on(async {
        let builder = builder().with_clock(VirtualClock::new()).with_runtime(Handle::current());
        let tokens = builder.build().expect("there is a transport");
        let first = tokens.token().await;
        check_result(&first);
        if let Ok(token) = first {
            tokens.reject(&token);
            check_result(&tokens.token().await);
        }
    });
}

fn check_result(result: &Result<AccessToken, Error>) {
    let mut text = format!("{result:?}");
    match result {
        Ok(token) => {
            assert!(token.lifetime() > Duration::ZERO && token.lifetime() <= MAX_LIFETIME, "{:?}", token.lifetime());
            assert!(token.authorization().is_sensitive());
            assert_eq!(token.authorization().as_bytes(), format!("Bearer {}", token.expose()).as_bytes());
            assert!(!token.expose().is_empty());
        }
        Err(error) => {
            let mut cause: Option<&dyn std::error::Error> = Some(error);
            while let Some(error) = cause {
                write!(text, "{error}").expect("a `String` accepts all text");
                cause = error.source();
            }
        }
    }
    assert!(!text.contains(SECRET), "a secret is in the text");
    assert!(text.len() < MAX_ERROR_TEXT && !text.contains(|c: char| c.is_control()), "{text:?}");
}

//! Gives a login an answer made of any bytes, and checks what must hold whatever the server says.

use std::fmt::Write;
use std::time::Duration;

use auth_core::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use auth_testing::VirtualClock;
use auth_core::{AccessToken, Error, Login, Provider, Request, Response, SecretBytes, Transport, async_trait};

/// Stands in every credential.
pub const SECRET: &str = "SENTINEL-5b1fd2";

/// No token lives longer (F7).
const LONGEST_LIFE: Duration = Duration::from_secs(366 * 24 * 3600);

/// A server's words may be this long in an error's text, and our own around them.
const LONGEST_TEXT: usize = 2000;

/// The one answer that every request gets.
#[derive(Debug, Clone)]
pub struct Fixed(Response);

impl Fixed {
    /// Reads an answer as it stands on the wire (RFC 9112); none where the bytes are none.
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

/// Logs in, and renews with what came, and checks both results.
pub fn check<P: Provider, T: Transport>(login: impl FnOnce() -> Login<P, T>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let login = login().with_clock(VirtualClock::new());
        let mut refresh = None;
        check_result(&login.renew(&mut refresh).await);
        if refresh.is_some() {
            check_result(&login.renew(&mut refresh).await);
        }
    });
}

fn check_result(result: &Result<AccessToken, Error>) {
    let mut text = format!("{result:?}");
    match result {
        Ok(token) => {
            assert!(token.lifetime() > Duration::ZERO && token.lifetime() <= LONGEST_LIFE, "{:?}", token.lifetime());
            assert!(token.authorization().is_sensitive());
            assert_eq!(token.authorization().as_bytes(), format!("Bearer {}", token.expose()).as_bytes());
            assert!(!token.expose().is_empty());
        }
        Err(error) => {
            let mut cause: Option<&dyn std::error::Error> = Some(error);
            while let Some(error) = cause {
                write!(text, "{error}").expect("memory");
                cause = error.source();
            }
        }
    }
    assert!(!text.contains(SECRET), "a secret was printed");
    assert!(text.len() < LONGEST_TEXT && !text.contains(|c: char| c.is_control()), "{text:?}");
}

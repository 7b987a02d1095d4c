//! What every provider promises.

use std::fmt::Debug;
use std::time::Duration;

use http::HeaderValue;

use super::runtime;
use crate::error::{Error, ErrorKind};
use crate::login::Login;
use crate::message::Request;
use crate::provider::Provider;
use crate::testing::{Answer, Script};
use crate::token::Token;

const SECRET: &str = "conformance-Secret-4711";
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Holds a provider to its promises: S10, R6, F7, T8, K1, K3 and K4.
///
/// `build` makes one with this text as its secret, `grant` writes the answer that grants this token (which comes escaped as
/// JSON wants it), and `refusal` is the status and the body of one that refuses the credentials.
///
/// # Panics
/// With the number of the first promise that is broken.
pub fn provider<P: Provider>(build: impl Fn(&str) -> P, grant: impl Fn(&str) -> String, refusal: (u16, &str)) {
    let subject = Subject { provider: || build(SECRET), grant, refusal };
    s10_identity(&build);
    k1_k3_secrets(&build(SECRET));
    runtime(true).block_on(async {
        subject.r6_statuses().await;
        subject.f7_t8_tokens().await;
        subject.k1_k4_texts().await;
        subject.garbage().await;
    });
}

/// The same credentials are one identity, and other credentials another.
fn s10_identity<P: Provider>(build: &impl Fn(&str) -> P) {
    let identity = |secret: &str| build(secret).identity().as_ref().map(parts);
    assert_eq!(
        identity(SECRET),
        identity(SECRET),
        "S10: one identity twice is not the same bytes: override `identity`"
    );
    let is_shared = identity(SECRET).is_some();
    assert!(!is_shared || identity(SECRET) != identity("another"), "S10: two secrets have one identity");
}

fn parts(request: &Request) -> impl PartialEq + Debug + use<> {
    let headers = request.headers().iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    (request.uri().to_string(), headers.collect::<Vec<_>>(), request.body().to_vec())
}

fn k1_k3_secrets(provider: &impl Provider) {
    let login = provider.login();
    for shown in [format!("{provider:?}"), format!("{login:?}"), login.uri().to_string()] {
        assert!(!shown.contains(SECRET), "K1: the secret is shown: {shown}");
    }
    let api_headers = provider.api_headers();
    let headers = login.headers().iter().chain(api_headers.iter().map(|(name, value)| (name, value)));
    for (name, value) in headers.filter(|(_, value)| holds(value, SECRET)) {
        assert!(value.is_sensitive(), "K3: the header `{name}` carries the secret and is not marked sensitive");
    }
}

fn holds(value: &HeaderValue, text: &str) -> bool {
    value.as_bytes().windows(text.len()).any(|part| part == text.as_bytes())
}

struct Subject<'a, B, G> {
    provider: B,
    grant: G,
    refusal: (u16, &'a str),
}

impl<P: Provider, B: Fn() -> P, G: Fn(&str) -> String> Subject<'_, B, G> {
    /// Logs in where a server answers so, however often; tells how many requests were made.
    async fn answered(&self, status: u16, body: &str) -> (Result<Token, Error>, usize) {
        let script = Script::default().then_always(Answer::json(status, body));
        let result = Login::new((self.provider)(), script.clone()).login().await;
        (result, script.requests().len())
    }

    async fn r6_statuses(&self) {
        let token = (self.grant)("fake-token");
        let (status, refusal) = self.refusal;
        let told = |result: Result<Token, Error>| result.err().map(|error| error.kind());
        let (result, requests) = self.answered(status, refusal).await;
        assert_eq!(
            (told(result), requests),
            (Some(ErrorKind::Refused), 1),
            "R6: the refusal, with its status {status}"
        );

        for status in 100..1000 {
            for body in [&token, refusal, "<html>An error page</html>", ""] {
                let (result, requests) = self.answered(status, body).await;
                let outcome = (told(result), requests);
                let (kind, most) = by_status(status);
                let is_right = match status {
                    // Its body is not looked at.
                    408 | 425 | 429 | 500..=599 => outcome == (Some(kind), most),
                    200..=299 if body == token => outcome == (None, 1),
                    200..=299 if body == refusal => outcome == (Some(ErrorKind::Refused), 1) || outcome.0 == Some(kind),
                    200..=299 => outcome == (Some(kind), most),
                    // The provider's own word may count for more than the status, and is final.
                    _ if body == refusal => outcome == (Some(ErrorKind::Refused), 1) || outcome == (Some(kind), 1),
                    _ => outcome == (Some(kind), 1),
                };
                assert!(is_right, "R6: status {status} with the body {body:?} gave {outcome:?}");
            }
        }
    }

    async fn f7_t8_tokens(&self) {
        let (result, _) = self.answered(200, &(self.grant)("fake-token")).await;
        let token = result.unwrap_or_else(|error| panic!("R6: a grant is no token: {error:?}"));
        let access = &token.access;
        assert_eq!(access.expose(), "fake-token", "R6: the token is another than was granted");
        assert!(
            access.lifetime() > Duration::ZERO && access.lifetime() <= YEAR,
            "F7: a life of {:?}",
            access.lifetime()
        );
        assert!(!format!("{token:?}").contains("fake-token"), "K1: a token is shown");
        for hostile in [r"a\r\nX-Evil: 1", r"a\u0000b", "tök\u{e9}n", "a b", ""] {
            let (result, _) = self.answered(200, &(self.grant)(hostile)).await;
            let kind = result.map(|_| ()).map_err(|error| error.kind());
            assert_eq!(kind, Err(ErrorKind::Malformed), "T8: the token {hostile:?}");
        }
    }

    /// A server that repeats the request, or writes what no terminal should see.
    async fn k1_k4_texts(&self) {
        let login = (self.provider)().login();
        let request = String::from_utf8_lossy(login.body()).into_owned();
        let long = format!("\u{1b}[31m\r\n{}", "x".repeat(5000));
        let bodies = [SECRET.to_owned(), request, self.refusal_saying(SECRET), self.refusal_saying(&long), long];
        for body in &bodies {
            for status in [200, 302, 400, 401, 403, 404, 418, 503] {
                let (result, _) = self.answered(status, body).await;
                let Err(error) = result else { continue };
                let text = format!("{error} {error:?} {:?}", error.code());
                assert!(!text.contains(SECRET), "K1: the error to status {status} shows the secret: {text}");
                assert!(
                    text.len() < 2000 && !text.contains(char::is_control),
                    "K4: the error to status {status}: {text}"
                );
            }
        }
    }

    /// The refusal with this in the place of each text; the text alone where it is not JSON.
    fn refusal_saying(&self, text: &str) -> String {
        fn put(value: &mut serde_json::Value, text: &str) {
            match value {
                serde_json::Value::String(old) => text.clone_into(old),
                serde_json::Value::Array(values) => values.iter_mut().for_each(|value| put(value, text)),
                serde_json::Value::Object(members) => members.values_mut().for_each(|value| put(value, text)),
                _ => {}
            }
        }
        match serde_json::from_str::<serde_json::Value>(self.refusal.1) {
            Ok(mut value) => {
                put(&mut value, text);
                value.to_string()
            }
            Err(_) => text.to_owned(),
        }
    }

    /// Whatever comes, it is a token or an error.
    async fn garbage(&self) {
        let grant = (self.grant)("fake-token");
        for end in (0..grant.len()).filter(|end| grant.is_char_boundary(*end)) {
            for odd in ["", "\0", "\"", "9", "{", "null"] {
                let body = format!("{}{odd}{}", &grant[..end], grant[end..].chars().skip(1).collect::<String>());
                for body in [&grant[..end], &body] {
                    for status in [200, 401] {
                        let (result, _) = self.answered(status, body).await;
                        let life = result.map_or(YEAR, |token| token.access.lifetime());
                        assert!(life <= YEAR && !life.is_zero(), "F7: {body:?} gave a life of {life:?}");
                    }
                }
            }
        }
    }
}

/// What a status means where the body says nothing, and after how many requests that is told.
fn by_status(status: u16) -> (ErrorKind, usize) {
    match status {
        429 => (ErrorKind::Throttled, 3),
        408 | 425 | 500..=599 => (ErrorKind::Unavailable, 3),
        200..=299 => (ErrorKind::Malformed, 2),
        300..=399 => (ErrorKind::Redirected, 1),
        404 | 405 | 407 => (ErrorKind::Misconfigured, 1),
        400..=499 => (ErrorKind::Refused, 1),
        _ => (ErrorKind::Malformed, 1),
    }
}

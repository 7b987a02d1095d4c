//! What every provider promises.

use std::thread;
use std::time::Duration;

use auth_core::{Error, ErrorKind, Login, Provider, RefreshToken, Request, TokenSet};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use tokio::runtime::Builder;

use super::run;
use crate::{Script, ScriptedResponse};

const SECRET: &str = "conformance-Secret-of-32-letters";
/// As long, and different in the last letter, the first, or the case of one.
const OTHERS: [&str; 3] =
    ["conformance-Secret-of-32-letterz", "xonformance-Secret-of-32-letters", "conformance-secret-of-32-letters"];
/// What a token may be made of (RFC 6750 2.1).
const LETTERS: &str = "aZ09-._~+/";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// An instant is written in seconds, and the machine may be busy.
const SLACK: Duration = Duration::from_secs(5);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Holds a provider to its promises: S10, R6, R8, F7, T8, K1, K3 and K4.
///
/// `build` makes one with this text of 32 letters as its secret, or with a key that hangs on it; where there are
/// several secrets, in the place of one that the login sends. `grant` writes the answer that grants this token (which
/// comes escaped as JSON wants it) for so long from now, as seconds or as an instant; it leaves the time out where the
/// API states none. `refusal` is the status and the body of an answer that refuses the credentials.
///
/// # Panics
/// With the number of the first promise that is broken.
pub fn provider<P: Provider>(
    build: impl Fn(&str) -> P,
    grant: impl Fn(&str, Duration) -> String,
    refusal: (u16, &str),
) {
    let subject = Subject { provider: || build(SECRET), grant, refusal };
    s10_identity(&build);
    k1_k3_secrets(&build);
    run(Builder::new_current_thread().start_paused(true), async {
        subject.f7_t8_tokens().await;
        subject.f7_lives().await;
        subject.r6_statuses().await;
        subject.r8_refresh().await;
        subject.k1_k4_texts().await;
        subject.garbage().await;
    });
}

/// The same credentials are one identity, at any time; other credentials are another.
fn s10_identity<P: Provider>(build: &impl Fn(&str) -> P) {
    let identity = |secret: &str| build(secret).identity().as_ref().map(parts);
    let first = identity(SECRET);
    // A time in it may be in seconds.
    thread::sleep(Duration::from_millis(1100));
    assert!(first == identity(SECRET), "S10: one identity twice is not the same bytes: override `identity`");
    for other in OTHERS {
        let is_other = first.is_none() || first != identity(other);
        assert!(is_other, "S10: two secrets have one identity; is it the one that the login sends?");
    }
}

fn parts(request: &Request) -> impl PartialEq + use<> {
    let headers = request.headers().iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    (request.uri().to_string(), headers.collect::<Vec<_>>(), request.body().to_vec())
}

/// Nothing that is shown depends on the secret, and every header that does is marked sensitive.
fn k1_k3_secrets<P: Provider>(build: &impl Fn(&str) -> P) {
    let shown = |secret: &str| {
        let provider = build(secret);
        let text = format!("{provider:?} {provider:#?} {:?}", provider.login_request());
        // How long a body is may hang on the secret.
        let parts = text.split('[').map(|part| part.split_once(" bytes, redacted]").map_or(part, |(_, rest)| rest));
        parts.collect::<String>()
    };
    for other in OTHERS {
        // The other secret in the middle: a time or a counter that is the same before and after it cannot differ in between.
        let [first, others, again] = [SECRET, other, SECRET].map(shown);
        assert!(first != again || first == others, "K1: `Debug` of the provider or its login shows the secret");
        let [login, others, again] = [SECRET, other, SECRET].map(|secret| build(secret).login_request());
        for (name, value) in login.headers().iter().filter(|(_, value)| !value.is_sensitive()) {
            let depends = again.headers().get(name) == Some(value) && others.headers().get(name) != Some(value);
            assert!(!depends, "K3: the header `{name}` depends on the secret and is not marked sensitive");
        }
    }
    assert!(!shown(SECRET).contains(SECRET), "K1: `Debug` of the provider or its login shows the secret");
    k1_k3_request(&build(SECRET).login_request(), SECRET);
}

fn k1_k3_request(request: &Request, secret: &str) {
    assert!(!request.uri().to_string().contains(secret), "K1: the secret is in the request's URI, which logs show");
    for (name, value) in request.headers().iter().filter(|(_, value)| !value.is_sensitive()) {
        let is_in = value.as_bytes().windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!is_in, "K3: the header `{name}` carries a secret and is not marked sensitive");
    }
}

/// Whether a server that gets the request can read the secret in it: as it is, or in HTTP Basic (RFC 7617).
fn carries(request: &Request, secret: &str) -> bool {
    let contains = |bytes: &[u8]| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
    let basic = |value: &HeaderValue| STANDARD.decode(value.as_bytes().strip_prefix(b"Basic ")?).ok();
    let mut headers = request.headers().values();
    contains(request.body())
        || headers.any(|value| contains(value.as_bytes()) || basic(value).is_some_and(|text| contains(&text)))
}

struct Subject<'a, B, G> {
    provider: B,
    grant: G,
    refusal: (u16, &'a str),
}

impl<P: Provider, B: Fn() -> P, G: Fn(&str, Duration) -> String> Subject<'_, B, G> {
    /// Logs in where a server answers so, however often; tells how many requests were made.
    async fn answered(&self, status: u16, body: &str) -> (Result<TokenSet, Error>, usize) {
        let script = Script::default().then_always(ScriptedResponse::json(status, body));
        let result = Login::new((self.provider)(), script.clone()).login().await;
        (result, script.requests().len())
    }

    fn granting(&self, token: &str) -> String {
        (self.grant)(token, HOUR)
    }

    /// What an answer states of a life is read in its unit. Where the API states none, all have the one that is
    /// documented.
    async fn f7_lives(&self) {
        let mut lives = Vec::new();
        for stated in [MINUTE, HOUR] {
            let result = self.answered(200, &(self.grant)("fake-token", stated)).await.0;
            lives.push(result.map_or(Duration::ZERO, |token| token.access.lifetime()));
        }
        let is_read = lives[0].abs_diff(MINUTE) < SLACK && lives[1].abs_diff(HOUR) < SLACK;
        assert!(is_read || lives[0] == lives[1], "F7: {MINUTE:?} and {HOUR:?} are read as {lives:?}");
    }

    async fn r6_statuses(&self) {
        let token = self.granting("fake-token");
        let (status, refusal) = self.refusal;
        let told = |result: Result<TokenSet, Error>| result.err().map(|error| error.kind());
        let (result, requests) = self.answered(status, refusal).await;
        assert_eq!(
            (told(result), requests),
            (Some(ErrorKind::Refused), 1),
            "R6: the refusal, with its status {status}"
        );

        for status in 100..1000 {
            for body in [&token, refusal, "<html>An error page</html>", "", "{}"] {
                let (result, requests) = self.answered(status, body).await;
                let text = format!("{result:?}");
                let outcome = (told(result), requests);
                let (kind, most) = by_status(status);
                let is_right = match status {
                    // Its body is not looked at.
                    408 | 425 | 429 | 500..=599 => outcome == (Some(kind), most),
                    200..=299 if body == token => outcome == (None, 1),
                    200..=299 if body == refusal => outcome == (Some(ErrorKind::Refused), 1) || outcome.0 == Some(kind),
                    200..=299 => outcome.0 == Some(kind) && outcome.1 <= most,
                    // The provider's own word may count for more than the status, and is final.
                    _ if body == refusal => outcome == (Some(ErrorKind::Refused), 1) || outcome == (Some(kind), 1),
                    _ => outcome == (Some(kind), 1),
                };
                assert!(
                    is_right,
                    "R6: status {status} with the body {body:?} gave {text} after {requests} requests; a body that holds \
                     neither a token nor a refusal is {kind:?} after {most} at most"
                );
            }
        }
    }

    async fn f7_t8_tokens(&self) {
        let (result, _) = self.answered(200, &self.granting("fake-token")).await;
        let token = result.unwrap_or_else(|error| panic!("R6: a grant is no token: {error:?}"));
        let access = &token.access;
        assert_eq!(access.expose(), "fake-token", "R6: the token is another than was granted");
        assert!(
            access.lifetime() > Duration::ZERO && access.lifetime() <= YEAR,
            "F7: a life of {:?}",
            access.lifetime()
        );
        assert!(!format!("{token:?}").contains("fake-token"), "K1: a token is shown");
        let long = LETTERS.repeat(400);
        let script = Script::default().then_always(ScriptedResponse::json(200, &self.granting(&long)));
        let login = Login::new((self.provider)(), script);
        for _ in 0..2 {
            let token = login.login().await.ok().filter(|token| token.access.expose() == long);
            assert!(token.is_some(), "R6: a token of {} letters is another, or a second login fails", long.len());
        }
        for hostile in [r"a\r\nX-Evil: 1", r"a\u0000b", "tök\u{e9}n", "a b", ""] {
            let (result, _) = self.answered(200, &self.granting(hostile)).await;
            let kind = result.map(|_| ()).map_err(|error| error.kind());
            assert_eq!(kind, Err(ErrorKind::Malformed), "T8: the token {hostile:?}");
        }
    }

    /// Where a grant brings a refresh token, its request is as safe as the login, and its refusal means one login.
    async fn r8_refresh(&self) {
        let grant = self.granting("fake-token");
        let (status, refusal) = self.refusal;
        let granted = self.answered(200, &grant).await.0.ok().and_then(|token| token.refresh);
        let Some((refresh, request)) =
            granted.and_then(|refresh| Some((refresh.clone(), (self.provider)().refresh_request(&refresh)?)))
        else {
            return;
        };
        k1_k3_request(&request, refresh.expose());
        k1_k3_request(&request, SECRET);
        // It comes from a server, so it may hold anything: no request, or one that holds it encoded, but no panic.
        let hostile = RefreshToken::new("a\r\nX-Evil: 1 \u{e9}".into());
        let _ = (self.provider)().refresh_request(&hostile);

        let script =
            Script::new([ScriptedResponse::json(status, refusal)]).then_always(ScriptedResponse::json(200, &grant));
        let result = Login::new((self.provider)(), script.clone()).renew(&mut Some(refresh)).await;
        let requests = script.requests().len();
        assert!(
            result.is_ok() && requests == 2,
            "R8: a refused refresh means one login: {requests} requests, {result:?}"
        );
    }

    /// A server that repeats the request, or writes what no terminal should see.
    async fn k1_k4_texts(&self) {
        let login = (self.provider)().login_request();
        let request = String::from_utf8_lossy(login.body()).into_owned();
        let long = format!("\u{1b}[31m\r\n{}", "x".repeat(5000));
        let mut bodies = vec![request, self.refusal_saying(&long), long];
        // Of a secret that only signs, a server knows nothing that it could repeat.
        if carries(&login, SECRET) {
            bodies.extend([SECRET.to_owned(), self.refusal_saying(SECRET)]);
        }
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
        let grant = self.granting("fake-token");
        let step = grant.len() / 200 + 1;
        for end in (0..grant.len()).step_by(step).filter(|end| grant.is_char_boundary(*end)) {
            for odd in ["", "\0", "\"", "9", "-", "{", "[]", "null"] {
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

//! The promises of every provider.

use std::thread;
use std::time::{Duration, SystemTime};

use auth_core::{
    AccessToken, Clock, Error, ErrorKind, ErrorResponse, Provider, RefreshToken, Request, Response, SystemClock,
    TokenManager, TokenManagerBuilder, TokenResponse,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use serde_json::Value;
use tokio::runtime::Builder;

use super::run;
use crate::{Script, ScriptedResponse, VirtualClock};

const SECRET: &str = "conformance-Secret-of-32-letters";
/// Secrets of the same length as `SECRET`. They differ from it in the last letter, in the first letter, and in the case
/// of one letter.
const OTHER_SECRETS: [&str; 3] =
    ["conformance-Secret-of-32-letterz", "xonformance-Secret-of-32-letters", "conformance-secret-of-32-letters"];
const REFRESH_TOKEN: &str = "conformance-refresh-token-of-41-characters";
/// All kinds of characters that a bearer token may contain (RFC 6750 section 2.1).
const TOKEN_CHARACTERS: &str = "aZ09-._~+/";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// The accepted error of a lifetime: an absolute expiry is written in whole seconds, and the machine may be busy.
const LIFETIME_TOLERANCE: Duration = Duration::from_secs(5);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Tests a provider against its promises: S10, R6, R8, F7, T8, K1, K3 and K4.
///
/// - `build` creates the provider with the given text of 32 characters as its secret, or with a key derived from that
///   text. If the provider has several secrets, use the text for a secret that the login sends.
/// - `grant` returns the body of a response that grants the given token for the given lifetime, which starts now. Write
///   the lifetime as the API does, as seconds or as an instant. Leave it out if the API states none. The token is
///   already escaped for a JSON string.
/// - `refusal` is the status and the body of a response that refuses the credentials.
///
/// # Panics
/// At the first broken promise. The message starts with its number.
///
/// # Example
/// ```
/// use auth_testing::{TestProvider, conformance};
///
/// conformance::provider(
///     |secret| TestProvider::new(secret),
///     |token, lifetime| format!(r#"{{"token":"{token}","expires_in":{}}}"#, lifetime.as_secs()),
///     (401, r#"{"error":"wrong_password"}"#),
/// );
/// ```
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
        subject.f7_lifetimes().await;
        subject.r6_statuses().await;
        subject.r8_refresh().await;
        subject.k1_k4_texts().await;
        subject.f7_damaged_responses().await;
    });
}

/// Checks that the same credentials always have the same identity, and that other credentials have another.
fn s10_identity<P: Provider>(build: &impl Fn(&str) -> P) {
    let first = identity(build, SECRET);
    // A timestamp in the identity may count whole seconds, so it changes only in the next second.
    thread::sleep(Duration::from_millis(1100));
    assert!(
        first == identity(build, SECRET),
        "S10: `identity` must return the same request for the same credentials, but two calls differ; override it and \
         leave out nonces and timestamps"
    );
    for other in OTHER_SECRETS {
        assert!(
            first.is_none() || first != identity(build, other),
            "S10: `identity` must differ for two different secrets, but is the same; it must contain every secret that \
             the login sends, and `build` must set such a secret"
        );
    }
}

fn identity<P: Provider>(build: &impl Fn(&str) -> P, secret: &str) -> Option<Parts> {
    build(secret).identity().as_ref().map(parts)
}

/// The URI, the headers and the body of a request, in a form that can be compared.
type Parts = (String, Vec<(String, Vec<u8>)>, Vec<u8>);

fn parts(request: &Request) -> Parts {
    let headers = request.headers().iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    (request.uri().to_string(), headers.collect(), request.body().to_vec())
}

/// Checks that `Debug` output does not depend on the secret, and that each header that does is marked sensitive.
fn k1_k3_secrets<P: Provider>(build: &impl Fn(&str) -> P) {
    for other in OTHER_SECRETS {
        // A timestamp or a counter also changes the output. So the other secret is used between two uses of the same
        // secret. If those two outputs are equal, only the secret can have changed the output in between.
        let [first, different, again] = [SECRET, other, SECRET].map(|secret| debug_output(build, secret));
        assert!(
            first != again || first == different,
            "K1: `Debug` output of the provider or of its login request must not depend on the secret, but does"
        );
        let [first, different, again] = [SECRET, other, SECRET].map(|secret| build(secret).login_request());
        for (name, value) in first.headers().iter().filter(|(_, value)| !value.is_sensitive()) {
            let depends = again.headers().get(name) == Some(value) && different.headers().get(name) != Some(value);
            assert!(!depends, "K3: the header `{name}` depends on the secret and must be marked sensitive");
        }
    }
    assert!(
        !debug_output(build, SECRET).contains(SECRET),
        "K1: `Debug` output of the provider or of its login request must not contain the secret, but does"
    );
    k1_k3_request(&build(SECRET).login_request(), SECRET);
}

/// Returns the `Debug` output of a provider and its login request, without the lengths of bodies.
fn debug_output<P: Provider>(build: &impl Fn(&str) -> P, secret: &str) -> String {
    let provider = build(secret);
    let text = format!("{provider:?} {provider:#?} {:?}", provider.login_request());
    // The length of a body may depend on the secret, for example if one of its characters is escaped.
    text.split('[').map(|part| part.split_once(" bytes, redacted]").map_or(part, |(_, rest)| rest)).collect()
}

fn k1_k3_request(request: &Request, secret: &str) {
    assert!(
        !request.uri().to_string().contains(secret),
        "K1: the request's URI must not contain a secret, because URIs are logged"
    );
    for (name, value) in request.headers().iter().filter(|(_, value)| !value.is_sensitive()) {
        let has_secret = contains(value.as_bytes(), secret);
        assert!(!has_secret, "K3: the header `{name}` contains a secret and must be marked sensitive");
    }
}

fn contains(bytes: &[u8], secret: &str) -> bool {
    bytes.windows(secret.len()).any(|part| part == secret.as_bytes())
}

/// Returns `true` if the server can read the secret in the request: in plain text or in HTTP Basic (RFC 7617).
fn reveals(request: &Request, secret: &str) -> bool {
    let mut headers = request.headers().values();
    contains(request.body(), secret)
        || headers.any(|value| {
            contains(value.as_bytes(), secret) || basic_credentials(value).is_some_and(|text| contains(&text, secret))
        })
}

/// Returns the decoded credentials of an HTTP Basic header.
fn basic_credentials(value: &HeaderValue) -> Option<Vec<u8>> {
    STANDARD.decode(value.as_bytes().strip_prefix(b"Basic ")?).ok()
}

struct Subject<'a, B, G> {
    provider: B,
    grant: G,
    refusal: (u16, &'a str),
}

impl<P: Provider, B: Fn() -> P, G: Fn(&str, Duration) -> String> Subject<'_, B, G> {
    /// Returns a manager with the system's clock, because the grants state instants of that clock.
    fn manager(&self, script: &Script) -> TokenManager {
        manager(script.builder_for((self.provider)()).with_clock(SystemClock))
    }

    /// Logs in to a server that always returns this status and body. Returns the result and the number of requests.
    async fn login(&self, status: u16, body: &str) -> (Result<AccessToken, Error>, usize) {
        let script = Script::default().then_always(ScriptedResponse::json(status, body));
        let result = self.manager(&script).token().await;
        (result, script.requests().len())
    }

    fn granting(&self, token: &str) -> String {
        (self.grant)(token, HOUR)
    }

    /// Checks that a stated lifetime is read in the right unit.
    ///
    /// If the API states no lifetime, every token has the same documented lifetime.
    async fn f7_lifetimes(&self) {
        let mut lifetimes = Vec::new();
        for stated in [MINUTE, HOUR] {
            let (result, _) = self.login(200, &(self.grant)("fake-token", stated)).await;
            lifetimes.push(result.map_or(Duration::ZERO, |token| token.lifetime()));
        }
        let is_read =
            lifetimes[0].abs_diff(MINUTE) < LIFETIME_TOLERANCE && lifetimes[1].abs_diff(HOUR) < LIFETIME_TOLERANCE;
        assert!(
            is_read || lifetimes[0] == lifetimes[1],
            "F7: lifetimes of {MINUTE:?} and {HOUR:?} were read as {lifetimes:?}; expected the same values, or one \
             documented lifetime for both if the API states none"
        );
    }

    async fn r6_statuses(&self) {
        let token = self.granting("fake-token");
        let (status, refusal) = self.refusal;
        let (result, requests) = self.login(status, refusal).await;
        assert_eq!(
            (error_kind(&result), requests),
            (Some(ErrorKind::Refused), 1),
            "R6: status {status} with the refusal's body must be `Refused` after 1 request, but the login returned \
             {result:?} after {requests}"
        );

        for status in 100..1000 {
            for body in [&token, refusal, "<html>An error page</html>", "", "{}"] {
                let (result, requests) = self.login(status, body).await;
                let outcome = (error_kind(&result), requests);
                let (kind, max_requests) = expected_for(status);
                let is_right = match status {
                    // The body of a transient status is never read.
                    408 | 425 | 429 | 500..=599 => outcome == (Some(kind), max_requests),
                    200..=299 if body == token => outcome == (None, 1),
                    200..=299 if body == refusal => outcome == (Some(ErrorKind::Refused), 1) || outcome.0 == Some(kind),
                    200..=299 => outcome.0 == Some(kind) && outcome.1 <= max_requests,
                    // The provider may give its own refusal precedence over the status. Both are final.
                    _ if body == refusal => outcome == (Some(ErrorKind::Refused), 1) || outcome == (Some(kind), 1),
                    _ => outcome == (Some(kind), 1),
                };
                assert!(
                    is_right,
                    "R6: status {status} with the body {body:?} returned {result:?} after {requests} requests; with a \
                     body that has neither a token nor a refusal it must be {kind:?} after at most {max_requests}"
                );
            }
        }
    }

    async fn f7_t8_tokens(&self) {
        let (result, _) = self.login(200, &self.granting("fake-token")).await;
        let token = result.unwrap_or_else(|error| {
            panic!("R6: status 200 with the body of `grant` must be a token, but is the error {error:?}")
        });
        assert_eq!(token.expose(), "fake-token", "R6: the token must be the one in the response");
        assert!(
            token.lifetime() > Duration::ZERO && token.lifetime() <= YEAR,
            "F7: a lifetime must be more than zero and at most a year, but is {:?}",
            token.lifetime()
        );
        assert!(!format!("{token:?}").contains("fake-token"), "K1: `Debug` output of a token must not contain it");
        let long = TOKEN_CHARACTERS.repeat(400);
        let script = Script::default().then_always(ScriptedResponse::json(200, &self.granting(&long)));
        for attempt in 1..=2 {
            let token = self.manager(&script).token().await.ok().filter(|token| token.expose() == long);
            assert!(
                token.is_some(),
                "R6: a token of {} characters must be read unchanged, but login {attempt} of 2 failed or changed it",
                long.len()
            );
        }
        for hostile in [r"a\r\nX-Evil: 1", r"a\u0000b", "tök\u{e9}n", "a b", ""] {
            let (result, _) = self.login(200, &self.granting(hostile)).await;
            assert_eq!(
                error_kind(&result),
                Some(ErrorKind::Malformed),
                "T8: the token {hostile:?} is empty or has characters that a token cannot have, so it must be \
                 malformed (left: the kind of the error, or `None` for a token)"
            );
        }
    }

    /// Checks that a refresh request is as safe as the login request, and that a refused refresh leads to one login.
    ///
    /// Does nothing if the provider has no refresh.
    async fn r8_refresh(&self) {
        let refresh = RefreshToken::new(REFRESH_TOKEN.into());
        let Some(request) = (self.provider)().refresh_request(&refresh) else { return };
        k1_k3_request(&request, REFRESH_TOKEN);
        k1_k3_request(&request, SECRET);
        // A refresh token comes from a server and may contain anything. The provider may encode it or return no
        // request, but must not panic.
        let hostile = RefreshToken::new("a\r\nX-Evil: 1 \u{e9}".into());
        let _ = (self.provider)().refresh_request(&hostile);

        let grant = || ScriptedResponse::json(200, &self.granting("fake-token"));
        let (status, refusal) = self.refusal;
        let script = Script::new([grant(), ScriptedResponse::json(status, refusal), grant()]);
        let clock = VirtualClock::new();
        let behind = SystemTime::now().duration_since(clock.now().wall).unwrap_or_default();
        clock.shift_wall(i64::try_from(behind.as_secs()).unwrap_or_default());
        let provider = WithRefreshToken((self.provider)());
        let tokens = manager(script.builder_for(provider).with_clock(clock.clone()));
        let first = tokens.token().await;
        // For the first seconds, a token counts as new and is not renewed.
        clock.shift_wall(60);
        let result = first.and(tokens.renew().await);
        let requests = script.requests().len();
        assert!(
            result.is_ok() && requests == 3,
            "R8: a refused refresh must lead to one login, which is 3 requests and a token; it made {requests} \
             requests and returned {result:?}"
        );
    }

    /// Checks the errors for a server that echoes the request, or that sends control characters and long texts.
    async fn k1_k4_texts(&self) {
        let login = (self.provider)().login_request();
        let request = String::from_utf8_lossy(login.body()).into_owned();
        let long = format!("\u{1b}[31m\r\n{}", "x".repeat(5000));
        let mut bodies = vec![request, self.refusal_with_text(&long), long];
        // If the secret only signs the request, the request does not contain it, and the server cannot echo it.
        if reveals(&login, SECRET) {
            bodies.extend([SECRET.to_owned(), self.refusal_with_text(SECRET)]);
        }
        for body in &bodies {
            for status in [200, 302, 400, 401, 403, 404, 418, 503] {
                let (result, _) = self.login(status, body).await;
                let Err(error) = result else { continue };
                let text = format!("{error} {error:?} {:?}", error.code());
                assert!(
                    !text.contains(SECRET),
                    "K1: the error for status {status} must not contain the secret, but is: {text}"
                );
                assert!(
                    text.len() < 2000 && !text.contains(char::is_control),
                    "K4: the error for status {status} must be short and have no control characters, but is: {text}"
                );
            }
        }
    }

    /// Returns the refusal with each of its texts replaced, or only the text if the refusal is not JSON.
    fn refusal_with_text(&self, text: &str) -> String {
        match serde_json::from_str::<Value>(self.refusal.1) {
            Ok(mut value) => {
                replace_texts(&mut value, text);
                value.to_string()
            }
            Err(_) => text.to_owned(),
        }
    }

    /// Checks that a truncated or changed grant never leads to a panic, but to an error or a token with an acceptable
    /// lifetime.
    async fn f7_damaged_responses(&self) {
        let grant = self.granting("fake-token");
        let step = grant.len() / 200 + 1;
        for end in (0..grant.len()).step_by(step).filter(|end| grant.is_char_boundary(*end)) {
            for inserted in ["", "\0", "\"", "9", "-", "{", "[]", "null"] {
                let rest: String = grant[end..].chars().skip(1).collect();
                let changed = format!("{}{inserted}{rest}", &grant[..end]);
                for body in [&grant[..end], &changed] {
                    for status in [200, 401] {
                        let (result, _) = self.login(status, body).await;
                        let lifetime = result.map_or(YEAR, |token| token.lifetime());
                        assert!(
                            lifetime <= YEAR && !lifetime.is_zero(),
                            "F7: a lifetime must be more than zero and at most a year, but the response {body:?} led \
                             to {lifetime:?}"
                        );
                    }
                }
            }
        }
    }
}

fn manager(builder: TokenManagerBuilder) -> TokenManager {
    match builder.build() {
        Ok(manager) => manager,
        Err(error) => panic!("a manager with a transport can be built: {error}"),
    }
}

/// Adds a refresh token to each grant.
#[derive(Debug)]
struct WithRefreshToken<P>(P);

impl<P: Provider> Provider for WithRefreshToken<P> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn login_request(&self) -> Request {
        self.0.login_request()
    }

    fn refresh_request(&self, token: &RefreshToken) -> Option<Request> {
        self.0.refresh_request(token)
    }

    fn read_response(&self, response: &Response) -> Result<TokenResponse, ErrorResponse> {
        self.0.read_response(response).map(|granted| granted.with_refresh_token(REFRESH_TOKEN.into(), None))
    }
}

fn error_kind(result: &Result<AccessToken, Error>) -> Option<ErrorKind> {
    result.as_ref().err().map(Error::kind)
}

fn replace_texts(value: &mut Value, text: &str) {
    match value {
        Value::String(old) => text.clone_into(old),
        Value::Array(values) => values.iter_mut().for_each(|value| replace_texts(value, text)),
        Value::Object(members) => members.values_mut().for_each(|value| replace_texts(value, text)),
        _ => {}
    }
}

/// Returns the error for a status with a body that states neither a token nor a refusal, and the maximum number of
/// requests before that error.
fn expected_for(status: u16) -> (ErrorKind, usize) {
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

//! What an answer means: the table of statuses that is the same for every provider.

use std::time::SystemTime;

use http::header::LOCATION;
use http::{HeaderMap, StatusCode, Uri};

use crate::error::{Error, ErrorKind};
use crate::message::{Request, Response};
use crate::provider::{Failure, FailureClass, Grant, Provider};
use crate::retry::retry_after;

/// Tells whether a status is passing: the server had no say about the credentials, and its body is not read.
///
/// ```
/// use auth_core::is_passing;
/// use http::StatusCode;
///
/// assert!(is_passing(StatusCode::TOO_MANY_REQUESTS) && is_passing(StatusCode::BAD_GATEWAY));
/// assert!(!is_passing(StatusCode::UNAUTHORIZED));
/// ```
#[must_use]
pub fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500..=599)
}

/// Judges an answer received at `now` by the wall clock.
///
/// A passing status wins over any body; then the provider's own word; then the status.
pub(crate) fn judge(
    provider: &dyn Provider,
    request: &Request,
    response: &Response,
    now: SystemTime,
) -> Result<Grant, Error> {
    let status = response.status();
    let failure = if is_passing(status) {
        Failure::status(status)
    } else {
        match provider.read(response) {
            Ok(grant) if status.is_success() => return Ok(grant),
            Ok(_) => Failure::status(status),
            Err(failure) => failure,
        }
    };
    let error = explain(&failure, response)
        .with_provider(provider.name())
        .with_status(status)
        .with_code(failure.code.filter(|code| is_showable(code, request)));
    Err(match retry_after(response, now) {
        Some(wait) => error.with_retry(wait, now + wait),
        None => error,
    })
}

fn explain(failure: &Failure, response: &Response) -> Error {
    match failure.class {
        FailureClass::Refused => Error::refused("the credentials are refused"),
        FailureClass::Misconfigured(setting) => Error::misconfigured(setting, "is not accepted by the provider"),
        FailureClass::Status(status) => by_status(status, response.headers()),
        _ if !response.status().is_success() => by_status(response.status(), response.headers()),
        FailureClass::Unreadable => Error::malformed("the answer cannot be read").into_transient(),
        FailureClass::Malformed(what) => Error::malformed(what),
    }
}

fn by_status(status: StatusCode, headers: &HeaderMap) -> Error {
    match status.as_u16() {
        429 => Error::throttled(),
        408 | 425 | 500..=599 => Error::unavailable("the provider cannot answer for the moment"),
        300..=399 => Error::redirected(&target(headers)),
        404 | 405 => Error::misconfigured("base_url", "or `login_path` is wrong: there is no login at that address"),
        407 => Error::misconfigured("proxy", "asks for credentials of its own"),
        403 => Error::refused(
            "the login is not permitted: ask the provider about the account, its scope and allowed addresses",
        ),
        400..=499 => Error::refused("the login is refused"),
        _ => Error::malformed("the answer has a status that no login has"),
    }
}

/// The origin that a redirect points to: its host may be another's, its path and query may hold anything.
fn target(headers: &HeaderMap) -> String {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let Some(uri) = location.and_then(|text| text.parse::<Uri>().ok()) else {
        return "an unreadable address".into();
    };
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme @ ("http" | "https")), Some(authority)) => {
            let port = authority.port().map(|port| format!(":{port}")).unwrap_or_default();
            let host: String = authority.host().chars().take(253).collect();
            format!("{scheme}://{host}{port}")
        }
        (None, None) => "another path of the same origin".into(),
        _ => "an unreadable address".into(),
    }
}

/// Longer than any code that a provider documents.
const LONGEST_CODE: usize = 64;

/// Codes of RFC 6749 5.2 and 4.1.2.1: words of the protocol, although requests hold some of the same letters.
const PROTOCOL_CODES: [&str; 9] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "access_denied",
    "server_error",
    "temporarily_unavailable",
];

/// A hostile or careless server may write the request, password and all, where its code should stand.
fn is_showable(code: &str, request: &Request) -> bool {
    let is_code = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let is_word = (1..=LONGEST_CODE).contains(&code.len()) && code.bytes().all(is_code);
    PROTOCOL_CODES.contains(&code) || (is_word && !request.repeats(code))
}

/// Tells whether an error came from an answer that was there but could not be read.
pub(crate) fn is_unreadable(error: &Error) -> bool {
    error.kind() == ErrorKind::Malformed && error.is_transient()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;

    fn request() -> Request {
        let endpoint = Endpoint::new("test", "https://login.example", "/token").unwrap();
        Request::post(&endpoint).with_form(&[("grant_type", "password"), ("password", "hunter22")])
    }

    #[test]
    fn k4_a_code_is_a_short_word_that_repeats_nothing() {
        let request = request();
        for code in ["invalid_grant", "unauthorized_client", "E1234", "too.many-requests"] {
            assert!(is_showable(code, &request), "{code}");
        }
        let long = "x".repeat(65);
        for code in ["", "hunter22", "bad_hunter22", "unter", "two words", "line\nbreak", "\u{1b}[31m", &long, "clé"] {
            assert!(!is_showable(code, &request), "{code}");
        }
    }

    #[test]
    fn t1_a_redirect_is_told_by_its_origin() {
        let cases = [
            ("https://other.example/steal?token=1#x", "https://other.example"),
            ("https://user:pw@other.example:8443/", "https://other.example:8443"),
            ("/elsewhere", "another path of the same origin"),
            ("javascript:alert(1)", "an unreadable address"),
        ];
        for (location, expected) in cases {
            let headers = HeaderMap::from_iter([(LOCATION, location.parse().unwrap())]);
            assert_eq!(target(&headers), expected, "{location}");
        }
        assert_eq!(target(&HeaderMap::new()), "an unreadable address");
    }
}

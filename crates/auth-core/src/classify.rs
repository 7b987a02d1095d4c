//! What an answer means: the table of statuses that is the same for every provider.

use std::time::SystemTime;

use http::header::LOCATION;
use http::{StatusCode, Uri};

use crate::error::{Error, ErrorKind};
use crate::error_response::{ErrorClass, ErrorResponse};
use crate::message::{Request, Response};
use crate::policy::Policy;
use crate::provider::Provider;
use crate::retry::retry_after;
use crate::token_response::TokenResponse;

/// Tells whether a status will pass: the server had no say about the credentials, and its body is not read.
pub(crate) fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500..=599)
}

/// Judges an answer received at `now` by the wall clock, to the last of the requests that this login has sent.
///
/// A passing status wins over any body; then the provider's own word; then the status.
pub(crate) fn classify(
    provider: &dyn Provider,
    sent: &[Request],
    response: &Response,
    now: SystemTime,
    policy: &Policy,
) -> Result<TokenResponse, Error> {
    let status = response.status();
    let failure = if is_passing(status) {
        ErrorResponse::status(status)
    } else {
        match provider.read_response(response) {
            Ok(grant) if status.is_success() => return Ok(grant),
            Ok(_) => ErrorResponse::status(status),
            Err(failure) => failure,
        }
    };
    let error = explain(&failure, response, sent)
        .with_provider(provider.name())
        .with_status(status)
        .with_code(failure.code.filter(|code| is_showable(code, sent)));
    Err(match retry_after(response, now, policy) {
        Some(wait) => error.with_retry(wait, now + wait),
        None => error,
    })
}

fn explain(failure: &ErrorResponse, response: &Response, sent: &[Request]) -> Error {
    match failure.class {
        ErrorClass::Refused => match response.status().as_u16() {
            300..=399 => Error::refused(format!("the login is refused, with a redirect to {}", target(response, sent))),
            404 | 405 => {
                Error::refused("the login is refused; `base_url` or the path (`login_path`) may be wrong as well")
            }
            _ => Error::refused("the credentials are refused"),
        },
        ErrorClass::Misconfigured(setting) => Error::misconfigured(setting, "is not accepted by the provider"),
        ErrorClass::Status(status) => by_status(status, response, sent),
        _ if !response.status().is_success() => by_status(response.status(), response, sent),
        ErrorClass::Unreadable => Error::malformed("the answer cannot be read").into_transient(),
        ErrorClass::Malformed(what) => Error::malformed(what),
    }
}

fn by_status(status: StatusCode, response: &Response, sent: &[Request]) -> Error {
    match status.as_u16() {
        429 => Error::throttled("too many logins"),
        _ if is_passing(status) => Error::unavailable("the provider cannot answer for the moment"),
        300..=399 => Error::redirected(&target(response, sent)),
        404 | 405 => {
            Error::misconfigured("base_url", "or the path (`login_path`) is wrong: nothing there takes a login")
        }
        407 => Error::misconfigured("HTTPS_PROXY", "names a proxy that asks for other credentials"),
        403 => Error::refused(
            "the login is not permitted: ask the provider about the account, its scope and allowed addresses",
        ),
        400..=499 => Error::refused("the login is refused"),
        _ => Error::malformed("the answer has a status that no login has"),
    }
}

/// The origin that a redirect points to: its host may be another's, its path and query may hold anything.
fn target(response: &Response, sent: &[Request]) -> String {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // RFC 3986 4.2: two slashes begin another authority, and browsers take a backslash for a slash.
    let absolute = if location.starts_with("//") { format!("https:{location}") } else { location.to_owned() };
    let is_relative = !location.contains([':', '\\']) && !location.starts_with("//");
    let Some(uri) = absolute.parse::<Uri>().ok().filter(|_| !location.is_empty()) else {
        return if is_relative && !location.is_empty() { SAME_ORIGIN } else { "an unreadable address" }.into();
    };
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme @ ("http" | "https")), Some(authority)) => {
            let host: String = authority.host().chars().take(LONGEST_HOST).collect();
            if sent.iter().any(|request| request.repeats(&host, SHARED_BY_HOSTS)) {
                return "another origin, whose name repeats a part of the request".into();
            }
            let port =
                authority.as_str().rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
            let port = port.map(|(_, port)| format!(":{port}")).unwrap_or_default();
            format!("{scheme}://{host}{port}")
        }
        _ if is_relative => SAME_ORIGIN.into(),
        _ => "an unreadable address".into(),
    }
}

const SAME_ORIGIN: &str = "another path of the same origin";

const LONGEST_HOST: usize = 253;

/// A host may share a word, such as a company's name, with a user name.
const SHARED_BY_HOSTS: usize = 16;

/// A code may share a syllable with anything.
const SHARED_BY_CODES: usize = 4;

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
fn is_showable(code: &str, sent: &[Request]) -> bool {
    let is_code = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let is_word = (1..=LONGEST_CODE).contains(&code.len()) && code.bytes().all(is_code);
    PROTOCOL_CODES.contains(&code) || (is_word && !sent.iter().any(|request| request.repeats(code, SHARED_BY_CODES)))
}

/// Tells whether an error came from an answer that was there but could not be read.
pub(crate) fn is_unreadable(error: &Error) -> bool {
    error.kind() == ErrorKind::Malformed && error.is_transient()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SecretBytes;
    use crate::settings::ProviderInfo;
    use http::HeaderMap;

    fn sent() -> [Request; 1] {
        let endpoint =
            ProviderInfo::new("test", "TEST").endpoint("https://login.example", "login_path", "/token").unwrap();
        [Request::post(&endpoint)
            .with_form(&[("username", "me@company.example"), ("password", "hunter22-and-much-more")])]
    }

    #[test]
    fn k1_a_code_that_is_the_password_of_basic_authentication_is_not_shown() {
        let profile = ProviderInfo::new("test", "TEST");
        let endpoint = profile.endpoint("https://login.example", "login_path", "/token").unwrap();
        // me:hunter22-and-much-more
        let value = profile.header("password", &"Basic bWU6aHVudGVyMjItYW5kLW11Y2gtbW9yZQ==".into()).unwrap();
        let request = Request::post(&endpoint).with_header(http::header::AUTHORIZATION, value);
        assert!(!is_showable("hunter22-and-much-more", std::slice::from_ref(&request)));
        assert!(is_showable("locked", &[request]));
    }

    #[test]
    fn k4_a_code_is_a_short_word_that_repeats_nothing() {
        for code in ["invalid_grant", "unauthorized_client", "E1234", "too.many-requests"] {
            assert!(is_showable(code, &sent()), "{code}");
        }
        let long = "x".repeat(65);
        for code in [
            "",
            "hunter22",
            "HUNTER22",
            "hun.ter.22",
            "bad_hunter22",
            "unter",
            "two words",
            "line\nbreak",
            &long,
            "clé",
        ] {
            assert!(!is_showable(code, &sent()), "{code}");
        }
    }

    #[test]
    fn t1_a_redirect_is_told_by_its_origin() {
        let cases = [
            ("https://other.example/steal?token=1#x", "https://other.example"),
            ("https://login.company.example/", "https://login.company.example"),
            ("https://user:pw@other.example:8443/", "https://other.example:8443"),
            ("//other.example/steal", "https://other.example"),
            (
                "https://hunter22-and-much-more.evil.example/",
                "another origin, whose name repeats a part of the request",
            ),
            ("/elsewhere", "another path of the same origin"),
            ("elsewhere", "another path of the same origin"),
            ("/\\evil.example/", "an unreadable address"),
            ("javascript:alert(1)", "an unreadable address"),
            ("", "an unreadable address"),
        ];
        for (location, expected) in cases {
            let headers = HeaderMap::from_iter([(LOCATION, location.parse().unwrap())]);
            let response = Response::new(StatusCode::FOUND, headers, SecretBytes::default());
            assert_eq!(target(&response, &sent()), expected, "{location}");
        }
    }
}

//! Turns the response to a login into a token or an error, with the same rules for every provider.

use std::time::SystemTime;

use http::header::LOCATION;
use http::{StatusCode, Uri};

use super::provider_calls::ProviderCalls;
use super::retry_after::retry_after;
use crate::error::{Error, ErrorKind};
use crate::error_response::{ErrorClass, ErrorResponse};
use crate::message::{Request, Response};
use crate::policy::Policy;
use crate::token_response::TokenResponse;
use crate::transport::is_transient_status;

/// Classifies the response to the last of `sent`, the requests that this login has made.
///
/// If the status is transient, the body is not read, because a gateway may send any body with a 503. For any other
/// status, the provider reads the body first. The status decides only if the body does not. `now` is the wall clock
/// when the response arrived.
pub(crate) fn classify(
    provider: &ProviderCalls,
    sent: &[Request],
    response: &Response,
    now: SystemTime,
    policy: &Policy,
) -> Result<TokenResponse, Error> {
    let status = response.status();
    let error_response = if is_transient_status(status) {
        ErrorResponse::status(status)
    } else {
        match provider.read_response(response)? {
            Ok(token_response) if status.is_success() => return Ok(token_response),
            Ok(_) => ErrorResponse::status(status),
            Err(error_response) => error_response,
        }
    };
    let error = classify_error_response(&error_response, response, sent)
        .with_provider(provider.name())
        .with_status(status)
        .with_code(error_response.code.filter(|code| is_showable_code(code, sent)));
    Err(match retry_after(response, now, policy) {
        Some(wait) => error.with_retry(wait, now + wait),
        None => error,
    })
}

fn classify_error_response(error_response: &ErrorResponse, response: &Response, sent: &[Request]) -> Error {
    match error_response.class {
        ErrorClass::Refused => classify_refusal(response, sent).recognised(),
        ErrorClass::Misconfigured(setting) => {
            Error::misconfigured(setting, "is not accepted by the provider").recognised()
        }
        ErrorClass::Status(status) => classify_status(status, response, sent),
        _ if !response.status().is_success() => classify_status(response.status(), response, sent),
        ErrorClass::Unreadable => Error::malformed("the response cannot be read").into_transient(),
        ErrorClass::Malformed(problem) => Error::malformed(problem),
    }
}

fn classify_refusal(response: &Response, sent: &[Request]) -> Error {
    match response.status().as_u16() {
        300..=399 => {
            let target = redirect_target(response, sent);
            Error::refused(format!("the login is refused, with a redirect to {target}"))
        }
        404 | 405 => Error::refused("the login is refused; check `base_url` and the path (`login_path`) as well"),
        _ => Error::refused("the credentials are refused"),
    }
}

fn classify_status(status: StatusCode, response: &Response, sent: &[Request]) -> Error {
    match status.as_u16() {
        429 => Error::throttled("too many logins"),
        _ if is_transient_status(status) => Error::unavailable("the provider is temporarily unavailable"),
        300..=399 => Error::redirected(&redirect_target(response, sent)),
        404 | 405 => {
            Error::misconfigured("base_url", "or the path (`login_path`) is wrong: there is no login at this URL")
        }
        407 => Error::misconfigured("HTTPS_PROXY", "names a proxy that requires valid credentials"),
        403 => Error::refused(
            "the login is not permitted: ask the provider whether the account, its scope and this address are allowed",
        ),
        400..=499 => Error::refused("the login is refused"),
        _ => Error::malformed("the response has a status that no login returns"),
    }
}

/// Returns the origin of a redirect's target, for an error message.
///
/// The path and the query are left out, because they may contain anything. A host that repeats a part of the request is
/// left out too: a hostile server could put the password there.
fn redirect_target(response: &Response, sent: &[Request]) -> String {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // `//` starts another authority (RFC 3986 4.2). Browsers read a backslash as a slash.
    let absolute = if location.starts_with("//") { format!("https:{location}") } else { location.to_owned() };
    let is_relative = !location.contains([':', '\\']) && !location.starts_with("//");
    let Some(uri) = absolute.parse::<Uri>().ok().filter(|_| !location.is_empty()) else {
        return if is_relative && !location.is_empty() { SAME_ORIGIN } else { UNREADABLE_ADDRESS }.into();
    };
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme @ ("http" | "https")), Some(authority)) => {
            let host: String = authority.host().chars().take(LONGEST_HOST).collect();
            if sent.iter().any(|request| request.repeats(&host, LONGEST_SHARED_WITH_HOST)) {
                return HIDDEN_ORIGIN.into();
            }
            let port =
                authority.as_str().rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
            let port = port.map(|(_, port)| format!(":{port}")).unwrap_or_default();
            format!("{scheme}://{host}{port}")
        }
        _ if is_relative => SAME_ORIGIN.into(),
        _ => UNREADABLE_ADDRESS.into(),
    }
}

const SAME_ORIGIN: &str = "another path of the same origin";
const HIDDEN_ORIGIN: &str = "another origin, not shown because its name repeats a part of the request";
const UNREADABLE_ADDRESS: &str = "an unreadable address";

/// The longest DNS name, in characters (RFC 1035 2.3.4).
const LONGEST_HOST: usize = 253;

/// A host that shares this many consecutive letters and digits with a secret is hidden. A shorter run may be a common
/// word, such as a company's name in a user name.
const LONGEST_SHARED_WITH_HOST: usize = 16;

/// A code that shares this many consecutive letters and digits with a secret is hidden. A shorter run may be a
/// coincidence.
const LONGEST_SHARED_WITH_CODE: usize = 4;

/// The longest code that is shown, in characters. It is longer than any code that a provider documents.
const LONGEST_CODE: usize = 64;

/// The codes of RFC 6749 5.2 and 4.1.2.1. They are always shown, although a request may contain the same letters.
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

/// Returns `true` if an error may show this code.
///
/// A hostile or careless server may return the request, including the password, in place of a code.
fn is_showable_code(code: &str, sent: &[Request]) -> bool {
    let is_word = (1..=LONGEST_CODE).contains(&code.len()) && code.bytes().all(is_code_byte);
    let is_repeated = |request: &Request| request.repeats(code, LONGEST_SHARED_WITH_CODE);
    PROTOCOL_CODES.contains(&code) || (is_word && !sent.iter().any(is_repeated))
}

fn is_code_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// Returns `true` if there was a response, but it could not be read: empty, cut off or in another format.
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
    fn k1_a_code_that_repeats_the_password_of_basic_authentication_is_not_shown() {
        let info = ProviderInfo::new("test", "TEST");
        let endpoint = info.endpoint("https://login.example", "login_path", "/token").unwrap();
        // The Base64 text of me:hunter22-and-much-more.
        let value = info.header("password", &"Basic bWU6aHVudGVyMjItYW5kLW11Y2gtbW9yZQ==".into()).unwrap();
        let request = Request::post(&endpoint).with_header(http::header::AUTHORIZATION, value);
        assert!(!is_showable_code("hunter22-and-much-more", std::slice::from_ref(&request)));
        assert!(is_showable_code("locked", &[request]));
    }

    #[test]
    fn k4_a_code_is_a_short_word_that_repeats_no_secret() {
        for code in ["invalid_grant", "unauthorized_client", "E1234", "too.many-requests"] {
            assert!(is_showable_code(code, &sent()), "{code}");
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
            assert!(!is_showable_code(code, &sent()), "{code}");
        }
    }

    #[test]
    fn t1_a_redirect_error_names_only_the_origin() {
        let cases = [
            ("https://other.example/steal?token=1#x", "https://other.example"),
            ("https://login.company.example/", "https://login.company.example"),
            ("https://user:pw@other.example:8443/", "https://other.example:8443"),
            ("//other.example/steal", "https://other.example"),
            ("https://hunter22-and-much-more.evil.example/", HIDDEN_ORIGIN),
            ("/elsewhere", SAME_ORIGIN),
            ("elsewhere", SAME_ORIGIN),
            ("/\\evil.example/", UNREADABLE_ADDRESS),
            ("javascript:alert(1)", UNREADABLE_ADDRESS),
            ("", UNREADABLE_ADDRESS),
        ];
        for (location, expected) in cases {
            let headers = HeaderMap::from_iter([(LOCATION, location.parse().unwrap())]);
            let response = Response::new(StatusCode::FOUND, headers, SecretBytes::default());
            assert_eq!(redirect_target(&response, &sent()), expected, "{location}");
        }
    }
}

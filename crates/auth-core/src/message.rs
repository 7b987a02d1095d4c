//! The request and the response of a login, in forms that cannot be built wrong or printed in full.

use std::fmt;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use serde::Serializer;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::endpoint::Endpoint;
use crate::error_response::ErrorResponse;
use crate::secret::SecretBytes;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// Holds one `POST` to a login endpoint.
///
/// It can be addressed to an [`Endpoint`] only, so it never leaves over plain HTTP for another machine.
#[derive(Clone)]
pub struct Request {
    uri: Uri,
    headers: HeaderMap,
    body: SecretBytes,
}

impl Request {
    /// Starts a `POST` with an empty body.
    #[must_use]
    pub fn post(endpoint: &Endpoint) -> Self {
        Self { uri: endpoint.uri().clone(), headers: HeaderMap::new(), body: SecretBytes::default() }
    }

    /// Sets a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets `Content-Type: application/json` and leaves the body as it is.
    #[must_use]
    pub fn with_json_content_type(self) -> Self {
        self.with_header(CONTENT_TYPE, JSON)
    }

    /// Sets a JSON object of texts as the body, in a buffer that is wiped.
    #[must_use]
    pub fn with_json(mut self, members: &[(&str, &str)]) -> Self {
        let mut body = SecretBytes::with_capacity(256);
        let written = serde_json::Serializer::new(&mut body).collect_map(members.iter().copied());
        debug_assert!(written.is_ok(), "texts are always JSON, and a body takes every byte");
        self.body = body;
        self.with_json_content_type()
    }

    /// Sets an `application/x-www-form-urlencoded` body (RFC 6749 appendix B), in a buffer that is wiped.
    #[must_use]
    pub fn with_form(mut self, pairs: &[(&str, &str)]) -> Self {
        let mut body = SecretBytes::with_capacity(256);
        for (name, value) in pairs {
            if !body.as_ref().is_empty() {
                body.push(b"&");
            }
            let encode = |text: &str, body: &mut SecretBytes| {
                form_urlencoded::byte_serialize(text.as_bytes()).for_each(|part| body.push(part.as_bytes()));
            };
            encode(name, &mut body);
            body.push(b"=");
            encode(value, &mut body);
        }
        self.body = body;
        self.with_header(CONTENT_TYPE, FORM)
    }

    /// Where it goes.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The headers, without `Content-Length`.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.body.as_ref()
    }

    /// Turns it into the request that an HTTP client sends, with `Content-Length` (RFC 9110 8.6) also where it is 0.
    #[must_use]
    pub fn into_http(self) -> http::Request<SecretBytes> {
        let length = self.body.as_ref().len();
        let mut request = http::Request::new(self.body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        request.headers_mut().insert(CONTENT_LENGTH, length.into());
        request
    }

    /// Tells whether `text` shares so many letters and digits in a row with anything secret that this request carries,
    /// whatever stands between them and whatever their case.
    pub(crate) fn repeats(&self, text: &str, shared: usize) -> bool {
        let text = letters(text.as_bytes());
        let shared = text.len().clamp(1, shared);
        let values = || self.headers.values().filter(|value| value.is_sensitive());
        let plain = values().map(HeaderValue::as_bytes).chain([self.body()]).map(letters);
        plain.chain(values().filter_map(basic).map(|decoded| letters(&decoded))).any(|sent| {
            let mut runs = text.windows(shared);
            runs.any(|run| sent.windows(shared).any(|part| part == run))
        })
    }
}

/// User name and password behind the header of RFC 7617, where it is one.
fn basic(value: &HeaderValue) -> Option<Zeroizing<Vec<u8>>> {
    let (scheme, encoded) = value.as_bytes().split_at_checked("Basic ".len())?;
    let decoded = scheme.eq_ignore_ascii_case(b"Basic ").then(|| STANDARD.decode(encoded).ok())?;
    decoded.map(Zeroizing::new)
}

fn letters(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut letters = Zeroizing::new(Vec::with_capacity(text.len()));
    letters.extend(text.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase));
    letters
}

/// For `Debug`: the values may be anything.
fn names(headers: &HeaderMap) -> Vec<&str> {
    headers.keys().map(HeaderName::as_str).collect()
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("uri", &self.uri)
            .field("headers", &names(&self.headers))
            .field("body", &self.body)
            .finish()
    }
}

/// Holds the answer of a login endpoint.
#[derive(Clone)]
pub struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: SecretBytes,
}

impl Response {
    /// Puts an answer together; for transports.
    #[must_use]
    pub fn new(status: StatusCode, headers: HeaderMap, body: SecretBytes) -> Self {
        Self { status, headers, body }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.body.as_ref()
    }

    /// Reads the body as JSON, into a type whose secrets are [`Secret`](crate::Secret)s.
    ///
    /// # Errors
    /// Unreadable where it is no JSON (empty, cut off, HTML); malformed where it is JSON of another form. Neither keeps a
    /// word of it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ErrorResponse> {
        serde_json::from_slice(self.body()).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => ErrorResponse::malformed("the answer is JSON of another form"),
            _ => ErrorResponse::unreadable(),
        })
    }

    /// What the server's clock said (RFC 9110 6.6.1).
    #[must_use]
    pub fn date(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.headers.get(DATE)?.to_str().ok()?).ok()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &names(&self.headers))
            .field("body", &self.body)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k1_debug_shows_the_names_of_headers_alone() {
        let headers = HeaderMap::from_iter([(http::header::SET_COOKIE, HeaderValue::from_static("sentinel"))]);
        let shown = format!("{:?}", Response::new(StatusCode::OK, headers, SecretBytes::default()));
        assert!(shown.contains("set-cookie") && !shown.contains("sentinel"), "{shown}");
    }
    use crate::settings::ProviderInfo;
    use proptest::prelude::*;

    fn request() -> Request {
        Request::post(
            &ProviderInfo::new("test", "TEST").endpoint("https://login.example", "login_path", "/token").unwrap(),
        )
    }

    #[test]
    fn t7_an_empty_post_states_its_length() {
        let request = request().with_json_content_type().into_http();
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.headers()[CONTENT_LENGTH], "0");
    }

    #[test]
    fn a_form_is_encoded_to_the_letter() {
        let request = request().with_form(&[("username", "a+b@x.cz"), ("password", "p&=%+ á/")]);
        assert_eq!(request.body(), b"username=a%2Bb%40x.cz&password=p%26%3D%25%2B+%C3%A1%2F");
        assert_eq!(request.headers()[CONTENT_TYPE], FORM);
    }

    #[test]
    fn repeats_finds_parts_of_secrets() {
        let mut key = HeaderValue::from_static("key-in-header");
        key.set_sensitive(true);
        let request = request().with_header(HeaderName::from_static("x-key"), key).with_form(&[("pin", "987")]);
        for text in ["key-in-header", "bad_header", "HEADER", "987", "n9.8"] {
            assert!(request.repeats(text, 4), "{text}");
        }
        for text in ["invalid_grant", "654", "too_many_requests"] {
            assert!(!request.repeats(text, 4), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_unicode_survives_a_form(name in ".*", value in ".*") {
            let request = request().with_form(&[(&name, &value)]);
            let read: Vec<_> = form_urlencoded::parse(request.body()).into_owned().collect();
            prop_assert_eq!(read, vec![(name, value)]);
        }
    }
}

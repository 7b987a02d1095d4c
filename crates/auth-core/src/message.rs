//! The request and the response of a login. Their `Debug` output has no header values and no body.

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

/// Holds one `POST` request to a login endpoint.
///
/// It is built from an [`Endpoint`], so it is never sent over plain http to another machine.
///
/// ```
/// use auth_core::{ProviderInfo, Request};
///
/// let acme = ProviderInfo::new("acme", "ACME");
/// let endpoint = acme.endpoint("https://api.example.com", "login_path", "/token")?;
/// let request = Request::post(&endpoint).with_form(&[("grant_type", "client_credentials")]);
/// assert_eq!(request.body(), b"grant_type=client_credentials");
/// # Ok::<(), auth_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Request {
    uri: Uri,
    headers: HeaderMap,
    body: SecretBytes,
}

impl Request {
    /// Returns a `POST` request with an empty body and no headers.
    ///
    /// ```
    /// # let acme = auth_core::ProviderInfo::new("acme", "ACME");
    /// # let endpoint = acme.endpoint("https://api.example.com", "login_path", "/login")?;
    /// let request = auth_core::Request::post(&endpoint);
    /// assert_eq!(request.uri(), "https://api.example.com/login");
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn post(endpoint: &Endpoint) -> Self {
        Self { uri: endpoint.uri().clone(), headers: HeaderMap::new(), body: SecretBytes::default() }
    }

    /// Sets a header. A value that was set before under the same name is replaced.
    ///
    /// [`ProviderInfo::header`](crate::ProviderInfo::header) turns a credential into a value that is marked sensitive.
    ///
    /// ```
    /// # let acme = auth_core::ProviderInfo::new("acme", "ACME");
    /// # let endpoint = acme.endpoint("https://api.example.com", "login_path", "/login")?;
    /// let key = acme.header("api_key", &"not-a-real-key".into())?;
    /// let name = http::HeaderName::from_static("x-acme-key");
    /// let request = auth_core::Request::post(&endpoint).with_header(name, key);
    /// assert!(request.headers()["x-acme-key"].is_sensitive());
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets `Content-Type: application/json` and does not change the body.
    ///
    /// ```
    /// # let acme = auth_core::ProviderInfo::new("acme", "ACME");
    /// # let endpoint = acme.endpoint("https://api.example.com", "login_path", "/login")?;
    /// let request = auth_core::Request::post(&endpoint).with_json_content_type();
    /// assert!(request.body().is_empty());
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_json_content_type(self) -> Self {
        self.with_header(CONTENT_TYPE, JSON)
    }

    /// Sets a JSON object of strings as the body, in a buffer that is wiped when it is dropped.
    ///
    /// ```
    /// # let acme = auth_core::ProviderInfo::new("acme", "ACME");
    /// # let endpoint = acme.endpoint("https://api.example.com", "login_path", "/login")?;
    /// let request = auth_core::Request::post(&endpoint).with_json(&[("client_key", "fake-client")]);
    /// assert_eq!(request.body(), br#"{"client_key":"fake-client"}"#);
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_json(mut self, members: &[(&str, &str)]) -> Self {
        let mut body = SecretBytes::with_capacity(256);
        let written = serde_json::Serializer::new(&mut body).collect_map(members.iter().copied());
        debug_assert!(written.is_ok(), "strings are always valid JSON, and writing to memory cannot fail");
        self.body = body;
        self.with_json_content_type()
    }

    /// Sets an `application/x-www-form-urlencoded` body (RFC 6749 appendix B), in a buffer that is wiped when it is
    /// dropped.
    ///
    /// ```
    /// # let acme = auth_core::ProviderInfo::new("acme", "ACME");
    /// # let endpoint = acme.endpoint("https://api.example.com", "login_path", "/login")?;
    /// let form = [("grant_type", "password"), ("username", "me@example.com")];
    /// let request = auth_core::Request::post(&endpoint).with_form(&form);
    /// assert_eq!(request.body(), b"grant_type=password&username=me%40example.com");
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_form(mut self, pairs: &[(&str, &str)]) -> Self {
        let mut body = SecretBytes::with_capacity(256);
        for (name, value) in pairs {
            if !body.as_ref().is_empty() {
                body.push(b"&");
            }
            push_form_encoded(&mut body, name);
            body.push(b"=");
            push_form_encoded(&mut body, value);
        }
        self.body = body;
        self.with_header(CONTENT_TYPE, FORM)
    }

    /// Returns the URL.
    ///
    /// ```
    /// # let acme = auth_core::ProviderInfo::new("acme", "ACME");
    /// # let endpoint = acme.endpoint("https://api.example.com", "login_path", "/login")?;
    /// assert_eq!(auth_core::Request::post(&endpoint).uri().path(), "/login");
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Returns the headers, without `Content-Length`.
    ///
    /// ```
    /// # let acme = auth_core::ProviderInfo::new("acme", "ACME");
    /// # let endpoint = acme.endpoint("https://api.example.com", "login_path", "/login")?;
    /// let request = auth_core::Request::post(&endpoint).with_json(&[]);
    /// assert_eq!(request.headers()["content-type"], "application/json");
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the body. It may contain secrets.
    ///
    /// ```
    /// # let acme = auth_core::ProviderInfo::new("acme", "ACME");
    /// # let endpoint = acme.endpoint("https://api.example.com", "login_path", "/login")?;
    /// assert!(auth_core::Request::post(&endpoint).body().is_empty());
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.body.as_ref()
    }

    /// Converts the request into the one that an HTTP client sends.
    ///
    /// `Content-Length` is always set, even if it is 0: some servers reject an empty `POST` without it (RFC 9110 8.6).
    ///
    /// ```
    /// # let acme = auth_core::ProviderInfo::new("acme", "ACME");
    /// # let endpoint = acme.endpoint("https://api.example.com", "login_path", "/login")?;
    /// let request = auth_core::Request::post(&endpoint).into_http();
    /// assert_eq!(request.headers()["content-length"], "0");
    /// # Ok::<(), auth_core::Error>(())
    /// ```
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

    /// Returns `true` if `text` has `length` consecutive letters and digits in common with a secret of this request.
    ///
    /// Upper and lower case, and all other characters, are ignored, because a server may return a password in another
    /// spelling.
    pub(crate) fn repeats(&self, text: &str, length: usize) -> bool {
        let text = letters_and_digits(text.as_bytes());
        let length = text.len().clamp(1, length);
        self.secrets().iter().any(|secret| has_common_run(&text, secret, length))
    }

    /// Returns the letters and digits of the body, of each sensitive header, and of a decoded Basic password.
    fn secrets(&self) -> Vec<Zeroizing<Vec<u8>>> {
        let mut secrets = vec![letters_and_digits(self.body())];
        for value in self.headers.values().filter(|value| value.is_sensitive()) {
            secrets.push(letters_and_digits(value.as_bytes()));
            secrets.extend(basic_credentials(value).map(|decoded| letters_and_digits(&decoded)));
        }
        secrets
    }
}

fn push_form_encoded(body: &mut SecretBytes, text: &str) {
    for part in form_urlencoded::byte_serialize(text.as_bytes()) {
        body.push(part.as_bytes());
    }
}

fn has_common_run(text: &[u8], secret: &[u8], length: usize) -> bool {
    text.windows(length).any(|run| secret.windows(length).any(|part| part == run))
}

/// Returns the user name and the password of a Basic header (RFC 7617 2), or `None` if it has another scheme.
fn basic_credentials(value: &HeaderValue) -> Option<Zeroizing<Vec<u8>>> {
    let (scheme, encoded) = value.as_bytes().split_at_checked("Basic ".len())?;
    let decoded = scheme.eq_ignore_ascii_case(b"Basic ").then(|| STANDARD.decode(encoded).ok())?;
    decoded.map(Zeroizing::new)
}

fn letters_and_digits(text: &[u8]) -> Zeroizing<Vec<u8>> {
    // The capacity is reserved first, because a buffer that grows would leave a copy in memory that is not wiped.
    let mut kept = Zeroizing::new(Vec::with_capacity(text.len()));
    kept.extend(text.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase));
    kept
}

/// Returns the names of the headers for `Debug`. The values may be secret.
fn header_names(headers: &HeaderMap) -> Vec<&str> {
    headers.keys().map(HeaderName::as_str).collect()
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("uri", &self.uri)
            .field("headers", &header_names(&self.headers))
            .field("body", &self.body)
            .finish()
    }
}

/// Holds the response of a login endpoint.
///
/// ```
/// use auth_core::{Response, Secret, SecretBytes};
///
/// #[derive(serde::Deserialize)]
/// struct Body {
///     token: Secret,
/// }
///
/// let body = SecretBytes::from(br#"{"token":"not-a-real-token"}"#.to_vec());
/// let response = Response::new(http::StatusCode::OK, http::HeaderMap::new(), body);
/// let body: Body = response.json().map_err(|_| auth_core::Error::malformed("the response is not JSON"))?;
/// assert_eq!(body.token.expose(), "not-a-real-token");
/// # Ok::<(), auth_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: SecretBytes,
}

impl Response {
    /// Builds a response from its parts. Transports and tests use it.
    ///
    /// ```
    /// use auth_core::{Response, SecretBytes};
    ///
    /// let body = SecretBytes::from(br#"{"token":"t"}"#.to_vec());
    /// let response = Response::new(http::StatusCode::OK, http::HeaderMap::new(), body);
    /// assert_eq!(response.body(), br#"{"token":"t"}"#);
    /// ```
    #[must_use]
    pub fn new(status: StatusCode, headers: HeaderMap, body: SecretBytes) -> Self {
        Self { status, headers, body }
    }

    /// Returns the HTTP status.
    ///
    /// ```
    /// # use auth_core::{Response, SecretBytes};
    /// # let response = Response::new(http::StatusCode::OK, http::HeaderMap::new(), SecretBytes::default());
    /// assert!(response.status().is_success());
    /// ```
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the headers.
    ///
    /// ```
    /// # use auth_core::{Response, SecretBytes};
    /// # let response = Response::new(http::StatusCode::OK, http::HeaderMap::new(), SecretBytes::default());
    /// assert!(response.headers().get("retry-after").is_none());
    /// ```
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the body. It may contain secrets.
    ///
    /// ```
    /// # use auth_core::{Response, SecretBytes};
    /// # let response = Response::new(http::StatusCode::OK, http::HeaderMap::new(), SecretBytes::default());
    /// assert!(response.body().is_empty());
    /// ```
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.body.as_ref()
    }

    /// Reads the body as JSON. Use [`Secret`](crate::Secret) for the fields that hold secrets.
    ///
    /// # Errors
    /// - [`ErrorResponse::unreadable`] if the body is not JSON, for example empty, cut off or HTML
    /// - [`ErrorResponse::malformed`] if it is JSON that does not fit `T`
    ///
    /// Neither contains any part of the body.
    ///
    /// # Example
    /// ```
    /// # use auth_core::{ErrorResponse, Response, SecretBytes};
    /// let page = SecretBytes::from(b"<html>".to_vec());
    /// let response = Response::new(http::StatusCode::OK, http::HeaderMap::new(), page);
    /// assert!(response.json::<Vec<String>>().unwrap_err() == ErrorResponse::unreadable());
    /// ```
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ErrorResponse> {
        serde_json::from_slice(self.body()).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => ErrorResponse::malformed("the response is JSON of an unexpected form"),
            _ => ErrorResponse::unreadable(),
        })
    }

    /// Returns the time of the response by the server's clock, from its `Date` header (RFC 9110 6.6.1).
    ///
    /// ```
    /// # use auth_core::{Response, SecretBytes};
    /// let mut headers = http::HeaderMap::new();
    /// headers.insert("date", http::HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
    /// let response = Response::new(http::StatusCode::OK, headers, SecretBytes::default());
    /// assert!(response.date().is_some());
    /// ```
    #[must_use]
    pub fn date(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.headers.get(DATE)?.to_str().ok()?).ok()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &header_names(&self.headers))
            .field("body", &self.body)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::settings::ProviderInfo;
    use proptest::prelude::*;

    fn request() -> Request {
        Request::post(
            &ProviderInfo::new("test", "TEST").endpoint("https://login.example", "login_path", "/token").unwrap(),
        )
    }

    #[test]
    fn k1_debug_shows_only_the_names_of_headers() {
        let headers = HeaderMap::from_iter([(http::header::SET_COOKIE, HeaderValue::from_static("sentinel"))]);
        let shown = format!("{:?}", Response::new(StatusCode::OK, headers, SecretBytes::default()));
        assert!(shown.contains("set-cookie") && !shown.contains("sentinel"), "{shown}");
    }

    #[test]
    fn t7_an_empty_post_states_its_length() {
        let request = request().with_json_content_type().into_http();
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.headers()[CONTENT_LENGTH], "0");
    }

    #[test]
    fn a_form_is_percent_encoded() {
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
        fn t6_any_unicode_can_be_sent_in_a_form(name in ".*", value in ".*") {
            let request = request().with_form(&[(&name, &value)]);
            let read: Vec<_> = form_urlencoded::parse(request.body()).into_owned().collect();
            prop_assert_eq!(read, vec![(name, value)]);
        }
    }
}

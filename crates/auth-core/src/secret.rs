//! Secret values, which are redacted when printed and wiped from memory when dropped.

use std::fmt;
use std::io;

use bytes::Bytes;
use http::HeaderValue;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// Holds a secret text.
///
/// It prints as `[redacted]`, cannot be serialized, and wipes its memory when it is dropped. It can be deserialized,
/// for example from a config file.
///
/// ```
/// let key = auth_core::Secret::from("not-a-real-key");
/// assert_eq!(format!("{key:?}"), "[redacted]");
/// assert_eq!(key.expose(), "not-a-real-key");
/// ```
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Returns the secret text. No other method returns it.
    ///
    /// ```
    /// let key = auth_core::Secret::from("not-a-real-key".to_owned());
    /// assert_eq!(key.expose().len(), 14);
    /// ```
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns `true` if the text has no characters.
    ///
    /// ```
    /// assert!(auth_core::Secret::default().is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own message would quote the value.
        let text = String::deserialize(deserializer);
        text.map(Self::from).map_err(|_| D::Error::custom("a secret must be a string in quotes"))
    }
}

/// Holds the bytes of a body that may contain secrets.
///
/// It prints only its length, and wipes its memory when it is dropped.
///
/// ```
/// use auth_core::SecretBytes;
///
/// let body = SecretBytes::from(br#"{"pin":"0000"}"#.to_vec());
/// assert_eq!(format!("{body:?}"), "[14 bytes, redacted]");
/// assert_eq!(body.as_ref(), br#"{"pin":"0000"}"#);
/// ```
#[derive(Clone, Default)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Returns an empty body with room for `capacity` bytes.
    ///
    /// ```
    /// let mut body = auth_core::SecretBytes::with_capacity(64);
    /// body.push(b"pin=0000");
    /// ```
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(capacity)))
    }

    /// Appends bytes. If they do not fit, a larger buffer is allocated and the old one is wiped.
    ///
    /// ```
    /// let mut body = auth_core::SecretBytes::default();
    /// body.push(b"pin=");
    /// body.push(b"0000");
    /// assert_eq!(body.as_ref(), b"pin=0000");
    /// ```
    pub fn push(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Vec::with_capacity(needed.max(2 * self.0.capacity()));
            larger.extend_from_slice(&self.0);
            self.0 = Zeroizing::new(larger);
        }
        self.0.extend_from_slice(bytes);
    }

    #[cfg(feature = "store")]
    pub(crate) fn into_buffer(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    /// Converts the bytes into the form that HTTP clients send, without a copy.
    ///
    /// They are wiped when the last clone is dropped.
    ///
    /// ```
    /// let body = auth_core::SecretBytes::from(b"pin=0000".to_vec());
    /// assert_eq!(body.into_bytes().len(), 8);
    /// ```
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self.0)
    }
}

impl AsRef<[u8]> for SecretBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl io::Write for SecretBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes, redacted]", self.0.len())
    }
}

/// The reason why a text cannot be a header value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderProblem {
    #[error("contains a line break or another control character")]
    Control,
    #[error("contains a character outside ASCII")]
    NotAscii,
    #[error("begins or ends with a space")]
    Padded,
}

/// Builds a header value that is marked sensitive, in a buffer that is wiped when its last clone is dropped.
///
/// It is stricter than `http`: RFC 9110 5.5 limits new fields to visible ASCII and spaces, and servers drop a space at
/// either end.
pub(crate) fn header_value(text: &str) -> Result<HeaderValue, HeaderProblem> {
    if !text.is_ascii() {
        return Err(HeaderProblem::NotAscii);
    }
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(HeaderProblem::Control);
    }
    if text.trim_matches(' ').len() != text.len() {
        return Err(HeaderProblem::Padded);
    }
    let bytes = SecretBytes::from(text.as_bytes().to_vec()).into_bytes();
    let mut value = HeaderValue::from_maybe_shared(bytes).map_err(|_| HeaderProblem::Control)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_grows_without_losing_bytes() {
        let mut body = SecretBytes::with_capacity(2);
        for chunk in ["a", "bc", "", "defghij"] {
            body.push(chunk.as_bytes());
        }
        assert_eq!(body.as_ref(), b"abcdefghij");
        assert_eq!(format!("{body:?}"), "[10 bytes, redacted]");
    }

    #[test]
    fn k1_a_secret_that_is_not_a_string_is_not_quoted() {
        let error = serde_json::from_str::<Secret>("987654321").unwrap_err().to_string();
        assert!(error.contains("in quotes") && !error.contains("987"), "{error}");
    }

    #[test]
    fn k3_a_secret_header_value_is_sensitive() {
        let value = header_value("key").unwrap();
        assert!(value.is_sensitive());
        assert_eq!(format!("{value:?}"), "Sensitive");
    }

    #[test]
    fn t6_each_kind_of_invalid_header_value_is_reported() {
        for (text, problem) in [
            ("a\rb", HeaderProblem::Control),
            ("a\n", HeaderProblem::Control),
            ("a\0b", HeaderProblem::Control),
            ("a\tb", HeaderProblem::Control),
            ("a\u{7f}b", HeaderProblem::Control),
            ("clé", HeaderProblem::NotAscii),
            (" a", HeaderProblem::Padded),
            ("a ", HeaderProblem::Padded),
        ] {
            assert_eq!(header_value(text).unwrap_err(), problem, "{text:?}");
        }
        assert_eq!(header_value("r:a w:b").unwrap(), "r:a w:b");
    }
}

//! Values that must not be seen: redacted when printed, wiped when dropped.

use std::fmt;
use std::io;

use bytes::Bytes;
use http::HeaderValue;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// Holds a secret text: prints as `[redacted]`, cannot be serialized, and wipes its memory when dropped.
///
/// ```
/// let key = auth_core::Secret::from("not-a-real-key");
/// assert_eq!(format!("{key:?}"), "[redacted]");
/// assert_eq!(key.expose(), "not-a-real-key");
/// ```
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Shows the secret; the one way to read it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Tells whether there is no text at all.
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
        // The usual message would quote what stands there instead of a text.
        let text = String::deserialize(deserializer);
        text.map(Self::from).map_err(|_| D::Error::custom("a secret must be a text, in quotes"))
    }
}

/// Holds the bytes of a message that may carry secrets: prints its length only, wipes its memory when dropped.
#[derive(Clone, Default)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Starts an empty body with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(capacity)))
    }

    /// Adds bytes at the end. A buffer that is outgrown is wiped.
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

    /// Hands the bytes to an HTTP client without a copy; they are wiped when the last clone is dropped.
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

/// Says what keeps a text from being a header value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderProblem {
    #[error("contains a line break or another control character")]
    Control,
    #[error("contains a character outside ASCII")]
    NotAscii,
    #[error("begins or ends with a space")]
    Padded,
}

/// Builds a sensitive header value from `text`, in a buffer that is wiped with its last clone.
///
/// Stricter than `http`: RFC 9110 5.5 asks new fields to be visible ASCII and spaces, and a space at either end would
/// be lost on the way.
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
    fn k1_a_secret_that_is_no_text_is_not_quoted() {
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
    fn t6_what_no_header_may_hold_is_told_apart() {
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

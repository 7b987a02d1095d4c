//! Reads the response. Every revision has the same two shapes of it.

use std::fmt;
use std::time::Duration;

use auth_core::http::StatusCode;
use auth_core::{ErrorResponse, Expiry, NumberOrString, Response, Secret, TokenResponse};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The documented lifetime, for a response that states none.
const DOCUMENTED_LIFETIME: Duration = Duration::from_secs(30 * 60);

/// Reads a response of either shape. An envelope that reports an error is an error even with HTTP status 200.
pub(crate) fn read(response: &Response) -> Result<TokenResponse, ErrorResponse> {
    let envelope: Envelope = response.json()?;
    if let Some(error) = envelope.error(response.status()) {
        return Err(error);
    }
    let body: Body = response.json()?;
    let item = body.data.0.unwrap_or_default();
    let token = body.token.or(item.access_token).ok_or(ErrorResponse::malformed("the response has no token"))?;
    let expires_at = body.expires_at.or(item.expiry_time);
    Ok(TokenResponse::new(token, Expiry::from_expires_at(expires_at.as_ref(), DOCUMENTED_LIFETIME)))
}

/// Returns `true` if the body of an API response rejects the token, whatever the HTTP status is.
///
/// Such a body has the `code` "unauthorized" or 401.
///
/// ```
/// assert!(auth_zoqq::is_rejection(br#"{"code":"unauthorized","message":"Access denied"}"#));
/// assert!(!auth_zoqq::is_rejection(br#"{"code":200,"status":"success","data":[]}"#));
/// ```
#[must_use]
pub fn is_rejection(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Body {
        code: NumberOrString,
    }

    serde_json::from_slice(body)
        .is_ok_and(|Body { code }| code.text() == Some("unauthorized") || code.number() == Some(401.0))
}

/// The fields that say whether the login succeeded. They are read first, because in an error the other fields may have
/// any type.
#[derive(Deserialize)]
struct Envelope {
    code: Option<NumberOrString>,
    status: Option<NumberOrString>,
    token: Option<IgnoredAny>,
}

impl Envelope {
    fn error(&self, http: StatusCode) -> Option<ErrorResponse> {
        let status_code = self.error_status();
        let word = self.error_word();
        if status_code.is_none() && word.is_none() && !self.status.as_ref().is_some_and(is_error) {
            return None;
        }
        let error = match status_code {
            // The envelope may turn a success into an error, but an HTTP error keeps its own meaning.
            _ if !http.is_success() => ErrorResponse::status(http),
            Some(code) => StatusCode::from_u16(code as u16).map_or(ErrorResponse::refused(), ErrorResponse::status),
            None => ErrorResponse::refused(),
        };
        Some(match word {
            Some(word) => error.with_code(word),
            None => error,
        })
    }

    /// Returns the numeric `code` if it reports an error.
    fn error_status(&self) -> Option<f64> {
        self.code.as_ref()?.number().filter(|code| *code >= 400.0)
    }

    /// Returns a `code` that is a word, such as "unauthorized". If the response has a token, the word reports no error
    /// (for example "success"), so returns `None`.
    fn error_word(&self) -> Option<&str> {
        let code = self.code.as_ref()?;
        let word = code.text().filter(|word| !word.is_empty() && code.number().is_none())?;
        self.token.is_none().then_some(word)
    }
}

/// Returns `true` if a `status` reports an error. Successes have "success" in any case, or an HTTP status as a number.
fn is_error(status: &NumberOrString) -> bool {
    match status.number() {
        Some(number) => number >= 400.0,
        None => !status.text().is_some_and(|text| text.eq_ignore_ascii_case("success")),
    }
}

/// The two shapes of a success: `{token, expires_at}`, and `{data: [{access_token, expiry_time}]}`.
#[derive(Deserialize)]
struct Body {
    token: Option<Secret>,
    expires_at: Option<NumberOrString>,
    #[serde(default)]
    data: Data,
}

#[derive(Default, Deserialize)]
struct Item {
    access_token: Option<Secret>,
    expiry_time: Option<NumberOrString>,
}

/// The first item of `data`, which is documented as an array with one object. A bare object is accepted as well, and
/// anything else counts as no item.
///
/// This is not a serde untagged enum, because that buffers the JSON and leaves a copy of the token in memory that is
/// never wiped.
#[derive(Default)]
struct Data(Option<Item>);

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DataVisitor)
    }
}

struct DataVisitor;

impl<'de> Visitor<'de> for DataVisitor {
    type Value = Data;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array with one object, or an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Data, A::Error> {
        Item::deserialize(MapAccessDeserializer::new(map)).map(|item| Data(Some(item)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Data, A::Error> {
        let first = seq.next_element::<Item>()?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Data(first))
    }

    fn visit_unit<E>(self) -> Result<Data, E> {
        Ok(Data(None))
    }

    fn visit_str<E>(self, _: &str) -> Result<Data, E> {
        Ok(Data(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Data, E> {
        Ok(Data(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Data, E> {
        Ok(Data(None))
    }
}

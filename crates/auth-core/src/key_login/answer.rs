//! Reading the answer of any revision.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::error_response::ErrorResponse;
use crate::expiry::{Expiry, NumberOrString};
use crate::message::Response;
use crate::secret::Secret;
use crate::token_response::TokenResponse;

/// What the documents promise where an answer states no expiry.
pub(super) const DOCUMENTED_LIFE: Duration = Duration::from_secs(30 * 60);

/// Reads either shape of answer in any revision; an envelope that says error is an error, whatever the HTTP status.
pub(super) fn read(response: &Response) -> Result<TokenResponse, ErrorResponse> {
    let envelope: Envelope = response.json()?;
    if let Some(failure) = envelope.failure(response.status()) {
        return Err(failure);
    }
    let answer: Answer = response.json()?;
    let granted = answer.data.0.unwrap_or_default();
    let token = answer.token.or(granted.access_token).ok_or(ErrorResponse::malformed("the answer holds no token"))?;
    let expiry = answer.expires_at.or(granted.expiry_time);
    Ok(TokenResponse::new(token, Expiry::from_expires_at(expiry.as_ref(), DOCUMENTED_LIFE)))
}

/// Tells whether the body of an API's answer says that the token is rejected, whatever the HTTP status:
/// `{"code": "unauthorized"}`, or 401 for a code.
#[must_use]
pub fn is_rejection(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Said {
        code: NumberOrString,
    }

    let is_so = |said: Said| said.code.text() == Some("unauthorized") || said.code.number() == Some(401.0);
    serde_json::from_slice(body).is_ok_and(is_so)
}

/// What an answer says of itself. Read before the rest, which may have any form in an error.
#[derive(Deserialize)]
struct Envelope {
    code: Option<NumberOrString>,
    status: Option<NumberOrString>,
    token: Option<IgnoredAny>,
}

impl Envelope {
    fn failure(self, http: StatusCode) -> Option<ErrorResponse> {
        let number = self.code.as_ref().and_then(NumberOrString::number);
        let own = number.filter(|number| *number >= 400.0);
        // A word is an error's code; beside a token it says nothing.
        let word =
            self.code.as_ref().and_then(NumberOrString::text).filter(|word| number.is_none() && !word.is_empty());
        let word = word.filter(|_| self.token.is_none());
        if own.is_none() && word.is_none() && !self.status.is_some_and(|status| says_error(&status)) {
            return None;
        }
        let failure = match own {
            _ if !http.is_success() => ErrorResponse::status(http),
            Some(number) => StatusCode::from_u16(number as u16).map_or(ErrorResponse::refused(), ErrorResponse::status),
            None => ErrorResponse::refused(),
        };
        Some(match word {
            Some(word) => failure.with_code(word),
            None => failure,
        })
    }
}

fn says_error(status: &NumberOrString) -> bool {
    match status.number() {
        Some(number) => number >= 400.0,
        None => !status.text().is_some_and(|text| text.eq_ignore_ascii_case("success")),
    }
}

/// Both shapes at once: `{token, expires_at}`, and `{code, status, message, data: [{access_token, expiry_time}]}`.
#[derive(Deserialize)]
struct Answer {
    token: Option<Secret>,
    expires_at: Option<NumberOrString>,
    #[serde(default)]
    data: Data,
}

#[derive(Default, Deserialize)]
struct Granted {
    access_token: Option<Secret>,
    expiry_time: Option<NumberOrString>,
}

/// `data` is documented as an array of one; an object is read too, and anything else is no grant.
///
/// Read by hand, because serde's untagged enums would leave a copy of the token in memory that is not wiped.
#[derive(Default)]
struct Data(Option<Granted>);

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DataVisitor)
    }
}

struct DataVisitor;

impl<'de> Visitor<'de> for DataVisitor {
    type Value = Data;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array of one")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Data, A::Error> {
        Granted::deserialize(MapAccessDeserializer::new(map)).map(|granted| Data(Some(granted)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Data, A::Error> {
        let first = seq.next_element::<Granted>()?;
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

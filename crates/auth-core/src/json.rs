//! Reading answers that are JSON.

use serde::de::DeserializeOwned;

use crate::provider::Failure;

/// Reads a JSON answer into a type whose secrets are [`Secret`](crate::Secret)s.
///
/// # Errors
/// Unreadable where it is no JSON (empty, cut off, HTML); malformed where it is JSON of another form. Neither keeps a
/// word of it.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Failure::malformed("the answer is JSON of another form"),
        _ => Failure::unreadable(),
    })
}

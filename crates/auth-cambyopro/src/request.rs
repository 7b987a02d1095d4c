//! The login request. There is no refresh request: the API has no refresh token.

use auth_core::http::HeaderValue;
use auth_core::http::header::ACCEPT;
use auth_core::{Endpoint, Request};

/// Builds the login request from the two credentials, each with the name of its field.
pub(crate) fn login(endpoint: &Endpoint, client_id: (&str, &str), client_secret: (&str, &str)) -> Request {
    Request::post(endpoint)
        .with_header(ACCEPT, HeaderValue::from_static("application/json"))
        .with_json(&[client_id, client_secret])
}

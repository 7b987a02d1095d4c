//! The protected resource: `GET /api/protected`, which requires a token.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State as Shared;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::json;

use crate::state::{Inner, State};
use crate::{Api, response};

pub(crate) async fn get(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    state.with(|inner| match token_api(inner, &headers) {
        Some(api) => {
            inner.api(api).counters.served += 1;
            response::json(StatusCode::OK, &json!({ "provider": api.name() }))
        }
        None => {
            let mut response = response::json(StatusCode::UNAUTHORIZED, &json!({ "message": "no valid token" }));
            let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            response
        }
    })
}

/// Returns the API that issued the request's token, or `None` if there is no valid token.
pub(crate) fn token_api(inner: &Inner, headers: &HeaderMap) -> Option<Api> {
    let token = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    let issued = inner.tokens.get(token)?;
    (Instant::now() < issued.expires_at).then_some(issued.api)
}

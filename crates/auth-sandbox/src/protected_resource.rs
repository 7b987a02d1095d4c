//! A resource that asks for a token.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State as Shared;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::json;

use crate::state::{Inner, State};
use crate::{Api, answer};

pub(crate) async fn get(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    state.with(|inner| match bearer(inner, &headers) {
        Some(api) => {
            inner.api(api).counters.served += 1;
            answer::json(StatusCode::OK, &json!({ "provider": api.name() }))
        }
        None => {
            let mut response = answer::json(StatusCode::UNAUTHORIZED, &json!({ "message": "no valid token" }));
            let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            response
        }
    })
}

/// Whose valid token a request carries.
pub(crate) fn bearer(inner: &Inner, headers: &HeaderMap) -> Option<Api> {
    let token = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    let issued = inner.tokens.get(token)?;
    (Instant::now() < issued.until).then_some(issued.api)
}

//! The login of Cambyopro: `POST /api/no-auth/authentication/v1/login`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use crate::response;
use crate::state::{State, random};
use crate::{Api, CLIENT_ID, CLIENT_SECRET};

/// Both possible spellings. The document was converted and has lost its capital letters.
const SPELLINGS: [[&str; 2]; 2] = [["clientId", "clientSecret"], ["clientid", "clientsecret"]];

pub(crate) async fn login(Shared(state): Shared<Arc<State>>, headers: HeaderMap, body: Bytes) -> Response {
    state
        .login(Api::Cambyopro, async {
            state.with(|inner| match check(&headers, &body) {
                Ok(()) => {
                    inner.api(Api::Cambyopro).counters.logins += 1;
                    let (token, lifetime) = inner.issue(Api::Cambyopro, format!("atk_{}", random(64)));
                    let body = json!({
                        "success": true,
                        "accessToken": token,
                        "tokenType": "Bearer",
                        "message": "Cliente de API autenticado com sucesso para Empresa Fictícia",
                        "expiresIn": lifetime,
                    });
                    response::json(StatusCode::OK, &body)
                }
                Err((status, message)) => {
                    inner.api(Api::Cambyopro).counters.refusals += 1;
                    response::json(status, &json!({ "success": false, "message": message }))
                }
            })
        })
        .await
}

fn check(headers: &HeaderMap, body: &[u8]) -> Result<(), (StatusCode, &'static str)> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err((StatusCode::BAD_REQUEST, "Content-Type must be application/json."));
    }
    let invalid = (StatusCode::BAD_REQUEST, "The body must hold clientId and clientSecret, and nothing else.");
    let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
        return Err(invalid);
    };
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let mut pairs = SPELLINGS.iter().filter_map(|[id, secret]| Some((text(id)?, text(secret)?)));
    match pairs.next() {
        Some(pair) if body.len() == 2 && pair == (CLIENT_ID, CLIENT_SECRET) => Ok(()),
        Some(_) if body.len() == 2 => Err((StatusCode::UNAUTHORIZED, "Invalid credentials.")),
        _ => Err(invalid),
    }
}

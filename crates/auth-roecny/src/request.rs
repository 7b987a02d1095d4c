//! The login request in every revision. There is no refresh request: the API has no refresh token.

use auth_core::http::header::ACCEPT;
use auth_core::http::{HeaderName, HeaderValue};
use auth_core::{Endpoint, Error, Request, Secret};

use crate::{INFO, Revision};

const X_CLIENT_ID: HeaderName = HeaderName::from_static("x-client-id");
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const SCOPE: HeaderName = HeaderName::from_static("scope");

/// The values that a login sends. [`Builder::build`](crate::Builder::build) has checked that the revision has all it
/// requires.
pub(crate) struct Credentials {
    pub(crate) client_id: String,
    pub(crate) api_key: Secret,
    pub(crate) scope: Option<String>,
    pub(crate) client_secret: Secret,
    pub(crate) email: Option<String>,
}

/// Builds the login request. An `Err` means that a credential cannot be sent in a header.
pub(crate) fn login(endpoint: &Endpoint, revision: Revision, credentials: &Credentials) -> Result<Request, Error> {
    let request = Request::post(endpoint)
        .with_header(ACCEPT, HeaderValue::from_static("application/json"))
        .with_header(X_API_KEY, INFO.header("api_key", &credentials.api_key)?)
        .with_json_content_type();
    match revision {
        Revision::HeadersAndScope | Revision::Headers => with_scope(with_client_id(request, credentials)?, credentials),
        Revision::BodyAndClientId => Ok(with_body(with_client_id(request, credentials)?, credentials)),
        Revision::Body => Ok(with_body(request, credentials)),
    }
}

fn with_client_id(request: Request, credentials: &Credentials) -> Result<Request, Error> {
    let value = INFO.header("client_id", &credentials.client_id.as_str().into())?;
    Ok(request.with_header(X_CLIENT_ID, value))
}

fn with_scope(request: Request, credentials: &Credentials) -> Result<Request, Error> {
    let Some(scope) = credentials.scope.as_deref() else { return Ok(request) };
    let value = INFO.header("scope", &scope.into())?;
    Ok(request.with_header(SCOPE, value))
}

/// Adds the JSON body. Its `client_key` is the client id.
fn with_body(request: Request, credentials: &Credentials) -> Request {
    let mut members =
        vec![("client_key", credentials.client_id.as_str()), ("client_secret", credentials.client_secret.expose())];
    members.extend(credentials.email.as_deref().map(|email| ("email", email)));
    request.with_json(&members)
}

/// Returns the headers that every API call needs in addition to the token: the API key of the login.
pub(crate) fn api_headers(login: &Request) -> Vec<(HeaderName, HeaderValue)> {
    let key = login.headers().get(&X_API_KEY);
    key.map(|key| (X_API_KEY, key.clone())).into_iter().collect()
}

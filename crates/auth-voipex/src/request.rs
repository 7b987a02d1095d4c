//! The login and refresh requests: the forms of RFC 6749 4.3.2 and 6.

use auth_core::{Endpoint, RefreshToken, Request, Secret};

/// The values that a login sends.
pub(crate) struct Credentials<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) username: &'a str,
    pub(crate) password: &'a Secret,
    pub(crate) scope: Option<&'a str>,
}

pub(crate) fn login(endpoint: &Endpoint, credentials: &Credentials<'_>) -> Request {
    let mut form = vec![
        ("client_id", credentials.client_id),
        ("username", credentials.username),
        ("password", credentials.password.expose()),
        ("grant_type", "password"),
    ];
    form.extend(credentials.scope.map(|scope| ("scope", scope)));
    Request::post(endpoint).with_form(&form)
}

pub(crate) fn refresh(endpoint: &Endpoint, client_id: &str, token: &RefreshToken) -> Request {
    Request::post(endpoint).with_form(&[
        ("client_id", client_id),
        ("refresh_token", token.expose()),
        ("grant_type", "refresh_token"),
    ])
}

//! A provider of your own in one file: `cargo run --example custom_provider`.
//!
//! The login sends a JSON body, and the response is `{"key": "…", "ttl": 60}`. A provider only builds requests and
//! reads responses. Attempts, deadlines, caching and stores come from `auth-core`.
#![allow(clippy::expect_used, reason = "an example may panic")]

use std::time::Duration;

use auth_core::{
    Error, ErrorResponse, Expiry, NumberOrString, Provider, ProviderInfo, Request, Response, Secret, TokenManager,
    TokenResponse,
};
use auth_testing::{Script, ScriptedResponse};
use serde::Deserialize;

const INFO: ProviderInfo = ProviderInfo::new("acme", "ACME");

#[derive(Debug)]
struct Acme {
    login: Request,
}

/// Reads the settings from the environment (`ACME_BASE_URL`, `ACME_PIN`) or from any format that serde reads.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Builder {
    base_url: Option<String>,
    pin: Option<Secret>,
}

impl Builder {
    fn from_env() -> Result<Acme, Error> {
        INFO.read_env::<Self>()?.build()
    }

    fn build(self) -> Result<Acme, Error> {
        let mut required = INFO.required();
        let base_url = required.text("base_url", self.base_url);
        let pin = required.secret("pin", self.pin);
        required.check()?;
        let endpoint = INFO.endpoint(&base_url, "login_path", "/v1/session")?;
        Ok(Acme { login: Request::post(&endpoint).with_json(&[("pin", pin.expose())]) })
    }
}

impl Provider for Acme {
    fn name(&self) -> &'static str {
        INFO.provider
    }

    fn login_request(&self) -> Request {
        self.login.clone()
    }

    fn read_response(&self, response: &Response) -> Result<TokenResponse, ErrorResponse> {
        #[derive(Deserialize)]
        struct Body {
            key: Option<Secret>,
            ttl: Option<NumberOrString>,
            reason: Option<String>,
        }

        let body: Body = response.json()?;
        if let Some(reason) = body.reason {
            return Err(ErrorResponse::refused().with_code(reason));
        }
        let key = body.key.ok_or(ErrorResponse::malformed("the response has no `key`"))?;
        Ok(TokenResponse::new(key, Expiry::from_expires_in(body.ttl.as_ref(), Duration::from_secs(60))?))
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    // The responses of a server that does not exist. A real program calls `TokenManager::new(acme)`.
    let script = Script::new([
        ScriptedResponse::json(200, r#"{"key":"k1","ttl":60}"#),
        ScriptedResponse::json(403, r#"{"reason":"pin_expired"}"#),
    ]);

    let acme = Builder { base_url: Some("https://api.acme.example".into()), pin: Some("0000".into()) };
    let tokens = TokenManager::builder(acme.build()?).with_transport(script).build()?;
    let token = tokens.token().await?;
    println!("a token for {} s", token.lifetime().as_secs());

    tokens.reject(&token);
    println!("{}", tokens.token().await.expect_err("the script refuses"));
    println!("{}", Builder::from_env().expect_err("nothing is set"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use auth_testing::conformance;

    use super::*;

    #[test]
    fn acme_keeps_the_promises() {
        conformance::provider(
            |pin| builder(pin).build().unwrap(),
            |token, lifetime| format!(r#"{{"key":"{token}","ttl":{}}}"#, lifetime.as_secs()),
            (403, r#"{"reason":"pin_expired"}"#),
        );
    }

    fn builder(pin: &str) -> Builder {
        Builder { base_url: Some("https://api.acme.example".into()), pin: Some(pin.into()) }
    }
}

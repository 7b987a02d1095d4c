//! Reads the claims of a token that is a JWT (RFC 7519). The signature is not checked, so the claims are only hints.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use zeroize::Zeroizing;

/// Returns the claims, or `None` if the token is not a JWT or its claims do not fit `T`.
pub(crate) fn claims<T: DeserializeOwned>(token: &str) -> Option<T> {
    let mut parts = token.split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?);
    serde_json::from_slice(&payload).ok()
}

/// Returns the token's lifetime by its issuer's clock: `exp` minus `iat` (RFC 7519 4.1).
pub(crate) fn lifetime(token: &str) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Times {
        iat: f64,
        exp: f64,
    }

    let Times { iat, exp } = claims(token)?;
    Duration::try_from_secs_f64(exp - iat).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn the_lifetime_is_exp_minus_iat() {
        let cases = [
            (r#"{"iat":1745564224,"exp":1745566024}"#, Some(1800)),
            (r#"{"iat":10,"exp":10}"#, Some(0)),
            (r#"{"iat":11,"exp":10}"#, None),
            (r#"{"exp":1745566024}"#, None),
            (r#"{"iat":"soon","exp":10}"#, None),
            (r#"{"iat":0,"exp":1e300}"#, None),
        ];
        for (claims, seconds) in cases {
            assert_eq!(lifetime(&jwt(claims)), seconds.map(Duration::from_secs), "{claims}");
        }
    }

    proptest! {
        #[test]
        fn reading_any_text_does_not_panic(token in ".*") {
            let _ = lifetime(&token);
        }

        #[test]
        fn reading_any_claims_does_not_panic(claims in ".*") {
            let _ = lifetime(&jwt(&claims));
        }
    }
}

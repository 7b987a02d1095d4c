#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

use auth_core::ProviderInfo;
use auth_core::key_login::{self, Brand, KeyLogin};

pub use auth_core;
pub use auth_core::key_login::{Revision, is_rejection};

/// Logs in to Zoqq; see the [crate's page](crate) for the wire and the settings.
pub type Zoqq = KeyLogin<ZoqqBrand>;

/// Collects the settings of a [`Zoqq`] login.
pub type Builder = key_login::Builder<ZoqqBrand>;

/// Names Zoqq in errors (`zoqq`) and in the environment (`ZOQQ_*`).
#[derive(Debug)]
#[non_exhaustive]
pub struct ZoqqBrand;

impl Brand for ZoqqBrand {
    const INFO: ProviderInfo = ProviderInfo::new("zoqq", "ZOQQ");
    const REVISION: Revision = Revision::HeadersAndScope;
}

#[cfg(test)]
mod tests {
    use super::*;
    use auth_core::Provider;

    fn builder() -> Builder {
        let builder = Zoqq::builder().with_base_url("https://api.example.com").with_client_id("fake-client");
        builder.with_api_key("fake-key")
    }

    #[test]
    fn the_login_is_the_documents() {
        let request = builder().with_scope("r:a").build().unwrap().login_request();
        assert_eq!(request.uri(), "https://api.example.com/api/v1/authentication/login");
        let mut names: Vec<_> = request.headers().keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "content-type", "scope", "x-api-key", "x-client-id"]);
        assert!(request.body().is_empty());
    }

    #[test]
    fn a_scope_is_required() {
        let builder = builder();
        assert_eq!(builder.build().unwrap_err().to_string(), "zoqq: missing: `scope` (environment: ZOQQ_SCOPE)");
    }
}

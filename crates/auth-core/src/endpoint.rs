//! The URL that a login is sent to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

use crate::error::Error;

/// Holds a login URL that credentials may be sent to: https, or http to a loopback address.
///
/// [`ProviderInfo::endpoint`](crate::ProviderInfo::endpoint) builds one from the base URL and the path.
///
/// ```
/// let acme = auth_core::ProviderInfo::new("acme", "ACME");
/// let endpoint = acme.endpoint("https://api.example.com/v2", "login_path", "/login")?;
/// assert_eq!(endpoint.uri(), "https://api.example.com/v2/login");
///
/// let error = acme.endpoint("http://api.example.com", "login_path", "/login").unwrap_err();
/// assert_eq!(error.setting(), Some("base_url"));
/// # Ok::<(), auth_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Uri);

impl Endpoint {
    /// Appends `path` to `base_url`.
    ///
    /// `invalid_setting` builds the error from the setting's name, `base_url` or `path_field`, and the problem.
    pub(crate) fn new(
        base_url: &str,
        path_field: &'static str,
        path: &str,
        invalid_setting: impl Fn(&'static str, &str) -> Error,
    ) -> Result<Self, Error> {
        let base = check_base_url(base_url).map_err(|problem| invalid_setting("base_url", problem))?;
        check_path(path).map_err(|problem| invalid_setting(path_field, problem))?;

        let prefix = base.path().trim_end_matches('/');
        let path = path.trim_start_matches('/');
        Uri::builder()
            .scheme(base.scheme_str().unwrap_or_default())
            .authority(base.authority().map_or("", |authority| authority.as_str()))
            .path_and_query(format!("{prefix}/{path}"))
            .build()
            .map(Self)
            .map_err(|_| invalid_setting(path_field, "is not a URL path"))
    }

    /// Returns the URL.
    ///
    /// ```
    /// let acme = auth_core::ProviderInfo::new("acme", "ACME");
    /// let endpoint = acme.endpoint("https://api.example.com", "login_path", "/token")?;
    /// assert_eq!(endpoint.uri().host(), Some("api.example.com"));
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.0
    }
}

/// Parses a base URL that credentials may be sent to, or returns what is wrong with it.
pub(crate) fn check_base_url(base_url: &str) -> Result<Uri, &'static str> {
    // `Uri` drops a fragment silently.
    if base_url.contains('#') {
        return Err("has a fragment; expected a scheme, a host and an optional path prefix");
    }
    let base: Uri = base_url.parse().map_err(|_| "is not a URL; expected something like https://api.example.com")?;
    let (Some(scheme), Some(authority)) = (base.scheme_str(), base.authority()) else {
        return Err("has no scheme or no host; expected something like https://api.example.com");
    };
    if authority.as_str().contains('@') {
        return Err("contains a user name or a password; set credentials in their own settings");
    }
    if authority.host().is_empty() {
        return Err("has no host; expected something like https://api.example.com");
    }
    check_host(authority.host())?;
    if authority.as_str().ends_with(':') || (authority.port_u16().is_none() && has_port(authority.as_str())) {
        return Err("has an invalid port; expected 1 to 65535");
    }
    check_path(base.path())?;
    if base.query().is_some() {
        return Err("has a query; expected a scheme, a host and an optional path prefix");
    }
    match scheme {
        "https" => Ok(base),
        "http" if is_loopback(authority.host()) => Ok(base),
        "http" => Err("is plain http to another machine, which would expose the credentials; use https"),
        _ => Err("has an unsupported scheme; expected https"),
    }
}

fn check_path(path: &str) -> Result<(), &'static str> {
    if path.contains(['?', '#']) {
        return Err("has a query or a fragment; expected only a path");
    }
    if path.contains('\\') {
        return Err("contains a backslash; use `/`");
    }
    let segments = path.split('/').map(|segment| segment.to_ascii_lowercase().replace("%2e", "."));
    if segments.into_iter().any(|segment| matches!(&*segment, "." | "..")) {
        return Err("has a `.` or `..` segment; remove it");
    }
    Ok(())
}

/// Checks that a host that looks like an IP address is one.
///
/// An HTTP client may connect `0x7f.1` or `999.1.1.1` to another address than this check assumes.
fn check_host(host: &str) -> Result<(), &'static str> {
    let is_address = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => {
            let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
            let looks_numeric = last.starts_with(|first: char| first.is_ascii_digit());
            !looks_numeric || host.parse::<Ipv4Addr>().is_ok()
        }
    };
    if is_address { Ok(()) } else { Err("has an invalid host; expected a DNS name or an IP address") }
}

fn has_port(authority: &str) -> bool {
    authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::ProviderInfo;
    use proptest::prelude::*;

    fn endpoint(base_url: &str, path: &str) -> Result<Endpoint, Error> {
        ProviderInfo::new("test", "TEST").endpoint(base_url, "login_path", path)
    }

    #[test]
    fn t5_a_path_prefix_and_extra_slashes_are_joined() {
        for base in ["https://api.example.com/v2", "https://api.example.com/v2/", "https://api.example.com/v2//"] {
            for path in ["/api/login", "api/login", "//api/login"] {
                let endpoint = endpoint(base, path).unwrap();
                assert_eq!(endpoint.uri(), "https://api.example.com/v2/api/login");
            }
        }
        let bare = endpoint("https://api.example.com:8443", "/token").unwrap();
        assert_eq!(bare.uri(), "https://api.example.com:8443/token");
    }

    #[test]
    fn t4_plain_http_is_allowed_only_to_loopback() {
        for base in
            ["http://127.0.0.1:8080", "http://127.9.9.9", "http://localhost", "http://[::1]:1/x", "HTTP://LOCALHOST"]
        {
            assert!(endpoint(base, "/").is_ok(), "{base}");
        }
        for base in [
            "http://api.example.com",
            "http://10.0.0.1",
            "http://127.0.0.1.example.com",
            "http://localhost.example",
            "http://[::2]",
        ] {
            let error = endpoint(base, "/").unwrap_err();
            assert_eq!(error.setting(), Some("base_url"), "{base}");
            assert!(error.to_string().contains("use https"), "{error}");
        }
    }

    #[test]
    fn t5_invalid_base_urls_and_paths_are_errors() {
        for (base, word) in [
            ("https://user:pw@api.example.com", "user name"),
            ("https://user@api.example.com", "user name"),
            ("https://api.example.com?x=1", "query"),
            ("https://api.example.com/#top", "fragment"),
            ("api.example.com", "scheme"),
            ("/api", "scheme"),
            ("", "not a URL"),
            ("ftp://api.example.com", "scheme"),
            ("https://", "not a URL"),
            ("https://a b", "not a URL"),
            ("https://x.example:99999", "port"),
            ("https://x.example:", "port"),
            ("https://[127.0.0.1]", "host"),
            ("https://999.1.1.1", "host"),
            ("https://0x7f.1", "host"),
            ("https://gw.example/tenant/../other", "segment"),
            ("https://gw.example/tenant/%2E%2e/other", "segment"),
        ] {
            let error = endpoint(base, "/login").unwrap_err().to_string();
            assert!(error.contains("base_url") && error.contains(word), "{base}: {error}");
            assert!(!error.contains("pw"), "{error}");
        }
        for path in ["/login?x=1", "/login#x", "/../login", "/%2e%2E/x", "/.%2e/x", "..\\x", "/a b"] {
            let error = endpoint("https://api.example.com", path).unwrap_err();
            assert_eq!(error.setting(), Some("login_path"), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_setting_panics_and_no_path_changes_the_host(base in ".*", path in ".*") {
            let _ = endpoint(&base, "/login");
            if let Ok(endpoint) = endpoint("https://api.example.com", &path) {
                prop_assert_eq!(endpoint.uri().authority().unwrap().as_str(), "api.example.com");
            }
        }
    }
}

//! The origins that a token may be sent to.

use std::fmt;
use std::net::Ipv6Addr;

use http::Uri;

use crate::endpoint::check_base_url;
use crate::error::Error;

/// Holds an origin that a token may be sent to: https, or http to a loopback address.
///
/// An origin is a scheme, a host and a port (RFC 6454 4). See also
/// [Origin on MDN](https://developer.mozilla.org/docs/Glossary/Origin).
///
/// ```
/// let origin = auth_core::Origin::new("https://api.example.com")?;
/// assert!(origin.is_of(&"https://API.example.com:443/v1/calls".parse().unwrap()));
/// assert!(!origin.is_of(&"https://api.example.com.evil.example/v1/calls".parse().unwrap()));
/// # Ok::<(), auth_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    is_https: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// Parses an origin such as `https://api.example.com` or `http://127.0.0.1:8080`, without a path.
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) if the text is not an origin, or is plain http to another
    /// machine.
    ///
    /// # Example
    /// ```
    /// let origin = auth_core::Origin::new("https://API.example.com")?;
    /// assert_eq!(origin.to_string(), "https://api.example.com:443");
    /// assert!(auth_core::Origin::new("http://api.example.com").is_err());
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    pub fn new(origin: &str) -> Result<Self, Error> {
        let uri = check_base_url(origin).map_err(invalid_origin)?;
        if uri.path() != "/" {
            return Err(invalid_origin(
                "has a path; expected only a scheme and a host, such as https://api.example.com",
            ));
        }
        let is_https = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default();
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')?.parse::<Ipv6Addr>().ok());
        let host = address.map_or(host.to_ascii_lowercase(), |address| format!("[{address}]"));
        Ok(Self { is_https, host, port: uri.port_u16().unwrap_or(default_port(is_https)) })
    }

    /// Returns `true` if `uri` has this origin. A URL without a port has its scheme's default port.
    ///
    /// ```
    /// let origin = auth_core::Origin::new("https://api.example.com")?;
    /// assert!(origin.is_of(&http::Uri::from_static("https://api.example.com:443/v1/calls")));
    /// assert!(!origin.is_of(&http::Uri::from_static("https://api.example.com:8443/v1/calls")));
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn is_of(&self, uri: &Uri) -> bool {
        let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
        self.matches(scheme, host, uri.port_u16())
    }

    /// Returns `true` if a URL with these parts has this origin. `None` is the scheme's default port.
    ///
    /// ```
    /// let origin = auth_core::Origin::new("https://api.example.com")?;
    /// assert!(origin.matches("https", "api.example.com", None));
    /// assert!(!origin.matches("http", "api.example.com", Some(443)));
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn matches(&self, scheme: &str, host: &str, port: Option<u16>) -> bool {
        scheme.eq_ignore_ascii_case(self.scheme())
            && host.eq_ignore_ascii_case(&self.host)
            && port.unwrap_or(default_port(self.is_https)) == self.port
    }

    /// Returns `true` for https, and `false` for http to a loopback address.
    ///
    /// ```
    /// assert!(auth_core::Origin::new("https://api.example.com")?.is_https());
    /// assert!(!auth_core::Origin::new("http://127.0.0.1:8080")?.is_https());
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    fn scheme(&self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme(), self.host, self.port)
    }
}

fn invalid_origin(problem: &str) -> Error {
    Error::misconfigured("origin", problem)
}

fn default_port(is_https: bool) -> u16 {
    if is_https { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a5_an_origin_is_scheme_host_and_port() {
        let cases = [
            ("https://api.example.com", "https://api.example.com/a?b", true),
            ("https://api.example.com", "https://API.EXAMPLE.com:443/", true),
            ("https://api.example.com:443/", "https://api.example.com", true),
            ("https://api.example.com", "https://api.example.com:8443/", false),
            ("https://api.example.com", "http://api.example.com/", false),
            ("https://api.example.com", "http://api.example.com:443/", false),
            ("https://api.example.com", "https://example.com/", false),
            ("https://api.example.com", "https://api.example.com.evil.example/", false),
            ("https://api.example.com", "https://api.example.com@evil.example/", false),
            ("https://api.example.com", "https://evil.example/api.example.com", false),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/a", true),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8081/a", false),
            ("http://[::1]:8080", "http://[::1]:8080/a", true),
            ("http://[0:0:0:0:0:0:0:1]:8080", "http://[::1]:8080/a", true),
        ];
        for (origin, url, expected) in cases {
            let uri = url.parse().unwrap();
            assert_eq!(Origin::new(origin).unwrap().is_of(&uri), expected, "{origin} {url}");
        }
        assert!(!Origin::new("https://a.example").unwrap().is_of(&"/a/path".parse().unwrap()));
    }

    #[test]
    fn a5_plain_http_to_another_machine_and_paths_are_errors() {
        let wrong = [
            "http://api.example.com",
            "https://api.example.com/v1",
            "https://user@api.example.com",
            "*",
            "",
            "https://",
        ];
        for origin in wrong {
            assert_eq!(Origin::new(origin).unwrap_err().kind(), ErrorKind::Misconfigured, "{origin}");
        }
    }
}

//! Where a token may be sent.

use std::fmt;
use std::net::Ipv6Addr;

use http::Uri;

use crate::endpoint::check_base;
use crate::error::Error;

/// Holds an origin (RFC 6454 4) to which a token may be sent: https, or http to this machine alone.
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
    /// Reads an origin such as `https://api.example.com` or `http://127.0.0.1:8080`, without a path.
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) where it is none, or plain http to another machine.
    pub fn new(origin: &str) -> Result<Self, Error> {
        let fault = |problem| Error::misconfigured("origin", problem);
        let uri = check_base(origin).map_err(fault)?;
        if uri.path() != "/" {
            return Err(fault("has a path; give scheme and host, such as https://api.example.com"));
        }
        let is_https = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default();
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')?.parse::<Ipv6Addr>().ok());
        let host = address.map_or(host.to_ascii_lowercase(), |address| format!("[{address}]"));
        Ok(Self { is_https, host, port: uri.port_u16().unwrap_or(default_port(is_https)) })
    }

    /// Tells whether a URL is of this origin.
    #[must_use]
    pub fn is_of(&self, uri: &Uri) -> bool {
        let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
        self.matches(scheme, host, uri.port_u16())
    }

    /// Tells whether a URL of these parts is of this origin; without a port, the scheme's own counts.
    #[must_use]
    pub fn matches(&self, scheme: &str, host: &str, port: Option<u16>) -> bool {
        scheme.eq_ignore_ascii_case(self.scheme())
            && host.eq_ignore_ascii_case(&self.host)
            && port.unwrap_or(default_port(self.is_https)) == self.port
    }

    /// Tells whether it is https; else it is http to this machine.
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
    fn a5_plain_http_is_for_this_machine() {
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

//! Checks and rewrites the heads of requests and responses. All functions are pure.

use std::net::SocketAddr;

use http::header::{
    AUTHORIZATION, CONNECTION, EXPECT, HOST, LOCATION, ORIGIN, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use reqwest::Url;

/// The headers that apply to one connection only (RFC 9110 7.6.1), and `Expect`, to which the proxy responds itself.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    EXPECT,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The status and the text for a request that is not forwarded.
type Rejection = (StatusCode, &'static str);

/// Rejects a request that does not come from a program on this machine for the address of the proxy.
///
/// A web page must not use the token through the user's browser. If it sends requests to the proxy directly, the check
/// of `Origin` and `Sec-Fetch-Site` rejects them. If its owner points the page's own host name at this address (DNS
/// rebinding), the check of `Host` rejects them.
pub(super) fn check(head: &Parts, address: SocketAddr) -> Result<(), Rejection> {
    match head.method {
        Method::CONNECT => {
            let text = "CONNECT is not supported; use the address of this proxy in place of the API's address";
            return Err((StatusCode::METHOD_NOT_ALLOWED, text));
        }
        // The response to TRACE contains the headers of the request, the token included.
        Method::TRACE => return Err((StatusCode::METHOD_NOT_ALLOWED, "TRACE is not forwarded")),
        _ => {}
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err((StatusCode::BAD_REQUEST, "the request must have exactly one Host header"));
    };
    let names = own_names(address);
    let is_own = |host: &[u8]| names.iter().any(|name| host.eq_ignore_ascii_case(name.as_bytes()));
    let authority = head.uri.authority().map_or(host.as_bytes(), |authority| authority.as_str().as_bytes());
    if !is_own(host.as_bytes()) || !is_own(authority) {
        return Err((StatusCode::MISDIRECTED_REQUEST, "the Host header must be the address of this proxy"));
    }
    let is_own_origin = |origin: &HeaderValue| origin.as_bytes().strip_prefix(b"http://").is_some_and(is_own);
    let mut origins = head.headers.get_all(ORIGIN).iter();
    let mut sites = head.headers.get_all(SEC_FETCH_SITE).iter();
    if !origins.all(is_own_origin) || !sites.all(is_own_site) {
        return Err((StatusCode::FORBIDDEN, "the request comes from a web page of another site"));
    }
    Ok(())
}

/// Returns whether `Sec-Fetch-Site` names the proxy itself, or a user who typed the address.
fn is_own_site(site: &HeaderValue) -> bool {
    matches!(site.as_bytes(), b"same-origin" | b"none")
}

/// Returns the values of `Host` that mean this address. Port 80 can be left out.
fn own_names(address: SocketAddr) -> Vec<String> {
    let names = [address.to_string(), format!("localhost:{}", address.port())];
    let without_port: Vec<_> = names.iter().filter_map(|name| name.strip_suffix(":80")).map(str::to_owned).collect();
    names.into_iter().chain(without_port).collect()
}

/// Turns the headers of a request into those for the API.
pub(super) fn rewrite_request(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    headers.remove(HOST);
    // The middleware adds no token to a request that has the header, even if its value is empty.
    if headers.get(AUTHORIZATION).is_some_and(HeaderValue::is_empty) {
        headers.remove(AUTHORIZATION);
    }
    headers.append(VIA, HeaderValue::from_static("1.1 auth"));
}

/// Turns the headers of a response into those for the client.
///
/// A redirect within the API becomes a path, so that the client follows it through the proxy. Otherwise the client's
/// next request would have no token.
pub(super) fn rewrite_response(headers: &mut HeaderMap, to: &Uri) {
    remove_hop_by_hop(headers);
    let origin = format!("{}://{}", to.scheme_str().unwrap_or_default(), to.authority().map_or("", Authority::as_str));
    let location = headers.get(LOCATION).and_then(|location| location.to_str().ok()?.strip_prefix(&origin));
    // A path that starts with `//` or `/\` would be read as another host.
    let path = location.filter(|path| path.starts_with('/') && !path[1..].starts_with(['/', '\\']));
    if let Some(path) = path.and_then(|path| HeaderValue::from_str(path).ok()) {
        headers.insert(LOCATION, path);
    }
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<HeaderName> =
        named.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    HOP_BY_HOP.iter().chain(&named).for_each(|name| drop(headers.remove(name)));
}

/// Returns the URI at the API for a request's path and query, or `None` if it has no path, as in `OPTIONS *`.
pub(super) fn api_uri(to: &Uri, requested: &Uri) -> Option<Uri> {
    let mut parts = to.clone().into_parts();
    parts.path_and_query = Some(requested.path_and_query().filter(|path| path.as_str().starts_with('/'))?.clone());
    Uri::from_parts(parts).ok()
}

/// Returns whether the client left the path and the query as they were, byte by byte.
pub(super) fn is_unchanged(url: &Url, requested: &Uri) -> bool {
    url.path() == requested.path() && url.query() == requested.query()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const ADDRESS: &str = "127.0.0.1:8080";

    type Headers<'a> = &'a [(&'a str, &'a str)];

    fn status_of_check(method: &str, uri: &str, headers: Headers<'_>) -> u16 {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let head = request.body(()).unwrap().into_parts().0;
        check(&head, ADDRESS.parse().unwrap()).map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn a_request_for_another_host_or_from_a_web_page_is_rejected() {
        let host = ("host", ADDRESS);
        let cases: [(&str, Headers<'_>, u16); 17] = [
            ("/", &[host], 200),
            ("/", &[("host", "localhost:8080")], 200),
            ("/", &[("host", "LocalHost:8080")], 200),
            ("/", &[], 400),
            ("/", &[host, host], 400),
            ("/", &[("host", "127.0.0.1")], 421),
            ("/", &[("host", "127.0.0.1:8081")], 421),
            ("/", &[("host", "evil.example:8080")], 421),
            ("/", &[("host", "127.0.0.1:8080.evil.example")], 421),
            ("http://evil.example/", &[host], 421),
            ("http://127.0.0.1:8080/", &[host], 200),
            ("/", &[host, ("origin", "http://127.0.0.1:8080")], 200),
            ("/", &[host, ("origin", "https://evil.example")], 403),
            ("/", &[host, ("origin", "null")], 403),
            ("/", &[host, ("sec-fetch-site", "none")], 200),
            ("/", &[host, ("sec-fetch-site", "cross-site")], 403),
            ("/", &[host, ("sec-fetch-site", "same-site")], 403),
        ];
        for (uri, headers, expected) in cases {
            assert_eq!(status_of_check("GET", uri, headers), expected, "{uri} {headers:?}");
        }
        assert_eq!(status_of_check("CONNECT", "evil.example:443", &[host]), 405);
    }

    #[test]
    fn an_address_has_several_names() {
        let names = |address: &str| own_names(address.parse().unwrap());
        assert_eq!(names("[::1]:8080"), ["[::1]:8080", "localhost:8080"]);
        assert_eq!(names("[::1]:80"), ["[::1]:80", "localhost:80", "[::1]", "localhost"]);
    }

    #[test]
    fn hop_by_hop_headers_are_not_forwarded() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Own"),
            ("x-own", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("proxy-authorization", "secret"),
            ("expect", "100-continue"),
            ("host", ADDRESS),
            ("accept", "*/*"),
            ("content-length", "5"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        rewrite_request(&mut headers);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "content-length", "via"]);
    }

    #[test]
    fn a5_a_path_never_leads_to_another_host() {
        let to = Uri::from_static("https://api.example.com");
        let at = |requested: &str| api_uri(&to, &requested.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(at("/a?b=c").unwrap(), "https://api.example.com/a?b=c");
        assert_eq!(at("http://127.0.0.1:8080/a").unwrap(), "https://api.example.com/a");
        assert_eq!(at("//evil.example/a").unwrap(), "https://api.example.com//evil.example/a");
        assert_eq!(at("/@evil.example").unwrap(), "https://api.example.com/@evil.example");
        assert_eq!(at("*"), None);
    }

    #[test]
    fn a_redirect_within_the_api_becomes_a_path_and_others_stay() {
        let to = Uri::from_static("https://api.example.com");
        let cases = [
            ("https://api.example.com/b?c", "/b?c"),
            ("/b", "/b"),
            ("https://api.example.com/b#part", "/b#part"),
            ("https://api.example.com//evil.example/", "https://api.example.com//evil.example/"),
            ("https://api.example.com/\\evil.example/", "https://api.example.com/\\evil.example/"),
            ("https://api.example.com.evil.example/", "https://api.example.com.evil.example/"),
            ("http://api.example.com/b", "http://api.example.com/b"),
            ("https://other.example/b", "https://other.example/b"),
        ];
        for (location, expected) in cases {
            let mut headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
            rewrite_response(&mut headers, &to);
            assert_eq!(headers[LOCATION], expected);
        }
    }
}

//! What becomes of the head of a request and of an answer on their way: pure functions.

use std::net::SocketAddr;

use http::header::{
    CONNECTION, EXPECT, HOST, LOCATION, ORIGIN, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING,
    UPGRADE, VIA,
};
use http::request::Parts;
use http::uri::{self, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

/// What is for one hop alone (RFC 9110 7.6.1), and what this end of it has answered itself.
const ONE_HOP: [HeaderName; 9] = [
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

type Refusal = (StatusCode, &'static str);

/// Whether a request is for the proxy itself, by a program of this machine: a web page that has a browser send one, by a
/// name that its owner points here (DNS rebinding) or straight, must not get the token's power.
pub(super) fn check(head: &Parts, address: SocketAddr) -> Result<(), Refusal> {
    if head.method == Method::CONNECT {
        return Err((
            StatusCode::METHOD_NOT_ALLOWED,
            "it is no proxy for other hosts: put its address in place of the API's",
        ));
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err((StatusCode::BAD_REQUEST, "a request has one Host"));
    };
    let is_own = |host: &[u8]| own_names(address).iter().any(|own| host.eq_ignore_ascii_case(own.as_bytes()));
    let authority = head.uri.authority().map_or(host.as_bytes(), |authority| authority.as_str().as_bytes());
    if !is_own(host.as_bytes()) || !is_own(authority) {
        return Err((StatusCode::MISDIRECTED_REQUEST, "the Host of the request is not this proxy"));
    }
    let is_own_origin = |origin: &HeaderValue| origin.as_bytes().strip_prefix(b"http://").is_some_and(is_own);
    let site = head.headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    let is_own_site = matches!(site, None | Some(b"same-origin" | b"none"));
    if !head.headers.get_all(ORIGIN).iter().all(is_own_origin) || !is_own_site {
        return Err((StatusCode::FORBIDDEN, "the request comes from a web page of another site"));
    }
    Ok(())
}

/// How this address is called.
fn own_names(address: SocketAddr) -> Vec<String> {
    let port = address.port();
    let mut names = vec![address.to_string(), format!("localhost:{port}")];
    if port == 80 {
        names.extend([address.ip().to_string(), "localhost".into()]);
    }
    names
}

/// The headers of a request, as they go on.
pub(super) fn outward(headers: &mut HeaderMap) {
    remove_one_hop(headers);
    headers.remove(HOST);
    headers.append(VIA, HeaderValue::from_static("1.1 auth"));
}

/// The headers of an answer, as they come back. A redirect to the API itself leads through the proxy again, for there is no
/// token on another way.
pub(super) fn homeward(headers: &mut HeaderMap, to: &Uri) {
    remove_one_hop(headers);
    let location = headers.get(LOCATION).and_then(|location| location.to_str().ok()?.parse::<Uri>().ok());
    let is_there = |location: &Uri| location.scheme() == to.scheme() && location.authority() == to.authority();
    let path = location.filter(is_there).and_then(|location| location.path_and_query().cloned());
    // What begins with two slashes would be another host.
    let path = path.filter(|path| !path.as_str().starts_with("//"));
    if let Some(path) = path.and_then(|path| HeaderValue::from_str(path.as_str()).ok()) {
        headers.insert(LOCATION, path);
    }
}

fn remove_one_hop(headers: &mut HeaderMap) {
    let named = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<HeaderName> =
        named.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    ONE_HOP.iter().chain(&named).for_each(|name| drop(headers.remove(name)));
}

/// The path and query of a request at the API; none where it has no path, as `OPTIONS *`.
pub(super) fn uri_at(to: &Uri, asked: &Uri) -> Option<Uri> {
    let path = asked.path_and_query().map_or("/", PathAndQuery::as_str);
    let mut parts = uri::Parts::default();
    parts.scheme = to.scheme().cloned();
    parts.authority = to.authority().cloned();
    parts.path_and_query = Some(path.parse().ok()?);
    path.starts_with('/').then(|| Uri::from_parts(parts).ok())?
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const ADDRESS: &str = "127.0.0.1:8080";

    fn checked(method: &str, uri: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let head = request.body(()).unwrap().into_parts().0;
        check(&head, ADDRESS.parse().unwrap()).map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn a_request_is_for_the_proxy_or_refused() {
        let host = ("host", ADDRESS);
        let cases: [(&str, &[(&str, &str)], u16); 17] = [
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
            assert_eq!(checked("GET", uri, headers), expected, "{uri} {headers:?}");
        }
        assert_eq!(checked("CONNECT", "evil.example:443", &[host]), 405);
    }

    #[test]
    fn what_is_for_one_hop_stays_there() {
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
        outward(&mut headers);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "content-length", "via"]);
    }

    #[test]
    fn a5_a_path_never_leads_to_another_host() {
        let to = Uri::from_static("https://api.example.com");
        let at = |asked: &str| uri_at(&to, &asked.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(at("/a?b=c").unwrap(), "https://api.example.com/a?b=c");
        assert_eq!(at("http://127.0.0.1:8080/a").unwrap(), "https://api.example.com/a");
        assert_eq!(at("//evil.example/a").unwrap(), "https://api.example.com//evil.example/a");
        assert_eq!(at("/@evil.example").unwrap(), "https://api.example.com/@evil.example");
        assert_eq!(at("*"), None);
    }

    #[test]
    fn a_redirect_to_the_api_leads_through_the_proxy() {
        let to = Uri::from_static("https://api.example.com");
        let cases = [
            ("https://api.example.com/b?c", "/b?c"),
            ("/b", "/b"),
            ("https://api.example.com//evil.example/", "https://api.example.com//evil.example/"),
            ("http://api.example.com/b", "http://api.example.com/b"),
            ("https://other.example/b", "https://other.example/b"),
        ];
        for (location, expected) in cases {
            let mut headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
            homeward(&mut headers, &to);
            assert_eq!(headers[LOCATION], expected);
        }
    }
}

//! What becomes of the head of a request and of an answer on their way: pure functions.

use std::net::SocketAddr;

use http::header::{
    AUTHORIZATION, CONNECTION, EXPECT, HOST, LOCATION, ORIGIN, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use reqwest::Url;

/// What is for one hop alone (RFC 9110 7.6.1), and what this end of it has answered itself.
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

type Refusal = (StatusCode, &'static str);

/// Refuses what is not for the proxy itself, from a program of this machine: a web page that has a browser send one, by
/// a name that its owner points here (DNS rebinding) or straight, must not get the token's power.
pub(super) fn check(head: &Parts, address: SocketAddr) -> Result<(), Refusal> {
    match head.method {
        Method::CONNECT => {
            let text = "it is no proxy for other hosts: put its address in place of the API's";
            return Err((StatusCode::METHOD_NOT_ALLOWED, text));
        }
        // Its answer would show the token.
        Method::TRACE => return Err((StatusCode::METHOD_NOT_ALLOWED, "TRACE is not passed on")),
        _ => {}
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
    let is_own_site = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
    let all = |name: &HeaderName, is_own: &dyn Fn(&HeaderValue) -> bool| head.headers.get_all(name).iter().all(is_own);
    if !all(&ORIGIN, &is_own_origin) || !all(&SEC_FETCH_SITE, &is_own_site) {
        return Err((StatusCode::FORBIDDEN, "the request comes from a web page of another site"));
    }
    Ok(())
}

/// How this address is called; the port of http need not be said.
fn own_names(address: SocketAddr) -> Vec<String> {
    let names = [address.to_string(), format!("localhost:{}", address.port())];
    let short = names.iter().filter_map(|name| name.strip_suffix(":80")).map(str::to_owned);
    let short: Vec<_> = short.collect();
    names.into_iter().chain(short).collect()
}

/// The headers of a request, as they go on.
pub(super) fn forwarded(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    headers.remove(HOST);
    // One that says nothing would keep the token away.
    if headers.get(AUTHORIZATION).is_some_and(HeaderValue::is_empty) {
        headers.remove(AUTHORIZATION);
    }
    headers.append(VIA, HeaderValue::from_static("1.1 auth"));
}

/// The headers of an answer, as they come back. A redirect to the API itself leads through the proxy again, for there
/// is no token on another way.
pub(super) fn returned(headers: &mut HeaderMap, to: &Uri) {
    remove_hop_by_hop(headers);
    let origin = format!("{}://{}", to.scheme_str().unwrap_or_default(), to.authority().map_or("", Authority::as_str));
    let location = headers.get(LOCATION).and_then(|location| location.to_str().ok()?.strip_prefix(&origin));
    // What begins with two slashes, of either kind, would be another host.
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

/// The path and query of a request at the API; none where it has no path, as `OPTIONS *`.
pub(super) fn uri_at(to: &Uri, asked: &Uri) -> Option<Uri> {
    let mut parts = to.clone().into_parts();
    parts.path_and_query = Some(asked.path_and_query().filter(|path| path.as_str().starts_with('/'))?.clone());
    Uri::from_parts(parts).ok()
}

/// Whether a URL has the path and query that were asked for, letter by letter.
pub(super) fn is_of(url: &Url, asked: &Uri) -> bool {
    url.path() == asked.path() && url.query() == asked.query()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const ADDRESS: &str = "127.0.0.1:8080";

    type Headers<'a> = &'a [(&'a str, &'a str)];

    fn checked(method: &str, uri: &str, headers: Headers<'_>) -> u16 {
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
            assert_eq!(checked("GET", uri, headers), expected, "{uri} {headers:?}");
        }
        assert_eq!(checked("CONNECT", "evil.example:443", &[host]), 405);
    }

    #[test]
    fn an_address_is_called_by_each_of_its_names() {
        let names = |address: &str| own_names(address.parse().unwrap());
        assert_eq!(names("[::1]:8080"), ["[::1]:8080", "localhost:8080"]);
        assert_eq!(names("[::1]:80"), ["[::1]:80", "localhost:80", "[::1]", "localhost"]);
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
        forwarded(&mut headers);
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
            ("https://api.example.com/b#part", "/b#part"),
            ("https://api.example.com//evil.example/", "https://api.example.com//evil.example/"),
            ("https://api.example.com/\\evil.example/", "https://api.example.com/\\evil.example/"),
            ("https://api.example.com.evil.example/", "https://api.example.com.evil.example/"),
            ("http://api.example.com/b", "http://api.example.com/b"),
            ("https://other.example/b", "https://other.example/b"),
        ];
        for (location, expected) in cases {
            let mut headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
            returned(&mut headers, &to);
            assert_eq!(headers[LOCATION], expected);
        }
    }
}

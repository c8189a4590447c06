//! What is refused before it is understood: browsers, and requests for another host.
//!
//! A web page that somebody on this host looks at can send requests to loopback. It then carries an `Origin`, or by
//! DNS rebinding a `Host` of its own. No client of ours sends either.

use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::Response,
};

use super::routes::error;

/// Refuses what a browser sends.
pub(super) async fn no_browser(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        return error(StatusCode::FORBIDDEN, "web pages have no business here");
    }
    next.run(request).await
}

/// Refuses a `Host` that is no loopback address. For TCP: a unix socket has no host.
pub(super) async fn loopback_host(request: Request, next: Next) -> Response {
    if !names_loopback(request.headers()) {
        return error(StatusCode::FORBIDDEN, "use a loopback address as the host");
    }
    next.run(request).await
}

fn names_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let Ok(authority) = host.parse::<axum::http::uri::Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: Option<&str>, expected: bool) {
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.insert(header::HOST, host.parse().unwrap());
        }
        assert_eq!(names_loopback(&headers), expected, "{host:?}");
    }

    #[test]
    fn only_loopback_is_this_host() {
        for host in ["127.0.0.1", "127.0.0.1:80", "[::1]:80", "localhost:80", "127.1.2.3"] {
            check(Some(host), true);
        }
        for host in ["evil.example", "evil.example:80", "10.0.0.1", "localhost.evil.example", "[::2]", "", "@"] {
            check(Some(host), false);
        }
        check(None, false);
    }
}

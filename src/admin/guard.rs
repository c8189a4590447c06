//! What is refused before it is understood: browsers, requests for another host, and those without the token.
//!
//! A web page that somebody on this host looks at can send requests to loopback. It then carries an `Origin`, or by
//! DNS rebinding a `Host` of its own. No client of ours sends either.

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::Response,
};

use super::{Token, routes::error};

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

/// Refuses who does not say the token, as RFC 6750 has it. Whether the daemon lives and is ready is no secret: those who
/// ask for that have no token.
pub(super) async fn token(State(token): State<Token>, request: Request, next: Next) -> Response {
    if matches!(request.uri().path(), "/healthz" | "/readyz") || says(request.headers(), &token) {
        return next.run(request).await;
    }
    let text = "a token is needed: say the daemon's by --admin-token-file, or as 'Authorization: Bearer'";
    let mut refused = error(StatusCode::UNAUTHORIZED, text);
    refused.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    refused
}

fn says(headers: &HeaderMap, token: &Token) -> bool {
    let said = headers.get(header::AUTHORIZATION).map(|said| said.as_bytes().split_at_checked(7));
    said.flatten().is_some_and(|(scheme, said)| scheme.eq_ignore_ascii_case(b"bearer ") && token.is(said))
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
    fn only_the_token_is_the_token() {
        let token: Token = "0123456789abcdef".parse().unwrap();
        let check = |said: &str, expected: bool| {
            let headers = [(header::AUTHORIZATION, said.parse().unwrap())].into_iter().collect();
            assert_eq!(says(&headers, &token), expected, "{said}");
        };
        check("Bearer 0123456789abcdef", true);
        check("bearer 0123456789abcdef", true);
        for wrong in ["", "Bearer", "Bearer ", "0123456789abcdef", "Basic 0123456789abcdef", "Bearer 0123456789abcdeg"]
        {
            check(wrong, false);
        }
        check("Bearer 0123456789abcde", false);
        check("Bearer 0123456789abcdef0", false);
        assert!(!says(&HeaderMap::new(), &token));
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

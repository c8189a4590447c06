//! A route as a key of HAProxy's host map, and back. Pure.
//!
//! The key is the host pattern, the path, and a slash: a request's own host, path and slash begin with the
//! keys of all routes that match its path in whole segments, and `map_beg` finds the longest of them.

use backchat_contract::Route;

/// The route's key: `www.example.com/`, `*.example.com/api/`, `*/`.
pub fn key(route: &Route) -> String {
    let path = route.path.as_str();
    let slash = if path.ends_with('/') { "" } else { "/" };
    format!("{}{path}{slash}", route.host)
}

/// The route of a key; `None` where the key is none of ours.
pub fn parse(text: &str) -> Option<Route> {
    let (host, path) = text.split_at(text.find('/')?);
    let path = path.strip_suffix('/').filter(|p| !p.is_empty()).unwrap_or("/");
    let route = Route { host: host.parse().ok()?, path: path.parse().ok()? };
    // Several spellings (letters in upper case, no slash at the end) read as one route; one is ours.
    (key(&route) == text).then_some(route)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, path: &str, expected: &str) {
        let route = Route { host: host.parse().unwrap(), path: path.parse().unwrap() };
        assert_eq!(key(&route), expected);
        assert_eq!(parse(expected), Some(route));
    }

    #[test]
    fn keys() {
        check("www.example.com", "/", "www.example.com/");
        check("www.example.com", "/api/v1", "www.example.com/api/v1/");
        check("*.example.com", "/api", "*.example.com/api/");
        check("*", "/", "*/");
    }

    #[test]
    fn what_is_no_key() {
        for text in ["", "/", "www", "www/api", "WWW/", "www//", "www/a b/", "w w/", "www/../"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}

//! Which route a request takes. Every driver's data plane follows these rules in words of its own; here they are said
//! once more, so that a person can be told what a request comes to. The scenes ask each data plane whether it is so.
//!
//! Host first: the exact host, a name with any address in it, the wildcards of up to five labels, the longest first, any host. Within a host the
//! longest path of whole segments. A host that has no path for a request passes it on to the next pattern.

mod near;

use std::str::FromStr;

use backchat_contract::{HIPACHE_LABELS_MAX, Manners};

use super::{Desired, HostPattern, PathPrefix, Protocol, Route, ServiceName, words::quoted};

/// Labels that a wildcard stands for, at most.
const LABELS_MAX: usize = 5;
/// The longest URL that is looked at, in bytes.
const URL_MAX: usize = 4096;
/// The longest host: DNS has none that is longer. What comes close to it is looked for among all routes.
const HOST_MAX: usize = 253;

/// A request, as far as its way is decided by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its host in lower case, without port and dot at the end.
    pub host: String,
    /// Its path as it was sent, without the query.
    pub path: String,
}

/// What the routes say of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing<'a> {
    /// The route that it takes, and to which service.
    pub won: Option<(&'a Route, &'a ServiceName)>,
    /// Those that match as well, in the order in which they would have come.
    pub beaten: Vec<&'a Route>,
    /// Those whose host matches before the one that won, and whose paths do not.
    pub passed: Vec<&'a Route>,
}

impl<'a> Routing<'a> {
    /// The way of a request through this set.
    pub fn of(set: &'a Desired, request: &Request, manners: Manners) -> Self {
        let mut routing = Self::default();
        for pattern in request.patterns(manners) {
            let (mut matching, other): (Vec<_>, Vec<_>) =
                routes(set, pattern).partition(|(route, _)| covers(&route.path, &request.path));
            matching.sort_by_key(|(route, _)| std::cmp::Reverse(route.path.as_str().len()));
            let mut matching = matching.into_iter();
            if routing.won.is_none() {
                routing.won = matching.next();
                if routing.won.is_none() {
                    routing.passed.extend(other.into_iter().map(|(route, _)| route));
                }
            }
            routing.beaten.extend(matching.map(|(route, _)| route));
        }
        routing
    }
}

impl Request {
    /// The hosts that a route for it may name, the nearest first. Hipache counts the labels of a wildcard, and not those
    /// that it stands for.
    fn patterns(&self, manners: Manners) -> impl Iterator<Item = HostPattern> {
        let beyond = self.host.matches('.').count().saturating_sub(HIPACHE_LABELS_MAX);
        let dots = self.host.match_indices('.').skip(if manners.is_hipache() { beyond } else { 0 }).take(LABELS_MAX);
        let wildcards =
            dots.filter_map(|(at, _)| self.host.get(at + 1..).map(|rest| HostPattern::Wildcard(rest.into())));
        let named = backchat_contract::magic(&self.host);
        std::iter::once(HostPattern::Exact(self.host.clone())).chain(named).chain(wildcards).chain([HostPattern::Any])
    }

    /// What of the routes comes close where none matches: a slip of the pen, a wildcard that ends a label before or after.
    pub fn near<'a>(&self, set: &'a Desired) -> Vec<&'a HostPattern> {
        near::near(&self.host, set)
    }
}

impl FromStr for Request {
    type Err = String;

    /// Takes `http://HOST[:PORT][/PATH]`, `https://…` and the same without a scheme.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("{} is no URL: {why}", quoted(text, 80)));
        if text.len() > URL_MAX {
            return wrong("at most 4096 bytes");
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return wrong("no blanks");
        }
        let rest = match text.split_once("://") {
            Some(("http" | "https", rest)) => rest,
            Some(_) => return wrong("use http://HOST/PATH"),
            None => text,
        };
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let path = rest.split(['?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        let host = without_port(host).trim_end_matches('.').to_ascii_lowercase();
        // Data planes differ about hosts with empty labels: these are none.
        if host.is_empty() || host.split('.').any(str::is_empty) {
            return wrong("it has no host");
        }
        if host.len() > HOST_MAX {
            return wrong("a host has at most 253 bytes");
        }
        Ok(Self { host, path: if path.is_empty() { "/".into() } else { path.to_owned() } })
    }
}

/// A host without its port; one in brackets is an IPv6 address and has colons of its own.
fn without_port(host: &str) -> &str {
    let port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    port.map_or(host, |(host, _)| host)
}

/// The routes of one pattern that a request can take: onto a service that is there and speaks HTTP.
fn routes(set: &Desired, host: HostPattern) -> impl Iterator<Item = (&Route, &ServiceName)> {
    let root: PathPrefix = "/".parse().expect("the root is a path");
    let first = Route { host, path: root };
    let same = first.host.clone();
    let http = |service: &ServiceName| set.services.get(service).is_some_and(|s| s.protocol == Protocol::Http);
    set.routes.range(first..).take_while(move |(route, _)| route.host == same).filter(move |(_, s)| http(s))
}

/// Whether a path begins with these segments.
fn covers(prefix: &PathPrefix, path: &str) -> bool {
    let prefix = prefix.as_str().trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Service;

    /// Routes as `host path service`; a service that begins with `tcp` speaks that.
    fn set(routes: &[&str]) -> Desired {
        let mut set = Desired::default();
        for line in routes {
            let words: Vec<&str> = line.split(' ').collect();
            let [host, path, service] = words[..] else { panic!("{line}") };
            let protocol = if service.starts_with("tcp") { Protocol::Tcp } else { Protocol::Http };
            if service != "nobody" {
                set.services.insert(service.parse().unwrap(), Service { protocol, ..Service::default() });
            }
            let route = Route { host: host.parse().unwrap(), path: path.parse().unwrap() };
            set.routes.insert(route, service.parse().unwrap());
        }
        set
    }

    fn texts<T: ToString>(all: &[T]) -> String {
        all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    /// Which service has it, what was beaten, what was passed by.
    fn check(set: &Desired, url: &str, service: &str, beaten: &str, passed: &str) {
        check_by(Manners::Ours, set, url, service, beaten, passed);
    }

    fn check_by(manners: Manners, set: &Desired, url: &str, service: &str, beaten: &str, passed: &str) {
        let routing = Routing::of(set, &url.parse().unwrap(), manners);
        let won = routing.won.map_or_else(|| "none".into(), |(_, service)| service.to_string());
        let said = (won.as_str(), texts(&routing.beaten), texts(&routing.passed));
        assert_eq!(said, (service, beaten.into(), passed.into()), "{url}");
    }

    #[test]
    fn the_nearest_host_and_in_it_the_longest_path() {
        let set = set(&[
            "www.example.com / exact",
            "www.example.com /api api",
            "www.example.com /api/v2 v2",
            "*.example.com / wild",
            "*.deep.example.com / deep",
            "part.example.com /api api",
            "* / any",
            "* /only only",
        ]);
        check(&set, "http://www.example.com", "exact", "*.example.com/ */", "");
        check(&set, "http://WWW.Example.COM.:8080/", "exact", "*.example.com/ */", "");
        check(&set, "www.example.com/api?x=/api/v2", "api", "www.example.com/ *.example.com/ */", "");
        check(&set, "www.example.com/api/v2/x", "v2", "www.example.com/api www.example.com/ *.example.com/ */", "");
        check(&set, "www.example.com/api/v22", "api", "www.example.com/ *.example.com/ */", "");
        check(&set, "www.example.com/apis", "exact", "*.example.com/ */", "");
        check(&set, "www.example.com/API", "exact", "*.example.com/ */", "");
        check(&set, "www.example.com//api", "exact", "*.example.com/ */", "");
        check(&set, "a.deep.example.com", "deep", "*.example.com/ */", "");
        check(&set, "deep.example.com", "wild", "*/", "");
        check(&set, "a.b.c.d.e.example.com", "wild", "*/", "");
        check(&set, "a.b.c.d.e.f.example.com", "any", "", "");
        check(&set, "example.com/only/x", "only", "*/", "");
        check(&set, "[::1]:80", "any", "", "");
        check(&set, "a_b.example.com", "wild", "*/", "");
        // Host first: but a host that has not this path passes on.
        check(&set, "www.example.com/only", "exact", "*.example.com/ */only */", "");
        check(&set, "part.example.com/api/x", "api", "*.example.com/ */", "");
        check(&set, "part.example.com/only", "wild", "*/only */", "part.example.com/api");
    }

    /// By its own length, whatever is before it; and none of six labels.
    #[test]
    fn wildcards_as_hipache_has_them() {
        let set = set(&["*.f / one", "*.c.d.e.f / four", "*.b.c.d.e.f / five", "*.a.b.c.d.e.f / six", "* / any"]);
        let check = |url, service, beaten| check_by(Manners::Hipache, &set, url, service, beaten, "");
        check("1.2.3.4.5.6.7.b.c.d.e.f", "five", "*.c.d.e.f/ *.f/ */");
        check("x.a.b.c.d.e.f", "five", "*.c.d.e.f/ *.f/ */");
        check("b.c.d.e.f", "four", "*.f/ */");
        check("c.d.e.f", "one", "*/");
        check("1.2.3.4.5.6.7.8.f", "one", "*/");
        check("f", "any", "");
    }

    #[test]
    fn what_no_request_can_take_is_no_route() {
        let set = set(&["a.example / tcp", "b.example / nobody", "*.example.org /x web"]);
        check(&set, "a.example", "none", "", "");
        check(&set, "b.example", "none", "", "");
        check(&set, "c.example.org/", "none", "", "*.example.org/x");
        check(&Desired::default(), "a.example", "none", "", "");
    }

    #[test]
    fn what_comes_close() {
        let set = set(&["shop.example.com / a", "*.apps.example.com / b", "www.other.org / c", "* /x d"]);
        let check = |url: &str, expected: &str| {
            assert_eq!(texts(&url.parse::<Request>().unwrap().near(&set)), expected, "{url}");
        };
        check("shpo.example.com", "shop.example.com");
        check("apps.example.com", "*.apps.example.com shop.example.com");
        check("a.b.c.d.e.f.apps.example.com", "*.apps.example.com");
        check("x.app.example.com", "*.apps.example.com");
        check("www.example.com", "shop.example.com");
        check("nothing.like.it", "");
    }

    #[test]
    fn what_is_no_url() {
        for text in
            ["", "/x", "http://", "ftp://a/b", "http:///x", "a b", "http://a..b/", "http://.a/", "http://:80/", "\n"]
        {
            assert!(text.parse::<Request>().is_err(), "{text:?}");
        }
        assert!("a".repeat(URL_MAX + 1).parse::<Request>().is_err());
        let host = |bytes| format!("http://{}/", "a".repeat(bytes)).parse::<Request>();
        assert!(host(HOST_MAX).is_ok());
        assert!(host(HOST_MAX + 1).unwrap_err().ends_with("is no URL: a host has at most 253 bytes"));
        let request = |text: &str| text.parse::<Request>().map(|r| (r.host, r.path));
        assert_eq!(request("http://user:pw@a.example:81?x"), Ok(("a.example".into(), "/".into())));
        assert_eq!(request("https://[2001:db8::1]/x#y"), Ok(("[2001:db8::1]".into(), "/x".into())));
    }

    proptest! {
        /// Any text is a request or an error, and a request finds at most one route, which no beaten one is.
        #[test]
        fn any_url_has_one_way(text in ".{0,60}", host in "[a-c.]{1,12}", path in "(/[ab]{0,2}){0,3}") {
            let set = set(&["a.b / x", "*.b /a y", "*.c / z", "b /a/b x"]);
            for text in [text, format!("{host}{path}")] {
                if let Ok(request) = text.parse::<Request>() {
                    let routing = Routing::of(&set, &request, Manners::Ours);
                    if let Some((won, _)) = routing.won {
                        prop_assert!(!routing.beaten.contains(&won) && !routing.passed.contains(&won));
                        prop_assert!(covers(&won.path, &request.path));
                    }
                }
            }
        }
    }
}

//! The routes as nginx's maps: exact hosts in a hash, wildcards in another, one map more for each host that has paths.
//! Pure.
//!
//! A request's service is what the first pattern says that its host matches and that has a route for its path: the exact
//! host, the wildcards of up to five labels, the longest first, any host. What a host has no path for falls through to
//! the next.

use std::collections::BTreeMap;

use backchat_contract::{HIPACHE_LABELS_MAX, HostPattern, Manners, PathPrefix, Protocol, ServiceName};
use serde::Serialize;

use crate::{layout::Layout, names::upstream};

/// The maps. Every `to` is a word of a map's right side: a service's upstream, a variable, or `''` for none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Routes {
    /// Exact hosts.
    pub hosts: Vec<HostEntry>,
    /// Domains, all below which matches, as deep as `depth` says.
    pub wildcards: Vec<HostEntry>,
    /// How many labels a wildcard stands for, as a regular expression repeats them: `{1,5}`, `+` for any number.
    pub depth: &'static str,
    /// The same as regular expressions on the host, the longest first: instead, where they do not fit into a table.
    pub domains: Vec<Pattern>,
    /// Names with any address in them, by how they are printed: `web.<ip>.nip.io`.
    pub named: Vec<HostEntry>,
    /// A regular expression that takes `bc_label` and `bc_under` out of such a host.
    pub name: &'static str,
    /// Where a host goes that is none of these.
    pub unnamed: String,
    /// Where a host goes that no exact entry decides.
    pub below: String,
    /// Where a host goes that no entry decides at all.
    pub any: String,
    /// Hosts with paths.
    pub paths: Vec<PathMap>,
    /// Wildcards that a longer wildcard falls through to.
    pub shorter: Vec<ShorterMap>,
}

/// The tables that nginx looks hosts up in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Ours are large enough for any host.
    Ours,
    /// Those of somebody else's nginx are as it was built, with room for some 46 bytes; what is longer is found by regular
    /// expressions.
    Theirs,
}

/// The spellings of a name with an address in it, as the contract has them: nginx looks up what is around the address.
const NAME: &str = concat!(
    r"^(?<bc_label>[^.]+)(?:",
    r"(?:\.(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){4}|",
    r"[.-](?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:-(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}|",
    r"\.(?:(?:[0-9a-f]{1,4}(?:-[0-9a-f]{1,4}){0,5})?--(?:[0-9a-f]{1,4}(?:-[0-9a-f]{1,4}){0,5})?|[0-9a-f]{1,4}(?:-[0-9a-f]{1,4}){7})",
    r")\.(?<bc_under>.+)$",
);

/// What surely has room in a table that nobody made larger: 64 bytes less a pointer, a length and an end.
const ROOM: usize = 40;

/// One host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostEntry {
    /// The host or domain, as a key of a map.
    pub key: String,
    /// The host or domain.
    pub host: String,
    /// Where its requests go.
    pub to: String,
}

/// Where the paths of one host go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PathMap {
    /// The variable that it sets, with its `$`.
    pub variable: String,
    /// Regular expressions on the request's own path and query, the longest path first.
    pub patterns: Vec<Pattern>,
    /// Where all other paths go.
    pub otherwise: String,
}

/// One path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pattern {
    /// What it matches.
    pub regex: String,
    /// Where it goes.
    pub to: String,
}

/// A wildcard that a longer one falls through to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShorterMap {
    /// The variable that it sets, with its `$`.
    pub variable: String,
    /// What the host must match.
    pub regex: String,
    /// Where it goes then.
    pub to: String,
}

/// The paths of one host.
type Paths<'a> = BTreeMap<&'a PathPrefix, &'a ServiceName>;

impl Routes {
    /// The maps of a layout's routes. A service that speaks no HTTP is reached by none.
    pub fn of(layout: &Layout, table: Table, manners: Manners) -> Self {
        let http = |service: &ServiceName| layout.services.get(service).is_some_and(|s| s.protocol == Protocol::Http);
        let mut by_host: BTreeMap<&HostPattern, Paths<'_>> = BTreeMap::new();
        let matches = |host: &HostPattern| !manners.is_hipache() || is_looked_up(host);
        for (route, service) in layout.routes.iter().filter(|(route, service)| http(service) && matches(&route.host)) {
            by_host.entry(&route.host).or_default().insert(&route.path, service);
        }
        let depth = if manners.is_hipache() { "+" } else { "{1,5}" };
        let mut routes = Self { name: NAME, depth, ..Self::default() };
        routes.any = by_host.get(&HostPattern::Any).map_or_else(none, |paths| routes.to(paths, none()));
        routes.wildcards(&by_host);
        let fits = |label: &str| table == Table::Ours || label.len() <= ROOM;
        if !routes.wildcards.iter().all(|entry| entry.host.split('.').all(fits) && fits(&entry.host)) {
            routes.wildcards.sort_by_key(|entry| std::cmp::Reverse(entry.host.len()));
            let pattern = |entry: HostEntry| Pattern { regex: below(&entry.host, depth), to: entry.to };
            routes.domains = std::mem::take(&mut routes.wildcards).into_iter().map(pattern).collect();
        }
        let no_wildcards = routes.wildcards.is_empty() && routes.domains.is_empty();
        routes.unnamed = if no_wildcards { routes.any.clone() } else { "$bc_below".into() };
        let entry = |host: &str, to| {
            let key = if fits(host) { key(host) } else { format!("~^{}$", escaped(host)) };
            HostEntry { key, host: host.to_owned(), to }
        };
        for (host, paths) in by_host.iter().filter(|(host, _)| matches!(host, HostPattern::Magic { .. })) {
            let to = routes.to(paths, routes.unnamed.clone());
            routes.named.push(entry(&host.to_string(), to));
        }
        routes.below = if routes.named.is_empty() { routes.unnamed.clone() } else { "$bc_named".into() };
        for (host, paths) in &by_host {
            if let HostPattern::Exact(host) = host {
                let to = routes.to(paths, routes.below.clone());
                routes.hosts.push(entry(host, to));
            }
        }
        routes
    }

    /// The shorter ones first, for the longer fall through to them.
    fn wildcards(&mut self, by_host: &BTreeMap<&HostPattern, Paths<'_>>) {
        let mut wild: Vec<(&str, &Paths<'_>)> = by_host
            .iter()
            .filter_map(|(host, paths)| match host {
                HostPattern::Wildcard(domain) => Some((domain.as_str(), paths)),
                _ => None,
            })
            .collect();
        wild.sort_by_key(|(domain, _)| (domain.len(), *domain));
        let mut known: BTreeMap<&str, String> = BTreeMap::new();
        for (domain, paths) in wild {
            let whole = paths.keys().any(|path| path.as_str() == "/");
            let otherwise = if whole { none() } else { self.shorter(domain, &known) };
            let to = self.to(paths, otherwise);
            known.insert(domain, to.clone());
            self.wildcards.push(HostEntry { key: key(domain), host: domain.to_owned(), to });
        }
        self.wildcards.sort_by(|a, b| a.host.cmp(&b.host));
    }

    /// Where a host below `domain` goes that has no path there.
    fn shorter(&mut self, domain: &str, known: &BTreeMap<&str, String>) -> String {
        let parents = domain.match_indices('.').map(|(at, _)| &domain[at + 1..]);
        let Some((parent, to)) = parents.into_iter().find_map(|parent| known.get_key_value(parent)) else {
            return self.any.clone();
        };
        let variable = format!("$bc_shorter{}", self.shorter.len() + 1);
        self.shorter.push(ShorterMap { variable: variable.clone(), regex: below(parent, self.depth), to: to.clone() });
        variable
    }

    /// Where the requests of a host go: the service itself where it has the whole host, else the variable of a map.
    fn to(&mut self, paths: &Paths<'_>, otherwise: String) -> String {
        let (whole, parts): (Vec<_>, Vec<_>) = paths.iter().partition(|(path, _)| path.as_str() == "/");
        let otherwise = whole.first().map_or(otherwise, |(_, service)| upstream(service));
        if parts.is_empty() {
            return otherwise;
        }
        let mut patterns: Vec<(&str, String)> =
            parts.into_iter().map(|(path, s)| (path.as_str(), upstream(s))).collect();
        patterns.sort_by_key(|(path, _)| (std::cmp::Reverse(path.len()), *path));
        let pattern = |(path, to)| Pattern { regex: format!("^{}(/|\\?|$)", escaped(path)), to };
        let variable = format!("$bc_path{}", self.paths.len() + 1);
        let patterns = patterns.into_iter().map(pattern).collect();
        self.paths.push(PathMap { variable: variable.clone(), patterns, otherwise });
        variable
    }
}

fn none() -> String {
    "''".to_owned()
}

/// A host or an upstream as a key of a map: four words would mean something else there, and what begins with `~`.
pub(crate) fn key(host: &str) -> String {
    let special = matches!(host, "default" | "hostnames" | "include" | "volatile") || host.starts_with('~');
    if special { format!("\\{host}") } else { host.to_owned() }
}

/// What the hosts below a domain match, so many labels deep.
fn below(domain: &str, depth: &str) -> String {
    format!("^(?:[^.]+\\.){depth}{}$", escaped(domain))
}

/// Hipache looks a host up by its last five labels at most.
fn is_looked_up(host: &HostPattern) -> bool {
    !matches!(host, HostPattern::Wildcard(domain) if domain.split('.').count() > HIPACHE_LABELS_MAX)
}

/// A host, path or upstream within a regular expression: of what they may hold, the dot alone means anything there.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('.', "\\.")
}

#[cfg(test)]
mod tests {
    use backchat_contract::{Desired, Route};

    use super::*;

    /// Routes as `host path service`; what comes out as one line each.
    fn check(routes: &[&str], expected: &[&str]) {
        check_in(Table::Ours, routes, expected);
    }

    fn check_in(table: Table, routes: &[&str], expected: &[&str]) {
        let mut desired = Desired::default();
        for route in routes {
            let words: Vec<&str> = route.split(' ').collect();
            let [host, path, service] = words[..] else { panic!("{route}") };
            desired.services.entry(service.parse().unwrap()).or_default();
            let route = Route { host: host.parse().unwrap(), path: path.parse().unwrap() };
            desired.routes.insert(route, service.parse().unwrap());
        }
        let routes = Routes::of(&Layout::of(&desired, &Layout::default(), 1), table, Manners::Ours);
        let mut lines = vec![format!("any {}, below {}", routes.any, routes.below)];
        lines.extend(routes.hosts.iter().map(|e| format!("{} → {}", e.key, e.to)));
        lines.extend(routes.named.iter().map(|e| format!("{} → {}", e.key, e.to)));
        lines.extend(routes.wildcards.iter().map(|e| format!("*.{} → {}", e.key, e.to)));
        lines.extend(routes.domains.iter().map(|p| format!("{} → {}", p.regex, p.to)));
        lines.extend(routes.shorter.iter().map(|m| format!("{} {} → {}", m.variable, m.regex, m.to)));
        for map in &routes.paths {
            let patterns: Vec<_> = map.patterns.iter().map(|p| format!("{} {}", p.regex, p.to)).collect();
            lines.push(format!("{} [{}] {}", map.variable, patterns.join(", "), map.otherwise));
        }
        assert_eq!(lines, expected);
    }

    #[test]
    fn hosts_alone() {
        check(&[], &["any '', below ''"]);
        check(&["* / web"], &["any web, below web"]);
        check(&["a.example / web", "default / Web"], &["any '', below ''", "a.example → web", "\\default → ~web"]);
        check(&["*.example / web"], &["any '', below $bc_below", "*.example → web"]);
    }

    #[test]
    fn paths_fall_through_to_the_next_pattern() {
        check(
            &["a.b.example /x x", "*.b.example /y y", "*.example /z.1 z", "*.example /z.1/long l", "* / any"],
            &[
                "any any, below $bc_below",
                "a.b.example → $bc_path3",
                "*.b.example → $bc_path2",
                "*.example → $bc_path1",
                "$bc_shorter1 ^(?:[^.]+\\.){1,5}example$ → $bc_path1",
                "$bc_path1 [^/z\\.1/long(/|\\?|$) l, ^/z\\.1(/|\\?|$) z] any",
                "$bc_path2 [^/y(/|\\?|$) y] $bc_shorter1",
                "$bc_path3 [^/x(/|\\?|$) x] $bc_below",
            ],
        );
    }

    #[test]
    fn what_is_too_long_for_their_table_is_no_part_of_it() {
        let (short, long) = ("s".repeat(40), "l".repeat(41));
        check_in(
            Table::Theirs,
            &[&format!("{short} / a"), &format!("{long}.b / a"), &format!("*.{long}.b / a"), "*.b / b"],
            &[
                "any '', below $bc_below",
                &format!("{long}.b → a").replace(&format!("{long}.b"), &format!("~^{long}\\.b$")),
                &format!("{short} → a"),
                &format!("^(?:[^.]+\\.){{1,5}}{long}\\.b$ → a"),
                "^(?:[^.]+\\.){1,5}b$ → b",
            ],
        );
        check_in(Table::Theirs, &["*.b / b"], &["any '', below $bc_below", "*.b → b"]);
    }

    /// By their own length: any number of labels, and none of six.
    #[test]
    fn wildcards_as_hipache_has_them() {
        let mut desired = Desired::default();
        desired.services.entry("web".parse().unwrap()).or_default();
        for host in ["*.b.c.d.e.f", "*.a.b.c.d.e.f", "*.f"] {
            let route = Route { host: host.parse().unwrap(), path: "/x".parse().unwrap() };
            desired.routes.insert(route, "web".parse().unwrap());
        }
        let layout = Layout::of(&desired, &Layout::default(), 1);
        let routes = Routes::of(&layout, Table::Ours, Manners::Hipache);
        let hosts: Vec<&str> = routes.wildcards.iter().map(|entry| entry.host.as_str()).collect();
        assert_eq!((hosts, routes.depth), (vec!["b.c.d.e.f", "f"], "+"));
        assert_eq!(routes.shorter[0].regex, "^(?:[^.]+\\.)+f$");
    }

    #[test]
    fn what_has_the_whole_host_falls_through_to_nobody() {
        check(
            &["a.example / a", "a.example /x x", "* /any any"],
            &[
                "any $bc_path1, below $bc_path1",
                "a.example → $bc_path2",
                "$bc_path1 [^/any(/|\\?|$) any] ''",
                "$bc_path2 [^/x(/|\\?|$) x] a",
            ],
        );
    }
}

//! The two maps that HAProxy holds for us, entry by entry: the same on disk, in memory and in a plan.
//! Pure text both ways; what reads them is the frontend of the template.
//!
//! - *hosts*: `host/path/` → backend. Looked up by `map_beg`, which takes the longest key that the request's
//!   host, path and a slash begin with: whole segments, the longest path first.
//! - *services*: backend → service, `-` for a backend that serves none. It names every backend of ours, so that
//!   a restarted daemon knows which service has which spare, and which backends are not ours. One line more
//!   says the generation: a push without a reload counts too, and the variable in the file cannot be set by it.

use std::fmt;

use backchat_contract::{Protocol, Route, ServiceName};
use serde::Serialize;

use crate::{
    layout::{Backend, BackendName, Layout},
    routes,
};

/// One line of a map: a key and a value, neither with a blank in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct MapEntry {
    key: String,
    value: String,
}

impl MapEntry {
    /// A route's line in the map of hosts.
    pub fn host(route: &Route, backend: &BackendName) -> Self {
        Self { key: routes::key(route), value: backend.to_string() }
    }

    /// A backend's line in the map of services.
    pub fn service(name: &BackendName, backend: &Backend) -> Self {
        let value = backend.service.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        Self { key: name.to_string(), value }
    }

    /// The line in the map of services that says which rendering it belongs to.
    fn generation(generation: u64) -> Self {
        Self { key: GENERATION.to_owned(), value: generation.to_string() }
    }

    /// Takes a line as it was read back, whoever wrote it: to compare, never to send.
    pub(crate) fn read(line: &str) -> Self {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        Self { key: key.to_owned(), value: value.trim().to_owned() }
    }

    /// The route and backend that the line of a hosts map says, where it is one that we could have written.
    pub(crate) fn as_route(&self) -> Option<(Route, BackendName)> {
        Some((routes::parse(&self.key)?, BackendName::read(&self.value)?))
    }

    /// The backend and its service that the line of a services map says, where it is one that we could have written.
    pub(crate) fn as_service(&self) -> Option<(BackendName, Option<ServiceName>)> {
        if self.key == GENERATION {
            return None;
        }
        let service = if self.value == "-" { None } else { Some(self.value.parse().ok()?) };
        Some((BackendName::read(&self.key)?, service))
    }
}

/// The generation that a services map belongs to; `None` where it does not say.
pub(crate) fn generation(services: &[MapEntry]) -> Option<u64> {
    services.iter().find(|entry| entry.key == GENERATION)?.value.parse().ok()
}

/// No service's name, and no backend's: both are ours to give.
const GENERATION: &str = "bc-generation";

impl fmt::Display for MapEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.value)
    }
}

impl From<MapEntry> for String {
    fn from(entry: MapEntry) -> Self {
        entry.to_string()
    }
}

/// The map of hosts, sorted. Left out: routes to backends that are not there (a request would be answered 503) or
/// speak no HTTP.
pub fn hosts(layout: &Layout) -> Vec<MapEntry> {
    let reachable = |name| layout.backends.get(name).is_some_and(|b: &Backend| b.protocol == Protocol::Http);
    let routes = layout.routes.iter().filter(|(_, backend)| reachable(backend));
    let mut entries: Vec<_> = routes.map(|(route, backend)| MapEntry::host(route, backend)).collect();
    entries.sort();
    entries
}

/// The map of services, sorted.
pub fn services(layout: &Layout) -> Vec<MapEntry> {
    let mut entries: Vec<_> = layout.backends.iter().map(|(name, backend)| MapEntry::service(name, backend)).collect();
    entries.push(MapEntry::generation(layout.generation));
    entries.sort();
    entries
}

/// The entries as a file holds them.
pub fn text(entries: &[MapEntry]) -> String {
    entries.iter().fold(String::new(), |mut text, MapEntry { key, value }| {
        text.extend([key, " ", value, "\n"]);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_lines_are_not_taken() {
        for line in ["", "a.example.com", "a.example.com web", "a b/ web", "a/ we;b", "a/x web", "a/x/", "a/../ web"] {
            assert_eq!(MapEntry::read(line).as_route(), None, "{line:?}");
        }
        assert_eq!(MapEntry::read("web a;b").as_service(), None);
        assert_eq!(MapEntry::read("bc:none web").as_service(), None);
    }

    #[test]
    fn services_read_back() {
        let free = MapEntry::read("bc-spare-01 -").as_service();
        assert_eq!(free, Some((BackendName::spare(1), None)));
        let taken = MapEntry::read("bc-spare-01 web").as_service();
        assert_eq!(taken, Some((BackendName::spare(1), Some("web".parse().unwrap()))));
    }
}

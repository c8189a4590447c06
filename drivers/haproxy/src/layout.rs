//! The layout: what one HAProxy holds, backend by backend. Observed from the live process, planned from the
//! desired set, rendered into the file: one type for all three. Plain data, no IO.

use std::{collections::BTreeMap, fmt};

use backchat_contract::{EndpointAddr, EndpointName, Protocol, Route, ServiceName, Weight};
use serde::Serialize;

use crate::certificates::Certificates;

/// A backend's name: a service's own, or that of a spare (`bc-spare-07`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct BackendName(ServiceName);

impl BackendName {
    /// What every spare's name begins with.
    pub const SPARE: &'static str = "bc-spare-";

    /// The spare with this number, from 1.
    #[expect(clippy::missing_panics_doc, reason = "a name that a service could have")]
    pub fn spare(number: usize) -> Self {
        Self(format!("{}{number:02}", Self::SPARE).parse().expect("a service's alphabet holds it"))
    }

    /// Whether it names a spare.
    pub fn is_spare(&self) -> bool {
        self.as_str().starts_with(Self::SPARE)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The service whose own backend it is, if it is no spare.
    pub(crate) fn service(&self) -> &ServiceName {
        &self.0
    }

    /// Takes a name that HAProxy or a map said, where it is one that we could have given: a service's alphabet
    /// holds the spares' names too, and none of the template's own (`bc:none`).
    pub(crate) fn read(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl From<&ServiceName> for BackendName {
    fn from(service: &ServiceName) -> Self {
        Self(service.clone())
    }
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What one HAProxy holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// Which rendering of ours; 0 where none.
    pub generation: u64,
    /// The backends by name, free spares included.
    pub backends: BTreeMap<BackendName, Backend>,
    /// The host map.
    #[serde(skip)]
    pub routes: BTreeMap<Route, BackendName>,
    /// What TLS is spoken by.
    #[serde(skip)]
    pub certificates: Certificates,
}

impl Layout {
    /// The layout of a fresh file: nothing but this many spares.
    pub fn empty(generation: u64, spares: usize) -> Self {
        let spares = (1..=spares).map(|n| (BackendName::spare(n), Backend::default()));
        Self { generation, backends: spares.collect(), ..Self::default() }
    }

    /// Every server with its backend, sorted.
    pub fn servers(&self) -> impl Iterator<Item = (&BackendName, &EndpointName, &Server)> {
        self.backends
            .iter()
            .flat_map(|(backend, b)| b.servers.iter().map(move |(name, server)| (backend, name, server)))
    }
}

/// One backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Backend {
    /// Which service it serves; `None` for a free spare, and for a backend whose service went away.
    pub service: Option<ServiceName>,
    /// What it speaks.
    pub protocol: Protocol,
    /// Its servers by name.
    pub servers: BTreeMap<EndpointName, Server>,
}

/// One server of a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Server {
    /// HAProxy's number for it.
    pub id: ServerId,
    /// Where it listens.
    pub addr: EndpointAddr,
    /// Its share of the traffic.
    pub weight: Weight,
    /// How it is administered.
    pub admin: Admin,
}

/// HAProxy's number for a server: unique in its backend, 1 to 2147483647, and kept for the server's life.
///
/// Always explicit: automatic ids starved servers under random and hashes on 2.6 (haproxy/haproxy#3413).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ServerId(u32);

impl ServerId {
    const MAX: u32 = 0x7fff_ffff;

    /// The lowest.
    pub(crate) const FIRST: Self = Self(1);

    /// The number that a name asks for: the same on every balancer and after every return, so that hashes over
    /// ids agree and stay (FNV-1a, 32 bits, folded into the range).
    pub fn wanted(name: &EndpointName) -> Self {
        let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        let hash = name.as_str().bytes().fold(0x811c_9dc5, step);
        Self(hash % Self::MAX + 1)
    }

    /// The number.
    pub(crate) fn get(self) -> u32 {
        self.0
    }

    /// The next number, after the highest the lowest: the way out where two names ask for the same.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 % Self::MAX + 1)
    }

    /// Takes a number that HAProxy said.
    pub(crate) fn read(number: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&number).then_some(Self(number))
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A server's administrative state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Admin {
    /// Takes new requests.
    Ready,
    /// Takes none; what runs may end.
    Drain,
    /// Out; on its way to be deleted.
    Maint,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_same_everywhere_and_in_range() {
        let id = |name: &str| ServerId::wanted(&name.parse().unwrap());
        assert_eq!(id("web1"), ServerId(331_608_034));
        assert_ne!(id("web1"), id("web2"));
        assert_eq!(ServerId(ServerId::MAX).next(), ServerId(1));
        assert_eq!(ServerId(1).next(), ServerId(2));
    }

    #[test]
    fn names_that_are_not_ours_are_not_read() {
        assert_eq!(BackendName::read("bc-spare-01"), Some(BackendName::spare(1)));
        for name in ["", "bc:none", "a b", "<CLI>"] {
            assert_eq!(BackendName::read(name), None, "{name}");
        }
    }
}

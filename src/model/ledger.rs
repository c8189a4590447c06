//! The ledger: what `desired` must remember from one call to the next. Kept in the data folder, else rebuilt
//! from the live routes.

pub mod kept;

use std::collections::BTreeMap;

use super::{Desired, EndpointId, FRONTEND, Protocol, Route, ServiceName, Since, SourceName, flaps::Flaps};

/// What was decided before and holds on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Who has each route: the incumbent keeps it against newcomers.
    pub claims: BTreeMap<Route, Claim>,
    /// Every service that has endpoints, or had some a short while ago.
    pub services: BTreeMap<ServiceName, Standing>,
    /// Who comes and goes.
    pub flaps: Flaps,
    /// The endpoints that are a file's to say, and those it lists no more and that are not out yet: no silence of a
    /// member keeps them.
    pub listed: BTreeMap<EndpointId, SourceName>,
}

/// Who has a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The service.
    pub service: ServiceName,
    /// The member that claimed it for the service first, or the file that lists it; `None` where it was read back from a
    /// data plane, or given by the operator.
    pub node: Option<String>,
}

/// How a service stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What it speaks: the first member that offers it decides.
    pub protocol: Protocol,
    /// Since when nobody has offered it.
    pub empty_since: Option<Since>,
    /// Whether a file lists it: then it is there as long as it is listed, and no longer.
    pub listed: bool,
}

impl Ledger {
    /// The ledger that would have led to these routes and services.
    pub fn adopted(live: &Desired) -> Self {
        let claim =
            |(route, service): (&Route, &ServiceName)| (route.clone(), Claim { service: service.clone(), node: None });
        let standing = |(name, service): (&ServiceName, &super::Service)| {
            // Nobody but a store has such a one: it goes with its key, whoever was away meanwhile.
            let listed = name.as_str().starts_with(FRONTEND);
            (name.clone(), Standing { protocol: service.protocol, listed, ..Standing::default() })
        };
        Self {
            claims: live.routes.iter().map(claim).collect(),
            services: live.services.iter().map(standing).collect(),
            ..Self::default()
        }
    }

    /// The ledger of a life before, where these routes and services are live. What is live counts, even against
    /// what was kept: a restart changes nothing. What was kept says who made a claim, and what is not live now.
    pub fn recalled(kept: Self, live: &Desired) -> Self {
        let Self { claims, services, .. } = Self::adopted(live);
        let mut ledger = kept;
        for (route, claim) in claims {
            if ledger.claims.get(&route).is_none_or(|known| known.service != claim.service) {
                ledger.claims.insert(route, claim);
            }
        }
        for (name, standing) in services {
            let serves = live.services.get(&name).is_some_and(|s| !s.endpoints.is_empty());
            if serves || standing.listed || !ledger.services.contains_key(&name) {
                ledger.services.insert(name, standing);
            }
        }
        ledger
    }

    /// Takes note of what the guard kept: a service with endpoints is not empty, whoever holds them there, and
    /// keeps its routes as long. What is neither live nor to be is forgotten.
    pub fn keep(&mut self, guarded: &Desired, before: &Self, live: &Desired) {
        self.listed.retain(|id, _| guarded.endpoint(id).is_some() || live.endpoint(id).is_some());
        for (name, standing) in &mut self.services {
            if guarded.services.get(name).is_some_and(|s| !s.endpoints.is_empty()) {
                standing.empty_since = None;
            }
        }
        for (route, claim) in &before.claims {
            if guarded.routes.get(route) == Some(&claim.service) {
                self.claims.entry(route.clone()).or_insert_with(|| claim.clone());
            }
        }
    }
}

impl Claim {
    /// Who has the route, for people: the member, else the service.
    pub fn holder(&self) -> String {
        self.node.clone().unwrap_or_else(|| format!("service {}", self.service))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Endpoint, EndpointState, Service, Weight};

    fn route(host: &str) -> Route {
        Route { host: host.parse().unwrap(), path: "/".parse().unwrap() }
    }

    fn claim(service: &str, node: Option<&str>) -> Claim {
        Claim { service: service.parse().unwrap(), node: node.map(ToOwned::to_owned) }
    }

    fn serving(endpoints: usize) -> Service {
        let endpoint = |n: usize| {
            let addr = std::net::SocketAddr::from(([10, 0, 0, 1], 80)).try_into().unwrap();
            let endpoint = Endpoint { addr, weight: Weight::DEFAULT, state: EndpointState::Ready };
            (format!("n{n}").parse().unwrap(), endpoint)
        };
        Service { protocol: Protocol::Http, endpoints: (0..endpoints).map(endpoint).collect() }
    }

    fn standing(protocol: Protocol, empty_since: Option<Since>) -> Standing {
        Standing { protocol, empty_since, ..Standing::default() }
    }

    #[test]
    fn what_is_live_counts_and_the_kept_says_the_rest() {
        let live = Desired {
            services: [("a".parse().unwrap(), serving(1)), ("b".parse().unwrap(), serving(0))].into(),
            routes: [("same", "a"), ("other", "a"), ("new", "b")]
                .map(|(host, service)| (route(host), service.parse().unwrap()))
                .into(),
            ..Desired::default()
        };
        let long_ago = Some(Since::ago(Duration::ZERO, Duration::from_secs(60)));
        let kept = Ledger {
            claims: [
                (route("same"), claim("a", Some("web1"))),
                (route("other"), claim("b", Some("web2"))),
                (route("gone"), claim("c", Some("web3"))),
            ]
            .into(),
            services: [
                ("a".parse().unwrap(), standing(Protocol::Tcp, long_ago)),
                ("b".parse().unwrap(), standing(Protocol::Tcp, long_ago)),
                ("c".parse().unwrap(), standing(Protocol::Http, None)),
            ]
            .into(),
            ..Ledger::default()
        };
        let recalled = Ledger::recalled(kept, &live);
        let expected = Ledger {
            claims: [
                (route("same"), claim("a", Some("web1"))),
                (route("other"), claim("a", None)),
                (route("new"), claim("b", None)),
                (route("gone"), claim("c", Some("web3"))),
            ]
            .into(),
            services: [
                ("a".parse().unwrap(), standing(Protocol::Http, None)),
                ("b".parse().unwrap(), standing(Protocol::Tcp, long_ago)),
                ("c".parse().unwrap(), standing(Protocol::Http, None)),
            ]
            .into(),
            ..Ledger::default()
        };
        assert_eq!(recalled, expected);
        assert_eq!(Ledger::recalled(Ledger::default(), &live), Ledger::adopted(&live));
    }
}

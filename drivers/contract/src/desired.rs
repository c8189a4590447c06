//! The desired set: services with their endpoints, the routes onto them, and certificates. Sorted, so that the same
//! input gives the same bytes.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    certificate::Certificate,
    names::{CertName, EndpointAddr, EndpointName, HostPattern, PathPrefix, ServiceName, Weight},
};

/// What a data plane should hold, or what one was read to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Desired {
    /// Every service, one without endpoints too: it answers 503 where an unknown route answers 404.
    pub services: BTreeMap<ServiceName, Service>,
    /// Which service a host and path go to. A route onto a service that is not in `services` is left out by drivers.
    #[serde(with = "route_list", default)]
    pub routes: BTreeMap<Route, ServiceName>,
    /// What TLS is spoken by, where it is; one of them is the default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub certificates: BTreeMap<CertName, Certificate>,
}

/// A set of endpoints that are the same to a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// How the service is spoken to.
    #[serde(default)]
    pub protocol: Protocol,
    /// Where it is served.
    #[serde(default)]
    pub endpoints: BTreeMap<EndpointName, Endpoint>,
}

/// What a service speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http,
    /// Bytes; reached by a listener of its own, never by a host.
    Tcp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
        })
    }
}

/// One server of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where it listens.
    pub addr: EndpointAddr,
    /// Its share of the traffic.
    pub weight: Weight,
    /// Whether it takes new requests.
    pub state: EndpointState,
}

/// Whether an endpoint takes new requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointState {
    /// It does.
    Ready,
    /// It does not; what runs may end.
    Drain,
}

impl fmt::Display for EndpointState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
        })
    }
}

/// An endpoint's place: `service/endpoint`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EndpointId {
    /// The service it serves.
    pub service: ServiceName,
    /// Its name within the service.
    pub endpoint: EndpointName,
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.service, self.endpoint))
    }
}

/// Where requests come in: a host pattern, and within it a path. The longest match wins, host first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Route {
    /// The hosts.
    pub host: HostPattern,
    /// What the path begins with.
    pub path: PathPrefix,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}{}", self.host, self.path.as_str()))
    }
}

impl Desired {
    /// Every endpoint with its place, sorted.
    pub fn endpoints(&self) -> impl Iterator<Item = (EndpointId, &Endpoint)> {
        self.services.iter().flat_map(|(service, s)| {
            s.endpoints
                .iter()
                .map(|(endpoint, e)| (EndpointId { service: service.clone(), endpoint: endpoint.clone() }, e))
        })
    }

    /// The endpoint at this place.
    pub fn endpoint(&self, id: &EndpointId) -> Option<&Endpoint> {
        self.services.get(&id.service)?.endpoints.get(&id.endpoint)
    }

    /// How many endpoints of a service take new requests.
    pub fn ready(&self, service: &ServiceName) -> usize {
        let endpoints = self.services.get(service).into_iter().flat_map(|s| s.endpoints.values());
        endpoints.filter(|e| e.state == EndpointState::Ready).count()
    }
}

/// Routes as a list: a map key of two parts is no JSON key.
mod route_list {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Route, ServiceName};

    #[derive(Serialize, Deserialize)]
    struct Entry {
        #[serde(flatten)]
        route: Route,
        service: ServiceName,
    }

    pub(super) fn serialize<S: Serializer>(routes: &BTreeMap<Route, ServiceName>, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(routes.iter().map(|(route, service)| Entry { route: route.clone(), service: service.clone() }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<Route, ServiceName>, D::Error> {
        let entries = Vec::<Entry>::deserialize(d)?;
        Ok(entries.into_iter().map(|e| (e.route, e.service)).collect())
    }
}

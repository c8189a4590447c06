//! The layout: what one nginx holds, service by service. Planned from the desired set, kept in the file, read back from
//! it: one type for all three. Plain data, no IO.

use std::collections::BTreeMap;

use backchat_contract::{
    CertName, Certificate, Desired, Endpoint, EndpointAddr, EndpointId, EndpointName, EndpointState, Protocol, Route,
    ServiceName, Weight,
};
use serde::Serialize;

/// What one nginx holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// The services by name.
    pub services: BTreeMap<ServiceName, Service>,
    /// Which service a host and path go to; only services that are here.
    #[serde(skip)]
    pub routes: BTreeMap<Route, ServiceName>,
    /// What TLS is spoken by.
    pub certificates: BTreeMap<CertName, Certificate>,
}

/// One service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Service {
    /// What it speaks.
    pub protocol: Protocol,
    /// Its servers by name.
    pub servers: BTreeMap<EndpointName, Server>,
}

/// One server of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Server {
    /// Where it listens.
    pub addr: EndpointAddr,
    /// Its share of the traffic.
    pub weight: Weight,
    /// Whether it takes new requests.
    pub admin: Admin,
}

/// A server's administrative state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Admin {
    /// Takes new requests.
    Ready,
    /// Takes none since this generation: workers that were started with an earlier one may still serve with it.
    Drain(u64),
}

impl Server {
    /// Whether requests go to it.
    pub fn serves(&self) -> bool {
        self.admin == Admin::Ready && self.weight.get() > 0
    }
}

impl Layout {
    /// The desired set as nginx is to hold it. What drains and is not known to from `live` drains since `generation`.
    ///
    /// Left out: names that are ours to give (the model refuses them; here they must not do harm), and routes to what
    /// is not here.
    pub fn of(desired: &Desired, live: &Self, generation: u64) -> Self {
        let ours = |service: &ServiceName| service.as_str().starts_with("bc-");
        let mut layout = Self::default();
        for (name, wanted) in desired.services.iter().filter(|(name, _)| !ours(name)) {
            let now = live.services.get(name);
            let server = |(endpoint, e): (&EndpointName, &Endpoint)| {
                let now = now.and_then(|service| service.servers.get(endpoint));
                (endpoint.clone(), server(e, now, generation))
            };
            let servers = wanted.endpoints.iter().map(server).collect();
            layout.services.insert(name.clone(), Service { protocol: wanted.protocol, servers });
        }
        let known = desired.routes.iter().filter(|(_, service)| layout.services.contains_key(*service));
        layout.routes = known.map(|(route, service)| (route.clone(), service.clone())).collect();
        layout.certificates.clone_from(&desired.certificates);
        layout
    }

    /// The same, where what drains from now on does so since `generation`.
    #[must_use]
    pub fn drained_since(mut self, generation: u64, live: &Self) -> Self {
        for (name, service) in &mut self.services {
            let now = live.services.get(name);
            for (endpoint, server) in service.servers.iter_mut().filter(|(_, server)| server.admin != Admin::Ready) {
                let now = now.and_then(|service| service.servers.get(endpoint));
                server.admin = Admin::Drain(since(server.addr, now, generation));
            }
        }
        self
    }

    /// In the words of the desired set.
    pub fn desired(&self) -> Desired {
        let endpoint = |server: &Server| Endpoint {
            addr: server.addr,
            weight: server.weight,
            state: if server.admin == Admin::Ready { EndpointState::Ready } else { EndpointState::Drain },
        };
        let service = |service: &Service| backchat_contract::Service {
            protocol: service.protocol,
            endpoints: service.servers.iter().map(|(name, server)| (name.clone(), endpoint(server))).collect(),
        };
        Desired {
            services: self.services.iter().map(|(name, s)| (name.clone(), service(s))).collect(),
            routes: self.routes.clone(),
            certificates: self.certificates.clone(),
        }
    }

    /// The same services and routes without any server, or with the same one everywhere.
    #[must_use]
    pub fn alike(&self, samples: bool) -> Self {
        let servers = || if samples { sample().into_iter().collect() } else { BTreeMap::new() };
        let service = |(name, service): (&ServiceName, &Service)| {
            (name.clone(), Service { protocol: service.protocol, servers: servers() })
        };
        Self { services: self.services.iter().map(service).collect(), ..self.clone() }
    }

    /// The server at this place.
    pub fn server(&self, id: &EndpointId) -> Option<&Server> {
        self.services.get(&id.service)?.servers.get(&id.endpoint)
    }

    /// Every server with its place, sorted.
    pub fn servers(&self) -> impl Iterator<Item = (EndpointId, &Server)> {
        self.services.iter().flat_map(|(service, s)| {
            let id = move |endpoint: &EndpointName| EndpointId { service: service.clone(), endpoint: endpoint.clone() };
            s.servers.iter().map(move |(endpoint, server)| (id(endpoint), server))
        })
    }
}

/// A server that nobody has: of the addresses that are for documentation (RFC 5737).
fn sample() -> Option<(EndpointName, Server)> {
    let addr = std::net::SocketAddr::from(([192, 0, 2, 1], 80)).try_into().ok()?;
    Some(("sample".parse().ok()?, Server { addr, weight: Weight::DEFAULT, admin: Admin::Ready }))
}

fn server(wanted: &Endpoint, now: Option<&Server>, generation: u64) -> Server {
    let since = || since(wanted.addr, now, generation);
    let admin = if wanted.state == EndpointState::Ready { Admin::Ready } else { Admin::Drain(since()) };
    Server { addr: wanted.addr, weight: wanted.weight, admin }
}

/// Since when a server at this address drains: as it is known, or from this generation on.
fn since(addr: EndpointAddr, now: Option<&Server>, generation: u64) -> u64 {
    match now {
        Some(Server { addr: there, admin: Admin::Drain(since), .. }) if *there == addr => *since,
        _ => generation,
    }
}

//! What a balancer serves: services with their endpoints, and the routes onto them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::{self, EndpointState, Protocol, Snapshot, State};

/// What is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Services {
    /// By name.
    pub services: Vec<Service>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// Endpoints that were read back to take new requests, and pass the data plane's own check.
    pub ready: usize,
    /// Endpoints that are read back or desired.
    pub total: usize,
    /// Endpoints that were read back to take no new requests.
    pub drain: usize,
    /// Endpoints that only the guard keeps.
    pub held: usize,
    /// The routes onto it: `www.example.com`, `www.example.com/shop`, `*`.
    pub hosts: Vec<String>,
    /// How it stands.
    pub state: ServiceState,
    /// Its endpoints, by name.
    pub endpoints: Vec<Endpoint>,
}

/// How a service stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceState {
    /// Every endpoint takes new requests.
    Ok,
    /// Some do not, or they are fewer than the operator's `min-ready`.
    Degraded,
    /// None does: it answers 503, or 502 by `--hipache`.
    Down,
}

/// One endpoint of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// Where it listens, as read back; as desired where it is not there yet.
    pub addr: std::net::SocketAddr,
    /// Its share of the traffic.
    pub weight: u32,
    /// As it was read back; `None` where it is not there.
    pub live: Option<EndpointState>,
    /// As it should be; `None` where it should go.
    pub desired: Option<EndpointState>,
    /// Whether it fails the data plane's own check.
    pub down: bool,
}

impl Services {
    /// What is desired, live, and held back.
    pub fn new(status: &model::Status) -> Self {
        let names = status.desired.services.keys().chain(status.live.services.keys());
        let names: BTreeSet<_> = names.collect();
        Self { services: names.into_iter().map(|name| Service::new(name, status)).collect() }
    }
}

impl Service {
    pub(super) fn new(name: &model::ServiceName, status: &model::Status) -> Self {
        let (live, desired) = (status.live.services.get(name), status.desired.services.get(name));
        let down = status.down.iter().filter(|id| id.service == *name).map(|id| id.endpoint.as_str()).collect();
        let endpoints = endpoints(live, desired, &down);
        let count = |state| endpoints.iter().filter(|e| e.live == Some(state) && !e.down).count();
        let (ready, drain) = (count(EndpointState::Ready), count(EndpointState::Drain));
        let routes = status.desired.routes.iter().filter(|(_, service)| *service == name);
        Self {
            name: name.to_string(),
            protocol: desired.or(live).map(|s| s.protocol).unwrap_or_default(),
            ready,
            total: endpoints.len(),
            drain,
            held: status.held.iter().flat_map(|h| &h.endpoints).filter(|id| id.service == *name).count(),
            hosts: routes.map(|(route, _)| host(route)).collect(),
            state: match ready {
                0 => ServiceState::Down,
                n if n < endpoints.len().max(status.services.get(name).min_ready) => ServiceState::Degraded,
                _ => ServiceState::Ok,
            },
            endpoints,
        }
    }
}

/// A route for people: the path only where it says something.
pub(super) fn host(route: &model::Route) -> String {
    if route.path.as_str() == "/" { route.host.to_string() } else { route.to_string() }
}

fn endpoints(live: Option<&model::Service>, desired: Option<&model::Service>, down: &BTreeSet<&str>) -> Vec<Endpoint> {
    let side = |s: Option<&model::Service>| s.map(|s| s.endpoints.clone()).unwrap_or_default();
    let (live, desired) = (side(live), side(desired));
    let names: BTreeSet<_> = live.keys().chain(desired.keys()).collect();
    let one = |name: &model::EndpointName| {
        let (l, d) = (live.get(name), desired.get(name));
        l.or(d).map(|e| Endpoint {
            name: name.to_string(),
            addr: e.addr.get(),
            weight: e.weight.into(),
            live: l.map(|e| e.state),
            desired: d.map(|e| e.state),
            down: down.contains(name.as_str()),
        })
    };
    names.into_iter().filter_map(one).collect()
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routes {
    /// By host and path.
    pub routes: Vec<Route>,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The hosts: exact, `name.<ip>.domain`, `*.domain`, or `*`.
    pub host: String,
    /// What the path begins with.
    pub path: String,
    /// Where it goes.
    pub service: String,
    /// How many endpoints take new requests there.
    pub ready: usize,
    /// Members that say so, and the file that has it.
    pub said_by: Vec<String>,
    /// Members that say otherwise, and are refused.
    pub refused: Vec<String>,
}

impl Routes {
    /// The routes desired, and who asked for them.
    pub fn new(status: &model::Status, members: &Snapshot) -> Self {
        let one = |(route, service)| Route::new(route, service, status, members);
        Self { routes: status.desired.routes.iter().map(one).collect() }
    }
}

impl Route {
    /// One route, and who asked for it.
    pub(super) fn new(
        route: &model::Route,
        service: &model::ServiceName,
        status: &model::Status,
        members: &Snapshot,
    ) -> Self {
        Self {
            host: route.host.to_string(),
            path: route.path.to_string(),
            service: service.to_string(),
            ready: status.live.ready(service),
            said_by: said_by(route, service, members).into_iter().chain(listed_by(route, status)).collect(),
            refused: refused(route, &status.rejections),
        }
    }
}

/// The living members whose offers of this service name this host and path.
fn said_by(route: &model::Route, service: &model::ServiceName, members: &Snapshot) -> Vec<String> {
    let says = |o: &model::RawOffer| {
        let host = route.host.to_string();
        let host_ok = o.hosts.iter().any(|h| h.eq_ignore_ascii_case(&host)) || (o.hosts.is_empty() && host == "*");
        o.name == service.as_str() && host_ok && o.path.as_deref().unwrap_or("/") == route.path.as_str()
    };
    let living = members.members.values().filter(|m| m.lives());
    let saying =
        living.filter(|m| m.record.as_ref().is_some_and(|r| r.state == State::Serving && r.services.iter().any(says)));
    let operator = matches!(route.host, model::HostPattern::Magic { .. }).then(|| "--magic-domain".to_owned());
    saying.map(|m| m.name.to_string()).chain(operator).collect()
}

/// The file that has the route.
fn listed_by(route: &model::Route, status: &model::Status) -> Option<String> {
    let node = status.ledger.as_ref()?.claims.get(route)?.node.as_ref()?;
    status.sources.iter().any(|source| *source.name == **node).then(|| node.clone())
}

fn refused(route: &model::Route, rejections: &[model::Rejection]) -> Vec<String> {
    let subject = format!("route {route}");
    rejections.iter().filter(|r| r.subject == subject).map(|r| r.node.clone()).collect()
}

//! What a balancer shows of its data plane: status, services, routes.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::{Hold, Members};
use crate::model::{self, EndpointState, Kind, Liveness, Moment, Protocol, Snapshot, State};

/// How the daemon is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Who answers.
    pub node: String,
    /// backchat's version.
    pub version: String,
    /// What it is.
    pub kind: Kind,
    /// For how long it has run, in milliseconds.
    pub uptime_ms: u64,
    /// How many members are alive, suspect, failed, left.
    pub members: BTreeMap<Liveness, usize>,
    /// How long ago another member was heard, in milliseconds; `None`: never.
    pub heard_ms: Option<u64>,
    /// Whether all sources have listed everything once.
    pub synced: bool,
    /// Which data plane is driven; `None` at an agent, as is all that follows.
    pub driver: Option<String>,
    /// The data plane's own version.
    pub driver_version: Option<String>,
    /// Whether the data plane answered at the last look.
    pub up: Option<bool>,
    /// Which rendering the data plane runs.
    pub generation: Option<u64>,
    /// Whether the live state was read back to be the desired one.
    pub converged: Option<bool>,
    /// How long ago the data plane was read, in milliseconds.
    pub read_back_ms: Option<u64>,
    /// What is waited for.
    pub waiting: Option<String>,
    /// Why the last step failed.
    pub error: Option<String>,
    /// Why structural writes are blocked.
    pub blocked: Option<String>,
    /// Reloads and restarts of the data plane, since the start.
    pub reloads: u64,
    /// What the guard holds back.
    pub held: Vec<Hold>,
    /// What members said that was not taken.
    pub rejections: Vec<Rejection>,
    /// The last apply.
    pub last_apply: Option<LastApply>,
}

/// Something a member said that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Who said it.
    pub node: String,
    /// What was refused.
    pub subject: String,
    /// Why.
    pub why: String,
    /// A short code for programs.
    pub code: String,
}

/// One apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastApply {
    /// How long ago, in milliseconds.
    pub ago_ms: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Commands that the data plane confirmed.
    pub commands: usize,
    /// Commands it refused.
    pub refused: Vec<Refused>,
    /// Whether it was reloaded.
    pub reloaded: bool,
    /// The generation after it.
    pub generation: u64,
    /// How many things it changed.
    pub changes: usize,
}

/// A command that the data plane refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// As sent.
    pub command: String,
    /// What came back.
    pub reply: String,
}

impl Status {
    /// An agent's status.
    pub fn agent(node: &str, members: &Snapshot, uptime: Moment, heard: Option<Duration>) -> Self {
        Self {
            node: node.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kind: Kind::Agent,
            uptime_ms: millis(uptime),
            members: by_liveness(members),
            heard_ms: heard.map(millis),
            synced: members.synced,
            driver: None,
            driver_version: None,
            up: None,
            generation: None,
            converged: None,
            read_back_ms: None,
            waiting: None,
            error: None,
            blocked: None,
            reloads: 0,
            held: Vec::new(),
            rejections: Vec::new(),
            last_apply: None,
        }
    }

    /// A balancer's status: an agent's, and what its loop published last.
    #[must_use]
    pub fn with_plane(self, s: &model::Status, now: SystemTime) -> Self {
        Self {
            kind: Kind::Balancer,
            synced: self.synced && s.synced,
            driver: Some(s.plane.name.to_owned()),
            driver_version: Some(s.plane.version.clone()),
            up: Some(s.plane_up),
            generation: Some(s.plane.generation),
            converged: Some(s.converged),
            read_back_ms: s.observed_at.map(|at| ago(at, now)),
            waiting: s.waiting.clone(),
            error: s.error.clone(),
            blocked: s.plane.blocked.clone(),
            reloads: s.reloads,
            held: s.held.iter().map(Hold::from).collect(),
            rejections: s.rejections.iter().map(Rejection::from).collect(),
            last_apply: s.last_apply.as_ref().map(|apply| LastApply::new(apply, now)),
            ..self
        }
    }
}

fn by_liveness(snapshot: &Snapshot) -> BTreeMap<Liveness, usize> {
    let members = Members::new(snapshot, Moment::ZERO);
    let all = [Liveness::Alive, Liveness::Suspect, Liveness::Failed, Liveness::Left];
    all.into_iter().map(|liveness| (liveness, members.count(liveness))).collect()
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How long ago in milliseconds; 0 where the wall clock went back since.
pub(super) fn ago(at: SystemTime, now: SystemTime) -> u64 {
    now.duration_since(at).map_or(0, millis)
}

impl From<&model::Rejection> for Rejection {
    fn from(r: &model::Rejection) -> Self {
        let code = r.code.to_owned();
        Self { node: r.node.clone(), subject: r.subject.clone(), why: r.why.clone(), code }
    }
}

impl LastApply {
    fn new(apply: &model::LastApply, now: SystemTime) -> Self {
        let refused = |r: &backchat_contract::Refusal| Refused { command: r.command.clone(), reply: r.reply.clone() };
        Self {
            ago_ms: ago(apply.at, now),
            took_ms: millis(apply.took),
            commands: apply.commands,
            refused: apply.refused.iter().map(refused).collect(),
            reloaded: apply.reloaded,
            generation: apply.generation,
            changes: apply.changes,
        }
    }
}

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
    /// Endpoints that were read back to take new requests.
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
    /// Some do not.
    Degraded,
    /// None does: it answers 503.
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
}

impl Services {
    /// What is desired, live, and held back.
    pub fn new(status: &model::Status) -> Self {
        let names = status.desired.services.keys().chain(status.live.services.keys());
        let names: std::collections::BTreeSet<_> = names.collect();
        Self { services: names.into_iter().map(|name| Service::new(name, status)).collect() }
    }
}

impl Service {
    fn new(name: &model::ServiceName, status: &model::Status) -> Self {
        let (live, desired) = (status.live.services.get(name), status.desired.services.get(name));
        let endpoints = endpoints(live, desired);
        let count = |state| endpoints.iter().filter(|e| e.live == Some(state)).count();
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
                n if n < endpoints.len() => ServiceState::Degraded,
                _ => ServiceState::Ok,
            },
            endpoints,
        }
    }
}

/// A route for people: the path only where it says something.
fn host(route: &model::Route) -> String {
    if route.path.as_str() == "/" { route.host.to_string() } else { route.to_string() }
}

fn endpoints(live: Option<&model::Service>, desired: Option<&model::Service>) -> Vec<Endpoint> {
    let side = |s: Option<&model::Service>| s.map(|s| s.endpoints.clone()).unwrap_or_default();
    let (live, desired) = (side(live), side(desired));
    let names: std::collections::BTreeSet<_> = live.keys().chain(desired.keys()).collect();
    let one = |name: &model::EndpointName| {
        let (l, d) = (live.get(name), desired.get(name));
        l.or(d).map(|e| Endpoint {
            name: name.to_string(),
            addr: e.addr.get(),
            weight: e.weight.into(),
            live: l.map(|e| e.state),
            desired: d.map(|e| e.state),
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
    /// The hosts: exact, `*.domain`, or `*`.
    pub host: String,
    /// What the path begins with.
    pub path: String,
    /// Where it goes.
    pub service: String,
    /// How many endpoints take new requests there.
    pub ready: usize,
    /// Members that say so.
    pub said_by: Vec<String>,
    /// Members that say otherwise, and are refused.
    pub refused: Vec<String>,
}

impl Routes {
    /// The routes desired, and who asked for them.
    pub fn new(status: &model::Status, members: &Snapshot) -> Self {
        let one = |(route, service): (&model::Route, &model::ServiceName)| Route {
            host: route.host.to_string(),
            path: route.path.to_string(),
            service: service.to_string(),
            ready: status.live.ready(service),
            said_by: said_by(route, service, members),
            refused: refused(route, &status.rejections),
        };
        Self { routes: status.desired.routes.iter().map(one).collect() }
    }
}

/// The living members whose offers of this service name this host and path.
fn said_by(route: &model::Route, service: &model::ServiceName, members: &Snapshot) -> Vec<String> {
    let says = |o: &model::RawOffer| {
        let host = route.host.to_string();
        let host_ok = o.hosts.iter().any(|h| h.eq_ignore_ascii_case(&host)) || (o.hosts.is_empty() && host == "*");
        o.name == service.as_str() && host_ok && o.path.as_deref().unwrap_or("/") == route.path.as_str()
    };
    let living = members.members.values().filter(|m| matches!(m.liveness, Liveness::Alive | Liveness::Suspect));
    let saying =
        living.filter(|m| m.record.as_ref().is_some_and(|r| r.state == State::Serving && r.services.iter().any(says)));
    saying.map(|m| m.name.to_string()).collect()
}

fn refused(route: &model::Route, rejections: &[model::Rejection]) -> Vec<String> {
    let subject = format!("route {route}");
    rejections.iter().filter(|r| r.subject == subject).map(|r| r.node.clone()).collect()
}

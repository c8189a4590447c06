//! Why something is served or not, from the member's record to the live server: what is known of a node, of a service,
//! and of where a request goes.

mod member;
mod request;
mod service;

use std::{net::SocketAddr, time::SystemTime};

use serde::{Deserialize, Serialize};

pub use self::{
    member::{ExplainedMember, ExplainedOffer},
    request::{Answers, ExplainedRequest, Share},
    service::ExplainedService,
};
use super::Reason;
use crate::model::{
    self, EndpointState, Moment, NodeName, Request, ServiceName, Snapshot,
    fate::{Fate, drift, meant},
    words::quoted,
};

/// What is known of what was asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explain {
    /// What was asked about.
    pub about: String,
    /// Who answers.
    pub node: String,
    /// The data plane; `None` at an agent, which knows members alone.
    pub plane: Option<ExplainedPlane>,
    /// Balancers that know more, where an agent answers.
    pub ask: Vec<String>,
    /// The node of that name.
    pub member: Option<ExplainedMember>,
    /// The service of that name.
    pub service: Option<ExplainedService>,
    /// Where a request goes.
    pub request: Option<ExplainedRequest>,
}

/// The data plane, and what ails it as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedPlane {
    /// `haproxy`.
    pub driver: String,
    /// Whether it answered at the last look.
    pub up: bool,
    /// Whether it was read back to be as it should.
    pub converged: bool,
    /// What stands between what should be and what is, or keeps anybody from knowing.
    pub trouble: Vec<String>,
}

/// An endpoint, how it is, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedEndpoint {
    /// Its service.
    pub service: String,
    /// Its name within the service.
    pub name: String,
    /// How it is.
    pub state: Standing,
    /// Where it listens, as read back; as desired where it is not there.
    pub addr: Option<SocketAddr>,
    /// Its share of the traffic.
    pub weight: Option<u32>,
    /// What keeps it: `h3c9`.
    pub hold: Option<String>,
    /// Why it is not simply ready.
    pub reason: Option<Reason>,
    /// What it is that it should not be: `weight 50, should be 100`.
    pub drift: Option<String>,
}

/// How an endpoint is, by what was read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It takes new requests.
    Ready,
    /// It takes none; what runs may end.
    Drain,
    /// It would take requests, and fails the data plane's own check.
    Down,
    /// It should be there, and is not yet.
    Coming,
    /// It is there, and should not.
    Going,
    /// It neither is nor should be.
    Gone,
}

/// Why nothing is explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unexplained {
    /// Nothing has this name; with those that come close.
    Unknown(String),
    /// It is neither a name nor a URL.
    Wrong(String),
    /// Only a balancer knows.
    NoPlane,
    /// Nothing is known of what is served yet; with why.
    Unread(String),
}

/// What is known, and when.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// What the loop published last; `None` at an agent.
    pub status: Option<&'a model::Status>,
    /// What gossip knows.
    pub members: &'a Snapshot,
    /// What this node's own checks say of its services.
    pub checks: &'a [model::Health],
    /// Now.
    pub now: Moment,
    /// The same by the clock on the wall.
    pub wall: SystemTime,
}

/// What was asked about, as far as the text says.
enum About {
    Node(NodeName),
    Service(ServiceName),
    Name(String),
    Request(Request),
}

impl Explain {
    /// What is known about this: a node's name, a service's, or a URL; `node/NAME` and `service/NAME` are never in doubt.
    ///
    /// # Errors
    /// Where it is none of these, or where nothing has this name.
    pub fn new(about: &str, node: &NodeName, known: Known<'_>) -> Result<Self, Unexplained> {
        let of = About::parse(about, known)?;
        let named = |name: &str| (name.parse().ok(), name.parse().ok());
        let (member, service) = match &of {
            About::Node(name) => (Some(name.clone()), None),
            About::Service(name) => (None, Some(name.clone())),
            About::Name(name) => named(name),
            About::Request(_) => (None, None),
        };
        let request = match (of, known.status) {
            (About::Request(_), Some(status)) if !status.was_read() => return Err(unread(status)),
            (About::Request(request), Some(status)) => Some(ExplainedRequest::new(&request, status, known)),
            (About::Request(_), None) => return Err(Unexplained::NoPlane),
            _ => None,
        };
        let told = Self {
            about: about.to_owned(),
            node: node.to_string(),
            plane: known.status.map(ExplainedPlane::new),
            ask: if known.status.is_some() { Vec::new() } else { balancers(known.members) },
            member: member.and_then(|name| ExplainedMember::new(&name, name == *node, known)),
            service: service.and_then(|name| ExplainedService::new(&name, known)),
            request,
        };
        if told.member.is_some() || told.service.is_some() || told.request.is_some() {
            return Ok(told);
        }
        // Of services nothing can be said until then, not even that there is none.
        match known.status.filter(|status| !status.was_read() && !about.starts_with("node/")) {
            Some(status) => Err(unread(status)),
            None => Err(unknown(about, known)),
        }
    }
}

/// What is served is not known yet, which is no word against it.
fn unread(status: &model::Status) -> Unexplained {
    let why = status.error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
    Unexplained::Unread(format!("not known: the data plane was not read yet{why}"))
}

/// Nobody and nothing has this name. An agent does not know services.
fn unknown(about: &str, known: Known<'_>) -> Unexplained {
    let name = about.rsplit('/').next().unwrap_or(about);
    let near = meant(name, known.status, known.members);
    if known.status.is_none() && (near.is_empty() || about.starts_with("service/")) {
        return Unexplained::NoPlane;
    }
    let hint = if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(", ")) };
    Unexplained::Unknown(format!("no node and no service is called {name:.80}{hint}"))
}

fn balancers(members: &Snapshot) -> Vec<String> {
    members.members.values().filter(|m| m.is_balancer() && m.lives()).map(|m| m.name.to_string()).collect()
}

impl About {
    fn parse(text: &str, known: Known<'_>) -> Result<Self, Unexplained> {
        let wrong = |e: model::NameError| Unexplained::Wrong(e.to_string());
        if let Some(name) = text.strip_prefix("node/") {
            return name.parse().map(Self::Node).map_err(wrong);
        }
        if let Some(name) = text.strip_prefix("service/") {
            return name.parse().map(Self::Service).map_err(wrong);
        }
        let is_name = text.parse::<ServiceName>().is_ok();
        // `shop.example.com` may be a node's name as well as a host: who is called so comes first.
        let is_known = is_name && known.is_known(text);
        let looks_like_url = text.contains("://") || text.contains(['.', ':']);
        if is_known || (is_name && !looks_like_url) {
            return Ok(Self::Name(text.to_owned()));
        }
        if looks_like_url {
            return text.parse().map(Self::Request).map_err(Unexplained::Wrong);
        }
        Err(Unexplained::Wrong(format!(
            "{} is no name and no URL: use NODE, SERVICE or http://HOST/PATH",
            quoted(text, 80)
        )))
    }
}

impl Known<'_> {
    fn is_known(&self, name: &str) -> bool {
        let member = name.parse::<NodeName>().is_ok_and(|name| self.members.members.contains_key(&name));
        let service = |name: &ServiceName| {
            self.status.is_some_and(|s| s.live.services.contains_key(name) || s.desired.services.contains_key(name))
        };
        member || name.parse().is_ok_and(|name| service(&name))
    }
}

impl ExplainedPlane {
    fn new(s: &model::Status) -> Self {
        let driver = s.plane.name.to_owned();
        let down = (!s.plane_up).then(|| match &s.error {
            Some(error) => format!("it does not answer: {error}"),
            None => "it was not read yet".to_owned(),
        });
        let unsynced = (!s.synced).then(|| "not all sources have listed everything: nothing is removed".to_owned());
        let error = s.error.clone().filter(|_| s.plane_up);
        let waiting = s.waiting.as_ref().map(|why| format!("waiting: {why}"));
        let parts = [down, unsynced, error, waiting, s.plane.blocked.clone(), s.plane.template.clone()];
        Self { driver, up: s.plane_up, converged: s.converged, trouble: parts.into_iter().flatten().collect() }
    }
}

impl ExplainedEndpoint {
    fn new(fate: &Fate, now: SystemTime) -> Self {
        let shown = fate.live.as_ref().or(fate.desired.as_ref());
        Self {
            service: fate.id.service.to_string(),
            name: fate.id.endpoint.to_string(),
            state: Standing::of(fate),
            addr: shown.map(|e| e.addr.get()),
            weight: shown.map(|e| e.weight.into()),
            hold: fate.hold.clone(),
            reason: fate.reason.as_ref().map(|reason| Reason::new(reason, now)),
            drift: drift(fate),
        }
    }
}

impl Standing {
    fn of(fate: &Fate) -> Self {
        match (&fate.live, &fate.desired) {
            (None, None) => Self::Gone,
            (None, Some(_)) => Self::Coming,
            (Some(_), None) => Self::Going,
            (Some(live), _) if live.state == EndpointState::Drain => Self::Drain,
            _ if fate.down => Self::Down,
            _ => Self::Ready,
        }
    }
}

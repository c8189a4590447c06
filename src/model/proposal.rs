//! A proposal: what the daemon would do now, or what it would do if: the plan with all that a reader judges by.

use std::{
    collections::BTreeSet,
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};

use backchat_contract::{Change, ChangeKind, ChangeStatus, Desired, PlanView, Plane};

use super::{
    EndpointName, EndpointState, Held, LastApply, Liveness, NameError, NodeName, Rejection, ServiceName, Snapshot,
    State,
};

/// A plan, and what it was made from.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The data plane as it was read for this plan.
    pub plane: Plane,
    /// When that was.
    pub observed_at: SystemTime,
    /// Whether all sources have listed everything once.
    pub synced: bool,
    /// The plan, with what waits, is held and is refused among its changes.
    pub view: PlanView,
    /// The generation that the plan leads to.
    pub to: u64,
    /// What is held back.
    pub held: Vec<Held>,
    /// What was refused.
    pub rejections: Vec<Rejection>,
    /// Capacity before and after, service by service.
    pub ready: Vec<Ready>,
    /// What the reload would load, as a hash; `None` where nothing is reloaded.
    pub structure: Option<String>,
    /// What it takes for granted: such a plan is not to be applied.
    pub assumed: Vec<String>,
    /// Whether its reload waits until a person applies the plan.
    pub waits: bool,
}

/// Why there is no proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoProposal {
    /// What was assumed makes no sense, or what the data plane says cannot be read.
    Refused(String),
    /// The data plane does not answer.
    Unreachable(String),
    /// The template that was assumed does not render.
    Template(String),
}

/// What applying a plan that was shown came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What was done; `None` where nothing was left to do.
    pub done: Option<LastApply>,
    /// From asking until it was read back.
    pub took: Duration,
    /// The generation that was read back.
    pub generation: u64,
    /// What is waited for still: a server that drains, workers that retire.
    pub waiting: Option<String>,
}

/// Why a plan that was shown was not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unapplied {
    /// It is another data plane's; nothing of it was applied.
    Foreign(String),
    /// These have moved since; nothing of it was applied.
    Moved(Vec<String>),
    /// The template, or what it renders, was refused; what ran before serves on.
    Template(String),
    /// The data plane does not answer.
    Unreachable(String),
    /// It failed, or could not be read back.
    Failed(String),
}

/// How many endpoints of a service take new requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The service.
    pub service: ServiceName,
    /// Now.
    pub before: usize,
    /// After the plan.
    pub after: usize,
    /// After the plan, were nothing held; with the hold.
    pub without_hold: Option<(usize, String)>,
}

/// Capacity before and after, for every service that is on either side. What waits among the changes is no capacity yet.
pub fn ready(live: &Desired, next: &Desired, (held, changes): (&[Held], &[Change])) -> Vec<Ready> {
    let services: BTreeSet<&ServiceName> = live.services.keys().chain(next.services.keys()).collect();
    let waits = |c: &&Change| c.kind == ChangeKind::Endpoint && c.status == ChangeStatus::Waiting;
    let waiting: BTreeSet<&str> = changes.iter().filter(waits).map(|change| change.id.as_str()).collect();
    let reached = |service: &ServiceName| {
        let names = |of: &Desired| of.services.get(service).map(|s| s.endpoints.clone()).unwrap_or_default();
        let (live, next) = (names(live), names(next));
        let here: BTreeSet<_> = live.keys().chain(next.keys()).collect();
        let is_ready = |name: &&&EndpointName| {
            let waits = !waiting.is_empty() && waiting.contains(format!("{service}/{name}").as_str());
            let side = if waits { &live } else { &next };
            side.get(**name).is_some_and(|endpoint| endpoint.state == EndpointState::Ready)
        };
        here.iter().filter(is_ready).count()
    };
    let one = |service: &ServiceName| {
        let after = if waiting.is_empty() { next.ready(service) } else { reached(service) };
        let keeps = held.iter().find(|h| h.endpoints.iter().any(|id| id.service == *service));
        Ready {
            service: service.clone(),
            before: live.ready(service),
            after,
            without_hold: keeps.map(|h| (after.saturating_sub(h.endpoints.len()), h.id.clone())),
        }
    };
    services.into_iter().map(one).collect()
}

/// A what-if: something that is taken to have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assumption {
    /// The node drains.
    Drain(NodeName),
    /// The node is gone, by its own will.
    Gone(NodeName),
    /// The data plane's file is rendered by another template.
    Template {
        /// As people know it.
        name: String,
        /// Its text.
        text: String,
    },
}

impl Assumption {
    /// The node that it is about.
    pub fn node(&self) -> Option<&NodeName> {
        match self {
            Self::Drain(node) | Self::Gone(node) => Some(node),
            Self::Template { .. } => None,
        }
    }
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drain(node) => write!(f, "drain={node}"),
            Self::Gone(node) => write!(f, "gone={node}"),
            Self::Template { name, .. } => write!(f, "template={name}"),
        }
    }
}

impl FromStr for Assumption {
    type Err = String;

    /// Takes `drain=NODE` and `gone=NODE`; a template is more than a word.
    fn from_str(text: &str) -> Result<Self, String> {
        let node = |name: &str| name.parse().map_err(|e: NameError| e.to_string());
        match text.split_once('=') {
            Some(("drain", name)) => Ok(Self::Drain(node(name)?)),
            Some(("gone", name)) => Ok(Self::Gone(node(name)?)),
            _ => Err(format!("{text:?} is no assumption: use drain=NODE, gone=NODE or template=FILE")),
        }
    }
}

/// The snapshots as they would be, and the nodes that are assumed about but unknown.
pub fn assume(snapshots: &mut [Snapshot], assumptions: &[Assumption]) -> Vec<NodeName> {
    let mut unknown = Vec::new();
    for assumption in assumptions {
        let Some(name) = assumption.node() else { continue };
        let members: Vec<_> = snapshots.iter_mut().filter_map(|s| s.members.get_mut(name)).collect();
        if members.is_empty() {
            unknown.push(name.clone());
        }
        for member in members {
            let Some(record) = &mut member.record else { continue };
            if matches!(assumption, Assumption::Drain(_)) {
                record.state = State::Draining;
            } else {
                record.state = State::Left;
                member.liveness = Liveness::Left;
            }
        }
    }
    unknown
}

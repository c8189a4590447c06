//! A proposal: what the daemon would do now, or what it would do if: the plan with all that a reader judges by.

use std::{collections::BTreeSet, str::FromStr, time::SystemTime};

use backchat_contract::{Desired, PlanView, Plane};

use super::{Held, Liveness, NameError, NodeName, Rejection, ServiceName, Snapshot, State};

/// A plan, and what it was made from.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The data plane as it was read for this plan.
    pub plane: Plane,
    /// When that was.
    pub observed_at: SystemTime,
    /// Whether all sources have listed everything once.
    pub synced: bool,
    /// The plan, with what is held and refused among its changes.
    pub view: PlanView,
    /// The generation that the plan leads to.
    pub to: u64,
    /// What is held back.
    pub held: Vec<Held>,
    /// What was refused.
    pub rejections: Vec<Rejection>,
    /// Capacity before and after, service by service.
    pub ready: Vec<Ready>,
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

/// Capacity before and after, for every service that is on either side.
pub fn ready(live: &Desired, next: &Desired, held: &[Held]) -> Vec<Ready> {
    let services: BTreeSet<&ServiceName> = live.services.keys().chain(next.services.keys()).collect();
    let one = |service: &ServiceName| {
        let after = next.ready(service);
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
}

impl FromStr for Assumption {
    type Err = String;

    /// Takes `drain=NODE` and `gone=NODE`.
    fn from_str(text: &str) -> Result<Self, String> {
        let node = |name: &str| name.parse().map_err(|e: NameError| e.to_string());
        match text.split_once('=') {
            Some(("drain", name)) => Ok(Self::Drain(node(name)?)),
            Some(("gone", name)) => Ok(Self::Gone(node(name)?)),
            _ => Err(format!("{text:?} is no assumption: use drain=NODE or gone=NODE")),
        }
    }
}

/// The snapshots as they would be, and the nodes that are assumed about but unknown.
pub fn assume(snapshots: &mut [Snapshot], assumptions: &[Assumption]) -> Vec<NodeName> {
    let mut unknown = Vec::new();
    for assumption in assumptions {
        let (Assumption::Drain(name) | Assumption::Gone(name)) = assumption;
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

//! A node: what it says of itself, whether it lives, and what became of each service that it offers.

use serde::{Deserialize, Serialize};

use super::{ExplainedEndpoint, Known};
use crate::{
    admin::answers::{Check, Flapping, Hold, Member, Offer, Rejection},
    model::{self, EndpointId, NodeName, fate, owner::node_of},
};

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedMember {
    /// What it says of itself, and whether it lives.
    pub member: Member,
    /// Why its newest record is not the one above.
    pub unread: Option<String>,
    /// What it offers, and what became of it.
    pub offers: Vec<ExplainedOffer>,
    /// Endpoints of it that it does not offer by its record: by Serf's tags, or no longer.
    pub endpoints: Vec<ExplainedEndpoint>,
    /// What the guard keeps of it.
    pub holds: Vec<Hold>,
    /// What of it is held down, for it comes and goes.
    pub flapping: Vec<Flapping>,
    /// What it said that was not taken.
    pub rejections: Vec<Rejection>,
    /// What its own checks found, where it is asked about itself: others are told but whether they pass.
    pub checks: Vec<Check>,
}

/// A service that a node offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedOffer {
    /// As it says.
    pub offer: Offer,
    /// What became of it; `None` where it was refused, and where it is not known: at an
    /// agent, and before the data plane was read.
    pub endpoint: Option<ExplainedEndpoint>,
}

impl ExplainedMember {
    /// `None` where no member has this name.
    pub(super) fn new(name: &NodeName, is_me: bool, known: Known<'_>) -> Option<Self> {
        let found = known.members.members.get(name)?;
        let member = Member::new(found, known.now);
        let read = known.status.filter(|status| status.was_read());
        let fates = read.map(|s| fate::of_member(found, s, known.members, known.now)).unwrap_or_default();
        let mut endpoints: Vec<_> = fates.iter().map(|fate| ExplainedEndpoint::new(fate, known.wall)).collect();
        let offers = member.services.iter().map(|offer| ExplainedOffer::new(offer, name, &mut endpoints)).collect();
        let own = |id: &EndpointId| node_of(id).as_ref() == Some(name);
        let status = known.status.into_iter();
        let holds = status.clone().flat_map(|s| &s.held).filter(|hold| hold.endpoints.iter().any(own));
        let flapping = status.clone().flat_map(|s| &s.flapping).filter(|flap| flap.node == *name);
        let rejections = status.flat_map(|s| &s.rejections).filter(|r: &&model::Rejection| r.node == name.as_str());
        Some(Self {
            unread: found.refused.clone(),
            offers,
            endpoints,
            holds: holds.map(Hold::from).collect(),
            flapping: flapping.map(Flapping::from).collect(),
            rejections: rejections.map(Rejection::from).collect(),
            checks: known.checks.iter().filter(|_| is_me).map(Check::from).collect(),
            member,
        })
    }
}

impl ExplainedOffer {
    /// Takes its endpoint out of those of the node.
    fn new(offer: &Offer, node: &NodeName, endpoints: &mut Vec<ExplainedEndpoint>) -> Self {
        let names = [node.to_string(), format!("{node}:{}", offer.port)];
        let at = endpoints.iter().position(|e| e.service == offer.name && names.contains(&e.name));
        Self { offer: offer.clone(), endpoint: at.map(|at| endpoints.remove(at)) }
    }
}

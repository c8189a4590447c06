//! Members that come and go, and services of members that live: how often each came back, and for how long it is held
//! down for it.
//!
//! A server that crashes again and again does harm each time it is let in, so it stays out for a while that doubles, as
//! route flap damping (RFC 2439) and Kubernetes' restart backoff do. What follows from that for a service is for
//! `desired` to say. Plain data and time as an argument; it must not know what is live.

mod damping;
mod kept;
mod life;
mod offers;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub use self::kept::KeptFlap;
use self::{
    damping::Flap,
    life::{End, Life},
    offers::Offers,
};
use super::{
    EndpointId, Member, Moment, NodeName, ServiceName, Snapshot, SourceName, Target, offers::MAX_OFFERS, short_id,
};

/// How often members came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flaps {
    /// The life of each member that was seen last, source by source.
    lives: BTreeMap<(SourceName, NodeName), Life>,
    /// How its services were then.
    offers: BTreeMap<(SourceName, NodeName), Offers>,
    /// Those that came back lately: members, and services of members.
    all: BTreeMap<Target, Flap>,
}

/// A member that is held down, or a service of one that lives, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flapping {
    /// By this it is let go: `f3c9`.
    pub id: String,
    /// Who.
    pub node: NodeName,
    /// Which of its services, where the member itself stays.
    pub service: Option<ServiceName>,
    /// How often it came back.
    pub times: u32,
    /// Within how long.
    pub within: Duration,
    /// For how much longer it is held down.
    pub left: Duration,
    /// What is kept out; empty while it is away, and where too few others are ready.
    pub endpoints: Vec<EndpointId>,
    /// Whether it was let in all the same, as too few others are ready.
    pub let_in: bool,
}

impl Flaps {
    /// What is known after a look at all members. `most` is the longest time in which one is held down; zero: never.
    #[must_use]
    pub fn seen(&self, snapshots: &[Snapshot], most: Duration, now: Moment) -> Self {
        let mut next = Self { all: self.all.clone(), ..Self::default() };
        next.all.retain(|_, flap| flap.is_remembered(now));
        next.all.values_mut().for_each(|flap| flap.forget(now));
        for snapshot in snapshots {
            for member in snapshot.members.values().filter(|m| !m.is_balancer()) {
                for (service, weight) in next.look(&snapshot.source, member, self) {
                    next.came_back(Target { node: member.name.clone(), service }, weight, most, now);
                }
            }
        }
        next
    }

    /// Takes note of a member; what of it is back since the look before, with what that weighs.
    fn look(&mut self, source: &SourceName, member: &Member, before: &Self) -> Vec<(Option<ServiceName>, u32)> {
        let key = (source.clone(), member.name.clone());
        let life = before.lives.get(&key);
        let mut back: Vec<_> =
            life.and_then(|life| life.back(member)).map(|weight| (None, weight)).into_iter().collect();
        self.lives.insert(key.clone(), Life::of(member, life));
        if let Some(record) = &member.record {
            let (offers, returned) = Offers::seen(record, before.offers.get(&key));
            self.offers.insert(key, offers);
            back.extend(returned.into_iter().map(|(service, weight)| (Some(service), weight)));
        }
        back
    }

    /// One is back. What is remembered of a member is bounded, whatever it calls its services.
    fn came_back(&mut self, who: Target, weight: u32, most: Duration, now: Moment) {
        let known = self.all.keys().filter(|other| other.node == who.node).count();
        if !most.is_zero() && (known <= MAX_OFFERS || self.all.contains_key(&who)) {
            self.all.entry(who).or_insert_with(|| Flap::new(now)).came_back(weight, most, now);
        }
    }

    /// These failed because this node was cut off: it is not they that come and go.
    pub fn excuse(&mut self, nodes: &BTreeSet<NodeName>) {
        for ((_, name), life) in &mut self.lives {
            if nodes.contains(name) && life.end == End::Failed {
                life.end = End::Excused;
            }
        }
    }

    /// For how much longer an endpoint of this node is to be kept out, if it is: for the node's sake or its service's.
    pub fn holds(&self, node: &NodeName, id: &EndpointId, now: Moment) -> Option<Duration> {
        let flaps = both(node, id).into_iter().filter_map(|who| self.all.get(&who));
        flaps.filter(|flap| !flap.let_in.contains(id)).filter_map(|flap| flap.left(now)).max()
    }

    /// Takes note of what is kept out, and of what is let in until the next return.
    pub fn note(&mut self, node: &NodeName, id: &EndpointId, kept_out: bool, now: Moment) {
        for who in both(node, id) {
            if let Some(flap) = self.all.get_mut(&who).filter(|flap| flap.left(now).is_some()) {
                let set = if kept_out { &mut flap.out } else { &mut flap.let_in };
                set.insert(id.clone());
            }
        }
    }

    /// Lets one in. Whether there is one held down by this id. The next time it is held down longer all the same.
    pub fn release(&mut self, id: &str, now: Moment) -> bool {
        let mut held = self.all.iter_mut().filter(|(who, flap)| flap_id(who) == id && flap.left(now).is_some());
        let released = held.next();
        if let Some((_, flap)) = released {
            (flap.until, flap.out) = (Some(now), BTreeSet::new());
            return true;
        }
        false
    }

    /// Those held down, by name.
    pub fn report(&self, now: Moment) -> Vec<Flapping> {
        let one = |(who, flap): (&Target, &Flap)| {
            flap.left(now).map(|left| Flapping {
                id: flap_id(who),
                node: who.node.clone(),
                service: who.service.clone(),
                times: flap.times,
                within: flap.since.age(now),
                left,
                endpoints: flap.out.iter().cloned().collect(),
                let_in: flap.out.is_empty() && !flap.let_in.is_empty(),
            })
        };
        self.all.iter().filter_map(one).collect()
    }

    /// How long until the next one is let in.
    pub fn next(&self, now: Moment) -> Option<Duration> {
        self.all.values().filter_map(|flap| flap.left(now)).min()
    }
}

impl Flapping {
    /// `web3`; `web3/web` where it is a service of it.
    pub fn who(&self) -> Target {
        Target { node: self.node.clone(), service: self.service.clone() }
    }

    /// `4 times in 2 min`.
    pub fn how_often(&self) -> String {
        let seconds = self.within.as_secs();
        let within = if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds / 60) };
        format!("{} times in {within}", self.times)
    }
}

/// For whose sake this endpoint of the node may be kept out.
fn both(node: &NodeName, id: &EndpointId) -> [Target; 2] {
    [None, Some(id.service.clone())].map(|service| Target { node: node.clone(), service })
}

fn flap_id(who: &Target) -> String {
    short_id('f', &who.to_string())
}

#[cfg(test)]
mod tests;

//! Members that were gone before this life began, as others tell of them at its start.
//!
//! A balancer that comes back finds their endpoints in its data plane, and must not take them for members that it has
//! only not heard of yet. They are kept apart from foca's members, for a short time, and never told on: two nodes that
//! reminded one another would keep them in mind for ever.

use std::collections::{BTreeMap, BTreeSet};

use foca::State;

use super::Node;
use crate::{
    cluster::{exchange::Exchange, identity::Identity, records::Stored},
    model::{self, Kind, Liveness, Member, Moment, NodeName, Verdict},
};

/// How long after the beginning they are listened to and remembered: longer than the guard waits for the unheard.
const LISTEN: Moment = Moment::from_secs(60);
/// How many of them.
const MOST: usize = 1_000;

/// Those that were gone.
#[derive(Debug)]
pub(super) struct Departed {
    until: Moment,
    members: BTreeMap<NodeName, Member>,
}

impl Departed {
    /// None yet, in a life that begins now.
    pub(super) fn new(now: Moment) -> Self {
        Self { until: now + LISTEN, members: BTreeMap::new() }
    }

    /// Adds to everybody that is known those of whom nothing else is.
    pub(super) fn complete(&self, members: &mut BTreeMap<NodeName, Member>) {
        for (name, departed) in &self.members {
            members.entry(name.clone()).or_insert_with(|| departed.clone());
        }
    }

    /// Forgets them all when their time is over; whether there was one.
    pub(super) fn forget(&mut self, now: Moment) -> bool {
        now >= self.until && !std::mem::take(&mut self.members).is_empty()
    }
}

impl Node {
    /// Takes note of those whom the other side knows to be gone, and of whom we know nothing.
    pub(super) fn note_departed(&mut self, exchange: &Exchange) {
        if self.config.record.kind != Kind::Balancer || self.now >= self.departed.until {
            return;
        }
        let unknown = |id: &&Identity| id.name() != self.identity().name() && self.directory.get(id.name()).is_none();
        let down = exchange.members.iter().filter(|member| member.state() == State::Down).map(foca::Member::id);
        let down: Vec<_> = down.filter(unknown).cloned().collect();
        if down.is_empty() {
            return;
        }
        let left = left(exchange);
        for id in down {
            if self.departed.members.len() >= MOST || self.departed.members.contains_key(id.name()) {
                continue;
            }
            let liveness = if left.contains(id.name()) { Liveness::Left } else { Liveness::Failed };
            self.departed.members.insert(id.name().clone(), departed(&id, liveness, self.now));
            self.changed = true;
        }
    }
}

fn departed(id: &Identity, liveness: Liveness, now: Moment) -> Member {
    Member {
        name: id.name().clone(),
        epoch: id.epoch(),
        addr: id.addr(),
        liveness,
        verdict: Verdict::Unasked,
        since: now,
        record: None,
        refused: None,
    }
}

/// Those whose last word was goodbye.
fn left(exchange: &Exchange) -> BTreeSet<NodeName> {
    let records = exchange.records.iter().filter_map(|bytes| Stored::read(bytes.clone()).ok());
    records.filter(|(_, stored)| stored.record.state == model::State::Left).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::{
        cluster::{
            node::{Cures, Input, NodeConfig},
            profile::Profile,
            records,
        },
        model::RawRecord,
    };

    fn id(name: &str) -> Identity {
        Identity::new(name.parse().unwrap(), 7, ([10, 0, 0, name.len().try_into().unwrap()], 7946).into())
    }

    fn node(kind: Kind) -> Node {
        let config = NodeConfig {
            identity: id("me"),
            profile: Profile::LAN,
            record: RawRecord { kind, ..RawRecord::default() },
            joins: true,
            max_payload: 1331,
            cures: Cures::default(),
        };
        Node::new(config, StdRng::seed_from_u64(1), Moment::ZERO).unwrap()
    }

    /// What a member tells that knows of one that crashed and of one that left.
    fn told(node: &Node) -> Exchange {
        let down = |name| foca::Member::new(id(name), 0, State::Down);
        let record = |name: &str, state| {
            let record = RawRecord { node: name.into(), epoch: 7, version: 3, state, ..RawRecord::default() };
            bytes::Bytes::from(records::encode(&record).unwrap())
        };
        Exchange {
            from: id("other"),
            members: vec![foca::Member::alive(id("other")), down("crashed"), down("gone")],
            records: vec![record("crashed", model::State::Serving), record("gone", model::State::Left)],
            complete: true,
            ..node.open_exchange()
        }
    }

    fn tell(node: &mut Node, at: Moment) {
        let told = told(node);
        node.handle(at, Input::Exchange(&told), &mut Vec::new());
    }

    fn seen(node: &Node) -> Vec<(String, Liveness)> {
        let members = node.snapshot().members.into_values().filter(|m| m.liveness != Liveness::Alive);
        members.map(|m| (m.name.to_string(), m.liveness)).collect()
    }

    #[test]
    fn a_balancer_hears_at_its_beginning_of_those_that_are_gone() {
        let mut balancer = node(Kind::Balancer);
        tell(&mut balancer, Moment::from_secs(1));
        let both = [("crashed".to_owned(), Liveness::Failed), ("gone".to_owned(), Liveness::Left)];
        assert_eq!(seen(&balancer), both);
        let told_on = balancer.answer_exchange(&told(&balancer));
        assert_eq!(told_on.members.len(), 2, "itself and the other: nobody is reminded");
        balancer.tick(LISTEN, &mut Vec::new());
        assert_eq!(seen(&balancer), []);
        tell(&mut balancer, LISTEN);
        assert_eq!(seen(&balancer), [], "later they are no news to learn");
    }

    #[test]
    fn who_returns_is_no_longer_gone() {
        let mut balancer = node(Kind::Balancer);
        tell(&mut balancer, Moment::from_secs(1));
        let back = Identity::new("crashed".parse().unwrap(), 8, id("crashed").addr());
        let members = vec![foca::Member::alive(back)];
        let told = Exchange { members, ..told(&balancer) };
        balancer.handle(Moment::from_secs(2), Input::Exchange(&told), &mut Vec::new());
        assert_eq!(seen(&balancer), [("gone".to_owned(), Liveness::Left)]);
    }

    #[test]
    fn an_agent_has_no_use_for_them() {
        let mut agent = node(Kind::Agent);
        tell(&mut agent, Moment::from_secs(1));
        assert_eq!(seen(&agent), []);
    }
}

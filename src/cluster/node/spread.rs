//! Records: ours told to all, others' taken in. A change goes straight to every balancer, which
//! acknowledges it, rides with foca's packets, and is exchanged over TCP.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use rand::RngExt;

use super::{Effect, Node, Why, item, item::Item, timers::Alarm};
use crate::{
    cluster::{
        identity::Identity,
        message::{Ack, Announce, Message, Push, RecordId},
        records::{self, Stored, Taken},
    },
    model::{Kind, Liveness, Moment, NodeName, RawRecord},
};

/// The largest record that is sent whole, in bytes.
const WHOLE: usize = 1024;
/// What foca's own part of a packet may take: three identities with the longest names. What is larger
/// than the rest would never ride along, and never be given up.
const FOCA_PART: usize = 300;
/// Sent again after these, until it is acknowledged.
const RESEND: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(100), Duration::from_millis(200)];
/// How long a pull may take before the same member is asked again; doubled with every try.
const PULL_AGAIN: Duration = Duration::from_millis(100);
/// So that it never takes longer than 6.4 s.
const MAX_DOUBLINGS: u32 = 6;

/// What a balancer has not acknowledged yet.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    id: RecordId,
    sent: usize,
}

impl Node {
    /// Says something else of ourselves from now on.
    pub(super) fn say(&mut self, record: RawRecord) {
        let stamped =
            RawRecord { node: self.own.node.clone(), epoch: self.own.epoch, version: self.own.version, ..record };
        if stamped != self.own {
            self.publish(stamped);
        }
    }

    /// Gives our record the next version, keeps it and tells it.
    pub(super) fn publish(&mut self, record: RawRecord) {
        let epoch = self.identity().epoch();
        let version = self.own.version + 1;
        let record = RawRecord { node: self.identity().name().to_string(), epoch, version, ..record };
        match records::encode(&record) {
            Ok(bytes) => self.keep_own(Stored { bytes: bytes.into(), record }),
            Err(_) => self.count("own record too long"),
        }
    }

    fn keep_own(&mut self, stored: Stored) {
        let name = self.identity().name().clone();
        self.own = stored.record.clone();
        self.records.offer(&name, stored.clone());
        self.changed = true;
        for balancer in self.balancers() {
            self.push(&balancer);
        }
        self.broadcast(Item::Record(name, stored));
    }

    fn balancers(&self) -> Vec<Identity> {
        let is_balancer = |name| self.records.get(name).is_some_and(|stored| stored.record.kind == Kind::Balancer);
        let living = self.directory.living().filter(|entry| is_balancer(entry.identity.name()));
        living.map(|entry| entry.identity.clone()).collect()
    }

    /// A member became another: if it is a balancer that lives, it is told of us.
    pub(super) fn consider_pushing(&mut self, name: &NodeName) {
        let is_balancer = self.records.get(name).is_some_and(|stored| stored.record.kind == Kind::Balancer);
        let living = self.directory.get(name).filter(|entry| entry.liveness == Liveness::Alive);
        if let Some(identity) = living.filter(|_| is_balancer).map(|entry| entry.identity.clone()) {
            self.push(&identity);
        }
    }

    /// Sends our record to a balancer until it is acknowledged.
    pub(super) fn push(&mut self, to: &Identity) {
        let Some(stored) = self.records.get(self.identity().name()) else { return };
        let id = stored.id();
        if self.pending.insert(to.name().clone(), Pending { id, sent: 0 }).is_none() {
            // Else the alarm of an earlier version runs yet: it sends this one again, too.
            self.timers.set(self.now + RESEND[0], Alarm::Resend(to.name().clone()));
        }
        self.push_once(to);
    }

    fn push_once(&mut self, to: &Identity) {
        let Some(stored) = self.records.get(self.identity().name()) else { return };
        let from = self.identity().clone();
        let message = if stored.bytes.len() <= WHOLE.min(self.room()) {
            Message::Push(Push { from, record: stored.bytes.as_ref().into() }).encode()
        } else {
            Message::Announce(Announce { from, id: stored.id() }).encode()
        };
        self.out.push(Effect::Send { to: to.addr(), payload: message });
    }

    /// A balancer may not have acknowledged.
    pub(super) fn resend(&mut self, name: &NodeName) {
        let to = self.directory.get(name).filter(|entry| entry.is_living()).map(|entry| entry.identity.clone());
        let (Some(pending), Some(to)) = (self.pending.get_mut(name), to) else {
            self.pending.remove(name);
            return;
        };
        pending.sent += 1;
        match RESEND.get(pending.sent) {
            Some(pause) => self.timers.set(self.now + *pause, Alarm::Resend(name.clone())),
            // Broadcast and exchange remain.
            None => drop(self.pending.remove(name)),
        }
        self.push_once(&to);
    }

    pub(super) fn acked(&mut self, ack: &Ack) {
        let name = ack.from.name();
        let heard = (&ack.id.epoch, &ack.id.version);
        if self.pending.get(name).is_some_and(|pending| (&pending.id.epoch, &pending.id.version) <= heard) {
            self.pending.remove(name);
        }
    }

    /// The largest record that a packet can hold beside foca's own part, in bytes.
    fn room(&self) -> usize {
        self.config.max_payload.saturating_sub(FOCA_PART)
    }

    /// Has foca's packets carry an item.
    fn broadcast(&mut self, item: Item) {
        let bytes = item.write();
        let bytes = match item {
            Item::Record(name, stored) if bytes.len() > WHOLE.min(self.room()) && self.config.cures.announce_large => {
                Item::News(name, stored.id()).write()
            }
            _ => bytes,
        };
        if self.foca.add_broadcast(&bytes).is_err() {
            self.count("broadcast too long");
        }
    }

    /// A record straight from its node.
    pub(super) fn pushed(&mut self, source: SocketAddr, push: &Push<'_>) {
        match Stored::read(Bytes::copy_from_slice(push.record)) {
            Err(bad) => self.refuse_pushed(source, &push.from, &bad),
            Ok((node, stored)) if node != *push.from.name() || stored.record.epoch != push.from.epoch() => {
                self.count("record of another node");
            }
            Ok((node, stored)) => {
                self.meet(&push.from);
                let id = stored.id();
                if self.take(&node, stored, true) {
                    self.send(source, &Message::Ack(Ack { from: self.identity().clone(), id }));
                }
            }
        }
    }

    /// Word from a node that its own record has changed.
    pub(super) fn announced(&mut self, source: SocketAddr, announce: &Announce) {
        let Announce { from, id } = announce;
        if id.node != from.name().as_str() || id.epoch != from.epoch() {
            return self.count("record of another node");
        }
        self.meet(from);
        if self.records.age(from.name()) >= Some((id.epoch, id.version)) {
            return self.send(source, &Message::Ack(Ack { from: self.identity().clone(), id: id.clone() }));
        }
        self.news(from.name(), id);
        if self.directory.of(from).is_some_and(|entry| entry.is_living()) {
            self.pull_now(from.name(), Why::Announced);
        }
    }

    /// A broadcast that came with a packet of this member.
    pub(super) fn item(&mut self, src: &Identity, bytes: &[u8]) {
        match item::read(bytes) {
            Err(item::ItemError::Record(bad)) => self.refuse_told(src, &bad),
            Err(item::ItemError::Malformed) => self.count("malformed broadcast"),
            Ok(Item::Record(node, stored)) => drop(self.take(&node, stored, true)),
            Ok(Item::News(node, id)) => {
                if self.news(&node, &id) {
                    self.broadcast(Item::News(node.clone(), id));
                    let at = self.now + self.grace();
                    self.pull_at(at);
                }
            }
        }
    }

    /// Notes that there is a version; whether it is news.
    fn news(&mut self, node: &NodeName, id: &RecordId) -> bool {
        let age = (id.epoch, id.version);
        let here = self.records.age(node);
        let Some(entry) = self.directory.entries.get_mut(node) else { return false };
        if age.0 > entry.identity.epoch() || here.max(entry.announced) >= Some(age) {
            return false;
        }
        entry.announced = Some(age);
        true
    }

    /// Takes in somebody's record, and hands it on if it is new. Whether it is here now. Only records of
    /// members in a life that is known: anything else could be made up without end.
    pub(super) fn take(&mut self, node: &NodeName, stored: Stored, hand_on: bool) -> bool {
        let Some(entry) = self.directory.get(node).filter(|entry| stored.record.epoch <= entry.identity.epoch()) else {
            // Its own newest record comes back to it, which is no offence.
            if node != self.identity().name() {
                self.count("record of an unknown node");
            }
            return false;
        };
        let was_balancer = self.records.get(node).is_some_and(|old| old.record.kind == Kind::Balancer);
        let (is_balancer, is_living, identity) =
            (stored.record.kind == Kind::Balancer, entry.is_living(), entry.identity.clone());
        if self.records.offer(node, stored.clone()) == Taken::Stale {
            return true;
        }
        self.changed = true;
        if let Some(entry) = self.directory.entries.get_mut(node) {
            entry.refused = None;
        }
        let renewed = self.directory.judge(node, &self.records, self.now);
        if hand_on {
            self.broadcast(Item::Record(node.clone(), stored));
        }
        if is_balancer && is_living && !was_balancer {
            self.push(&identity);
        }
        if renewed {
            self.consider_asking(node);
        }
        true
    }

    /// Whether a member's record is not here, or not in the version that there is.
    fn lacks(&self, entry: &super::directory::Entry) -> bool {
        let needed = entry.announced.max(Some((entry.identity.epoch(), 0)));
        entry.is_living() && self.records.age(entry.identity.name()) < needed
    }

    /// How long a record may take to come by itself. A balancer does not wait.
    pub(super) fn grace(&mut self) -> Duration {
        let most = if self.own.kind == Kind::Balancer { 20 } else { 500 };
        Duration::from_millis(self.rng.random_range(most / 2..=most))
    }

    /// Has [`Node::pull`] called at `at` at the latest.
    pub(super) fn pull_at(&mut self, at: Moment) {
        if self.pull_at.is_none_or(|earlier| at < earlier) {
            self.pull_at = Some(at);
            self.timers.set(at, Alarm::Pull);
        }
    }

    /// Asks one member for the record of it that is not here, and comes back for the others.
    pub(super) fn pull(&mut self) {
        const PACE: Duration = Duration::from_millis(20);
        if self.pull_at.is_none_or(|at| at > self.now) {
            return;
        }
        self.pull_at = None;
        let lacking: Vec<_> = self.directory.entries.values().filter(|entry| self.lacks(entry)).collect();
        let due: Vec<_> = lacking.iter().filter(|entry| entry.try_at <= self.now).collect();
        let next = lacking.iter().map(|entry| entry.try_at).min();
        if !due.is_empty() {
            let chosen = due[self.rng.random_range(0..due.len())].identity.name().clone();
            self.pull_now(&chosen, Why::Unknown);
        }
        if let Some(next) = next {
            self.pull_at((self.now + PACE).max(next));
        }
    }

    fn pull_now(&mut self, name: &NodeName, why: Why) {
        let Some(entry) = self.directory.entries.get_mut(name) else { return };
        if entry.try_at <= self.now {
            entry.tries = (entry.tries + 1).min(MAX_DOUBLINGS);
            entry.try_at = self.now + PULL_AGAIN * 2_u32.pow(entry.tries);
            self.out.push(Effect::Exchange { with: entry.identity.addr(), why });
        }
        let at = entry.try_at;
        self.pull_at(at);
    }
}

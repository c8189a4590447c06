//! Members that come and go, and services of members that live: how often each came back, and for how long it is held
//! down for it.
//!
//! A server that crashes again and again does harm each time it is let in, so it stays out for a while that doubles, as
//! route flap damping (RFC 2439) and Kubernetes' restart backoff do. What follows from that for a service is for
//! `desired` to say. Plain data and time as an argument; it must not know what is live.

mod kept;
mod offers;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

pub use self::kept::KeptFlap;
use self::offers::Offers;
use super::{
    EndpointId, Liveness, Member, Moment, NodeName, ServiceName, Since, Snapshot, SourceName, State, Target,
    offers::MAX_OFFERS, short_id,
};

/// Returns this close together count together.
const WINDOW: Duration = Duration::from_secs(120);
/// What the returns within [`WINDOW`] weigh where a member flaps: four crashes.
const ENOUGH: u32 = 40;
/// A return after it went without a word. The first three are forgiven: a crash, and a supervisor that tries again.
const CRASH: u32 = 10;
/// A return after a goodbye. Forty within two minutes are no deployment any more.
const GRACEFUL: u32 = 1;
/// The first time in which it is held down; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(5);
/// Each such time without a return, and not held down, takes one doubling back.
const QUIET: Duration = Duration::from_secs(120);
/// Returns that are kept of one member: as many as it takes.
const MOST: usize = (ENOUGH / GRACEFUL) as usize;

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

#[derive(Clone, Debug, PartialEq, Eq)]
struct Life {
    epoch: u64,
    end: End,
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Not yet.
    Open,
    /// It was declared down.
    Failed,
    /// It said that it goes, or it is this node that was cut off.
    Excused,
}

/// A member that came back lately, or a service of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Flap {
    /// When, and what each return weighs, oldest first.
    returns: VecDeque<(Moment, u32)>,
    /// How often since `since`, when it all began.
    times: u32,
    since: Since,
    last: Since,
    /// How often it was held down in a row.
    level: u32,
    /// Until when it is.
    until: Option<Moment>,
    /// What is kept out.
    out: BTreeSet<EndpointId>,
    /// What was let in all the same, for it was needed.
    let_in: BTreeSet<EndpointId>,
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

impl Life {
    /// The member's life, and how it ended; what was excused stays so while it is gone.
    fn of(member: &Member, before: Option<&Self>) -> Self {
        let before = before.filter(|life| life.epoch == member.epoch).map(|life| life.end);
        let end = match member.liveness {
            _ if says_goodbye(member) => End::Excused,
            Liveness::Failed if before == Some(End::Excused) => End::Excused,
            Liveness::Failed => End::Failed,
            Liveness::Alive | Liveness::Suspect | Liveness::Left => End::Open,
        };
        Self { epoch: member.epoch, end }
    }

    /// What it weighs that the member is back, if it is: in another life, or in this one though it was down.
    fn back(&self, member: &Member) -> Option<u32> {
        let anew = member.epoch > self.epoch;
        if !member.lives() || !(anew || (self.end == End::Failed && member.epoch == self.epoch)) {
            return None;
        }
        // A goodbye that no step saw may be what is still known of the life before.
        let left = anew && member.record.as_ref().is_some_and(|r| r.epoch < member.epoch && r.state != State::Serving);
        Some(if left || self.end == End::Excused { GRACEFUL } else { CRASH })
    }
}

/// Whether the member, in this life, drains or has left.
fn says_goodbye(member: &Member) -> bool {
    let said = member.record.as_ref().filter(|record| record.epoch >= member.epoch);
    member.liveness == Liveness::Left || said.is_some_and(|record| record.state != State::Serving)
}

impl Flap {
    fn new(now: Moment) -> Self {
        Self {
            returns: VecDeque::new(),
            times: 0,
            since: Since::now(now),
            last: Since::now(now),
            level: 0,
            until: None,
            out: BTreeSet::new(),
            let_in: BTreeSet::new(),
        }
    }

    fn came_back(&mut self, weight: u32, most: Duration, now: Moment) {
        self.times = self.times.saturating_add(1);
        (self.level, self.last) = (self.level_at(now), Since::now(now));
        self.returns.push_back((now, weight));
        if self.returns.len() > MOST {
            self.returns.pop_front();
        }
        self.forget(now);
        let sum: u32 = self.returns.iter().map(|(_, weight)| weight).sum();
        // Who was held down a short while ago has no three crashes free.
        if sum >= ENOUGH || (self.level > 0 && weight >= CRASH) {
            let length = FIRST.saturating_mul(1 << self.level.min(16)).min(most);
            self.level += u32::from(length < most);
            self.until = Some(now + length);
            (self.out, self.let_in) = (BTreeSet::new(), BTreeSet::new());
        }
    }

    /// What is kept out is said anew by every look.
    fn forget(&mut self, now: Moment) {
        self.returns.retain(|(at, _)| now.saturating_sub(*at) < WINDOW);
        self.out.clear();
    }

    fn left(&self, now: Moment) -> Option<Duration> {
        self.until.and_then(|until| until.checked_sub(now)).filter(|left| !left.is_zero())
    }

    /// How many doublings are left after the quiet time so far.
    fn level_at(&self, now: Moment) -> u32 {
        let quiet = self.quiet(now).as_secs() / QUIET.as_secs();
        self.level.saturating_sub(u32::try_from(quiet).unwrap_or(u32::MAX))
    }

    /// Since when it has neither come back nor been held down.
    fn quiet(&self, now: Moment) -> Duration {
        let free = self.until.map_or(Duration::MAX, |until| now.saturating_sub(until));
        self.last.age(now).min(free)
    }

    fn is_remembered(&self, now: Moment) -> bool {
        self.last.age(now) < WINDOW || self.level_at(now) > 0
    }
}

#[cfg(test)]
mod tests;

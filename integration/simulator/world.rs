//! A cluster on a virtual clock: nodes, their hosts, the network between them, and what is on its way.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
    net::SocketAddr,
    time::Duration,
};

use backchat::{
    cluster::{
        identity::Identity,
        node::{Cures, Effect, Input, Node, NodeConfig, Outcome},
        profile::Profile,
    },
    model::{Kind, Liveness, Moment, Snapshot, Verdict},
};
use bytes::Bytes;
use rand::{SeedableRng, rngs::StdRng};

use super::{
    host::{Host, record},
    network::Network,
    plane::Plane,
    tcp::Step,
};

/// How often a join address that is no living member is tried again.
const JOIN_EVERY: Duration = Duration::from_secs(1);

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The simulated cluster. Nodes are numbered in the order of their hosts.
pub(super) struct World {
    pub(super) now: Moment,
    pub(super) network: Network,
    pub(super) hosts: Vec<Host>,
    /// Where each host is among them.
    places: HashMap<SocketAddr, usize>,
    pub(super) cures: Cures,
    pub(super) profile: Profile,
    /// Packets that were sent.
    pub(super) packets: u64,
    /// Exchanges that were begun.
    pub(super) calls: u64,
    events: BinaryHeap<Reverse<(Moment, u64, Queued)>>,
    nth: u64,
    pub(super) rng: StdRng,
}

/// Events compare by their time and order alone.
struct Queued(Event);

impl PartialEq for Queued {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

/// What is on its way.
#[derive(Debug)]
pub(super) enum Event {
    Packet { from: SocketAddr, to: SocketAddr, payload: Bytes },
    Wake { host: usize, process: u32, due: Moment },
    Join { host: usize, process: u32 },
    Frame { step: Step, caller: SocketAddr, other: SocketAddr, bytes: Vec<u8> },
    Asked { host: usize, process: u32, who: Identity, outcome: Outcome },
    Check { host: usize },
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            now: Duration::ZERO,
            network: Network::new(StdRng::from_rng(&mut rng)),
            hosts: Vec::new(),
            places: HashMap::new(),
            cures: Cures::default(),
            profile: Profile::LAN,
            packets: 0,
            calls: 0,
            events: BinaryHeap::new(),
            nth: 0,
            rng,
        }
    }

    /// A cluster of `size`: host 0 is a balancer and everybody's join address, the others are agents.
    pub(super) fn cluster(seed: u64, size: usize) -> Self {
        Self::with(seed, size, |_| {})
    }

    /// The same, but set up otherwise before it starts.
    pub(super) fn with(seed: u64, size: usize, set: impl FnOnce(&mut Self)) -> Self {
        let mut world = Self::new(seed);
        set(&mut world);
        for i in 0..size {
            let kind = if i == 0 { Kind::Balancer } else { Kind::Agent };
            world.host(&format!("n{i}"), kind);
        }
        for i in 0..size {
            world.start(i, 1000);
        }
        world
    }

    /// A host without a node. It joins by host 0, unless it is that.
    pub(super) fn host(&mut self, name: &str, kind: Kind) -> usize {
        let i = self.hosts.len();
        let addr =
            SocketAddr::from(([10, 0, u8::try_from(i / 250).unwrap(), u8::try_from(i % 250 + 1).unwrap()], 7946));
        self.places.insert(addr, i);
        self.hosts.push(Host {
            name: name.parse().unwrap(),
            addr,
            kind,
            joins: self.hosts.first().map(|seed| seed.addr).into_iter().collect(),
            node: None,
            fate: Vec::new(),
            seen: Vec::new(),
            watched: false,
            plane: None,
            checks: None,
            last: BTreeMap::new(),
            stalled: Duration::ZERO,
            wake: None,
            process: 0,
            up: true,
        });
        i
    }

    /// Starts a node in the life `epoch`.
    pub(super) fn start(&mut self, i: usize, epoch: u64) {
        let host = &mut self.hosts[i];
        let config = NodeConfig {
            identity: Identity::new(host.name.clone(), epoch, host.addr),
            profile: self.profile,
            record: record(host.kind, 8080),
            joins: !host.joins.is_empty(),
            max_payload: 1331,
            cures: self.cures,
        };
        host.process += 1;
        host.wake = None;
        host.stalled = Duration::ZERO;
        host.last.clear();
        host.node = Some(Node::new(config, StdRng::from_rng(&mut self.rng), self.now).unwrap());
        let process = host.process;
        self.at(self.now, Event::Join { host: i, process });
        self.act(i, Node::tick);
    }

    /// Ends a node's process without a word.
    pub(super) fn kill(&mut self, i: usize) {
        self.hosts[i].node = None;
        self.hosts[i].process += 1;
    }

    /// Has a process stand still, its packets waiting.
    pub(super) fn stall(&mut self, i: usize, time: Duration) {
        self.hosts[i].stalled = self.now + time;
    }

    pub(super) fn input(&mut self, i: usize, input: Input<'_>) {
        self.act(i, |node, now, effects| node.handle(now, input, effects));
    }

    pub(super) fn leave(&mut self, i: usize) {
        self.input(i, Input::Leave);
    }

    pub(super) fn node(&self, i: usize) -> &Node {
        self.hosts[i].node.as_ref().unwrap()
    }

    pub(super) fn snapshot(&self, i: usize) -> Snapshot {
        self.node(i).snapshot()
    }

    /// The nodes that run.
    pub(super) fn running(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|i| self.hosts[*i].node.is_some()).collect()
    }

    /// How `i` sees the node of host `j`.
    pub(super) fn sees(&self, i: usize, j: usize) -> Option<Liveness> {
        self.node(i).known(&self.hosts[j].name).map(|known| known.liveness)
    }

    pub(super) fn verdict(&self, i: usize, j: usize) -> Verdict {
        self.snapshot(i).members[&self.hosts[j].name].verdict
    }

    /// Whether all that run see one another alive, in the same lives, with the newest records.
    pub(super) fn converged(&self) -> bool {
        let running = self.running();
        let snapshots: Vec<_> = running.iter().map(|i| (self.node(*i).identity().clone(), self.snapshot(*i))).collect();
        snapshots.iter().all(|(_, snapshot)| {
            snapshots.iter().all(|(identity, truth)| {
                let (own, seen) = (truth.members.get(identity.name()), snapshot.members.get(identity.name()));
                own.zip(seen).is_some_and(|(own, seen)| {
                    seen.epoch == own.epoch && seen.liveness == Liveness::Alive && seen.record == own.record
                })
            })
        })
    }

    /// Runs until `done`, which is looked at every 10 ms, in large clusters every 100; says when. Fails after `most`.
    #[track_caller]
    pub(super) fn until(&mut self, most: Duration, mut done: impl FnMut(&Self) -> bool) -> Duration {
        let (start, end) = (self.now, self.now + most);
        let step = if self.hosts.len() > 50 { ms(100) } else { ms(10) };
        while !done(self) {
            assert!(self.now < end, "not within {most:?}:\n{}", self.picture());
            self.run(step);
        }
        self.now.saturating_sub(start)
    }

    /// Runs for a time.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.events.peek().is_some_and(|Reverse((at, ..))| *at <= end) {
            let Some(Reverse((at, _, Queued(event)))) = self.events.pop() else { return };
            self.now = at;
            self.happen(event);
        }
        self.now = end;
    }

    /// How everybody sees everybody, for a failed test.
    pub(super) fn picture(&self) -> String {
        let row = |i: &usize| {
            let snapshot = self.snapshot(*i);
            let seen = snapshot.members.values().map(|m| {
                let age = m.record.as_ref().map_or("-".into(), |r| format!("{}.{}", r.epoch, r.version));
                format!("{}:{}({}) {age}", m.name, m.liveness, m.epoch)
            });
            format!("n{i}: {}\n", seen.collect::<Vec<_>>().join(", "))
        };
        self.running().iter().take(12).map(row).collect()
    }

    pub(super) fn at(&mut self, at: Moment, event: Event) {
        self.nth += 1;
        self.events.push(Reverse((at, self.nth, Queued(event))));
    }

    pub(super) fn find(&self, addr: SocketAddr) -> Option<usize> {
        self.places.get(&addr).copied()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Packet { from, to, ref payload } => {
                let Some(i) = self.find(to).filter(|i| self.hosts[*i].node.is_some()) else { return };
                if self.is_stalled(i) {
                    return self.at(self.hosts[i].stalled, event);
                }
                self.input(i, Input::Datagram { from, payload });
            }
            // Unless it was set nearer since: each that counted nevertheless would set another.
            Event::Wake { host, process, due } if self.hosts[host].awaits(process, due) => {
                if self.is_stalled(host) {
                    // The packets that wait come first: see `Node::tick`.
                    return self.at(self.hosts[host].stalled + Duration::from_micros(1), event);
                }
                self.hosts[host].wake = None;
                self.act(host, Node::tick);
            }
            Event::Join { host, process } if self.hosts[host].process == process => self.join(host, process),
            Event::Asked { host, process, .. } if self.hosts[host].process == process && self.is_stalled(host) => {
                // After all else, as the question's own time may be over by then.
                self.at(self.hosts[host].stalled + Duration::from_micros(2), event);
            }
            Event::Asked { host, process, who, outcome } if self.hosts[host].process == process => {
                self.input(host, Input::Asked { who, outcome });
            }
            Event::Check { host } => self.look(host),
            Event::Frame { step, caller, other, bytes } => self.frame(step, caller, other, &bytes),
            Event::Wake { .. } | Event::Join { .. } | Event::Asked { .. } => {}
        }
    }

    pub(super) fn is_stalled(&self, i: usize) -> bool {
        self.hosts[i].stalled > self.now
    }

    fn join(&mut self, i: usize, process: u32) {
        let Some(node) = &self.hosts[i].node else { return };
        let missing: Vec<_> = self.hosts[i].joins.iter().copied().filter(|addr| !node.is_living(*addr)).collect();
        for addr in missing {
            self.call(i, addr);
        }
        self.at(self.now + JOIN_EVERY, Event::Join { host: i, process });
    }

    fn act(&mut self, i: usize, act: impl FnOnce(&mut Node, Moment, &mut Vec<Effect>)) {
        let now = self.now;
        let Some(node) = self.hosts[i].node.as_mut() else { return };
        let mut effects = Vec::new();
        act(node, now, &mut effects);
        for effect in effects {
            self.effect(i, effect);
        }
        self.schedule(i);
    }

    fn schedule(&mut self, i: usize) {
        let host = &mut self.hosts[i];
        let Some(deadline) = host.node.as_ref().and_then(Node::next_deadline) else { return };
        if host.wake.is_none_or(|wake| deadline < wake) {
            host.wake = Some(deadline);
            let process = host.process;
            self.at(deadline, Event::Wake { host: i, process, due: deadline });
        }
    }

    fn effect(&mut self, i: usize, effect: Effect) {
        let (from, process) = (self.hosts[i].addr, self.hosts[i].process);
        match effect {
            Effect::Send { to, payload } => {
                assert!(payload.len() <= 1331, "a datagram of {} bytes", payload.len());
                self.packets += 1;
                if let Some(takes) = self.network.packet(from, to) {
                    self.at(self.now + takes, Event::Packet { from, to, payload });
                }
            }
            Effect::Exchange { with, .. } => self.call(i, with),
            Effect::AskTcp { who, within } => {
                let (outcome, takes) = self.connect(from, who.addr(), within);
                self.at(self.now + takes, Event::Asked { host: i, process, who, outcome });
            }
            Effect::Changed => self.note_changes(i),
            fate @ (Effect::Renewed { .. } | Effect::NameLost { .. } | Effect::Left) => {
                self.hosts[i].fate.push((self.now, fate));
            }
        }
    }

    /// From now on a balancer has a data plane, which holds at first what it knows.
    pub(super) fn equip(&mut self, i: usize) {
        let mut plane = Plane::default();
        plane.follow(&self.snapshot(i), self.now);
        plane.changes.clear();
        self.hosts[i].plane = Some(plane);
    }

    fn note_changes(&mut self, i: usize) {
        let (now, host) = (self.now, &mut self.hosts[i]);
        if !host.watched && host.plane.is_none() {
            return;
        }
        let Some(snapshot) = host.node.as_ref().map(Node::snapshot) else { return };
        if let Some(plane) = &mut host.plane {
            plane.follow(&snapshot, now);
        }
        if !host.watched {
            return;
        }
        for (name, member) in snapshot.members {
            if host.last.insert(name.clone(), member.liveness) != Some(member.liveness) {
                host.seen.push((now, name, member.liveness));
            }
        }
    }
}

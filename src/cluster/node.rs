//! One node of the gossip cluster, without any IO: inputs come in, effects go out.
//!
//! Wraps foca with the cures that it needs, keeps everybody's records, tells balancers of changes directly,
//! and, on a balancer, asks suspects in person. Pure: time and randomness are handed in; whoever owns it
//! does what the effects say, and wakes it at `next_deadline`.

mod api;
mod cures;
mod departed;
mod directory;
mod doubts;
mod forget;
mod gossip;
mod item;
mod leave;
mod onlooker;
mod outbox;
mod overslept;
mod packet;
mod question;
mod refusals;
mod spread;
mod sync;
mod timers;
mod vitals;
mod watch;

use std::{
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
    num::NonZeroUsize,
};

use bytes::Bytes;
use foca::{Foca, PostcardCodec};
use rand::{RngExt, SeedableRng, rngs::StdRng};

pub use api::{Effect, Input, Known, NodeConfig, Outcome, Why};
pub use cures::Cures;
pub use onlooker::Onlooker;

use self::{
    departed::Departed,
    directory::Directory,
    doubts::Doubts,
    leave::Phase,
    outbox::{Items, Outbox},
    spread::Pending,
    timers::{Alarm, Timers},
    vitals::Vitals,
    watch::Watch,
};
use super::{
    identity::Identity,
    message::{Message, MessageError},
    records::{self, RecordError, Records},
};
use crate::model::{Histogram, Liveness, Member, Moment, NodeName, RawRecord, Snapshot, Verdict};

/// What was refused since the start, by a short reason.
pub type Refused = BTreeMap<&'static str, u64>;

type Core = Foca<Identity, PostcardCodec, StdRng, Items>;

/// One node of the cluster.
#[expect(clippy::struct_excessive_bools, reason = "facts that do not hang together")]
pub struct Node {
    config: NodeConfig,
    foca: Core,
    outbox: Outbox,
    timers: Timers,
    directory: Directory,
    records: Records,
    /// Members that were gone before this life.
    departed: Departed,
    /// Our record as it was last told.
    own: RawRecord,
    phase: Phase,
    synced: bool,
    rng: StdRng,
    /// Where our beat lies, so that not all nodes of a cluster do all at the same time.
    offset: Moment,
    /// The highest epoch that was heard under our name.
    heard: Option<u64>,
    /// The size of the cluster that foca is set for.
    size: usize,
    /// The probe that may not be answered yet: its number, whom, and the packet.
    probe: Option<(u8, Identity, Bytes)>,
    /// Suspects that are told so again and again.
    suspects: HashSet<Identity>,
    watch: Watch,
    doubts: Doubts,
    /// Whether an alarm is set to greet.
    greeting: bool,
    /// Balancers that have not acknowledged our record.
    pending: BTreeMap<NodeName, Pending>,
    /// When missing records are next asked for.
    pull_at: Option<Moment>,
    refused: Refused,
    probes_failed: u64,
    vitals: Vitals,
    /// Of the call that runs: the time, the effects, whether to look at all of foca's members again, or at
    /// which, whether the snapshot is another.
    now: Moment,
    out: Vec<Effect>,
    dirty: bool,
    touched: Vec<NodeName>,
    changed: bool,
}

impl Node {
    /// A node that begins now, alone. It joins when its owner exchanges with somebody.
    ///
    /// # Errors
    /// A record that is too long.
    pub fn new(config: NodeConfig, mut rng: StdRng, now: Moment) -> Result<Self, RecordError> {
        let (identity, profile) = (config.identity.clone(), config.profile);
        let own = RawRecord {
            node: identity.name().to_string(),
            epoch: identity.epoch(),
            version: 0,
            ..config.record.clone()
        };
        records::encode(&own)?;
        let foca_rng = StdRng::from_rng(&mut rng);
        let foca_config = profile.config(1, packet_size(config.max_payload), config.cures);
        let foca = Foca::with_custom_broadcast(identity, foca_config, foca_rng, PostcardCodec, Items);
        let synced = !config.joins;
        let mut node = Self {
            config,
            foca,
            outbox: Outbox::default(),
            timers: Timers::default(),
            directory: Directory::default(),
            records: Records::default(),
            departed: Departed::new(now),
            own: own.clone(),
            phase: Phase::Running,
            synced,
            offset: rng.random_range(Moment::ZERO..=profile.beat),
            rng,
            heard: None,
            size: 1,
            probe: None,
            suspects: HashSet::new(),
            watch: Watch::default(),
            doubts: Doubts::default(),
            greeting: false,
            pending: BTreeMap::new(),
            pull_at: None,
            refused: Refused::new(),
            probes_failed: 0,
            vitals: Vitals::default(),
            now,
            out: Vec::new(),
            dirty: false,
            touched: Vec::new(),
            changed: true,
        };
        node.publish(own);
        node.begin_exchanges();
        node.watch();
        node.forget();
        Ok(node)
    }

    /// Takes an input. What must be done is added to `effects`, in order.
    pub fn handle(&mut self, now: Moment, input: Input<'_>, effects: &mut Vec<Effect>) {
        self.now = now;
        self.watch.note(&input, now);
        match input {
            Input::Datagram { from, payload } => self.datagram(from, payload),
            Input::Exchange(exchange) => self.exchanged(exchange),
            Input::Asked { who, outcome } => self.asked(&who, outcome),
            Input::Failing(names) => self.failing(names),
            Input::Record(record) => self.say(record),
            Input::Moved(addr) => self.moved(addr),
            Input::Leave => self.leave(),
        }
        self.finish(effects);
    }

    /// Does what is due. Datagrams that wait are to be handled first: an answer may be among them.
    pub fn tick(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.now = now;
        self.excuse_others();
        while let Some(alarm) = self.timers.pop(now) {
            self.alarm(alarm);
        }
        self.finish(effects);
    }

    /// When [`Node::tick`] is next due, if ever.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.timers.next()
    }

    /// Who this node is now: a renewed life has another epoch.
    pub fn identity(&self) -> &Identity {
        self.foca.identity()
    }

    /// What this node says of itself, as it was last told.
    pub fn record(&self) -> &RawRecord {
        &self.own
    }

    /// Everybody that is known, this node included.
    pub fn snapshot(&self) -> Snapshot {
        let mut members = self.directory.members(&self.records);
        self.departed.complete(&mut members);
        let own = self.identity();
        let me = Member {
            name: own.name().clone(),
            epoch: own.epoch(),
            addr: own.addr(),
            liveness: if self.phase == Phase::Running { Liveness::Alive } else { Liveness::Left },
            verdict: Verdict::Unasked,
            since: Moment::ZERO,
            record: Some(self.own.clone()),
            refused: None,
        };
        members.insert(own.name().clone(), me);
        Snapshot { source: "gossip".into(), synced: self.synced, members, ..Snapshot::default() }
    }

    /// What is known of a name: the join handshake answers with it.
    pub fn known(&self, name: &NodeName) -> Option<Known> {
        if name == self.identity().name() {
            return Some(Known { identity: self.identity().clone(), liveness: Liveness::Alive });
        }
        let entry = self.directory.get(name)?;
        Some(Known { identity: entry.identity.clone(), liveness: entry.liveness })
    }

    /// Whether a living member (a suspect is one) is reached at this address: if not, a join address is tried again.
    pub fn is_living(&self, addr: SocketAddr) -> bool {
        self.directory.living().any(|entry| entry.identity.addr() == addr)
    }

    /// What was refused since the start: garbage, forgeries, more than is kept.
    pub fn refused(&self) -> &Refused {
        &self.refused
    }

    /// How many of our probes got no answer since the start, whether or not their members then did.
    pub fn probes_failed(&self) -> u64 {
        self.probes_failed
    }

    /// How long those that were answered to us took, since the start.
    pub fn probe_times(&self) -> &Histogram {
        self.vitals.answered()
    }

    /// How well this node does by its own measure: 0 is well, 8 the worst. A probe that nobody has an answer to adds
    /// one, as does standing still for longer than an answer may take; an answer takes one away.
    pub fn health_score(&self) -> u8 {
        self.vitals.score()
    }

    /// How often others were found to be so since the start: as newcomers, or as they were not before.
    pub fn transitions(&self) -> &BTreeMap<Liveness, u64> {
        &self.directory.transitions
    }

    fn datagram(&mut self, from: SocketAddr, payload: &[u8]) {
        match Message::decode(payload) {
            Err(MessageError::Kind(_)) => self.count("unknown message"),
            Err(_) => self.count("malformed message"),
            // Who leaves waits for these.
            Ok(Message::Ack(ack)) => self.acked(&ack),
            Ok(_) if self.is_deaf() => {}
            Ok(Message::Foca(packet)) => self.packet(packet),
            Ok(Message::Push(push)) => self.pushed(from, &push),
            Ok(Message::Announce(announce)) => self.announced(from, &announce),
            Ok(Message::Ping(ping)) => self.pinged(from, &ping),
            Ok(Message::Pong(pong)) => self.ponged(&pong),
            Ok(Message::Held(held)) => drop(self.admit(vec![foca::Member::alive(held.holder)])),
        }
    }

    fn alarm(&mut self, alarm: Alarm) {
        match alarm {
            Alarm::Foca(timer) => self.timer(timer),
            Alarm::ProbeAgain(number) => self.probe_again(number),
            Alarm::SuspectAgain(suspect) => self.suspect_again(&suspect),
            Alarm::Greet => self.greet(),
            Alarm::Resend(balancer) => self.resend(&balancer),
            Alarm::Pull => self.pull(),
            Alarm::Exchange => self.exchange(),
            Alarm::AskAgain(who) => self.ask_again(&who),
            Alarm::Verdict(who) => self.verdict(&who),
            Alarm::Ask(who) => self.ask_anew(&who),
            Alarm::Watch => self.watch(),
            Alarm::Watched(who) => self.watched(&who),
            Alarm::Down(suspect, incarnation) => self.declare_down(&suspect, incarnation),
            Alarm::Overdue(suspect) => self.tell_suspect(&suspect),
            Alarm::Goodbye => self.goodbye(),
            Alarm::Gone => self.gone(),
            Alarm::Forget => self.forget(),
        }
    }

    /// Looks at foca's members again, if they may be others, and reacts to what is new.
    fn refresh(&mut self) {
        let (all, touched) = (std::mem::take(&mut self.dirty), std::mem::take(&mut self.touched));
        if !all && touched.is_empty() {
            return;
        }
        let own = self.foca.identity().name();
        let states = self.foca.iter_membership_state().filter(|member| all || touched.contains(member.id().name()));
        let names = self.directory.refresh(states, own, &self.records, self.now);
        self.changed |= !names.is_empty();
        for name in &names {
            self.consider_asking(name);
            self.consider_telling(name);
            self.consider_pushing(name);
        }
        if !names.is_empty() {
            let at = self.now + self.grace();
            self.pull_at(at);
        }
        self.resize();
    }

    /// Sets foca for the size of the cluster.
    fn resize(&mut self) {
        let size = self.foca.num_members() + 1;
        if size == self.size {
            return;
        }
        self.size = size;
        let config = self.config.profile.config(size, packet_size(self.config.max_payload), self.config.cures);
        self.foca.set_config(config).expect("periods and periodic tasks are the same for every size");
    }

    fn send(&mut self, to: SocketAddr, message: &Message<'_>) {
        self.out.push(Effect::Send { to, payload: message.encode() });
    }

    fn count(&mut self, reason: &'static str) {
        *self.refused.entry(reason).or_default() += 1;
    }

    fn finish(&mut self, effects: &mut Vec<Effect>) {
        self.refresh();
        effects.append(&mut self.out);
        if std::mem::take(&mut self.changed) {
            effects.push(Effect::Changed);
        }
    }
}

/// What foca may use of a datagram: our own tag takes one byte.
fn packet_size(max_payload: usize) -> NonZeroUsize {
    NonZeroUsize::new(max_payload.saturating_sub(1)).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests;

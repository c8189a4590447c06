//! The one task that owns the node, its timer and its UDP socket. It never waits for anything but its next
//! input: exchanges, questions and files are others' futures, which report back through the mailbox.

mod clock;
mod jobs;
mod radio;
mod saver;

use std::sync::Arc;

use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use self::{
    clock::Clock,
    jobs::Jobs,
    radio::{Radio, Received},
};
use super::{
    Announcement, Settings,
    counters::Counters,
    epoch::Store,
    error::Error,
    exchange::Exchange,
    identity::Identity,
    mailbox::Command,
    node::{Cures, Effect, Input, Node, NodeConfig},
    records,
    start::Cluster,
    sync::Speaker,
    view::{Publisher, View},
    wire::{MAX_DATAGRAM, OVERHEAD},
};
use crate::model::{Moment, RawRecord};

/// Datagrams taken in one turn: what else there is to do must not wait for a flood to end.
const DATAGRAMS: usize = 64;
/// Turns' worth of datagrams taken before the node judges who did not answer.
const TURNS: usize = 16;

/// What runs.
pub(super) struct Task {
    node: Node,
    /// To begin once more with a higher epoch, while nobody has heard of this one.
    config: NodeConfig,
    /// Whether anybody may have.
    introduced: bool,
    radio: Radio,
    clock: Clock,
    commands: mpsc::Receiver<Command>,
    publisher: Publisher,
    speaker: watch::Sender<Speaker>,
    jobs: Jobs,
    store: Option<Store>,
    /// The last epoch that is set aside in the store.
    reserved: u64,
    counters: Arc<Counters>,
    started: Instant,
    leaving: Vec<oneshot::Sender<()>>,
    effects: Vec<Effect>,
    end: Option<Result<(), Error>>,
}

impl Task {
    /// The task of a bound node, and the listener, which is not its business.
    pub(super) fn new(cluster: Cluster, first: Announcement) -> Result<(Self, TcpListener), Error> {
        let Cluster { settings, sockets, handle, publisher, speaker, commands, kept, reserved, store, place, .. } =
            cluster;
        let config = config(&settings, speaker.borrow().hello.from.clone(), first);
        fits(&config.record)?;
        let mut jobs = Jobs::new(&handle);
        let node = Node::new(config.clone(), rand::make_rng(), handle.started.elapsed())
            .map_err(|_| too_large(&config.record))?;
        let radio = Radio::new(sockets.udp, sockets.local, &speaker.borrow(), Arc::clone(&handle.counters));
        let clock = Clock::new().map_err(Error::Timer)?;
        jobs.join(&settings, &kept);
        if let Some(place) = place {
            jobs.spawn(place.follow(handle.watch(), handle.mailbox.clone()));
        }
        if let Some(store) = store.clone() {
            jobs.spawn(saver::keep(store, handle.watch(), kept.members));
        }
        let mut task = Self {
            node,
            config,
            introduced: false,
            radio,
            clock,
            commands,
            publisher,
            speaker,
            jobs,
            store,
            reserved,
            counters: handle.counters,
            started: handle.started,
            leaving: Vec::new(),
            effects: Vec::new(),
            end: None,
        };
        task.publisher.touch();
        Ok((task, sockets.tcp))
    }

    /// Runs until the node has left, or cannot go on.
    pub(super) async fn run(&mut self) -> Result<(), Error> {
        loop {
            self.act();
            if let Some(end) = self.end.take() {
                self.publisher.flush(|| view(&self.node));
                return end;
            }
            self.publisher.publish(|| view(&self.node));
            self.counters.of_node(&self.node);
            self.clock.set(self.due());
            // Every arm is cancel-safe: readiness stays until it is used, channels and sets keep what was not
            // taken, and a clock that was not heard rings on. Unbiased, so that no flood of one starves the others.
            tokio::select! {
                () = self.radio.readable() => { self.receive(); }
                Some(command) = self.commands.recv() => self.command(command),
                () = self.jobs.reap() => {}
                () = self.clock.rings() => {}
            }
            self.tick();
        }
    }

    fn now(&self) -> Moment {
        self.started.elapsed()
    }

    /// When to wake, whatever comes.
    fn due(&self) -> Option<Instant> {
        let node = self.node.next_deadline().map(|moment| self.started + moment);
        node.into_iter().chain(self.publisher.due()).min()
    }

    /// Does what is due. What has been received is looked at first: an answer may be among it that came in
    /// time, though this task did not.
    fn tick(&mut self) {
        if self.node.next_deadline().is_some_and(|due| due <= self.now()) {
            // After a standstill there is more than one turn's worth.
            for _ in 0..TURNS {
                if !self.receive() {
                    break;
                }
            }
            let now = self.now();
            self.node.tick(now, &mut self.effects);
        }
    }

    /// Takes one turn's worth of datagrams. Whether there may be more.
    fn receive(&mut self) -> bool {
        for _ in 0..DATAGRAMS {
            let now = self.now();
            match self.radio.receive(now) {
                Received::Nothing => return false,
                Received::Rejected => {}
                Received::Taken(from, payload) => {
                    self.introduced = true;
                    self.node.handle(now, Input::Datagram { from, payload: &payload }, &mut self.effects);
                }
            }
        }
        true
    }

    fn handle(&mut self, input: Input<'_>) {
        let now = self.now();
        self.node.handle(now, input, &mut self.effects);
    }

    /// One message. Whether somebody still waits for its answer is no matter: the work is done.
    fn command(&mut self, command: Command) {
        match command {
            Command::Announce(announcement, answer) => drop(answer.send(self.announce(announcement))),
            Command::Leave(answer) => {
                self.leaving.push(answer);
                self.handle(Input::Leave);
            }
            Command::Known(who, answer) => drop(answer.send(self.node.known(who.name()))),
            Command::Outlive(epoch, answer) => {
                self.outlive(epoch);
                answer.send(()).unwrap_or_default();
            }
            Command::Open(answer) => drop(answer.send(self.open())),
            Command::Everything(answer) => drop(answer.send(self.node.everything())),
            Command::Opening(opening, answer) => {
                self.exchanged(&opening);
                drop(answer.send(self.node.answer_exchange(&opening)));
            }
            Command::Answer(told, answer) => {
                self.exchanged(&told);
                drop(answer.send(self.node.finish_exchange(&told)));
            }
            Command::Remainder(told) => self.exchanged(&told),
            Command::Asked(who, outcome) => self.handle(Input::Asked { who, outcome }),
            Command::Failing(names) => self.handle(Input::Failing(&names)),
            Command::Moved(addr) => self.handle(Input::Moved(addr)),
            Command::GiveUp(error) => self.end = Some(Err(error)),
        }
    }

    fn open(&mut self) -> Exchange {
        self.introduced = true;
        self.node.open_exchange()
    }

    fn exchanged(&mut self, exchange: &Exchange) {
        self.introduced = true;
        self.handle(Input::Exchange(exchange));
    }

    fn announce(&mut self, announcement: Announcement) -> Result<u64, Error> {
        let record = announced(&self.config.record, announcement);
        fits(&record)?;
        self.config.record = record.clone();
        self.handle(Input::Record(record));
        // Whoever has the version must find it in the view.
        self.act();
        self.publisher.flush(|| view(&self.node));
        Ok(self.node.record().version)
    }

    /// The cluster knows this name in a later life: begins above it. While nobody has heard of this life
    /// there is nobody to tell; once somebody has, the node itself finds out and renews.
    fn outlive(&mut self, epoch: u64) {
        if self.introduced || epoch < self.node.identity().epoch() {
            return;
        }
        self.config.identity = self.node.identity().renewed(Some(epoch));
        let Ok(node) = Node::new(self.config.clone(), rand::make_rng(), self.now()) else { return };
        self.node = node;
        self.effects = vec![Effect::Changed];
        self.reborn();
    }

    /// This life has another epoch: it is kept, and said to whomever this node speaks from now on.
    fn reborn(&mut self) {
        self.reserve();
        let identity = self.node.identity().clone();
        self.speaker.send_modify(|speaker| {
            speaker.boot = speaker.boot.max(identity.epoch());
            speaker.hello.from = identity;
        });
        self.radio.boot(self.speaker.borrow().boot);
    }

    /// Has the store ahead of the node's epoch. The task waits for the disk here, which is rare: only once as
    /// many lives are over as are set aside at a time, or where a far later one was heard of.
    fn reserve(&mut self) {
        let epoch = self.node.identity().epoch();
        let Some(store) = self.store.as_ref().filter(|_| epoch > self.reserved) else { return };
        self.reserved = store.reserve(epoch).unwrap_or_else(|error| {
            tracing::warn!("{error}; after a restart the cluster's memory has to do");
            epoch
        });
    }

    /// Does what the node wants done.
    fn act(&mut self) {
        // Before the first word of another life.
        self.reserve();
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Send { to, payload } => self.radio.send(to, &payload),
                Effect::Exchange { with, .. } => self.jobs.exchange(with),
                Effect::AskTcp { who, within } => self.jobs.knock(who, within),
                Effect::Changed => self.publisher.touch(),
                Effect::Renewed { epoch, moved } => {
                    if let Some(addr) = moved {
                        tracing::info!(epoch, %addr, "this host's address is another now");
                    } else {
                        tracing::info!(epoch, "declared down, and here again");
                    }
                    self.reborn();
                }
                Effect::NameLost { by } => {
                    self.end = Some(Err(Error::NameLost { node: by.name().clone(), holder: by.addr() }));
                }
                Effect::Left => {
                    self.leaving.drain(..).for_each(|answer| answer.send(()).unwrap_or_default());
                    self.end = Some(Ok(()));
                }
            }
        }
    }
}

fn config(settings: &Settings, identity: Identity, first: Announcement) -> NodeConfig {
    let record = RawRecord { node: settings.node.to_string(), kind: settings.kind, ..RawRecord::default() };
    NodeConfig {
        identity,
        profile: settings.profile,
        record: announced(&record, first),
        joins: !settings.join.is_empty(),
        max_payload: MAX_DATAGRAM - OVERHEAD,
        cures: Cures::default(),
    }
}

fn announced(record: &RawRecord, announcement: Announcement) -> RawRecord {
    let Announcement { state, services, tags, by_hand, plane_stays } = announcement;
    RawRecord { state, services, tags, by_hand, plane_stays, ..record.clone() }
}

/// Whether a record fits in any life and version of its node.
fn fits(record: &RawRecord) -> Result<(), Error> {
    let longest = RawRecord { epoch: u64::MAX, version: u64::MAX, ..record.clone() };
    records::encode(&longest).map(drop).map_err(|_| too_large(record))
}

fn too_large(record: &RawRecord) -> Error {
    Error::RecordTooLarge { node: record.node.clone(), limit: records::MAX_RECORD }
}

fn view(node: &Node) -> View {
    View { snapshot: node.snapshot(), me: node.record().clone(), addr: node.identity().addr() }
}

//! A node from its settings: bound, then run. What can fail for a reason that the operator can cure fails
//! here, before anything is sent.

use std::{
    sync::{Arc, Mutex},
    time::SystemTime,
};

use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    Announcement, DrainQuestion, Handle, Settings,
    counters::Counters,
    epoch::{Kept, Store},
    error::Error,
    identity::{Identity, first_epoch},
    mailbox::{Command, Mailbox},
    orders::ORDERS,
    place::Place,
    sync::{Asked, Desk, Hello, Server, Speaker},
    task::Task,
    transport::Sockets,
    view::{Publisher, View},
    wire::{Envelope, sender_id},
};
use crate::model::{Kind, RawRecord, Snapshot};

/// Questions about drains that wait to be taken; more wait at their streams.
const DRAIN_QUESTIONS: usize = 64;

/// A node that is bound and not yet running.
#[derive(Debug)]
pub struct Cluster {
    pub(super) settings: Settings,
    pub(super) sockets: Sockets,
    pub(super) handle: Handle,
    pub(super) publisher: Publisher,
    pub(super) speaker: watch::Sender<Speaker>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) drains: Option<mpsc::Sender<DrainQuestion>>,
    pub(super) kept: Kept,
    /// The last epoch that may be spoken before others are set aside.
    pub(super) reserved: u64,
    pub(super) store: Option<Store>,
    /// Where nobody said what it is: what finds this node's address anew.
    pub(super) place: Option<Place>,
}

impl Cluster {
    /// Binds the sockets and reads what was kept. Nothing is sent yet.
    ///
    /// # Errors
    /// A port that is taken, no address to advertise, a data folder that cannot be written.
    pub async fn bind(settings: Settings) -> Result<(Self, Handle), Error> {
        let started = Instant::now();
        let sockets = Sockets::bind(settings.bind)?;
        let (addr, place) = Place::find(sockets.local, settings.advertise, &settings.join).await?;
        let store = settings.data_dir.as_deref().map(Store::open).transpose()?;
        let last = store.as_ref().map_or(Ok(None), Store::read)?;
        let epoch = first_epoch(wall_ms(), last.as_ref().map(|last| last.epoch), None);
        let kept = Kept::new(epoch, last.map(|last| last.members).unwrap_or_default());
        // Before anything is sent: what is written down must never be behind what others have seen.
        let reserved = store.as_ref().map_or(Ok(u64::MAX), |store| store.reserve_first(epoch))?;
        let identity = Identity::new(settings.node.clone(), epoch, addr);
        let (speaker, speakers) = watch::channel(speaker(&settings, &identity));
        let (publisher, views) = Publisher::new(first_view(&settings, &identity));
        let (mailbox, commands) = Mailbox::new();
        let (drains, questions) = match settings.kind {
            Kind::Balancer => Some(mpsc::channel(DRAIN_QUESTIONS)).unzip(),
            Kind::Agent => (None, None),
        };
        let (orders, inbound_orders) = match settings.kind {
            Kind::Agent => Some(mpsc::channel(ORDERS)).unzip(),
            Kind::Balancer => (None, None),
        };
        let handle = Handle {
            views,
            speaker: speakers,
            mailbox,
            counters: Arc::new(Counters::default()),
            started,
            drains: Arc::new(Mutex::new(questions)),
            orders,
            inbound_orders: Arc::new(Mutex::new(inbound_orders)),
        };
        let result = handle.clone();
        Ok((
            Self { settings, sockets, handle, publisher, speaker, commands, drains, kept, reserved, store, place },
            result,
        ))
    }

    /// Takes part in the cluster until it has left, or until `stop`: then at once and without a word, as
    /// after a crash.
    ///
    /// # Errors
    /// The record is too large, the name is another living node's, or nobody could be joined within
    /// `join_timeout`.
    pub async fn run(self, first: Announcement, stop: CancellationToken) -> Result<(), Error> {
        let Self { handle, drains, .. } = &self;
        let speaker = handle.speaker.clone();
        let asked = Asked { drains: drains.clone(), orders: handle.orders.clone() };
        let desk = Desk::new(speaker, handle.mailbox.clone(), asked, Arc::clone(&handle.counters));
        let (mut task, listener) = Task::new(self, first)?;
        // All three end with the first that does; what they spawned is theirs, and ends with them.
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            () = (Server { listener, desk }).run() => Err(Error::Ended),
            result = task.run() => result,
        }
    }
}

fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn speaker(settings: &Settings, identity: &Identity) -> Speaker {
    Speaker {
        envelope: Arc::new(Envelope::new(&settings.label, settings.keyring.clone())),
        sender: sender_id(identity.name().as_str(), identity.addr()),
        boot: identity.epoch(),
        hello: Hello { from: identity.clone(), number: [0; 16].into() },
    }
}

/// Until the node runs: nobody, and this node as it will be.
pub(super) fn first_view(settings: &Settings, identity: &Identity) -> View {
    let (node, epoch) = (settings.node.to_string(), identity.epoch());
    let me = RawRecord { node, epoch, kind: settings.kind, ..RawRecord::default() };
    let snapshot = Snapshot { source: "gossip".into(), synced: false, ..Snapshot::default() };
    View { snapshot, me, addr: identity.addr() }
}

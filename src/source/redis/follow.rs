//! Follows the keys for ever. A session subscribes first and lists then, so that nothing happens unseen in between; from
//! then on it reads each key that something happened to. All keys are read again from time to time, for Redis says
//! nothing of a database that is emptied. What it says is kept in our memory until it is taken here: each key once.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt};
use redis::{
    Msg, RedisResult,
    aio::{MultiplexedConnection, PubSubSink, PubSubStream},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};

use super::{
    connect::{Connector, SILENT, said},
    keys::{Key, Keys},
    marked::Marked,
    notices::{Notices, notices},
    pulse::Pulse,
    read,
};
use crate::{
    model::{EndpointId, Snapshot, SourceName},
    source::{
        Store, Writes,
        followed::{self, Again},
        frontends::{Backend, Frontends},
    },
};

/// How often all keys are read where Redis says what changes.
const RESYNC: Duration = Duration::from_secs(60);
/// How often they are where it does not. Whatever the reason, all keys are read at most so often, and so that it takes at
/// most a tenth of the time: others may work with that Redis too.
const LOOK: Duration = Duration::from_secs(2);
/// How often it is asked whether it is still the same and speaks, and how long it may think about it.
const PULSE: Duration = Duration::from_secs(2);
const PONG: Duration = Duration::from_secs(5);

/// How long it may take until it is subscribed to what it says.
const CONNECT: Duration = Duration::from_secs(15);

/// Hipache's channel on which marks are told, whatever the settings.
const DEAD: &str = "dead";
/// The longest message there that is looked at, in bytes: a host and a URL are shorter.
const DEAD_MAX: usize = 1024;

/// Follows one Redis.
pub(super) struct Follower {
    reader: Connector,
    keys: Keys,
    frontends: Frontends,
    sender: watch::Sender<Arc<Snapshot>>,
    notify: bool,
    down: Option<watch::Receiver<Arc<BTreeSet<EndpointId>>>>,
    /// What is to be marked, while it is followed.
    wants: watch::Sender<Vec<Backend>>,
    /// The hosts for which that was done: to be read back.
    done: mpsc::Receiver<Vec<String>>,
    marked: Marked,
    /// What was said of the notifications last.
    said: Option<Notices>,
    /// Why what was published last is not all that there is, until a listing is believed again.
    trouble: Option<String>,
    /// When all keys may be read again.
    rested_at: Instant,
}

/// What is connected.
struct Session {
    commands: MultiplexedConnection,
    sink: PubSubSink,
    told: PubSubStream,
    /// Why it may not subscribe, if so.
    deaf: Option<String>,
    is_told: bool,
    resync_at: Instant,
    pulse_at: Instant,
    pulse: Pulse,
}

/// Why the session has something to do.
enum Wake {
    Told(Option<Msg>),
    Resync,
    Expired,
    Pulse,
    Down,
    Marked(Vec<String>),
}

impl Follower {
    /// One that has read nothing yet; it says what is to be marked, and is told what was.
    pub(super) fn new(
        store: Store,
        writes: Writes,
        sender: watch::Sender<Arc<Snapshot>>,
        (wants, done): (watch::Sender<Vec<Backend>>, mpsc::Receiver<Vec<String>>),
    ) -> Self {
        let source = SourceName::clone(&sender.borrow().source);
        Self {
            keys: Keys::of(&store),
            frontends: Frontends::new(source, &store.prefix),
            wants,
            done,
            reader: Connector::reader(store),
            sender,
            notify: writes.notify,
            down: writes.down,
            marked: Marked::default(),
            said: None,
            trouble: None,
            rested_at: Instant::now(),
        }
    }

    /// Never ends by itself.
    pub(super) async fn run(mut self) {
        let mut again = Again::new();
        loop {
            let began = Instant::now();
            let Err(why) = self.session().await;
            self.trouble = Some(why);
            self.publish();
            // Who knows whether they still fail, or stand there, when it is back.
            self.wants.send_replace(Vec::new());
            again.pause(began.elapsed()).await;
            sleep_until(self.rested_at).await;
        }
    }

    async fn session(&mut self) -> Result<std::convert::Infallible, String> {
        let connected = timeout(CONNECT, self.connect()).await;
        let mut session = connected.map_err(|_| SILENT.to_owned())??;
        self.resync(&mut session).await?;
        loop {
            self.want();
            let wake = self.wait(&mut session).await;
            let dirty = match wake {
                Wake::Told(None) => return Err("the connection is lost".into()),
                Wake::Told(Some(message)) => self.told(&mut session, &message),
                Wake::Expired => self.marked.expired(Instant::now()),
                Wake::Resync => {
                    self.resync(&mut session).await?;
                    BTreeSet::new()
                }
                Wake::Pulse => {
                    self.feel(&mut session).await?;
                    BTreeSet::new()
                }
                Wake::Down => BTreeSet::new(),
                Wake::Marked(hosts) => hosts.into_iter().map(Key::Dead).collect(),
            };
            self.read(&mut session, dirty).await?;
        }
    }

    /// Subscribes: what happens from then on is not missed.
    async fn connect(&self) -> Result<Session, String> {
        let mut commands = self.reader.connection().await?;
        let (mut sink, told) = self.reader.told().await?.split();
        let deaf = refused(sink.psubscribe(&self.keys.channels()).await)?;
        // Where that is refused, its marks are found by their keys.
        refused(sink.subscribe(DEAD).await)?;
        let pulse = Pulse::of(&mut commands).await?;
        let now = Instant::now();
        Ok(Session { commands, sink, told, deaf, is_told: false, resync_at: now, pulse_at: now + PULSE, pulse })
    }

    /// Cancel-safe: what was not taken stays where it is.
    async fn wait(&mut self, session: &mut Session) -> Wake {
        let expiry = self.marked.next();
        let expired = async {
            match expiry {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = session.told.next() => Wake::Told(message),
            () = sleep_until(session.resync_at) => Wake::Resync,
            () = sleep_until(session.pulse_at) => Wake::Pulse,
            () = expired => Wake::Expired,
            () = followed::changed(&mut self.down) => Wake::Down,
            Some(hosts) = self.done.recv() => Wake::Marked(hosts),
        }
    }

    /// The keys that this message and those behind it are about: read together, each once.
    fn told(&self, session: &mut Session, first: &Msg) -> BTreeSet<Key> {
        let mut dirty = BTreeSet::new();
        dirty.extend(self.about(first));
        while let Some(Some(message)) = session.told.next().now_or_never() {
            dirty.extend(self.about(&message));
        }
        dirty
    }

    fn about(&self, message: &Msg) -> Option<Key> {
        let channel = message.get_channel_name();
        if channel == DEAD {
            // frontend;url;id;len
            let payload = Some(message.get_payload_bytes()).filter(|payload| payload.len() <= DEAD_MAX)?;
            let payload = String::from_utf8_lossy(payload);
            return payload.split(';').next().map(|host| Key::Dead(host.to_owned()));
        }
        self.keys.of_channel(channel)
    }

    async fn read(&mut self, session: &mut Session, dirty: BTreeSet<Key>) -> Result<(), String> {
        if dirty.is_empty() {
            return Ok(());
        }
        let found = read::these(&mut session.commands, &self.keys, &self.marked.together(dirty)).await?;
        self.marked.keep(&found.dead, Instant::now());
        self.frontends.apply(found.read());
        self.publish();
        Ok(())
    }

    /// Reads all keys. An emptied database is what a Redis without its disk comes back with: where several frontends were
    /// known, that there is none is not taken.
    async fn resync(&mut self, session: &mut Session) -> Result<(), String> {
        let now = match &session.deaf {
            Some(why) => Notices::Deaf(why.clone()),
            None => notices(&mut session.commands, self.notify).await,
        };
        session.is_told = now == Notices::On;
        self.say(now);
        let began = Instant::now();
        let found = read::all(&mut session.commands, &self.keys).await;
        // One that failed may have waited most of that time for a server that is silent.
        let times = if found.is_ok() { 10 } else { 1 };
        let rest = LOOK.max(began.elapsed() * times);
        self.rested_at = Instant::now() + rest;
        session.resync_at = if session.is_told { Instant::now() + RESYNC.max(rest) } else { self.rested_at };
        let found = found?;
        let mut marked = Marked::default();
        marked.keep(&found.dead, Instant::now());
        let read = found.read();
        self.trouble = self.frontends.emptied(&read);
        if self.trouble.is_none() {
            self.marked = marked;
            self.frontends.replace(read);
        }
        self.publish();
        Ok(())
    }

    /// Whether the side on which nothing need ever come still lives; and whether something happened of which nothing is
    /// said: all keys are read then.
    async fn feel(&mut self, session: &mut Session) -> Result<(), String> {
        let pong = timeout(PONG, session.sink.ping::<redis::Value>()).await;
        refused(pong.map_err(|_| SILENT.to_owned())?.map(drop))?;
        let pulse = Pulse::of(&mut session.commands).await?;
        if pulse.is_another(&session.pulse, self.frontends.known()) {
            session.resync_at = session.resync_at.min(self.rested_at);
        }
        (session.pulse, session.pulse_at) = (pulse, Instant::now() + PULSE);
        Ok(())
    }

    /// Has what the data plane knows to fail marked, where nobody has marked it yet.
    fn want(&self) {
        let Some(down) = &self.down else { return };
        let unmarked = self.frontends.unmarked(&down.borrow());
        self.wants.send_if_modified(|wanted| std::mem::replace(wanted, unmarked.clone()) != unmarked);
    }

    /// Says aloud where Redis does not say what changes, once.
    fn say(&mut self, now: Notices) {
        if self.said.as_ref() == Some(&now) {
            return;
        }
        let every = LOOK.as_secs();
        let source = SourceName::clone(&self.sender.borrow().source);
        match &now {
            Notices::On => tracing::info!("{source}: keyspace notifications are on: changes are followed at once"),
            Notices::Off(flags) => tracing::warn!(
                "{source}: notify-keyspace-events is {flags:?}: the keys are read every {every} s; --redis-notify switches \
                 it on"
            ),
            Notices::Refused(flags, why) => tracing::warn!(
                "{source}: notify-keyspace-events is {flags:?} and could not be switched on: {why}: the keys are read \
                 every {every} s"
            ),
            Notices::Unknown(why) => tracing::warn!(
                "{source}: whether it says what changes is not known ({why}): the keys are read every {every} s too"
            ),
            Notices::Deaf(why) => {
                tracing::warn!("{source}: it may not say what changes ({why}): the keys are read every {every} s");
            }
        }
        self.said = Some(now);
    }

    /// What is known, and what keeps it from being what there is now.
    fn publish(&self) {
        followed::publish(&self.sender, &self.frontends, self.trouble.clone());
    }
}

/// Why an account may not do that, if so; every other error is one.
fn refused(outcome: RedisResult<()>) -> Result<Option<String>, String> {
    match outcome {
        Err(error) if error.code() == Some("NOPERM") => Ok(Some(said(&error))),
        outcome => outcome.map(|()| None).map_err(|e| said(&e)),
    }
}

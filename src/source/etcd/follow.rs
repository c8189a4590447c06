//! Follows the keys for ever. A session lists them and watches from the revision behind that on, so that nothing happens
//! unseen in between; where anything fails the next one lists anew, at the next server.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use super::{
    client::Client,
    keys::Keys,
    mark::Marker,
    watch::Watch,
    wire::{self, Event},
};
use crate::{
    model::{EndpointId, Snapshot, SourceName},
    source::{
        Store, Writes,
        followed::{self, Again},
        frontends::{Frontends, Read},
    },
};

/// How often the server is asked whether it still speaks for the cluster: one cut off from the others keeps its watches,
/// and says nothing on them. How long it may think about it: it knows after 7 s that it is alone.
const PING: Duration = Duration::from_secs(5);
const PONG: Duration = Duration::from_secs(8);
/// How long a session lasts at most: whatever it missed unnoticed, the next one reads.
const SESSION: Duration = Duration::from_secs(300);

/// Follows one etcd.
pub(super) struct Follower {
    client: Client,
    keys: Keys,
    frontends: Frontends,
    sender: watch::Sender<Arc<Snapshot>>,
    down: Option<watch::Receiver<Arc<BTreeSet<EndpointId>>>>,
    marker: Marker,
}

/// Why the session has something to do.
enum Wake {
    Happened(Result<Vec<Event>, String>),
    Ping,
    Down,
    Over,
}

impl Follower {
    pub(super) fn new(store: Store, writes: Writes, sender: watch::Sender<Arc<Snapshot>>) -> Self {
        let source = SourceName::clone(&sender.borrow().source);
        Self {
            keys: Keys::of(&store),
            frontends: Frontends::new(source, &store.prefix),
            client: Client::new(store),
            sender,
            down: writes.down,
            marker: Marker::default(),
        }
    }

    /// Never ends by itself.
    pub(super) async fn run(mut self) {
        let mut again = Again::new();
        loop {
            let began = Instant::now();
            if let Err(why) = self.session().await {
                self.publish(Some(why));
                self.client.turn();
                again.pause(began.elapsed()).await;
            }
        }
    }

    /// Ends well where it has lasted long enough.
    async fn session(&mut self) -> Result<(), String> {
        let over = Instant::now() + SESSION;
        let mut watch = self.list().await?;
        let mut ping = Instant::now() + PING;
        loop {
            self.mark().await;
            match self.wait(&mut watch, ping, over).await {
                Wake::Happened(events) => self.happened(&events.map_err(|why| self.client.said(&why))?),
                Wake::Ping => {
                    self.ping().await?;
                    ping = Instant::now() + PING;
                }
                Wake::Down => {}
                Wake::Over => return Ok(()),
            }
        }
    }

    /// Reads all keys; what happens to them from then on.
    async fn list(&mut self) -> Result<Watch, String> {
        let listed = self.client.list(&self.keys).await?;
        if let Some(why) = self.frontends.emptied(&listed.read) {
            return Err(why);
        }
        let watch = self.client.watch(&self.keys, listed.revision + 1).await?;
        self.frontends.replace(listed.read);
        self.publish(None);
        Ok(watch)
    }

    /// Cancel-safe: what was not taken stays where it is.
    async fn wait(&mut self, watch: &mut Watch, ping: Instant, over: Instant) -> Wake {
        tokio::select! {
            events = watch.next() => Wake::Happened(events),
            () = sleep_until(ping) => Wake::Ping,
            () = sleep_until(over) => Wake::Over,
            () = followed::changed(&mut self.down) => Wake::Down,
        }
    }

    /// Asks for a key that is none.
    async fn ping(&mut self) -> Result<(), String> {
        let [key, _] = self.keys.beginnings();
        let asked = wire::key(&key);
        let answer = timeout(PONG, self.client.call::<wire::Range>("/v3/kv/range", &asked)).await;
        answer.map_err(|_| self.client.said("it does not answer"))?.map(drop)
    }

    fn happened(&mut self, events: &[Event]) {
        let mut read = Read::default();
        for event in events {
            self.keys.read(&event.kv.key, event.value(), &mut read);
        }
        self.frontends.apply(read);
        self.publish(None);
    }

    /// Marks what the data plane knows to fail and nobody has marked yet.
    async fn mark(&mut self) {
        let Some(down) = &self.down else { return };
        let unmarked = self.frontends.unmarked(&down.borrow());
        if !unmarked.is_empty() {
            let marked = self.marker.mark(&mut self.client, &self.keys, &unmarked).await;
            self.frontends.apply(marked);
            self.publish(None);
        }
    }

    fn publish(&self, trouble: Option<String>) {
        followed::publish(&self.sender, &self.frontends, trouble);
    }
}

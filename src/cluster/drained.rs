//! The leaver's side of a drain: every living balancer is asked, until all have answered or time is up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{
    identity::Identity,
    sync::{self, DrainAsk, Speaker},
    view::View,
};
use crate::model::{Kind, Liveness, NodeName, RawRecord};

/// Between two questions to one balancer, where the first was cut off.
const AGAIN: Duration = Duration::from_millis(100);
/// How long before the deadline a balancer is to say that it still drains: later nobody would hear it.
const LAST_WORD: Duration = Duration::from_millis(200);
/// Words of balancers that wait to be noted; more are lost, for the next one says the same.
const WORDS: usize = 64;

/// What came of asking the balancers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Those that say it is done.
    pub confirmed: BTreeSet<NodeName>,
    /// Those that live and did not say so in time, and what came of the last question to each.
    pub missing: BTreeMap<NodeName, String>,
    /// Those that failed or left before they said so: nobody waits for them.
    pub dropped: BTreeSet<NodeName>,
}

/// What every question needs.
#[derive(Clone)]
struct Asker {
    views: watch::Receiver<Arc<View>>,
    speaker: watch::Receiver<Speaker>,
    me: RawRecord,
    until: Instant,
    serves: bool,
    /// What each question came to, until one is answered with yes.
    words: mpsc::Sender<(NodeName, String)>,
}

/// Asks for what this node says of itself at the moment of the call; where `serves`, for what does not drain too.
pub(super) async fn wait(
    mut views: watch::Receiver<Arc<View>>,
    speaker: watch::Receiver<Speaker>,
    deadline: Duration,
    serves: bool,
) -> Drained {
    let until = Instant::now() + deadline;
    let me = views.borrow().me.clone();
    let (words, mut said) = mpsc::channel(WORDS);
    let asker = Asker { views: views.clone(), speaker, me, until, serves, words };
    let mut result = Drained::default();
    let mut asks = FuturesUnordered::new();
    loop {
        // One question to each name, for good: it finds out by itself where the name is now.
        let living = living_balancers(&views.borrow_and_update());
        result.dropped.extend(result.missing.keys().cloned());
        result.missing.retain(|name, _| living.contains_key(name));
        result.dropped.retain(|name| !living.contains_key(name));
        for name in living.into_keys().filter(|name| !result.confirmed.contains(name)) {
            result.missing.entry(name).or_insert_with_key(|name| {
                asks.push(asker.clone().ask(name.clone()));
                "no answer in time".into()
            });
        }
        if result.missing.is_empty() {
            return result;
        }
        // Every arm is cancel-safe: the questions live on in `asks`, a watch and a channel keep what was not seen.
        tokio::select! {
            () = sleep_until(until) => return result,
            Some(done) = asks.next(), if !asks.is_empty() => if let Some(name) = done {
                result.missing.remove(&name);
                result.dropped.remove(&name);
                result.confirmed.insert(name);
            },
            Some((name, why)) = said.recv() => drop(result.missing.entry(name).and_modify(|known| *known = why)),
            Ok(()) = views.changed() => {}
        }
    }
}

impl Asker {
    /// Asks one balancer until it says yes, or until the deadline.
    async fn ask(mut self, name: NodeName) -> Option<NodeName> {
        while Instant::now() < self.until {
            let why = match self.ask_once(&name).await {
                Ok(true) => return Some(name),
                Ok(false) if self.serves => "does not serve it yet".to_owned(),
                Ok(false) => "still drains".to_owned(),
                Err(why) => why,
            };
            // Where nobody listens any more, time is up.
            let _late = self.words.try_send((name.clone(), why));
            self.pause().await;
        }
        None
    }

    async fn ask_once(&self, name: &NodeName) -> Result<bool, String> {
        let Some(balancer) = living_balancers(&self.views.borrow()).remove(name) else {
            return Err("is not living now".into());
        };
        let left = self.until.saturating_duration_since(Instant::now());
        let wait = left.saturating_sub(LAST_WORD.min(left / 4));
        let ask = DrainAsk {
            node: self.me.node.clone(),
            epoch: self.me.epoch,
            version: self.me.version,
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            serves: self.serves.then_some(true),
        };
        let speaker = self.speaker.borrow().clone();
        // The loop ends at the deadline by itself.
        sync::drained(speaker, &balancer, ask).await.map_err(|error| error.to_string())
    }

    /// A cut stream often has its reason in the next view: a failure, a new address.
    async fn pause(&mut self) {
        tokio::select! {
            () = sleep(AGAIN) => {}
            Ok(()) = self.views.changed() => {}
        }
    }
}

fn living_balancers(view: &View) -> BTreeMap<NodeName, Identity> {
    let members = view.snapshot.members.values();
    let living = members.filter(|m| matches!(m.liveness, Liveness::Alive | Liveness::Suspect));
    let balancers = living.filter(|m| m.record.as_ref().is_some_and(|r| r.kind == Kind::Balancer));
    let others = balancers.filter(|m| m.name.as_str() != view.me.node);
    others.map(|m| (m.name.clone(), Identity::new(m.name.clone(), m.epoch, m.addr))).collect()
}

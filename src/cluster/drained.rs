//! The leaver's side of a drain: every balancer is asked, until all have answered or time is up. One that is away is asked
//! once it is back.

mod awaited;

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

use self::awaited::{Awaited, awaited};
use super::{
    sync::{self, DrainAsk, Speaker},
    view::View,
};
use crate::model::{Moment, NodeName, RawRecord};

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
    /// Those that live or may be back, and did not say so in time; and what came of the last question to each.
    pub missing: BTreeMap<NodeName, String>,
    /// Those that ended, their data plane with them, before they said so: nobody waits for them. To the question
    /// whether they serve, those that failed too.
    pub dropped: BTreeSet<NodeName>,
}

/// What every question needs.
#[derive(Clone)]
struct Asker {
    views: watch::Receiver<Arc<View>>,
    speaker: watch::Receiver<Speaker>,
    me: RawRecord,
    began: Moment,
    until: Instant,
    serves: bool,
    /// What each question came to, until one is answered with yes.
    words: mpsc::Sender<(NodeName, String)>,
}

/// Asks for what this node says of itself at the moment of the call; where `serves`, for what does not drain too.
/// `started` is what the moments of the views count from.
pub(super) async fn wait(
    mut views: watch::Receiver<Arc<View>>,
    speaker: watch::Receiver<Speaker>,
    started: Instant,
    deadline: Duration,
    serves: bool,
) -> Drained {
    let until = Instant::now() + deadline;
    let began = started.elapsed();
    let me = views.borrow().me.clone();
    let (words, mut said) = mpsc::channel(WORDS);
    let asker = Asker { views: views.clone(), speaker, me, began, until, serves, words };
    let mut result = Drained::default();
    let mut asks = FuturesUnordered::new();
    let mut away = BTreeSet::new();
    loop {
        // One question to each name, for good: it finds out by itself where the name is now.
        let awaited = awaited(&views.borrow_and_update(), began, serves);
        result.dropped.extend(result.missing.keys().cloned());
        result.missing.retain(|name, _| awaited.contains_key(name));
        result.dropped.retain(|name| !awaited.contains_key(name));
        for name in awaited.keys().filter(|name| !result.confirmed.contains(*name)) {
            result.missing.entry(name.clone()).or_insert_with_key(|name| {
                asks.push(asker.clone().ask(name.clone()));
                "no answer in time".into()
            });
        }
        tell(&awaited, &result.missing, &mut away, started.elapsed());
        if result.missing.is_empty() {
            return result;
        }
        // Every arm is cancel-safe: the questions live on in `asks`, a watch and a channel keep what was not seen.
        tokio::select! {
            () = sleep_until(until) => {
                let gone = |name: &NodeName| awaited.get(name).and_then(|one| one.gone(started.elapsed()));
                result.missing.iter_mut().for_each(|(name, why)| if let Some(gone) = gone(name) { *why = gone; });
                return result;
            }
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

/// Says of each that is away now, and was not, that it is waited for.
fn tell(
    awaited: &BTreeMap<NodeName, Awaited>,
    missing: &BTreeMap<NodeName, String>,
    away: &mut BTreeSet<NodeName>,
    now: Moment,
) {
    let gone = awaited.iter().filter(|(name, _)| missing.contains_key(*name));
    let gone: BTreeMap<_, _> = gone.filter_map(|(name, one)| Some((name.clone(), one.gone(now)?))).collect();
    for (balancer, why) in gone.iter().filter(|(name, _)| !away.contains(*name)) {
        tracing::warn!(%balancer, "{why}; waiting for it until the drain deadline");
    }
    *away = gone.into_keys().collect();
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
        let now = awaited(&self.views.borrow(), self.began, self.serves).remove(name);
        let Some(Awaited::Living(balancer)) = now else { return Err("was away when it was asked last".into()) };
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

#[cfg(test)]
mod tests;

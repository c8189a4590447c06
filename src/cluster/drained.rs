//! The leaver's side of a drain: every living balancer is asked, until all have answered or time is up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

use super::{
    identity::Identity,
    sync::{self, DrainAsk, Speaker},
    view::View,
};
use crate::model::{Kind, Liveness, NodeName, RawRecord};

/// Between two questions to one balancer, where the first was cut off.
const AGAIN: Duration = Duration::from_millis(100);

/// What came of asking the balancers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Those that say it is done.
    pub confirmed: BTreeSet<NodeName>,
    /// Those that live and did not say so in time, and what came of the last question to each.
    pub missing: BTreeMap<NodeName, String>,
}

/// What every question needs.
#[derive(Clone)]
struct Asker {
    views: watch::Receiver<Arc<View>>,
    speaker: watch::Receiver<Speaker>,
    me: RawRecord,
    until: Instant,
}

/// Asks for what this node says of itself at the moment of the call.
pub(super) async fn wait(
    mut views: watch::Receiver<Arc<View>>,
    speaker: watch::Receiver<Speaker>,
    deadline: Duration,
) -> Drained {
    let until = Instant::now() + deadline;
    let me = views.borrow().me.clone();
    let asker = Asker { views: views.clone(), speaker, me, until };
    let mut result = Drained::default();
    let mut asks = FuturesUnordered::new();
    loop {
        // One question to each name, for good: it finds out by itself where the name is now.
        let living = living_balancers(&views.borrow_and_update());
        result.missing.retain(|name, _| living.contains_key(name));
        for name in living.into_keys().filter(|name| !result.confirmed.contains(name)) {
            result.missing.entry(name).or_insert_with_key(|name| {
                asks.push(asker.clone().ask(name.clone()));
                "no answer in time".into()
            });
        }
        if result.missing.is_empty() {
            return result;
        }
        // Both arms are cancel-safe: the questions live on in `asks`, and a watch keeps what was not seen.
        tokio::select! {
            answer = timeout_at(until, asks.select_next_some()) => match answer {
                Ok((name, Ok(()))) => {
                    result.missing.remove(&name);
                    result.confirmed.insert(name);
                }
                Ok((name, Err(why))) => drop(result.missing.entry(name).and_modify(|known| *known = why)),
                Err(_) => return result,
            },
            Ok(()) = views.changed() => {}
        }
    }
}

impl Asker {
    /// Asks one balancer until it says yes; else says, at the deadline, what came of the last question.
    async fn ask(mut self, name: NodeName) -> (NodeName, Result<(), String>) {
        let mut last = None;
        while Instant::now() < self.until {
            match self.ask_once(&name).await {
                Ok(true) => return (name, Ok(())),
                Ok(false) => last = Some("still drains".to_owned()),
                Err(why) => last = Some(why),
            }
            self.pause().await;
        }
        (name, Err(last.unwrap_or_else(|| "no answer in time".into())))
    }

    async fn ask_once(&self, name: &NodeName) -> Result<bool, String> {
        let Some(balancer) = living_balancers(&self.views.borrow()).remove(name) else {
            return Err("is not living now".into());
        };
        let left = self.until.saturating_duration_since(Instant::now());
        let ask = DrainAsk {
            node: self.me.node.clone(),
            epoch: self.me.epoch,
            version: self.me.version,
            wait_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        };
        let speaker = self.speaker.borrow().clone();
        let answer = timeout_at(self.until, sync::drained(speaker, &balancer, ask)).await;
        answer.map_or(Ok(false), |answer| answer.map_err(|error| error.to_string()))
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

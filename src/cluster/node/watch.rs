//! A balancer looks after everybody itself, one after the other: probes of all by all find a dead one soon
//! on average, but with a long tail, and a balancer's clients wait.
//!
//! Who does not answer is asked as a suspect is, but in silence: nothing follows from it unless the
//! connection is refused, which proves that the process is gone.

use std::{ops::Bound, time::Duration};

use super::{Node, timers::Alarm};
use crate::{
    cluster::{
        identity::Identity,
        message::{Message, Ping},
    },
    model::Kind,
};

/// Between two pings at the least: 25 a second, whatever the size of the cluster.
const PACE: Duration = Duration::from_millis(40);

impl Node {
    /// Pings the next member. Each is pinged once in a probe period, in large clusters less often.
    pub(super) fn watch(&mut self) {
        if self.own.kind != Kind::Balancer {
            return;
        }
        let living = u32::try_from(self.directory.living().count()).unwrap_or(u32::MAX);
        let pace = self.config.profile.probe_period / living.max(1);
        self.timers.set(self.now + pace.max(PACE), Alarm::Watch);
        let Some(next) = self.next_to_watch() else { return };
        self.watched_last = Some(next.name().clone());
        if self.watched.insert(next.clone()) {
            // No question has the token 0 but by chance, and an answer is an answer.
            self.send(next.addr(), &Message::Ping(Ping { to: next.clone(), token: 0 }));
            self.timers.set(self.now + self.config.profile.probe_rtt, Alarm::Watched(next));
        }
    }

    fn next_to_watch(&self) -> Option<Identity> {
        let entries = &self.directory.entries;
        let after = self.watched_last.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let round = entries.range((after, Bound::Unbounded)).chain(entries.iter());
        round.map(|(_, entry)| entry).find(|entry| entry.is_living()).map(|entry| entry.identity.clone())
    }

    /// The time for its answer is over.
    pub(super) fn watched(&mut self, who: &Identity) {
        if self.watched.remove(who) && self.directory.of(who).is_some_and(|entry| entry.is_living()) {
            self.ask(who);
        }
    }
}

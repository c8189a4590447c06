//! A balancer looks after everybody itself, one after the other: probes of all by all find a dead one soon
//! on average, but with a long tail, and a balancer's clients wait.
//!
//! Who does not answer is asked as a suspect is, but in silence: nothing follows from it unless the
//! connection is refused, which proves that the process is gone, or nobody else has an answer either.

use std::{collections::HashSet, ops::Bound, time::Duration};

use super::{Input, Node, Outcome, timers::Alarm};
use crate::{
    cluster::{
        identity::Identity,
        message::{Message, Ping},
    },
    model::{Kind, Moment, NodeName},
};

/// Between two turns at the least.
const TURN: Duration = Duration::from_millis(40);
/// Pings in a turn at the most: 100 a second, whatever the size of the cluster.
const MOST: u128 = 4;

/// How far the balancer is.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Those that have not answered yet.
    unanswered: HashSet<Identity>,
    /// The last that was pinged.
    last: Option<NodeName>,
    /// When anybody at all was last heard.
    pub(super) last_heard: Moment,
}

impl Watch {
    /// Whatever comes from another proves that we hear.
    pub(super) fn note(&mut self, input: &Input<'_>, now: Moment) {
        let heard = match input {
            Input::Datagram { .. } | Input::Exchange(_) => true,
            Input::Asked { outcome, .. } => *outcome != Outcome::Silent,
            Input::Failing(_) | Input::Record(_) | Input::Moved(_) | Input::Leave => false,
        };
        if heard {
            self.last_heard = now;
        }
    }

    /// An answer came.
    pub(super) fn heard(&mut self, from: &Identity) {
        self.unanswered.remove(from);
    }
}

impl Node {
    /// Pings the next members. Each is pinged once in a probe period, in clusters of more than thirty in as many
    /// times ten milliseconds.
    pub(super) fn watch(&mut self) {
        if self.own.kind != Kind::Balancer {
            return;
        }
        let living = u32::try_from(self.directory.living().count()).unwrap_or(u32::MAX).max(1);
        let period = self.config.profile.probe_period;
        let turn = TURN.max(period / living);
        self.timers.set(self.now + turn, Alarm::Watch);
        let due = (turn * living + period / 2).as_micros() / period.as_micros().max(1);
        for _ in 0..due.clamp(1, MOST) {
            self.watch_next();
        }
        self.ask_doubted();
    }

    fn watch_next(&mut self) {
        let Some(next) = self.next_to_watch() else { return };
        self.watch.last = Some(next.name().clone());
        if self.watch.unanswered.insert(next.clone()) {
            // No question has the token 0 but by chance, and an answer is an answer.
            self.send(next.addr(), &Message::Ping(Ping { to: next.clone(), token: 0 }));
            self.timers.set(self.now + self.config.profile.probe_rtt, Alarm::Watched(next));
        }
    }

    fn next_to_watch(&self) -> Option<Identity> {
        let entries = &self.directory.entries;
        let after = self.watch.last.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let round = entries.range((after, Bound::Unbounded)).chain(entries.iter());
        round.map(|(_, entry)| entry).find(|entry| entry.is_living()).map(|entry| entry.identity.clone())
    }

    /// The time for its answer is over.
    pub(super) fn watched(&mut self, who: &Identity) {
        if self.watch.unanswered.remove(who) && self.directory.of(who).is_some_and(|entry| entry.is_living()) {
            self.ask(who);
        }
    }
}

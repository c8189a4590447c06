//! What a balancer's data plane finds by its own checks: whom to ask next, and no more.
//!
//! Among many members, or far ones, a failed check is there before anybody's probe is. But it may fail for what is
//! none of the cluster's business, so nothing follows from it but the question that every suspect is asked. Asked
//! once for each failure, each member seldom, and not all at once: a cut cable fails all checks together.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::Node;
use crate::model::{Liveness, Moment, NodeName};

/// Between two questions to the same member on this ground: a check may fail and pass every second.
const AGAIN: Duration = Duration::from_secs(5);
/// Between two turns, and members asked in a turn: as many in a second as are looked after.
const TURN: Duration = Duration::from_millis(40);
const MOST: usize = 4;

/// Whose checks fail.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    failing: BTreeSet<NodeName>,
    /// Of them, those whose failure led to no question yet.
    pub(super) waiting: BTreeSet<NodeName>,
    /// Who was asked a moment ago.
    asked: BTreeMap<NodeName, Moment>,
    /// When the next may be asked.
    next: Moment,
}

impl Doubts {
    /// Those whose turn it is. They wait no more.
    fn due(&mut self, now: Moment) -> Vec<NodeName> {
        if now < self.next {
            return Vec::new();
        }
        self.asked.retain(|_, at| now < *at + AGAIN);
        let due: Vec<_> =
            self.waiting.iter().filter(|name| !self.asked.contains_key(*name)).take(MOST).cloned().collect();
        for name in &due {
            self.waiting.remove(name);
            self.asked.insert(name.clone(), now);
        }
        if !due.is_empty() {
            self.next = now + TURN;
        }
        due
    }
}

impl Node {
    /// These are all whose checks fail now.
    pub(super) fn failing(&mut self, names: &BTreeSet<NodeName>) {
        let Doubts { failing, waiting, .. } = &mut self.doubts;
        waiting.extend(names.difference(failing).cloned());
        waiting.retain(|name| names.contains(name));
        failing.clone_from(names);
        self.ask_doubted();
    }

    /// Asks the next of them. Who is suspected already is asked for that.
    pub(super) fn ask_doubted(&mut self) {
        for name in self.doubts.due(self.now) {
            let entry = self.directory.get(&name).filter(|entry| entry.liveness == Liveness::Alive);
            if let Some(who) = entry.map(|entry| entry.identity.clone()) {
                self.ask(&who);
            }
        }
    }
}

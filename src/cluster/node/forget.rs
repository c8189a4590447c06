//! Those that left or failed are remembered for a while: to be shown, to be greeted after a split, and so
//! that late packets do not bring them back.

use std::time::Duration;

use foca::Timer;

use super::{Node, timers::Alarm};
use crate::{
    cluster::identity::Identity,
    model::{Liveness, NodeName},
};

/// How often to look.
const EVERY: Duration = Duration::from_secs(60);
/// How long one that left is remembered.
const LEFT: Duration = Duration::from_secs(3600);
/// How long one that failed is remembered: a split may last.
const FAILED: Duration = Duration::from_secs(24 * 3600);
/// How many of both. Unclean restarts under new names once left 6,000 ghosts among 400 nodes (foca#31).
const MOST: usize = 1_000;

impl Node {
    /// Forgets those whose time is over, and the oldest of too many.
    pub(super) fn forget(&mut self) {
        self.timers.set(self.now + EVERY, Alarm::Forget);
        self.changed |= self.departed.forget(self.now);
        let mut gone: Vec<_> = self.directory.entries.iter().filter(|(_, entry)| !entry.is_active()).collect();
        gone.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.since));
        let over = |(nth, (name, entry)): (usize, (&NodeName, &super::directory::Entry))| {
            let age = self.now.saturating_sub(entry.since);
            let most = if entry.liveness == Liveness::Left { LEFT } else { FAILED };
            (nth >= MOST || age > most).then(|| (name.clone(), entry.identity.clone()))
        };
        let over: Vec<_> = gone.into_iter().enumerate().filter_map(over).collect();
        for (name, identity) in over {
            self.forget_one(&name, identity);
        }
    }

    fn forget_one(&mut self, name: &NodeName, identity: Identity) {
        self.with_foca(|foca, outbox| foca.handle_timer(Timer::RemoveDown(identity), outbox));
        self.directory.entries.remove(name);
        self.records.forget(name);
        self.pending.remove(name);
        self.changed = true;
    }
}

//! Leaving: the record says so first, for leave and failure are one to foca; then several packets tell it,
//! for foca's own reach three members only. From then on nothing is taken in: an update about us would
//! bring us back.

use std::time::Duration;

use super::{Effect, Node, timers::Alarm};
use crate::model::State;

/// Between two packets that tell of the leave.
const PACE: Duration = Duration::from_millis(50);
/// Packets beyond foca's first.
const PACKETS: u32 = 3;
/// How long balancers may take to acknowledge.
const PATIENCE: Duration = Duration::from_millis(400);

/// How far a node has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It takes part.
    Running,
    /// It tells that it leaves: so many packets are to be sent yet.
    Leaving(u32),
    /// It is done.
    Done,
}

impl Node {
    /// Whether nothing is taken in any more.
    pub(super) fn is_deaf(&self) -> bool {
        self.phase != Phase::Running && self.config.cures.deaf_leaver
    }

    pub(super) fn leave(&mut self) {
        if self.phase != Phase::Running {
            return;
        }
        self.publish(crate::model::RawRecord { state: State::Left, ..self.own.clone() });
        if self.foca.num_members() == 0 {
            return self.gone();
        }
        self.phase = Phase::Leaving(if self.config.cures.tell_leave { PACKETS } else { 0 });
        if self.foca.leave_cluster(&mut self.outbox).is_err() {
            self.count("leave");
        }
        // That we are defunct now is what we wanted: nothing follows from it.
        self.outbox.notes.clear();
        self.flush();
        self.timers.set(self.now + PACE, Alarm::Goodbye);
        self.timers.set(self.now + PATIENCE, Alarm::Gone);
    }

    /// Tells it once more, or ends once it is told often enough and every balancer has heard.
    pub(super) fn goodbye(&mut self) {
        match self.phase {
            Phase::Leaving(0) if self.pending.is_empty() => return self.gone(),
            Phase::Leaving(0) => {}
            Phase::Leaving(more) => {
                self.phase = Phase::Leaving(more - 1);
                self.with_foca(|foca, outbox| foca.gossip(outbox));
            }
            Phase::Running | Phase::Done => return,
        }
        self.timers.set(self.now + PACE, Alarm::Goodbye);
    }

    /// Ends, whoever has heard.
    pub(super) fn gone(&mut self) {
        if self.phase != Phase::Done {
            self.phase = Phase::Done;
            self.timers.clear();
            self.out.push(Effect::Left);
        }
    }
}

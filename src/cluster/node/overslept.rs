//! A node that stood still has heard nobody meanwhile: what it waited for gets the time again that was lost.
//!
//! Else it declares those down whose answers came while it could tell them nothing and ask them nothing. What
//! has come meanwhile was taken in before, but packets are lost, and nobody repeated theirs to one who is silent.

use foca::Timer;

use super::{Node, timers::Alarm};
use crate::model::Moment;

impl Node {
    /// Puts off the end of what others may take, by the time for which this node did nothing.
    pub(super) fn excuse_others(&mut self) {
        let profile = self.config.profile;
        let late = self.next_deadline().map_or(Moment::ZERO, |due| self.now.saturating_sub(due));
        if late < profile.probe_rtt {
            return;
        }
        self.vitals.failed();
        if !self.config.cures.overslept {
            return;
        }
        let (question, suspicion) = (late.min(profile.question), late.min(profile.suspicion_for(self.size)));
        for asked in self.directory.entries.values_mut().filter_map(|entry| entry.question.as_mut()) {
            asked.ends += question;
        }
        self.timers.put_off(|alarm| match alarm {
            Alarm::Foca(Timer::ChangeSuspectToDown { .. }) | Alarm::Down(..) => suspicion,
            Alarm::Verdict(_) => question,
            Alarm::Watched(_) => late.min(profile.probe_rtt),
            _ => Moment::ZERO,
        });
    }
}

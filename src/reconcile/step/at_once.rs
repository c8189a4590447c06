//! A change that is made over what was read last, where the data plane itself makes sure that this is still so. What comes
//! of it is read back by the round that follows; where nothing comes of it, that round does all.

use std::{sync::Arc, time::SystemTime};

use backchat_contract::Driver;
use tokio::time::Instant;

use super::Stepper;
use crate::{
    model::{LastApply, Snapshot},
    reconcile::tally,
};

/// What is kept for it.
pub(super) struct AtOnce<O> {
    /// What was read last, where nothing was done since.
    pub(super) read: Option<O>,
    /// What was done at once in this step, until the file behind it is written.
    pub(super) pushed: Option<Pushed>,
}

impl<O> Default for AtOnce<O> {
    fn default() -> Self {
        Self { read: None, pushed: None }
    }
}

/// What was done at once.
pub(super) struct Pushed {
    pub(super) began: Instant,
    pub(super) commands: usize,
    pub(super) changes: usize,
}

impl<D: Driver> Stepper<D> {
    /// Nothing is left to do now: the next change may be made over this.
    pub(super) fn keep_for_at_once(&mut self, observed: D::Observed) {
        let is_wanted = self.driver.is_conditional() || self.narrow.is_long();
        self.quick = AtOnce { read: is_wanted.then_some(observed), pushed: None };
    }

    /// Makes the change that the sources brought since, as far as that is possible. Whatever stands against it leaves no
    /// trace: it is met again, and told, by the round that follows.
    pub(super) async fn at_once(&mut self, known: &[Snapshot]) {
        if !self.driver.is_conditional() {
            return;
        }
        let Some(read) = self.quick.read.take() else { return };
        let began = Instant::now();
        let live = self.driver.live(&read);
        let aim = self.aim(known, &live);
        let Some(first) = self.driver.at_once(&aim.next, &read) else { return };
        // Told only where something came of it, and applying takes the plan.
        let view = self.driver.view(&first);
        let applied = self.driver.apply(first).await;
        let Some(report) = applied.as_ref().ok().filter(|report| !report.stale && report.refused.is_empty()) else {
            return;
        };
        self.tell_view(view, &aim, &read, known);
        let changes = self.status.plan.planned();
        let commands = report.applied;
        self.note(known, aim, &live, self.driver.plane(&read));
        tally::applied(&mut self.status.tally, &applied, false);
        (self.status.converged, self.status.waiting, self.ours) = (false, None, None);
        self.applied_to = Some(Arc::clone(&self.status.live));
        self.status.last_apply = Some(LastApply {
            at: SystemTime::now(),
            took: began.elapsed(),
            commands,
            refused: Vec::new(),
            reloaded: false,
            generation: self.status.plane.generation,
            changes,
        });
        self.quick.pushed = Some(Pushed { began, commands, changes });
    }
}

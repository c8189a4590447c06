//! A loop that never acts: it reads and plans, by the very steps of the one that does.

use backchat_contract::{Driver, DriverError};
use tokio::time::Instant;

#[cfg(test)]
use super::questions::Questions;
use super::step::{Settings, Stepper};
#[cfg(test)]
use crate::model::NoProposal;
use crate::model::{Ledger, Proposal, Snapshot};

/// What a loop would do that was started now.
pub struct Rehearsal<D: Driver>(Stepper<D>);

impl<D: Driver> Rehearsal<D> {
    /// The loop of these settings, with what a life before remembered. `start` is the origin of every `Moment`.
    pub fn new(driver: D, settings: Settings, kept: Ledger, start: Instant) -> Self {
        Self(Stepper::new(driver, settings, kept, start))
    }

    /// The plan of its first step. Changes nothing.
    ///
    /// # Errors
    /// Where a data plane runs that cannot be read, or the driver does not know how one starts.
    pub async fn proposal(&mut self, known: &[Snapshot]) -> Result<Proposal, DriverError> {
        self.0.rehearse(known).await
    }
}

/// For tests alone, of a driver whose data plane is a variable.
#[cfg(test)]
impl<D: Driver> Rehearsal<D> {
    /// One step that acts after all.
    pub(crate) async fn act(&mut self, known: &[Snapshot]) -> Result<(), DriverError> {
        self.0.step(known, &mut Questions::default(), false).await.map(drop)
    }

    /// The plan of the next step, as the daemon answers it.
    pub(crate) async fn propose(&mut self, known: &[Snapshot]) -> Result<Proposal, NoProposal> {
        self.0.propose(known, &[]).await
    }

    pub(crate) fn driver(&mut self) -> &mut D {
        &mut self.0.driver
    }
}

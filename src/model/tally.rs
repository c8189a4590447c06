//! What the reconcile loop has counted since its start: what the metrics show of it, and by which an apply is told.
//! Plain data, counted where it happens.

use std::{collections::BTreeMap, time::Duration};

use backchat_contract::Action;

use super::{Histogram, SourceName};

/// The counts of one loop. Only ever grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Applies that the data plane took, in part at least.
    pub applies: u64,
    /// Endpoints and routes that were read back to be others after an apply, by what became of them.
    pub changes: BTreeMap<Action, u64>,
    /// Commands that it confirmed.
    pub commands: u64,
    /// Commands that it refused.
    pub refusals: u64,
    /// Reloads that it refused, or did not confirm.
    pub failed_reloads: u64,
    /// How often its process had to be started again, as it had ended.
    pub restarts: u64,
    /// How often each source came into trouble, or into another.
    pub source_errors: BTreeMap<SourceName, u64>,
    /// How endpoints' drains ended.
    pub drains: DrainsEnded,
    /// How long the parts of a step took.
    pub phases: Phases,
    /// From a source's change to its being read back of the data plane.
    pub change_to_effect: Histogram,
    /// From the last look that finds an endpoint taking requests to the first that finds it drained and idle.
    pub drain_times: Histogram,
}

/// How endpoints' drains ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainsEnded {
    /// Nothing was in flight any more.
    pub idle: u64,
    /// It was out before that was seen.
    pub gone: u64,
    /// It takes requests again.
    pub undone: u64,
}

/// How long the parts of a step took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Reading the data plane.
    pub observe: Histogram,
    /// What should be, the guard, and the way there.
    pub plan: Histogram,
    /// Going that way.
    pub apply: Histogram,
}

impl Tally {
    /// How long applies took together.
    pub fn applying(&self) -> Duration {
        self.phases.apply.sum()
    }
}

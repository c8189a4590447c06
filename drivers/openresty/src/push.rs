//! A push: what is said to the admin server, and over which table. Pure.

use std::sync::Arc;

use serde::Serialize;

use crate::{
    state::State,
    table::{self, Patch, Table},
};

/// A push, as a plan has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PushPlan {
    /// What it comes to, for people to read.
    pub command: String,
    /// What is said.
    #[serde(skip)]
    pub what: Push,
    /// What it is made for.
    #[serde(skip)]
    pub over: Place,
}

/// A table that is there, without what it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Which life of the shared memory.
    pub boot: String,
    /// Which table of that life; 0 where it has none yet.
    pub version: u64,
    /// How many bytes the shared memory of the table has.
    pub capacity: u64,
}

impl Place {
    /// As it is named to the one who has it.
    pub fn name(&self) -> String {
        format!("{}-{}", self.boot, self.version)
    }
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Push {
    /// A table in the place of the one before.
    Whole(Arc<Table>),
    /// The endpoints of some of its services in the place of theirs: a changed server among ten thousand is one line.
    Patch(Patch),
}

impl Push {
    /// As text.
    pub fn encode(&self) -> String {
        match self {
            Self::Whole(table) => table::encode(table),
            Self::Patch(patch) => patch.encode(),
        }
    }

    /// Which table is there once it is taken.
    pub fn version(&self) -> u64 {
        match self {
            Self::Whole(table) => table.version,
            Self::Patch(patch) => patch.version,
        }
    }

    /// Notes in what was read that it was taken.
    pub fn note(&self, state: &mut State) {
        match (self, &mut state.table) {
            (Self::Patch(patch), Some(table)) => {
                // It was made of this table.
                let _fits = patch.amend(Arc::make_mut(table));
                state.patches += 1;
            }
            (Self::Patch(_), None) => {}
            (Self::Whole(whole), table) => {
                *table = Some(Arc::clone(whole));
                state.patches = 0;
            }
        }
        state.version = self.version();
    }
}

impl PushPlan {
    /// Whether there may be room for it beside the one that is there.
    pub(crate) fn fits(&self) -> bool {
        (self.what.encode().len() as u64).saturating_mul(2) < self.over.capacity
    }
}

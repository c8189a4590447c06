//! A plan as people and programs read it: one type for all drivers.

use serde::Serialize;

use crate::change::{Action, Change, ChangeStatus};

/// What a plan would do, without the means to do it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanView {
    /// What changes once the plan has run its course, and what waits, in a plan's order.
    pub changes: Vec<Change>,
    /// Files that would be written.
    pub files: Vec<FileChange>,
    /// Commands in the order in which they would be sent.
    pub commands: Vec<String>,
    /// What forces a reload; `None` where nothing does.
    pub reload: Option<String>,
    /// The generation that it leads to; `None` where that stays as it is.
    pub generation: Option<u64>,
    /// What else is waited for, as fragments.
    pub waits: Vec<String>,
}

/// One file before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Its path.
    pub path: String,
    /// What it holds; empty where there is none.
    pub old: String,
    /// What it would hold.
    pub new: String,
}

impl FileChange {
    /// The unified diff, empty where nothing differs.
    pub fn diff(&self) -> String {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        similar::TextDiff::from_lines(&self.old, &self.new)
            .unified_diff()
            .context_radius(0)
            .header(name, name)
            .to_string()
    }
}

/// A plan in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Services, endpoints and routes to add.
    pub add: usize,
    /// To change.
    pub change: usize,
    /// Of those that change, endpoints that drain.
    pub drain: usize,
    /// To remove.
    pub remove: usize,
    /// Waiting for something else.
    pub waiting: usize,
    /// Held back by the guard.
    pub held: usize,
    /// Refused.
    pub refused: usize,
    /// Commands to send.
    pub commands: usize,
}

impl PlanView {
    /// How many changes would be done.
    pub fn planned(&self) -> usize {
        self.changes.iter().filter(|change| change.status == ChangeStatus::Planned).count()
    }

    /// The plan in numbers.
    pub fn summary(&self) -> Summary {
        let mut sum = Summary { commands: self.commands.len(), ..Summary::default() };
        for change in &self.changes {
            match (change.status, change.action) {
                (ChangeStatus::Held, _) => sum.held += 1,
                (ChangeStatus::Refused, _) => sum.refused += 1,
                (ChangeStatus::Waiting, _) => sum.waiting += 1,
                (ChangeStatus::Planned, Action::Add) => sum.add += 1,
                (ChangeStatus::Planned, Action::Remove) => sum.remove += 1,
                (ChangeStatus::Planned, Action::Update) => sum.change += 1,
                (ChangeStatus::Planned, Action::Drain) => {
                    sum.change += 1;
                    sum.drain += 1;
                }
            }
        }
        sum
    }
}

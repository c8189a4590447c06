//! A plan as people and programs read it: one type for all drivers.

use serde::Serialize;

use crate::change::{Action, Change, ChangeKind, ChangeStatus};

/// What a plan would do, without the means to do it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanView {
    /// What changes, sorted by kind and id.
    pub changes: Vec<Change>,
    /// Files that would be written.
    pub files: Vec<FileChange>,
    /// Commands in the order in which they would be sent.
    pub commands: Vec<String>,
    /// What forces a reload; `None` where nothing does.
    pub reload: Option<String>,
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
    /// Endpoints and routes to add.
    pub add: usize,
    /// To change.
    pub change: usize,
    /// Of those that change, endpoints that drain.
    pub drain: usize,
    /// To remove.
    pub remove: usize,
    /// Held back by the guard.
    pub held: usize,
    /// Refused.
    pub refused: usize,
    /// Commands to send.
    pub commands: usize,
}

impl PlanView {
    /// The plan in numbers.
    pub fn summary(&self) -> Summary {
        let mut sum = Summary { commands: self.commands.len(), ..Summary::default() };
        for change in self.changes.iter().filter(|c| c.kind != ChangeKind::Service) {
            match (change.status, change.action) {
                (ChangeStatus::Held, _) => sum.held += 1,
                (ChangeStatus::Refused, _) => sum.refused += 1,
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

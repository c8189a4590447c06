//! What one look at an nginx finds. Plain data.

use std::path::Path;

use backchat_template::{SealOnce, edited_as};

use crate::{ages::Worker, control::Running};

/// What one look finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// What nginx says that it runs; `None` where that is no configuration of ours.
    pub running: Option<Running>,
    /// Whether what it says is to be doubted: only a reload mends that.
    pub distrusted: bool,
    /// The master; 0 where none runs yet.
    pub master: u32,
    /// Its workers.
    pub workers: Vec<Worker>,
    /// The file that is ours.
    pub file: String,
    /// What its last line says of it.
    pub seal: SealOnce,
    /// The one before it, where what runs is not what the file says; else empty.
    pub last_good: String,
}

impl Look {
    /// Why the file must not be written over, and how it is all the same: somebody else wrote it.
    pub fn edited(&self, file: &Path, aside: &Path) -> Option<String> {
        edited_as(file, aside, &self.file, self.seal.of(&self.file))
    }

    /// What makes the master read its file anew, for people to read.
    pub fn reload_command(&self) -> String {
        match self.master {
            // It is still to be started, by whoever would do this.
            0 => "kill -HUP MASTER".into(),
            pid => format!("kill -HUP {pid}"),
        }
    }
}

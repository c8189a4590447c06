//! What was read back of one nginx, in one piece. Pure.

use backchat_contract::{EndpointId, Idle};
use backchat_template::Memo;

use crate::{
    control::Running,
    layout::{Admin, Layout},
    lines::{self, Kept},
    runner::Look,
};

/// What was read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// What nginx said, and what lies on the disk.
    pub look: Look,
    /// What the file says, where it is one of ours.
    pub kept: Option<Kept>,
    /// The set that runs: that of the file which is running; where neither is, that of the file on disk is the best
    /// that there is, and whatever happens next is a reload.
    pub live: Layout,
    /// Whether it was a file from before the one on disk that is running: a daemon crashed in between.
    pub behind: bool,
}

impl Observed {
    /// Puts together what was read.
    pub fn of(look: Look) -> Self {
        Self::by(look, &mut Memo::default())
    }

    /// The same by one who has looked before.
    pub(crate) fn by(look: Look, memo: &mut Memo<Option<Kept>>) -> Self {
        let kept = memo.read(&look.file, lines::parse);
        let is_running = |kept: &Kept| look.running.as_ref().is_some_and(|r| r.structure == kept.structure);
        let before = if kept.as_ref().is_some_and(is_running) { None } else { lines::parse(&look.last_good) };
        let before = before.filter(is_running);
        let behind = before.is_some();
        let live = before.as_ref().or(kept.as_ref()).map(|kept| kept.layout.clone()).unwrap_or_default();
        Self { look, kept, live, behind }
    }

    /// The same where `ensure` was not called: what it would leave. Where there is no file it makes one of this text.
    pub fn as_ensured(look: Look, empty: &str) -> Self {
        let made = if look.file.is_empty() { lines::parse(empty) } else { None };
        let observed = Self::of(look);
        Self { kept: observed.kept.or(made), ..observed }
    }

    /// What would be read of an nginx of ours that was just started from this file; from `empty`, where there is none.
    pub fn started(file: String, empty: &str) -> Self {
        let kept = lines::parse(if file.is_empty() { empty } else { &file });
        let runs =
            |Kept { generation, structure, .. }| Running { generation, structure, version: String::new(), pid: 0 };
        Self::as_ensured(Look { running: kept.map(runs), file, ..Look::default() }, empty)
    }

    /// Which rendering runs; 0 where none of ours does.
    pub fn generation(&self) -> u64 {
        self.look.running.as_ref().map_or(0, |running| running.generation)
    }

    /// The number of the next rendering: above all that are known.
    pub fn next_generation(&self) -> u64 {
        let kept = self.kept.as_ref().map_or(0, |kept| kept.generation);
        self.generation().max(kept) + 1
    }

    /// The hash of what runs.
    pub fn structure(&self) -> Option<&str> {
        self.look.running.as_ref().map(|running| running.structure.as_str())
    }

    /// Whether it is this that runs, beyond doubt.
    pub fn runs(&self, structure: &str) -> bool {
        self.structure() == Some(structure) && !self.look.distrusted
    }

    /// Workers that end what they have.
    pub fn retiring(&self) -> usize {
        self.look.workers.iter().filter(|worker| worker.retiring).count()
    }

    /// Whether a worker is left that may have requests with a server which drains since `generation`.
    pub fn is_held(&self, generation: u64) -> bool {
        self.look.workers.iter().any(|worker| worker.born < generation)
    }

    /// Whether a server has requests in flight, as far as the ages of the workers tell.
    pub fn idle(&self, id: &EndpointId) -> Idle {
        match self.live.server(id).map(|server| server.admin) {
            _ if self.look.running.is_none() || self.look.distrusted => Idle::Unknown,
            None | Some(Admin::Ready) => Idle::Unknown,
            Some(Admin::Drain(since)) if self.is_held(since) => Idle::No,
            Some(Admin::Drain(_)) => Idle::Yes,
        }
    }
}

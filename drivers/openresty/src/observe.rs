//! What was read back of one OpenResty, in one piece. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use backchat_contract::{Desired, EndpointId, Idle};
use backchat_nginx::{certificates::Certificates, control::Running, runner::Look};
use backchat_template::Memo;

use crate::{
    config::{self, Kept},
    state::State,
};

/// What was read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// What nginx said of itself, and what lies on the disk.
    pub look: Look,
    /// What the admin server said; `None` where what runs has none of ours.
    pub state: Option<State>,
    /// What the file says, where it is one of ours.
    pub kept: Option<Kept>,
    /// Whether a file from before the one on disk is running: a daemon crashed in between.
    pub behind: bool,
}

impl Observed {
    /// Puts together what was read.
    pub fn of(look: Look, state: Option<State>) -> Self {
        Self::by(look, state, &mut Memo::default())
    }

    /// The same by one who has looked before.
    pub(crate) fn by(look: Look, state: Option<State>, memo: &mut Memo<Option<Kept>>) -> Self {
        let kept = memo.read(&look.file, config::parse);
        let is_running = |kept: &Kept| look.running.as_ref().is_some_and(|r| r.structure == kept.structure);
        let behind =
            !kept.as_ref().is_some_and(is_running) && config::parse(&look.last_good).is_some_and(|k| is_running(&k));
        Self { look, state, kept, behind }
    }

    /// What would be read of one that was just started from this file, which keeps that and gives the table so much shared
    /// memory, in KiB.
    pub fn started(file: String, kept: Kept, room: u64) -> Self {
        let (generation, structure) = (kept.generation, kept.structure.clone());
        let running = Running { generation, structure: structure.clone(), version: String::new(), pid: 0 };
        let state = State {
            boot: String::new(),
            version: kept.table.version,
            nginx: String::new(),
            generation,
            structure,
            capacity: room * 1024,
            patches: 0,
            workers: BTreeSet::new(),
            flights: BTreeMap::new(),
            lost: false,
            down: BTreeSet::new(),
            table: Some(Arc::new(kept.table.clone())),
        };
        let observed = Self::of(Look { running: Some(running), file, ..Look::default() }, Some(state));
        Self { kept: Some(kept), ..observed }
    }

    /// What is served; where nobody says, what the file says is the best that there is.
    pub fn live(&self) -> Desired {
        Desired { certificates: self.certificates(), ..self.served() }
    }

    /// What TLS is spoken by: by the file that is running.
    fn certificates(&self) -> Certificates {
        let before = || if self.behind { config::parse(&self.look.last_good) } else { None };
        before()
            .map(|kept| kept.certificates)
            .or_else(|| Some(self.kept.as_ref()?.certificates.clone()))
            .unwrap_or_default()
    }

    fn served(&self) -> Desired {
        let pushed = self.state.as_ref().and_then(|state| state.table.as_ref());
        let kept = || self.kept.as_ref().filter(|_| self.state.is_none()).map(|kept| &kept.table);
        pushed.map(|table| &**table).or_else(kept).map(|table| table.set.clone()).unwrap_or_default()
    }

    /// The number of the next table: above all that are known.
    pub fn next_version(&self) -> u64 {
        let kept = self.kept.as_ref().map_or(0, |kept| kept.table.version);
        self.state.as_ref().map_or(0, |state| state.version).max(kept) + 1
    }

    /// Which rendering runs; 0 where none of ours does.
    pub fn generation(&self) -> u64 {
        self.look.running.as_ref().map_or(0, |running| running.generation)
    }

    /// The number of the next rendering: above all that are known.
    pub fn next_generation(&self) -> u64 {
        self.generation().max(self.kept.as_ref().map_or(0, |kept| kept.generation)) + 1
    }

    /// The hash of what runs; `None` where it has no table of ours.
    pub fn structure(&self) -> Option<&str> {
        let running = self.look.running.as_ref()?;
        self.state.is_some().then_some(running.structure.as_str())
    }

    /// Whether it is this that runs, beyond doubt.
    pub fn runs(&self, structure: &str) -> bool {
        self.structure() == Some(structure) && !self.look.distrusted
    }

    /// Shared memory for the table, in KiB; 0 where it is none of ours.
    pub fn room(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.capacity / 1024)
    }

    /// Workers that end what they have.
    pub fn retiring(&self) -> usize {
        self.look.workers.iter().filter(|worker| worker.retiring).count()
    }

    /// How many requests an endpoint has in flight, by the counters of all workers; `None` where some may be counted
    /// elsewhere.
    pub fn in_flight(&self, id: &EndpointId) -> Option<u64> {
        let counted = self.state.as_ref().and_then(|state| state.flights.get(id)).copied();
        match self.idle(id) {
            Idle::Yes => Some(0),
            Idle::No => counted,
            Idle::Unknown => None,
        }
    }

    /// Whether an endpoint has requests in flight, by the counters of all workers that live. One that counts elsewhere
    /// (in the memory of before a resize) may have some.
    pub fn idle(&self, id: &EndpointId) -> Idle {
        let Some(state) = self.state.as_ref().filter(|state| !state.lost) else { return Idle::Unknown };
        let counts = self.look.workers.iter().all(|worker| state.workers.contains(&worker.pid));
        if counts && !state.flights.contains_key(id) { Idle::Yes } else { Idle::No }
    }
}

#[cfg(test)]
mod tests {
    use backchat_nginx::ages::Worker;

    use super::*;

    fn state() -> State {
        State {
            boot: "b".into(),
            version: 3,
            nginx: "1.22.1".into(),
            generation: 1,
            structure: "s".into(),
            capacity: 65_536,
            patches: 0,
            workers: BTreeSet::from([10, 11]),
            flights: BTreeMap::from([(crate::table::endpoint_id("web/busy").unwrap(), 2)]),
            lost: false,
            down: BTreeSet::new(),
            table: None,
        }
    }

    fn check(pids: &[u32], state: Option<State>, id: &str, expected: Idle) {
        let workers = pids.iter().map(|pid| Worker { pid: *pid, born: 1, retiring: *pid > 10 }).collect();
        let observed = Observed::of(Look { workers, ..Look::default() }, state);
        assert_eq!(observed.idle(&crate::table::endpoint_id(id).unwrap()), expected, "{pids:?} {id}");
    }

    #[test]
    fn idle_is_what_every_living_worker_says() {
        check(&[10, 11], Some(state()), "web/none", Idle::Yes);
        check(&[10, 11], Some(state()), "web/busy", Idle::No);
        check(&[10, 11, 12], Some(state()), "web/none", Idle::No);
        check(&[10], Some(State { lost: true, ..state() }), "web/none", Idle::Unknown);
        check(&[10], None, "web/none", Idle::Unknown);
    }
}

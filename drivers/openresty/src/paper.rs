//! An OpenResty on paper, for tests and benchmarks: it takes what a real one takes, and forgets what a real one forgets.

mod driver;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use backchat_contract::{Desired, DriverError, EndpointId, Mode, Step};
use backchat_nginx::{ages::Worker, control::Running, paths::Paths, runner::Look};
use backchat_template::{Template, hash};

use crate::{
    config::{self, ConfigSettings, Rendered, parse},
    observe::Observed,
    plan::{Plan, Planner},
    state::State,
    table::{Table, encode},
};

/// An OpenResty that is a variable.
#[derive(Clone, Debug)]
pub struct Paper {
    /// What its file is rendered by where that is the real rendering; else it is a line of numbers.
    by: Option<Arc<ConfigSettings>>,
    /// The hash of what the real rendering brought last.
    loaded: String,
    /// What the settings say now, and what those said that run.
    pub(crate) settings: u64,
    pub(crate) ran: u64,
    pub(crate) generation: u64,
    /// In KiB.
    pub(crate) capacity: u64,
    pub(crate) boot: u64,
    pub(crate) table: Option<Arc<Table>>,
    pub(crate) patches: u64,
    pub(crate) disk: String,
    pub(crate) last_good: String,
    pub(crate) flights: BTreeMap<EndpointId, u64>,
    pub(crate) retiring: u32,
    /// Whether what runs has our Lua.
    pub(crate) is_ours: bool,
}

/// Where its file lies.
const FILE: &str = "/run/nginx.conf";
const ASIDE: &str = "/run/nginx.conf.edited";

fn render(settings: u64, table: &Table, room: u64, generation: u64) -> Rendered {
    let structure = hash(&format!("{settings} {room}"));
    let lines: String = encode(table).lines().fold(String::new(), |text, line| text + "#bc " + line + "\n");
    let text = format!("access {settings} {room} {generation}\n#bc set {generation} {structure}\n{lines}");
    Rendered { text: backchat_template::seal(text), structure }
}

impl Paper {
    /// One as it starts for the first time, by these texts as its template and its Lua.
    pub fn by(template: &str, balancer: &str) -> Self {
        Self::rendered(template, balancer, false)
    }

    /// The same as a part of somebody else's.
    pub fn attached(template: &str, balancer: &str) -> Self {
        Self::rendered(template, balancer, true)
    }

    fn rendered(template: &str, balancer: &str, is_include: bool) -> Self {
        let template = Template { name: "openresty.conf.jinja".into(), text: template.to_owned() };
        let paths = Paths::new(Path::new("/run")).unwrap();
        let settings = ConfigSettings::new(template, balancer.into(), paths, vec![([0, 0, 0, 0], 80).into()]);
        let settings = ConfigSettings { is_include, ..settings };
        let mut paper = Self { by: Some(Arc::new(settings)), ..Self::with(&Desired::default()) };
        let first = paper.render(&paper.table.clone().unwrap(), paper.capacity, paper.generation).unwrap();
        (paper.disk, paper.loaded) = (first.text, first.structure);
        paper
    }

    /// One that holds this, rendered in short: quicker.
    pub fn with(set: &Desired) -> Self {
        let mut paper = Self {
            by: None,
            loaded: String::new(),
            settings: 0,
            ran: 0,
            generation: 1,
            capacity: 16_384,
            boot: 1,
            table: Some(Arc::new(Table { version: 2, set: set.clone() })),
            patches: 0,
            disk: String::new(),
            last_good: String::new(),
            flights: BTreeMap::new(),
            retiring: 0,
            is_ours: true,
        };
        paper.forget_file();
        paper
    }

    /// The file says what runs.
    pub(crate) fn forget_file(&mut self) {
        let table = self.table.clone().unwrap();
        self.disk = render(self.ran, &table, self.capacity, self.generation).text;
    }

    fn render(&self, table: &Table, room: u64, generation: u64) -> Result<Rendered, DriverError> {
        match &self.by {
            Some(settings) => config::render(settings, table, room, generation),
            None => Ok(render(self.settings, table, room, generation)),
        }
    }

    pub(crate) fn look(&self) -> Observed {
        let counted = || hash(&format!("{} {}", self.ran, self.capacity));
        let structure = if self.by.is_some() { self.loaded.clone() } else { counted() };
        let running = Running { generation: self.generation, structure, version: "1.22.1".into(), pid: 10 };
        let retiring = (0..self.retiring).map(|n| Worker { pid: 100 + n, born: 0, retiring: true });
        let state = State {
            boot: self.boot.to_string(),
            version: self.table.as_ref().map_or(0, |table| table.version),
            nginx: running.version.clone(),
            generation: running.generation,
            structure: running.structure.clone(),
            capacity: self.capacity * 1024,
            patches: self.patches,
            workers: (100..100 + self.retiring).chain([10]).collect(),
            flights: self.flights.clone(),
            lost: false,
            down: BTreeSet::new(),
            table: self.table.clone(),
        };
        let look = Look {
            running: Some(running).filter(|_| self.is_ours),
            distrusted: false,
            master: 7,
            workers: [Worker { pid: 10, born: 1, retiring: false }].into_iter().chain(retiring).collect(),
            file: self.disk.clone(),
            last_good: self.last_good.clone(),
            ..Look::default()
        };
        Observed::of(look, Some(state).filter(|_| self.is_ours))
    }

    #[cfg(test)]
    pub(crate) fn step(&self, desired: &Desired, mode: Mode) -> Step<Plan> {
        self.step_from(desired, &self.look(), mode)
    }

    fn step_from(&self, desired: &Desired, observed: &Observed, mode: Mode) -> Step<Plan> {
        let render = |table: &Table, room, generation| self.render(table, room, generation);
        let check = "nginx -t -c /run/nginx.conf.staged";
        let (file, aside) = (Path::new(FILE), Path::new(ASIDE));
        let planner = Planner { file, aside, check, render: &render };
        planner.plan(desired, observed, mode)
    }

    /// Does what a plan says, as the driver does.
    pub(crate) fn take(&mut self, plan: Plan) {
        let mut served = true;
        if let Some(push) = plan.push {
            let over = (push.over.boot, push.over.version);
            let version = self.table.as_ref().map_or(0, |table| table.version);
            assert_eq!(over, (self.boot.to_string(), version));
            assert!(push.what.version() > version);
            served = push.what.encode().len() as u64 * 2 < self.capacity * 1024;
            if let Some(state) = self.look().state.as_mut().filter(|_| served) {
                push.what.note(state);
                (self.table, self.patches) = (state.table.take(), state.patches);
            }
        }
        if plan.fall_back {
            self.disk = std::mem::take(&mut self.last_good);
        }
        if let Some(text) = plan.write.filter(|_| served) {
            self.last_good = std::mem::replace(&mut self.disk, text);
        }
        if let Some(reload) = plan.reload {
            self.last_good = std::mem::replace(&mut self.disk, reload.text);
            match &self.by {
                Some(_) => self.read(self.ran, reload.room, false),
                None => self.restart(false),
            }
            assert_eq!(self.generation, reload.generation);
        }
    }

    /// Reads the file, as a reload does, or as a start does, which forgets what was pushed.
    pub(crate) fn restart(&mut self, forgets: bool) {
        let words: Vec<u64> = self.disk.lines().next().unwrap().split(' ').filter_map(|w| w.parse().ok()).collect();
        let [settings, capacity, _] = words[..] else { panic!("{}", self.disk) };
        self.read(settings, capacity, forgets);
    }

    fn read(&mut self, settings: u64, capacity: u64, forgets: bool) {
        let kept = parse(&self.disk).unwrap();
        let generation = kept.generation;
        self.loaded = kept.structure;
        if forgets || capacity != self.capacity {
            self.boot += 1;
            (self.table, self.patches) = (None, 0);
        }
        (self.ran, self.capacity, self.generation, self.is_ours) = (settings, capacity, generation, true);
        let version = self.table.as_ref().map_or(0, |table| table.version);
        if kept.table.version > version {
            (self.table, self.patches) = (Some(Arc::new(kept.table)), 0);
        }
    }
}

//! A HAProxy on paper, for tests and benchmarks: what the commands do to servers and maps, as measured on the real ones,
//! and the answers it would give. It remembers what must never happen.

mod driver;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::Path,
    sync::Arc,
};

use backchat_contract::{Desired, DriverError, Mode, Policies, Protocol, Step};
use backchat_template::Template;

use crate::{
    config::{self, ConfigSettings, Rendered, seal},
    layout::{Admin, Layout},
    maps::{self, MapEntry},
    observe::{Answers, Clock, Files, Flavour, Newcomer, Observed, assemble},
    options::ServerOptions,
    paths::Paths,
    plan::{Plan, Planner},
    protocol::{Command, MapFile, MapVersion, ServerPath},
};

pub(crate) const SPARES: usize = 2;

#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "HAProxy's own flags, each independent of the others")]
pub(crate) struct PaperServer {
    pub(crate) id: String,
    pub(crate) addr: std::net::SocketAddr,
    pub(crate) weight: String,
    pub(crate) admin: Admin,
    pub(crate) up: bool,
    /// A check has passed since it last could have changed.
    verified: bool,
    checked: bool,
    pub(crate) used: u64,
    /// Its sessions were told to end: they do a moment later.
    cut: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct PaperBackend {
    tcp: bool,
    pub(crate) servers: BTreeMap<String, PaperServer>,
}

/// A HAProxy that is a variable.
#[derive(Clone)]
pub struct Paper {
    pub(crate) flavour: Flavour,
    pub(crate) backends: BTreeMap<String, PaperBackend>,
    pub(crate) hosts: Vec<MapEntry>,
    pub(crate) services: Vec<MapEntry>,
    prepared: BTreeMap<u64, Vec<MapEntry>>,
    versions: u64,
    structure: Option<String>,
    generation: u64,
    pub(crate) files: Option<Files>,
    /// What the files are rendered by: a short word for the settings and the template, or the real ones.
    pub(crate) by: By,
    spares: usize,
    clock: Clock,
    now: std::time::Instant,
    pub(crate) reloads: usize,
    /// Servers that took requests before a check of them had passed.
    pub(crate) ungated: BTreeSet<String>,
    pub(crate) refused: Vec<String>,
    /// A server that it never takes, for a reason of its own.
    pub(crate) never: Option<String>,
}

/// What the files are rendered by.
#[derive(Clone)]
pub(crate) enum By {
    /// What the real rendering says, in short; the number stands for settings and template.
    Salt(u8),
    /// The real rendering.
    Settings(Arc<ConfigSettings>),
}

/// A layout as files; and the same of what was rendered under another generation.
type Render<'a> = dyn Fn(&Layout) -> Result<Rendered, DriverError> + 'a;
type Again<'a> = dyn Fn(&Layout, &Rendered) -> Result<Rendered, DriverError> + 'a;

impl By {
    fn plan<T>(&self, by: impl FnOnce(&Render<'_>, &Again<'_>) -> T) -> T {
        let Self::Settings(settings) = self else {
            return by(&|layout| self.render(layout), &|layout, _| self.render(layout));
        };
        let (renderer, template) = (config::Renderer::new(settings), &settings.template);
        by(&|layout| renderer.render(template, layout), &|layout, of| renderer.again(template, layout, of))
    }

    fn render(&self, layout: &Layout) -> Result<Rendered, DriverError> {
        match self {
            Self::Salt(salt) => Ok(render(layout, *salt)),
            Self::Settings(settings) => config::render(settings, layout),
        }
    }
}

impl Paper {
    /// One of ours, as it starts for the first time, by this text as its template; with four spare backends.
    pub fn by(template: &str) -> Self {
        let template = Template { name: "haproxy.cfg.jinja".into(), text: template.to_owned() };
        let settings = ConfigSettings::new(template, paths(), vec![([0, 0, 0, 0], 80).into()]);
        Self::ours(By::Settings(Arc::new(settings)), 4)
    }

    /// The same, rendered in short: quicker.
    pub fn managed() -> Self {
        Self::ours(By::Salt(0), SPARES)
    }

    fn ours(by: By, spares: usize) -> Self {
        let paths = paths();
        let hosts = MapFile::new(&paths.hosts).unwrap();
        let flavour = Flavour::Managed { hosts, services: MapFile::new(&paths.services).unwrap() };
        let mut paper = Self { by, spares, ..Self::new(flavour) };
        paper.load(&Layout::empty(1, spares));
        paper.reloads = 0;
        paper
    }

    /// Somebody else's, with these backends, and a server of theirs in each.
    #[expect(clippy::missing_panics_doc, reason = "an address that parses")]
    pub fn attached(backends: &[&str]) -> Self {
        let mut paper = Self::new(Flavour::Attached);
        for name in backends {
            let theirs = server("10.9.9.9:80".parse().unwrap(), "1");
            let servers = [("theirs".to_owned(), PaperServer { admin: Admin::Ready, up: true, ..theirs })].into();
            paper.backends.insert((*name).to_owned(), PaperBackend { tcp: false, servers });
        }
        paper
    }

    fn new(flavour: Flavour) -> Self {
        Self {
            flavour,
            backends: BTreeMap::new(),
            hosts: Vec::new(),
            services: Vec::new(),
            prepared: BTreeMap::new(),
            versions: 0,
            structure: None,
            generation: 0,
            files: None,
            by: By::Salt(0),
            spares: SPARES,
            clock: Clock::default(),
            now: std::time::Instant::now(),
            reloads: 0,
            ungated: BTreeSet::new(),
            refused: Vec::new(),
            never: None,
        }
    }

    /// Time passes: checks run, requests end.
    pub(crate) fn tick(&mut self, duration: std::time::Duration) {
        self.now += duration;
        for server in self.servers_mut().filter(|s| s.checked && s.admin != Admin::Maint) {
            (server.up, server.verified) = (true, true);
        }
        self.servers_mut().for_each(|server| server.used = server.used.saturating_sub(1));
    }

    /// The servers that take requests, and whose check has passed.
    fn serving(&self) -> impl Iterator<Item = (String, std::net::SocketAddr)> {
        let servers = self.backends.values().flat_map(|b| &b.servers);
        let serving = servers.filter(|(_, s)| s.admin == Admin::Ready && s.up && s.verified);
        serving.map(|(name, s)| (name.clone(), s.addr))
    }

    fn servers_mut(&mut self) -> impl Iterator<Item = &mut PaperServer> {
        self.backends.values_mut().flat_map(|b| b.servers.values_mut())
    }

    pub(crate) fn look(&mut self) -> Observed {
        let mut observed = assemble(&self.answers(), &self.flavour, self.files.clone()).unwrap();
        self.clock.stamp(&mut observed, self.now);
        for server in self.servers_mut().filter(|s| s.cut) {
            (server.used, server.cut) = (0, false);
        }
        if self.files.is_some() {
            let lasted = std::time::Duration::ZERO;
            let newcomers = observed.down.keys().cloned().map(|place| (place, Newcomer { listens: true, lasted }));
            observed.newcomers = newcomers.collect();
            // The asking is a check.
            self.servers_mut().filter(|s| !s.up && s.admin == Admin::Ready).for_each(|s| s.verified = true);
        }
        observed
    }

    pub(crate) fn step(&self, desired: &Desired, observed: &Observed, mode: Mode) -> Step<Plan> {
        self.planned(|planner| planner.plan(desired, observed, mode))
    }

    /// What a planner for this HAProxy comes to.
    pub(crate) fn planned<T>(&self, plan: impl FnOnce(Planner<'_>) -> T) -> T {
        let (options, paths) = (ServerOptions::default(), paths());
        let (policies, fresh) = (Policies::default(), Layout::empty(0, self.spares));
        self.by.plan(|render, again| {
            let planner = Planner {
                flavour: &self.flavour,
                policies: &policies,
                options: &options,
                fresh: &fresh,
                drain_limit: std::time::Duration::from_secs(30),
                paths: self.files.is_some().then_some(&paths),
                templates: vec![Arc::default()],
                render: &|_, layout| render(layout),
                again: &|_, layout, rendered| again(layout, rendered),
                refused: false,
            };
            plan(planner)
        })
    }

    pub(crate) fn take(&mut self, plan: &Plan) {
        for action in &plan.actions {
            let version = MapVersion(self.versions + 1);
            action.commands(version).iter().for_each(|command| self.run(command));
        }
        let commands = plan.actions.iter().flat_map(|action| action.commands(MapVersion::NEW));
        let denied = commands.filter_map(|c| c.server().cloned()).filter(|path| self.never == Some(name(path)));
        self.clock.denied(denied, self.now);
        if let Some(files) = &plan.files {
            let rendered = self.by.render(&files.layout).unwrap();
            assert_eq!(Some(&rendered.structure), self.structure.as_ref(), "a file that does not say what runs");
            self.files = Some(on_disk(rendered));
        }
        if let Some(structure) = &plan.structure {
            self.load(&structure.layout);
        }
    }

    /// A reload of a file of ours: everything as the file says, and all that is enabled is up, listening or not.
    fn load(&mut self, layout: &Layout) {
        self.reloads += 1;
        let served: BTreeSet<_> = self.serving().collect();
        let rendered = self.by.render(layout).unwrap();
        self.structure = Some(rendered.structure.clone());
        self.generation = layout.generation;
        (self.hosts, self.services) = (maps::hosts(layout), maps::services(layout));
        self.backends = layout
            .backends
            .iter()
            .map(|(name, backend)| {
                let servers = backend.servers.iter().map(|(endpoint, s)| {
                    let admin = if s.admin == Admin::Ready { Admin::Ready } else { Admin::Maint };
                    let verified = served.contains(&(endpoint.to_string(), s.addr.get()));
                    if admin == Admin::Ready && !verified {
                        self.ungated.insert(format!("reload with {name}/{endpoint}"));
                    }
                    let fresh = PaperServer { admin, up: true, verified, ..server(s.addr.get(), &s.id.to_string()) };
                    (endpoint.to_string(), PaperServer { weight: s.weight.to_string(), checked: true, ..fresh })
                });
                (name.to_string(), PaperBackend { tcp: backend.protocol == Protocol::Tcp, servers: servers.collect() })
            })
            .collect();
        self.files = Some(on_disk(rendered));
    }

    fn run(&mut self, command: &Command) {
        let text = command.to_string();
        let refuse = |paper: &mut Self, why: &str| paper.refused.push(format!("{text}: {why}"));
        match command {
            Command::Add { server: path, addr, id, weight, .. } => {
                let Some(backend) = self.backends.get_mut(path.backend.as_str()) else {
                    return refuse(self, "no such backend");
                };
                let id = id.to_string();
                if self.never == Some(name(path)) {
                    return refuse(self, "never");
                }
                if backend.servers.contains_key(&name(path)) || backend.servers.values().any(|s| s.id == id) {
                    return refuse(self, "already there");
                }
                let new = PaperServer { weight: weight.to_string(), ..server(addr.get(), &id) };
                backend.servers.insert(name(path), new);
            }
            Command::PrepareMap(_) => {
                self.versions += 1;
                self.prepared.insert(self.versions, Vec::new());
            }
            Command::AddMap(_, version, entries) => {
                self.prepared.get_mut(&version.0).unwrap().extend(entries.iter().cloned());
            }
            Command::CommitMap(map, version) => {
                let entries = self.prepared.remove(&version.0).unwrap();
                match &self.flavour {
                    Flavour::Managed { hosts, .. } if map == hosts => self.hosts = entries,
                    _ => self.services = entries,
                }
            }
            Command::Delete(path) => match self.server(path) {
                Some(s) if s.admin != Admin::Maint => refuse(self, "not in maintenance"),
                // HAProxy says not yet, or crashes.
                Some(s) if s.used > 0 => refuse(self, "not idle"),
                Some(_) => drop(self.backends.get_mut(path.backend.as_str()).unwrap().servers.remove(&name(path))),
                None => {}
            },
            on_server => {
                let path = on_server.server().unwrap();
                match self.server(path) {
                    None => refuse(self, "no such server"),
                    Some(server) => {
                        if !change(server, on_server) {
                            self.ungated.insert(text);
                        }
                    }
                }
            }
        }
    }

    fn server(&mut self, path: &ServerPath) -> Option<&mut PaperServer> {
        self.backends.get_mut(path.backend.as_str())?.servers.get_mut(&name(path))
    }

    fn answers(&self) -> Answers {
        let mut answers = Answers { info: "Version: 2.6.12-1\nPid: 7\nStopping: 0\n".into(), ..Answers::default() };
        let mut backends = "# pxname,svname,mode,\n".to_owned();
        answers.servers =
            "1\n# be_name srv_name srv_id srv_addr srv_port srv_uweight srv_admin_state srv_op_state\n".into();
        answers.connections = "# bkname/svname used_cur\n".into();
        for (name, backend) in &self.backends {
            let mode = if backend.tcp { "tcp" } else { "http" };
            writeln!(backends, "{name},BACKEND,{mode},").unwrap();
            for (server, s) in &backend.servers {
                let admin = match s.admin {
                    Admin::Ready => 0,
                    Admin::Drain => 8,
                    Admin::Maint => 1,
                };
                let (ip, port, up) = (s.addr.ip(), s.addr.port(), if s.up { 2 } else { 0 });
                writeln!(answers.servers, "{name} {server} {} {ip} {port} {} {admin} {up}", s.id, s.weight).unwrap();
                writeln!(answers.connections, "{name}/{server} {}", s.used).unwrap();
            }
        }
        let map = |entries: &[MapEntry]| entries.iter().fold(String::new(), |text, e| text + &format!("0x1 {e}\n"));
        answers.backends = backends.into();
        (answers.hosts, answers.services) = (map(&self.hosts), map(&self.services));
        answers.generation = variable(&self.generation.to_string());
        answers.structure = self.structure.as_deref().map(variable).unwrap_or_default();
        answers
    }
}

/// Whether it did no harm: a server may take requests only after a check of it has passed.
fn change(server: &mut PaperServer, command: &Command) -> bool {
    match command {
        Command::EnableHealth(_) => server.checked = true,
        // Forgotten in maintenance: leaving it sets the health anew.
        Command::HealthUp(_) => {
            server.up = true;
            return server.verified;
        }
        Command::HealthDown(_) if server.admin != Admin::Maint && server.checked => server.up = false,
        Command::State(_, to) => {
            if server.admin == Admin::Maint && *to != Admin::Maint {
                (server.up, server.verified) = (true, false);
            }
            server.admin = *to;
            return *to != Admin::Ready || !server.up || server.verified;
        }
        Command::Weight(_, weight) => server.weight = weight.to_string(),
        Command::Addr(_, addr) => {
            let gated = server.admin != Admin::Ready;
            (server.addr, server.verified) = (addr.get(), false);
            return gated;
        }
        Command::ShutdownSessions(_) => server.cut = true,
        _ => {}
    }
    true
}

fn variable(value: &str) -> String {
    format!("proc.x: type=str value=<{value}>\n")
}

fn server(addr: std::net::SocketAddr, id: &str) -> PaperServer {
    let (id, weight) = (id.to_owned(), "100".to_owned());
    PaperServer {
        id,
        addr,
        weight,
        admin: Admin::Maint,
        up: false,
        verified: false,
        checked: false,
        used: 0,
        cut: false,
    }
}

fn name(path: &ServerPath) -> String {
    path.to_string().split_once('/').unwrap().1.to_owned()
}

fn paths() -> Paths {
    Paths::new(Path::new("/run/bc")).unwrap()
}

fn on_disk(rendered: Rendered) -> Files {
    Files { config: rendered.config, hosts: rendered.hosts, services: rendered.services, ..Files::default() }
}

/// What the real rendering says, in short: structure is the backends and the settings.
fn render(layout: &Layout, salt: u8) -> Rendered {
    let backends: Vec<_> = layout.backends.iter().map(|(name, b)| format!("{name} {:?}", b.protocol)).collect();
    let structure = format!("{salt} {}", backends.join(", "));
    let servers = layout.servers().fold(String::new(), |text, (b, e, s)| text + &format!("{b}/{e} {s:?}\n"));
    Rendered {
        config: seal(format!("{} {structure}\n{servers}", layout.generation)),
        hosts: maps::text(&maps::hosts(layout)),
        services: maps::text(&maps::services(layout)),
        certificates: String::new(),
        pems: BTreeMap::new(),
        structure,
    }
}

//! The way from what one HAProxy holds to what it should hold. Pure: same input, same plan; no clock, no socket.
//!
//! Endpoints, weights, drains, routes, and new services while spares last go by commands. What needs a reload is
//! planned apart from them, so that a structure that is refused or held never holds an endpoint back.

mod certificates;
mod files;
mod servers;
mod target;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use backchat_contract::{
    Change, Desired, DriverError, EndpointAddr, FileChange, Mode, PlanView, Policies, Protocol, Service, ServiceName,
    Step, diff, diff_by_way_of,
};
use backchat_template::{Template, unsealed};
use serde::{Serialize, Serializer};

use crate::{
    certificates::{CertFile, Certificates},
    config::Rendered,
    layout::{BackendName, Layout},
    maps::{self, MapEntry},
    observe::{Flavour, Observed},
    options::ServerOptions,
    paths::Paths,
    policy,
    protocol::{Command, MapFile, MapVersion, ServerPath, pieces},
};

pub use target::{Target, part, reached, runtime, settled, structural};

/// What planning needs to know beside the desired and the observed.
pub struct Planner<'a> {
    /// Whose HAProxy it is.
    pub flavour: &'a Flavour,
    /// How each service is balanced.
    pub policies: &'a Policies,
    /// What every server is told where no policy says otherwise.
    pub options: &'a ServerOptions,
    /// What a new structure has before any service: the backends of those that the operator named, and the spares.
    pub fresh: &'a Layout,
    /// How long a server that left may take to end what runs on it.
    pub drain_limit: Duration,
    /// Where the files lie; for managed alone.
    pub paths: Option<&'a Paths>,
    /// The templates to render by: the first that renders. None where the HAProxy is somebody else's.
    pub templates: Vec<Arc<Template>>,
    /// A layout as files. Pure.
    pub render: &'a dyn Fn(&Template, &Layout) -> Result<Rendered, DriverError>,
    /// The same of what was rendered of the layout under another generation: cheaper. Pure.
    pub again: &'a dyn Fn(&Template, &Layout, &Rendered) -> Result<Rendered, DriverError>,
    /// Whether the operator's newest template is not among them, for it was refused.
    pub refused: bool,
}

/// What `apply` does, in this order: actions, files, structure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// What changes, in the words of the desired set.
    pub changes: Vec<Change>,
    /// What is sent to the socket.
    pub actions: Vec<Action>,
    /// The files as they should be after the actions, so that a HAProxy restarted alone serves the same.
    pub files: Option<FilePlan>,
    /// A new structure: files and a reload.
    pub structure: Option<StructurePlan>,
    /// What it waits for beside that.
    pub waits: Vec<String>,
    /// The certificates that were read: they stay in the files where HAProxy would not take another.
    #[serde(skip)]
    pub held: Certificates,
    /// Those that it has after the actions.
    #[serde(skip)]
    pub certificates: Certificates,
    /// Servers that come at once, and where they listen: those that do are let in before anybody has looked again.
    #[serde(skip)]
    pub gate: Vec<(ServerPath, EndpointAddr)>,
    /// How servers are let go of once another of their backend was let in.
    #[serde(skip)]
    pub relieved: Vec<Command>,
}

/// One thing to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// One command.
    Run(Command),
    /// A map as a whole: prepared, filled, committed. The map before serves until the last of these.
    ReplaceMap(MapFile, Vec<MapEntry>),
    /// What is done with a certificate, by commands of which none is sent where the one before it was refused.
    Certificate(CertFile, Vec<Command>),
}

impl Action {
    /// The commands of the action, with `version` in place of the number that HAProxy gives.
    pub fn commands(&self, version: MapVersion) -> Vec<Command> {
        match self {
            Self::Run(command) => vec![command.clone()],
            Self::Certificate(_, commands) => commands.clone(),
            Self::ReplaceMap(map, entries) => {
                let add = |piece| Command::AddMap(map.clone(), version, piece);
                let mut commands = vec![Command::PrepareMap(map.clone())];
                commands.extend(pieces(entries).into_iter().map(add));
                commands.push(Command::CommitMap(map.clone(), version));
                commands
            }
        }
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.commands(MapVersion::NEW))
    }
}

/// Files to write, without a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FilePlan {
    /// What they say.
    pub layout: Layout,
    /// By which template.
    #[serde(skip)]
    pub template: Arc<Template>,
    /// The files before and after, those that differ.
    pub changes: Vec<FileChange>,
}

/// Files to write and load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StructurePlan {
    /// Why a reload cannot be avoided.
    pub why: String,
    /// What the files say, its generation included.
    pub layout: Layout,
    /// What of it only a reload can change, as a hash.
    pub structure: String,
    /// By which template.
    #[serde(skip)]
    pub template: Arc<Template>,
    /// The files before and after, those that differ.
    pub changes: Vec<FileChange>,
}

impl Plan {
    /// As people read it.
    pub fn view(&self) -> PlanView {
        let commands = self.actions.iter().flat_map(|action| action.commands(MapVersion::NEW));
        // To the master process, once the files are checked and in place.
        let reload = self.structure.as_ref().map(|_| "reload".to_owned());
        let files = self.structure.as_ref().map(|s| &s.changes).or(self.files.as_ref().map(|f| &f.changes));
        PlanView {
            changes: self.changes.clone(),
            files: files.into_iter().flatten().map(readable).collect(),
            commands: commands.map(|command| command.to_string()).chain(reload).collect(),
            reload: self.structure.as_ref().map(|s| s.why.clone()),
            generation: self.layout().map(|layout| layout.generation),
            waits: self.waits.clone(),
        }
    }

    /// What the files say in the end.
    fn layout(&self) -> Option<&Layout> {
        self.structure.as_ref().map(|s| &s.layout).or(self.files.as_ref().map(|f| &f.layout))
    }

    fn is_empty(&self) -> bool {
        self.actions.is_empty() && self.files.is_none() && self.structure.is_none()
    }
}

/// A file's change without the seals: they differ whenever anything does.
fn readable(change: &FileChange) -> FileChange {
    let text = |text: &str| unsealed(text).to_owned();
    FileChange { path: change.path.clone(), old: text(&change.old), new: text(&change.new) }
}

/// Something that is waited for, and when to look again.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wait {
    why: String,
    recheck: Duration,
}

impl Planner<'_> {
    /// What every server of this backend is told.
    fn options(&self, backend: &BackendName, protocol: Protocol) -> ServerOptions {
        policy::options(self.policies.get(backend.service()), self.options, protocol)
    }

    /// Whether HAProxy's check of its servers wants an answer.
    fn asks_path(&self, backend: &BackendName) -> bool {
        let check = self.policies.get(backend.service()).check.as_ref();
        check.is_some_and(|check| check.path.is_some())
    }

    /// Whether clients stay at its servers by a cookie, as long as those are not in maintenance.
    fn is_sticky(&self, backend: &BackendName) -> bool {
        self.policies.get(backend.service()).sticky.is_some()
    }

    /// One step from `observed` towards `desired`. Repeated steps reach [`Step::Converged`].
    pub fn plan(&self, desired: &Desired, observed: &Observed, mode: Mode) -> Step<Plan> {
        let mut target = runtime(desired, observed, self.flavour, self.policies);
        // The operator's part comes first among what is waited for.
        let mut waits = Vec::new();
        let (files, structure) = files::plan(self, desired, observed, &mut target, mode, &mut waits);
        let mut actions = servers::opening(self, observed, &target, &mut waits);
        actions.extend(self.map_actions(observed, &target));
        actions.extend(certificates::actions(observed, &target));
        actions.extend(servers::closing(self, observed, &target, &mut waits));
        let (held, certificates) = (observed.layout.certificates.clone(), target.layout.certificates.clone());
        let plan = Plan { actions, files, structure, held, certificates, ..Plan::default() };
        if plan.is_empty() {
            return waited(waits);
        }
        let live = observed.live(self.flavour);
        let wanted = part(desired, self.flavour);
        let falls_short = plan.structure.is_none() && !(target.unplaced.is_empty() && target.mismatched.is_empty());
        let changes = if falls_short {
            diff_by_way_of(&live, &reached(&wanted, &live, &target), &wanted)
        } else {
            diff(&live, &wanted)
        };
        let waits = waits.into_iter().map(|wait| wait.why).collect();
        Step::Change(Plan { changes, waits, ..plan })
    }

    /// Of the endpoints of these services, each on the backend that it has, what may be gone over what was read a while
    /// ago: what goes drains, once another serves, and is taken away by who knows what is in flight then. Each of these
    /// commands is refused where its server is not as it was, or says what is to be whatever was.
    pub fn at_once_of(&self, services: &BTreeMap<ServiceName, Service>, observed: &Observed) -> Option<Plan> {
        let backends = observed.layout.backends.iter();
        let of_these = backends.filter(|(_, b)| b.service.as_ref().is_some_and(|s| services.contains_key(s)));
        let backends: BTreeMap<_, _> = of_these.map(|(name, backend)| (name.clone(), backend.clone())).collect();
        if backends.len() != services.len() {
            return None;
        }
        let down = observed.down.iter().filter(|(place, _)| backends.contains_key(&place.0));
        let few = Observed {
            down: down.map(|(place, since)| (place.clone(), *since)).collect(),
            layout: Layout { backends, ..Layout::default() },
            ..Observed::default()
        };
        let wanted = Desired { services: services.clone(), ..Desired::default() };
        let target = runtime(&wanted, &few, self.flavour, self.policies);
        let mut actions = servers::opening(self, &few, &target, &mut Vec::new());
        let gate = self.gate(&actions, &target);
        let (drains, relieved) = servers::relieving(self, &few, &target);
        actions.extend(drains);
        if actions.is_empty() && relieved.is_empty() {
            return None;
        }
        let changes = diff(&few.live(self.flavour), &wanted);
        Some(Plan { changes, actions, gate, relieved, ..Plan::default() })
    }

    /// The servers that these actions open and that need only listen.
    fn gate(&self, actions: &[Action], target: &Target) -> Vec<(ServerPath, EndpointAddr)> {
        let opened: BTreeSet<&ServerPath> = actions
            .iter()
            .filter_map(|action| match action {
                Action::Run(Command::HealthDown(path)) => Some(path),
                _ => None,
            })
            .collect();
        let backends = opened.iter().map(|path| &path.backend).filter(|backend| !self.asks_path(backend));
        let backends: BTreeSet<&BackendName> = backends.collect();
        let servers = backends.into_iter().filter_map(|name| Some((name, &target.layout.backends.get(name)?.servers)));
        let paths = servers.flat_map(|(name, servers)| {
            servers.iter().map(|(endpoint, server)| (self.flavour.path(name, endpoint), server.addr))
        });
        paths.filter(|(path, _)| opened.contains(path)).collect()
    }

    /// The same, by templates of which the first must render.
    pub fn try_plan(&self, desired: &Desired, observed: &Observed, mode: Mode) -> Result<Step<Plan>, DriverError> {
        files::try_plan(self, desired, observed, mode)?;
        Ok(self.plan(desired, observed, mode))
    }

    /// The services first: they say whose the servers of a spare are.
    fn map_actions(&self, observed: &Observed, target: &Target) -> Vec<Action> {
        let Flavour::Managed { hosts, services } = self.flavour else { return Vec::new() };
        let wanted = [
            (services, maps::services(&target.layout), &observed.services),
            (hosts, maps::hosts(&target.layout), &observed.hosts),
        ];
        let differ = wanted.into_iter().filter(|(_, wanted, live)| wanted != *live);
        differ.map(|(map, wanted, _)| Action::ReplaceMap(map.clone(), wanted)).collect()
    }
}

/// The first few reasons; the rest as a number.
fn waited(waits: Vec<Wait>) -> Step<Plan> {
    let Some(recheck) = waits.iter().map(|w| w.recheck).min() else { return Step::Converged };
    let more = waits.len().saturating_sub(SHOWN);
    let shown = waits.into_iter().take(SHOWN).map(|w| w.why).collect::<Vec<_>>().join("; ");
    let why = if more == 0 { shown } else { format!("{shown}; and {more} more") };
    Step::Waiting { why, recheck }
}

/// Reasons to wait that people are shown.
const SHOWN: usize = 3;

#[cfg(test)]
mod tests;

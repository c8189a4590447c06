//! The way from what one OpenResty holds to what it should hold. Pure: same input, same plan; no clock, no process.
//!
//! Endpoints, services and routes are one table, pushed without a reload and then written into the file. What only the
//! file can say (settings, template, the size of the shared memory) takes a reload.

mod words;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use backchat_contract::{
    Change, Desired, DriverError, FileChange, Idle, Mode, PlanView, Service, ServiceName, Step, Structure, diff,
    diff_by_way_of,
};
use backchat_nginx::{certificates::Certificates, control::Running, lines::effective};
use backchat_template::Template;
use serde::Serialize;

use crate::{
    config::{Rendered, room},
    observe::Observed,
    push::{Push, PushPlan},
    table::{Patch, Table},
};

/// What planning needs to know beside the desired and the observed.
pub struct Planner<'a> {
    /// Where the file lies.
    pub file: &'a Path,
    /// Where it is kept once somebody has edited it.
    pub aside: &'a Path,
    /// How the file is checked, for people to read.
    pub check: &'a str,
    /// A table as a file with so much shared memory (KiB), of this generation. Pure.
    pub render: &'a dyn Fn(&Table, u64, u64) -> Result<Rendered, DriverError>,
}

/// What `apply` does, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// What changes, in the words of the desired set.
    pub changes: Vec<Change>,
    /// What is pushed.
    pub push: Option<PushPlan>,
    /// Whether the file on the disk never ran, and is to make room for what runs before it is written.
    pub fall_back: bool,
    /// The file that is written, without a reload.
    pub write: Option<String>,
    /// A reload, with the file that it reads.
    pub reload: Option<ReloadPlan>,
    /// What it waits for beside that.
    pub waits: Vec<String>,
    /// The file before and after, as nginx reads it; `None` where that is the same.
    pub shown: Option<FileChange>,
    /// What was read: the plan is for it alone.
    #[serde(skip)]
    pub read: Option<Running>,
    /// What the file was rendered by; the driver's to say.
    #[serde(skip)]
    pub template: Option<Arc<Template>>,
    /// The certificates that the file names, with their keys.
    #[serde(skip)]
    pub certificates: Certificates,
}

/// A reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReloadPlan {
    /// Why it cannot be avoided.
    pub why: String,
    /// The file.
    pub text: String,
    /// The shared memory that it gives the table, in KiB.
    pub room: u64,
    /// What is to be read back.
    pub generation: u64,
    /// What is to be read back, too.
    pub structure: String,
    /// What is done, as commands.
    pub commands: Vec<String>,
}

impl Plan {
    /// Whether nothing is done beside the push.
    pub(crate) fn is_push_alone(&self) -> bool {
        self.push.is_some() && self.write.is_none() && self.reload.is_none() && !self.fall_back
    }

    /// As people read it.
    pub fn view(&self) -> PlanView {
        let push = self.push.iter().map(|push| push.command.clone());
        PlanView {
            changes: self.changes.clone(),
            files: self.shown.clone().into_iter().collect(),
            commands: push.chain(self.reload.iter().flat_map(|reload| reload.commands.clone())).collect(),
            reload: self.reload.as_ref().map(|reload| reload.why.clone()),
            generation: self.reload.as_ref().map(|reload| reload.generation),
            waits: self.waits.clone(),
        }
    }
}

/// When to look again at what only the operator can end.
pub(crate) const OPERATOR: Duration = Duration::from_secs(10);

/// When to look again at requests in flight, and at workers that retire.
const SOON: Duration = Duration::from_millis(20);

/// Patches that a table gets before it is pushed as a whole again, and services that one may have: each new worker reads
/// them all, and the shared memory has room for them beside two tables.
const PATCHES: u64 = 256;
const PATCHED: usize = 32;

/// Workers that retire, at most: beyond this no reload is begun. Each takes the memory of one that serves.
const RETIRING_MOST: usize = 16;

impl Planner<'_> {
    /// One step from `observed` towards `desired`. Repeated steps reach [`Step::Converged`]. A template that does not
    /// render holds up the file, and nothing else.
    pub fn plan(&self, desired: &Desired, observed: &Observed, mode: Mode) -> Step<Plan> {
        let (table, mut plan) = begin(desired, observed);
        let waits = self.file(observed, &table, mode, &mut plan);
        let waits = waits.unwrap_or_else(|error| Some((error.serves_on().to_string(), OPERATOR)));
        finish(observed, &table, plan, waits)
    }

    /// The same; fails where the template does.
    pub fn try_plan(&self, desired: &Desired, observed: &Observed, mode: Mode) -> Result<Step<Plan>, DriverError> {
        let (table, mut plan) = begin(desired, observed);
        let waits = self.file(observed, &table, mode, &mut plan)?;
        Ok(finish(observed, &table, plan, waits))
    }

    /// What becomes of the file; what is waited for there, if anything.
    fn file(
        &self,
        observed: &Observed,
        table: &Table,
        mode: Mode,
        plan: &mut Plan,
    ) -> Result<Option<Wait>, DriverError> {
        // It does not shrink again: that would be a reload for nothing.
        let room = room(table).max(observed.room());
        let now = (self.render)(table, room, observed.generation())?;
        let blocked = self.edited(observed).filter(|_| mode.structure != Structure::Forced);
        let why = words::why(observed, &now.structure, room, &plan.certificates);
        if why.is_none() && now.text == observed.look.file {
            return Ok(None);
        }
        let held = why.is_some() && mode.structure == Structure::Held;
        let stands = blocked.or_else(|| held.then(|| "structure waits for approval".to_owned()));
        if let Some(stands) = stands {
            let needed = why.map(|why| format!(" (needed: {why})")).unwrap_or_default();
            self.keep(observed, table, mode, plan)?;
            return Ok(Some((stands + &needed, OPERATOR)));
        }
        plan.fall_back = observed.behind;
        let Some(why) = why else {
            plan.shown = self.shown(observed, &now.text);
            plan.write = Some(now.text);
            return Ok(None);
        };
        let serving = observed.look.workers.len() - observed.retiring();
        if observed.retiring() >= RETIRING_MOST.max(4 * serving) {
            let why = format!("{} workers of before still end what they have (then: {why})", observed.retiring());
            return Ok(Some((why, SOON)));
        }
        let generation = observed.next_generation();
        let next = (self.render)(table, room, generation)?;
        plan.shown = self.shown(observed, &next.text);
        let commands = vec![self.check.to_owned(), observed.look.reload_command()];
        plan.reload = Some(ReloadPlan { why, text: next.text, room, generation, structure: next.structure, commands });
        Ok(None)
    }

    /// While structure is held, the file says the table that is served as soon as it can: where what nginx reads of it
    /// is what runs.
    fn keep(&self, observed: &Observed, table: &Table, mode: Mode, plan: &mut Plan) -> Result<(), DriverError> {
        let Some(kept) = observed.kept.as_ref().filter(|_| mode.structure == Structure::Held) else { return Ok(()) };
        if self.edited(observed).is_some() || observed.structure() != Some(&kept.structure) {
            return Ok(());
        }
        let now = (self.render)(table, observed.room(), observed.generation())?;
        if now.structure == kept.structure && now.text != observed.look.file {
            plan.write = Some(now.text);
        }
        Ok(())
    }

    fn edited(&self, observed: &Observed) -> Option<String> {
        observed.look.edited(self.file, self.aside)
    }

    fn shown(&self, observed: &Observed, text: &str) -> Option<FileChange> {
        let (old, new) = (effective(&observed.look.file), effective(text));
        let change = || FileChange { path: self.file.display().to_string(), old: old.to_owned(), new: new.to_owned() };
        (old != new).then(change)
    }
}

/// The push, where no reload comes with it: it names the table that it is to replace. No file is rendered for it.
pub(crate) fn at_once(desired: &Desired, observed: &Observed) -> Option<Plan> {
    let (table, plan) = begin(desired, observed);
    // What only a reload can bring waits for it.
    if room(&table) > observed.room() || plan.certificates != observed.live().certificates {
        return None;
    }
    match finish(observed, &table, plan, None) {
        Step::Change(plan) => Some(plan),
        Step::Waiting { .. } | Step::Converged => None,
    }
}

/// The same of the endpoints of these services: all else is as it was read.
pub(crate) fn at_once_of(services: &BTreeMap<ServiceName, Service>, observed: &Observed) -> Option<Plan> {
    let state = observed.state.as_ref()?;
    let live = state.table.as_ref()?;
    let before: Option<BTreeMap<_, _>> =
        services.keys().map(|name| Some((name.clone(), live.set.services.get(name)?.clone()))).collect();
    let of = |services| Desired { services, ..Desired::default() };
    let changes = diff(&of(before?), &of(services.clone()));
    if changes.is_empty() {
        return None;
    }
    let patch = Patch { version: observed.next_version(), services: services.clone() };
    let command = words::command(&changes, patch.version);
    let is_short = state.patches < PATCHES && services.len() <= PATCHED && patch.version == state.version + 1;
    let what = if is_short {
        Push::Patch(patch)
    } else {
        let mut table = Table { version: patch.version, set: live.set.clone() };
        table.set.services.extend(patch.services);
        Push::Whole(Arc::new(table))
    };
    let push = PushPlan { command, what, over: state.place() };
    Some(Plan { changes, push: Some(push), read: observed.look.running.clone(), ..Plan::default() })
}

/// Notes in what was read what was pushed since.
pub(crate) fn note(plan: &Plan, observed: &mut Observed) {
    if let (Some(push), Some(state)) = (&plan.push, &mut observed.state) {
        push.what.note(state);
    }
}

/// What is to be served, under its number.
fn begin(desired: &Desired, observed: &Observed) -> (Arc<Table>, Plan) {
    let Desired { certificates, .. } = desired.clone();
    let wanted = Desired { certificates: Certificates::new(), ..part(desired) };
    let live = observed.state.as_ref().and_then(|state| state.table.as_ref());
    let table = match live {
        Some(live) if live.set == wanted => Arc::clone(live),
        _ => Arc::new(Table { version: observed.next_version(), set: wanted }),
    };
    (table, Plan { read: observed.look.running.clone(), certificates, ..Plan::default() })
}

/// The push, beside what becomes of the file.
fn finish(observed: &Observed, table: &Arc<Table>, mut plan: Plan, waits: Option<Wait>) -> Step<Plan> {
    // Where it has no chance of fitting, the reload that makes room brings it.
    plan.push = push(observed, table).filter(|push| plan.reload.is_none() || push.fits());
    if plan.push.is_some() || plan.write.is_some() || plan.reload.is_some() {
        let live = observed.live();
        let wanted = Desired { certificates: plan.certificates.clone(), ..table.set.clone() };
        plan.changes = if plan.reload.is_some() {
            diff(&live, &wanted)
        } else {
            diff_by_way_of(&live, &Desired { certificates: live.certificates.clone(), ..wanted.clone() }, &wanted)
        };
        if let Some(push) = &mut plan.push {
            push.command = words::command(&plan.changes, table.version);
        }
        plan.waits = waits.into_iter().map(|(why, _)| why).collect();
        return Step::Change(plan);
    }
    match waits.or_else(|| drains(observed, table)) {
        Some((why, recheck)) => Step::Waiting { why, recheck },
        None => Step::Converged,
    }
}

/// What is waited for, and when to look again.
type Wait = (String, Duration);

/// The desired set as it is served. Left out: names that are ours to give (the model refuses them; here they must not do
/// harm), and routes to what is not here.
pub(crate) fn part(desired: &Desired) -> Desired {
    let mut set = desired.clone();
    set.services.retain(|name, _| !name.as_str().starts_with("bc-"));
    set.routes.retain(|_, service| set.services.contains_key(service));
    set
}

/// What is to be pushed, unless it is there. Its command is said once it is known what changes.
fn push(observed: &Observed, table: &Arc<Table>) -> Option<PushPlan> {
    let over = observed.state.as_ref()?;
    let what = || Push::Whole(Arc::clone(table));
    let push = || PushPlan { command: String::new(), what: what(), over: over.place() };
    (over.table.as_ref() != Some(table)).then(push)
}

/// Nothing is left to do: but what drains may not be done.
fn drains(observed: &Observed, table: &Table) -> Option<Wait> {
    let drain = table.set.endpoints().filter(|(_, e)| e.state == backchat_contract::EndpointState::Drain);
    let busy: Vec<String> =
        drain.filter(|(id, _)| observed.idle(id) == Idle::No).map(|(id, _)| id.to_string()).collect();
    (!busy.is_empty()).then(|| (format!("{} may have requests in flight", words::some(&busy)), SOON))
}

#[cfg(test)]
mod tests;

//! The way from what one nginx holds to what it should hold. Pure: same input, same plan; no clock, no process.
//!
//! All that changes who serves what is a new file and a reload. What changes nothing of that (a drained server goes) is
//! written without one.

mod reasons;

use std::{path::Path, sync::Arc, time::Duration};

use backchat_contract::{
    Change, Desired, DriverError, FileChange, Mode, PlanView, Step, Structure, diff, diff_by_way_of,
};
use backchat_template::{Template, hash};
use serde::Serialize;

use crate::{certificates::Certificates, control::Running, layout::Layout, lines::effective, observe::Observed};

/// What planning needs to know beside the desired and the observed.
pub struct Planner<'a> {
    /// Where the file lies.
    pub file: &'a Path,
    /// Where it is kept when somebody has edited it.
    pub aside: &'a Path,
    /// How the file is checked, for people to read.
    pub check: &'a str,
    /// What nginx took last by the program's own template, as [`ReloadPlan::alike`]: where only endpoints differ from that,
    /// it is not asked again. It loads nothing that it has not checked, and serves on by the file before where it refuses.
    pub taken: Option<&'a str>,
    /// The hash of what a reload with this layout would bring. Pure.
    pub structure: &'a dyn Fn(&Layout) -> Result<String, DriverError>,
    /// A layout as a file of this generation, whose hash this is. Pure. Most of what planning costs, so that nothing is
    /// rendered that is not written or compared.
    pub render: &'a dyn Fn(&Layout, u64, &str) -> Result<String, DriverError>,
}

/// What `apply` does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// What changes, in the words of the desired set.
    pub changes: Vec<Change>,
    /// The file that is written.
    pub text: String,
    /// The file before and after, as nginx reads it; `None` where that is the same.
    pub shown: Option<FileChange>,
    /// Whether what lies on the disk never ran, and is to make room for what runs before anything else.
    pub fall_back: bool,
    /// A reload.
    pub reload: Option<ReloadPlan>,
    /// What it waits for beside that.
    pub waits: Vec<String>,
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
    /// What is to be read back.
    pub generation: u64,
    /// What is to be read back, too.
    pub structure: String,
    /// The same, whichever endpoints come and go.
    pub alike: String,
    /// Whether nginx is asked for its opinion first.
    pub is_checked: bool,
    /// What is done, as commands.
    pub commands: Vec<String>,
}

impl Plan {
    /// As people read it.
    pub fn view(&self) -> PlanView {
        PlanView {
            changes: self.changes.clone(),
            files: self.shown.clone().into_iter().collect(),
            commands: self.reload.iter().flat_map(|reload| reload.commands.clone()).collect(),
            reload: self.reload.as_ref().map(|reload| reload.why.clone()),
            generation: self.reload.as_ref().map(|reload| reload.generation),
            waits: self.waits.clone(),
        }
    }
}

/// When to look again at what only the operator can end.
const OPERATOR: Duration = Duration::from_secs(10);

/// When to look again at workers that retire: their end is heard, so this is for what is not.
const RETIRING: Duration = Duration::from_millis(100);

/// Workers that retire, at most: beyond this no reload is begun. Each takes the memory of one that serves.
const RETIRING_MOST: usize = 16;

/// Reasons to wait that people are shown.
const SHOWN: usize = 3;

impl Planner<'_> {
    /// One step from `observed` towards `desired`. Repeated steps reach [`Step::Converged`].
    pub fn plan(&self, desired: &Desired, observed: &Observed, mode: Mode) -> Step<Plan> {
        match self.try_plan(desired, observed, mode) {
            Ok(step) => step,
            Err(error) => operator(error.serves_on().to_string()),
        }
    }

    /// The same; fails where the template does.
    pub fn try_plan(&self, desired: &Desired, observed: &Observed, mode: Mode) -> Result<Step<Plan>, DriverError> {
        let layout = Layout::of(desired, &observed.live, observed.generation());
        let structure = (self.structure)(&layout)?;
        let blocked = observed.look.edited(self.file, self.aside).filter(|_| mode.structure != Structure::Forced);
        let Some(why) = reasons::why(observed, &layout, &structure) else {
            let now = (self.render)(&layout, observed.generation(), &structure)?;
            return Ok(self.without_reload(observed, &layout, now, blocked));
        };
        if let Some(blocked) = blocked {
            return Ok(operator(format!("{blocked} (needed: {why})")));
        }
        if mode.structure == Structure::Held
            && let Some(step) = self.endpoints_alone(desired, observed, &why)?
        {
            return Ok(step);
        }
        let serving = observed.look.workers.len() - observed.retiring();
        if observed.retiring() >= RETIRING_MOST.max(4 * serving) {
            let why = format!("{} workers of before still end what they have (then: {why})", observed.retiring());
            return Ok(Step::Waiting { why, recheck: RETIRING });
        }
        self.reload(observed, layout, why, structure).map(Step::Change)
    }

    fn without_reload(&self, observed: &Observed, layout: &Layout, now: String, blocked: Option<String>) -> Step<Plan> {
        if now == observed.look.file {
            return drains(observed, layout);
        }
        if let Some(blocked) = blocked {
            return operator(blocked);
        }
        Step::Change(Plan {
            changes: diff(&observed.live.desired(), &layout.desired()),
            shown: self.shown(observed, &now),
            text: now,
            fall_back: observed.behind,
            reload: None,
            waits: Vec::new(),
            read: observed.look.running.clone(),
            template: None,
            certificates: layout.certificates.clone(),
        })
    }

    fn reload(&self, observed: &Observed, layout: Layout, why: String, structure: String) -> Result<Plan, DriverError> {
        let generation = observed.next_generation();
        let layout = layout.drained_since(generation, &observed.live);
        // What drains, and since when, is no part of the structure.
        let next = (self.render)(&layout, generation, &structure)?;
        let alike = self.alike(&layout)?;
        let is_checked = self.taken != Some(&*alike);
        let check = is_checked.then(|| self.check.to_owned());
        let commands = check.into_iter().chain([observed.look.reload_command()]).collect();
        Ok(Plan {
            changes: diff(&observed.live.desired(), &layout.desired()),
            shown: self.shown(observed, &next),
            text: next,
            fall_back: observed.behind,
            reload: Some(ReloadPlan { why, generation, structure, alike, is_checked, commands }),
            waits: Vec::new(),
            read: observed.look.running.clone(),
            template: None,
            certificates: layout.certificates.clone(),
        })
    }

    /// Without servers and with samples: a template may write a service without any otherwise.
    fn alike(&self, layout: &Layout) -> Result<String, DriverError> {
        let structure = |samples| (self.structure)(&layout.alike(samples));
        Ok(hash(&(structure(false)? + &structure(true)?)))
    }

    /// Structure is held back: what the services that are here may be given without any of it. `None` where nothing is
    /// held back by that.
    fn endpoints_alone(
        &self,
        desired: &Desired,
        observed: &Observed,
        why: &str,
    ) -> Result<Option<Step<Plan>>, DriverError> {
        let alone = reasons::endpoints_alone(desired, &observed.live);
        let stands = format!("structure waits for approval (needed: {why})");
        let waits = operator(stands.clone());
        let live = (self.structure)(&observed.live)?;
        if observed.structure() != Some(live.as_str()) || observed.look.distrusted {
            // The template or the settings are others: no file has the old ones and new endpoints.
            return Ok(Some(waits));
        }
        if Layout::of(&alone, &observed.live, 0) == Layout::of(desired, &observed.live, 0) {
            return Ok(None);
        }
        let step = self.try_plan(&alone, observed, Mode { structure: Structure::Allowed })?;
        let Step::Change(plan) = step else { return Ok(Some(waits)) };
        let changes = diff_by_way_of(&observed.live.desired(), &part(&alone), &part(desired));
        Ok(Some(Step::Change(Plan { changes, waits: vec![stands], ..plan })))
    }

    fn shown(&self, observed: &Observed, text: &str) -> Option<FileChange> {
        let (old, new) = (effective(&observed.look.file), effective(text));
        let change = || FileChange { path: self.file.display().to_string(), old: old.to_owned(), new: new.to_owned() };
        (old != new).then(change)
    }
}

/// The desired set without what is never laid out: what is told to change is what will.
pub(crate) fn part(desired: &Desired) -> Desired {
    Layout::of(desired, &Layout::default(), 0).desired()
}

/// Nothing is left to do: but what drains may not be done.
fn drains(observed: &Observed, layout: &Layout) -> Step<Plan> {
    let drain = layout.servers().filter(|(id, _)| observed.idle(id) == backchat_contract::Idle::No);
    let drain: Vec<String> = drain.map(|(id, _)| id.to_string()).collect();
    if drain.is_empty() {
        return Step::Converged;
    }
    let more = drain.len().saturating_sub(SHOWN);
    let shown = drain.into_iter().take(SHOWN).collect::<Vec<_>>().join(", ");
    let also = if more == 0 { String::new() } else { format!(" and {more} more") };
    let why = format!("{shown}{also} may have requests left with {} workers of before", observed.retiring());
    Step::Waiting { why, recheck: RETIRING }
}

/// A wait that only the operator can end.
pub(crate) fn operator(why: String) -> Step<Plan> {
    Step::Waiting { why, recheck: OPERATOR }
}

#[cfg(test)]
mod tests;

//! What the files should say, and whether only a reload can bring it. Pure.

use std::{path::PathBuf, sync::Arc, time::Duration};

use backchat_contract::{Desired, DriverError, FileChange, Mode, Structure};
use backchat_template::Template;

use super::{FilePlan, Planner, StructurePlan, Target, Wait, certificates, runtime, structural};
use crate::{
    config::Rendered,
    layout::Layout,
    observe::{Files, Flavour, Observed},
    paths::Paths,
};

/// When to look again at what only the operator can end.
const OPERATOR: Duration = Duration::from_secs(10);

/// The files after the commands, and a new structure where one is needed and allowed. What stands against
/// either is waited for.
pub(super) fn plan(
    planner: &Planner<'_>,
    desired: &Desired,
    observed: &Observed,
    target: &mut Target,
    mode: Mode,
    waits: &mut Vec<Wait>,
) -> (Option<FilePlan>, Option<StructurePlan>) {
    let (Some(paths), Some(disk)) = (planner.paths, &observed.files) else {
        waits.extend(attached(planner, target));
        return (None, None);
    };
    if planner.refused {
        waits.push(operator("the template to be mended"));
    }
    for template in &planner.templates {
        let by = By { planner, template, desired, observed, paths, disk, mode };
        match by.plan(target) {
            Ok(Planned { files, structure, wait }) => {
                waits.extend(wait.map(operator));
                let files = files.or_else(|| by.by_the_one_that_runs(target));
                return (files, structure);
            }
            Err(error) => waits.push(operator(error.serves_on().to_string())),
        }
    }
    (None, None)
}

/// Whether the first template renders all that it would be asked for.
pub(super) fn try_plan(
    planner: &Planner<'_>,
    desired: &Desired,
    observed: &Observed,
    mode: Mode,
) -> Result<(), DriverError> {
    let (Some(paths), Some(disk), Some(template)) = (planner.paths, &observed.files, planner.templates.first()) else {
        return Ok(());
    };
    let mut target = runtime(desired, observed, planner.flavour, planner.policies);
    By { planner, template, desired, observed, paths, disk, mode }.plan(&mut target).map(drop)
}

/// Planning by one template.
#[derive(Clone, Copy)]
struct By<'a> {
    planner: &'a Planner<'a>,
    template: &'a Arc<Template>,
    desired: &'a Desired,
    observed: &'a Observed,
    paths: &'a Paths,
    disk: &'a Files,
    mode: Mode,
}

/// What it comes to, and what stands against more.
#[derive(Default)]
struct Planned {
    files: Option<FilePlan>,
    structure: Option<StructurePlan>,
    wait: Option<String>,
}

impl By<'_> {
    fn plan(&self, target: &mut Target) -> Result<Planned, DriverError> {
        let rendered = self.render(&target.layout)?;
        let edited = self.disk.edited(&self.paths.config).filter(|_| self.mode.structure != Structure::Forced);
        let need = need(self.observed, target, &rendered);
        let held = || (self.mode.structure == Structure::Held).then(|| "structure waits for approval".to_owned());
        let stands = edited.clone().or_else(held);
        // The file may say what runs; another structure it may say only when that is loaded.
        let may_say = Some(&rendered.structure) == self.observed.structure.as_ref() && edited.is_none();
        let files = if may_say { self.push(&rendered, &target.layout)? } else { None };
        let generation = files.as_ref().map_or(target.layout.generation, |files| files.layout.generation);
        let structure = match (&need, &stands) {
            (Some(why), None) => Some(self.structure(why, generation + 1)?),
            _ => None,
        };
        target.layout.generation = generation;
        let wait = match need {
            Some(why) => stands.map(|stands| format!("{stands} (needed: {why})")),
            None => edited,
        };
        Ok(Planned { files, structure, wait })
    }

    /// While the structure of a new template is held, the file goes on by the one before, so that a HAProxy restarted
    /// alone has the endpoints of now.
    fn by_the_one_that_runs(&self, target: &mut Target) -> Option<FilePlan> {
        let held = self.mode.structure == Structure::Held;
        let others = self.planner.templates.iter().filter(|other| held && !Arc::ptr_eq(other, self.template));
        let mut planned = others.filter_map(|template| By { template, ..*self }.plan(target).ok());
        planned.find_map(|planned| planned.files)
    }

    fn render(&self, layout: &Layout) -> Result<Rendered, DriverError> {
        (self.planner.render)(self.template, layout)
    }

    /// The files as the commands leave it. What changes them is a generation of its own.
    fn push(&self, rendered: &Rendered, layout: &Layout) -> Result<Option<FilePlan>, DriverError> {
        if self.differ(rendered).next().is_none() {
            return Ok(None);
        }
        let next = Layout { generation: layout.generation + 1, ..layout.clone() };
        let changes = self.changes(&(self.planner.again)(self.template, &next, rendered)?);
        Ok(Some(FilePlan { layout: next, template: Arc::clone(self.template), changes }))
    }

    fn structure(&self, why: &str, generation: u64) -> Result<StructurePlan, DriverError> {
        let layout = structural(self.desired, self.observed, self.planner.fresh, generation);
        let rendered = self.render(&layout)?;
        let (changes, structure) = (self.changes(&rendered), rendered.structure);
        Ok(StructurePlan { why: why.to_owned(), layout, structure, template: Arc::clone(self.template), changes })
    }

    fn changes(&self, rendered: &Rendered) -> Vec<FileChange> {
        let change = |(path, old, new): (&PathBuf, &String, &String)| FileChange {
            path: path.display().to_string(),
            old: old.clone(),
            new: new.clone(),
        };
        self.differ(rendered).map(change).collect()
    }

    /// The files that would be others: where, before and after.
    fn differ<'a>(&'a self, rendered: &'a Rendered) -> impl Iterator<Item = (&'a PathBuf, &'a String, &'a String)> {
        let files = [
            (&self.paths.config, &self.disk.config, &rendered.config),
            (&self.paths.hosts, &self.disk.hosts, &rendered.hosts),
            (&self.paths.services, &self.disk.services, &rendered.services),
            (&self.paths.certificates, &self.disk.certificates, &rendered.certificates),
        ];
        files.into_iter().filter(|(_, old, new)| old != new)
    }
}

/// Why only a reload can bring the desired set; `None` where commands do.
fn need(observed: &Observed, target: &Target, rendered: &Rendered) -> Option<String> {
    let Some(live) = &observed.structure else { return Some("haproxy does not run a configuration of ours".into()) };
    let mut whys = Vec::new();
    if *live != rendered.structure {
        whys.push(changed(observed, target).to_owned());
    }
    if !target.unplaced.is_empty() {
        whys.push(format!("no backend for {}", names(&target.unplaced)));
    }
    if !target.mismatched.is_empty() {
        whys.push(format!("another backend for {}", names(&target.mismatched)));
    }
    let large = certificates::too_large(observed, target);
    if observed.lists_certificates && !large.is_empty() {
        whys.push(format!("too large for the runtime socket: certificate {}", names(&large)));
    }
    (!whys.is_empty()).then(|| whys.join(", "))
}

/// What else than a service may make another structure.
fn changed(observed: &Observed, target: &Target) -> &'static str {
    match (observed.lists_certificates, target.layout.certificates.is_empty()) {
        (false, false) => "certificates to listen with",
        (true, true) => "no certificate to listen with",
        _ => "settings or template changed",
    }
}

/// The first few names; the rest as a number.
fn names(services: &[impl ToString]) -> String {
    let shown = services.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match services.len().saturating_sub(5) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn attached(planner: &Planner<'_>, target: &Target) -> Option<Wait> {
    let missing = *planner.flavour == Flavour::Attached && !target.unplaced.is_empty();
    missing.then(|| operator(format!("this haproxy has no backend named {}", names(&target.unplaced))))
}

fn operator(why: impl Into<String>) -> Wait {
    Wait { why: why.into(), recheck: OPERATOR }
}

//! What the files should say, and whether only a reload can bring it. Pure.

use std::time::Duration;

use backchat_contract::{Desired, FileChange, Mode, ServiceName, Structure};

use super::{FilePlan, Planner, StructurePlan, Target, Wait, structural};
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
    let rendered = match (planner.render)(&target.layout) {
        Ok(rendered) => rendered,
        Err(error) => {
            waits.push(operator(error.serves_on().to_string()));
            return (None, None);
        }
    };
    let edited = disk.edited(&paths.config).filter(|_| mode.structure != Structure::Forced);
    let need = need(observed, target, &rendered);
    // The file may say what runs; another structure it may say only when that is loaded.
    let may_say = Some(&rendered.structure) == observed.structure.as_ref() && edited.is_none();
    let files = may_say.then(|| push(planner, paths, disk, &rendered, &mut target.layout)).flatten();
    let Some(why) = need else {
        waits.extend(edited.map(operator));
        return (files, None);
    };
    let held = || (mode.structure == Structure::Held).then(|| "structure waits for approval".to_owned());
    if let Some(stands) = edited.or_else(held) {
        waits.push(operator(format!("{stands} (needed: {why})")));
        return (files, None);
    }
    (files, structure(planner, desired, observed, (paths, disk), (why, target.layout.generation + 1), waits))
}

/// The files as the commands leave it. What changes them is a generation of its own.
fn push(
    planner: &Planner<'_>,
    paths: &Paths,
    disk: &Files,
    rendered: &Rendered,
    layout: &mut Layout,
) -> Option<FilePlan> {
    if changes(paths, disk, rendered).is_empty() {
        return None;
    }
    layout.generation += 1;
    // The same layout but for a number: where it rendered before, it does again.
    let rendered = (planner.render)(layout).ok()?;
    Some(FilePlan { layout: layout.clone(), changes: changes(paths, disk, &rendered) })
}

fn structure(
    planner: &Planner<'_>,
    desired: &Desired,
    observed: &Observed,
    (paths, disk): (&Paths, &Files),
    (why, generation): (String, u64),
    waits: &mut Vec<Wait>,
) -> Option<StructurePlan> {
    let layout = structural(desired, observed, planner.spares, generation);
    match (planner.render)(&layout) {
        Ok(rendered) => Some(StructurePlan { why, changes: changes(paths, disk, &rendered), layout }),
        Err(error) => {
            waits.push(operator(error.serves_on().to_string()));
            None
        }
    }
}

/// Why only a reload can bring the desired set; `None` where commands do.
fn need(observed: &Observed, target: &Target, rendered: &Rendered) -> Option<String> {
    let Some(live) = &observed.structure else { return Some("haproxy does not run a configuration of ours".into()) };
    let mut whys = Vec::new();
    if *live != rendered.structure {
        whys.push("settings or template changed".to_owned());
    }
    if !target.unplaced.is_empty() {
        whys.push(format!("no backend for {}", names(&target.unplaced)));
    }
    if !target.mismatched.is_empty() {
        whys.push(format!("another protocol for {}", names(&target.mismatched)));
    }
    (!whys.is_empty()).then(|| whys.join(", "))
}

/// The first few names; the rest as a number.
fn names(services: &[ServiceName]) -> String {
    let shown = services.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match services.len().saturating_sub(5) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn changes(paths: &Paths, disk: &Files, rendered: &Rendered) -> Vec<FileChange> {
    let files = [
        (&paths.config, &disk.config, &rendered.config),
        (&paths.hosts, &disk.hosts, &rendered.hosts),
        (&paths.services, &disk.services, &rendered.services),
    ];
    let differ = files.into_iter().filter(|(_, old, new)| old != new);
    differ
        .map(|(path, old, new)| FileChange { path: path.display().to_string(), old: old.clone(), new: new.clone() })
        .collect()
}

fn attached(planner: &Planner<'_>, target: &Target) -> Option<Wait> {
    let missing = *planner.flavour == Flavour::Attached && !target.unplaced.is_empty();
    missing.then(|| operator(format!("this haproxy has no backend named {}", names(&target.unplaced))))
}

fn operator(why: impl Into<String>) -> Wait {
    Wait { why: why.into(), recheck: OPERATOR }
}

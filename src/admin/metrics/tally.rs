//! What the reconcile loop has counted, as metrics.

use backchat_contract::Action;

use super::page::{Labels, Page, label};
use crate::model::Status;

pub(super) fn add(page: &mut Page, s: &Status) {
    steps(page, s);
    applies(page, s);
    drains(page, s);
    let errors = s.sources.iter().map(|source| {
        let count = s.tally.source_errors.get(&source.name).copied().unwrap_or(0);
        (label("source", &source.name), count)
    });
    page.counters("source_errors", "Times that a source came into trouble, or into another", errors);
}

fn steps(page: &mut Page, s: &Status) {
    let steps = [("ok", s.steps), ("failed", s.failures)];
    page.counters("reconcile", "Steps of the loop", results(steps));
    let phases = s.tally.phases;
    let phases = [("observe", phases.observe), ("plan", phases.plan), ("apply", phases.apply)];
    let phases = phases.map(|(phase, times)| (label("phase", phase), times));
    page.times("reconcile_duration_seconds", "How long the parts of a step take", phases);
    let help = "From a source's change to its being read back of the data plane";
    page.times("change_to_effect_seconds", help, [(Labels::new(), s.tally.change_to_effect)]);
}

fn applies(page: &mut Page, s: &Status) {
    let actions =
        [("add", Action::Add), ("update", Action::Update), ("drain", Action::Drain), ("remove", Action::Remove)];
    let count = |action| s.tally.changes.get(&action).copied().unwrap_or(0);
    let changes = actions.map(|(word, action)| (label("action", word), count(action)));
    page.counters("changes", "Endpoints and routes that were read back to be others after an apply", changes);
    let commands = [("ok", s.tally.commands), ("refused", s.tally.refusals)];
    page.counters("commands", "Commands that the data plane answered", results(commands));
    let reloads = [("ok", s.reloads), ("failed", s.tally.failed_reloads)];
    page.counters("reloads", "Reloads and restarts of the data plane by this daemon's plans", results(reloads));
    let help = "Times that the data plane's process had ended and another took its place";
    page.counters("data_plane_restarts", help, [(Labels::new(), s.tally.restarts)]);
}

fn drains(page: &mut Page, s: &Status) {
    let ended = s.tally.drains;
    let ended = [("idle", ended.idle), ("gone", ended.gone), ("undone", ended.undone)];
    page.counters("drains", "Drains of endpoints, by how they ended", results(ended));
    let help = "From the last look that finds an endpoint taking requests to the first that finds it drained and idle";
    page.times("drain_duration_seconds", help, [(Labels::new(), s.tally.drain_times)]);
}

fn results<const N: usize>(counts: [(&'static str, u64); N]) -> [(Labels, u64); N] {
    counts.map(|(result, count)| (label("result", result), count))
}

//! A plan as text: the sign in column 1, one self-contained line a change, so that `grep '^[-!]'` finds the danger.

mod change;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::{age, count, paint, safe};
use crate::admin::answers::{File, Plan, Ready};

/// How many lines of one diff, and of all commands, are shown unless all are asked for.
const LIMIT: usize = 40;

/// The plan; diffs and commands in full, or up to the limit.
pub(in crate::cli) fn text(plan: &Plan, full: bool) -> String {
    let limit = if full { usize::MAX } else { LIMIT };
    let mut text = header(plan);
    text.push_str(&change::lines(&plan.changes));
    let files = plan.files.iter().map(|file| diff(file, plan, limit));
    let blocks = [judgement(plan)].into_iter().chain(files).chain([commands(plan, limit), summary(plan)]);
    for block in blocks.filter(|block| !block.is_empty()) {
        text.push('\n');
        text.push_str(&block);
    }
    paint::lines(&text, |line| match line.as_bytes() {
        [b'+', b' ', ..] => Some(paint::GOOD),
        [b'-', b' ', ..] => Some(paint::BAD),
        [b'~', b' ', ..] => Some(paint::ODD),
        [b'!', b' ', ..] => Some(paint::HELD),
        _ => None,
    })
}

fn header(plan: &Plan) -> String {
    let generation =
        if plan.from == plan.to { plan.from.to_string() } else { format!("{} → {}", plan.from, plan.to) };
    let synced = if plan.synced { "sources synced" } else { "not synced: nothing is removed" };
    let (node, driver) = (safe(&plan.node), &plan.driver.name);
    if plan.driver.version.is_empty() {
        return format!("{node}: {driver} does not run, generation {generation}, {synced}\n");
    }
    let (version, read) = (&plan.driver.version, age::ago(plan.read_back_ms));
    format!("{node}: {driver} {version}, generation {generation}, read back {read}, {synced}\n")
}

/// What a reader judges by: the capacity that is left, what is waited for, and why something is held.
fn judgement(plan: &Plan) -> String {
    let services: BTreeSet<&str> = touched(plan).collect();
    let told = |r: &&Ready| r.before != r.after || r.hold.is_some() || services.contains(r.service.as_str());
    let told: Vec<_> = plan.ready.iter().filter(told).map(ready).collect();
    let ready = (!told.is_empty()).then(|| format!("ready: {}", told.join(", ")));
    let waits = plan.waiting.iter().map(|why| format!("waits: {}", safe(why)));
    let holds = plan.holds.iter().flat_map(|hold| {
        let id = safe(&hold.id);
        [format!("hold {id}: {}", safe(&hold.why)), format!("  backchat apply --accept {id}")]
    });
    joined(ready.into_iter().chain(waits).chain(holds))
}

/// The services of which an endpoint changes.
fn touched(plan: &Plan) -> impl Iterator<Item = &str> {
    let endpoints = plan.changes.iter().filter(|change| change.kind == "endpoint" && change.status != "refused");
    endpoints.filter_map(|change| change.id.split('/').next())
}

/// Lines as a text.
fn joined(lines: impl Iterator<Item = String>) -> String {
    lines.fold(String::new(), |text, line| text + &line + "\n")
}

fn ready(r: &Ready) -> String {
    let without = r.hold.as_ref().zip(r.without_hold).map(|(hold, n)| format!(" ({n} without {})", safe(hold)));
    format!("{} {} → {}{}", r.service, r.before, r.after, without.unwrap_or_default())
}

/// A file's diff, indented so that its signs are not taken for the plan's own.
fn diff(file: &File, plan: &Plan, limit: usize) -> String {
    let lines = file.diff.lines().filter(|line| !line.starts_with("@@"));
    // The two title lines say which generation they are.
    let titled = |(number, line): (usize, &str)| match number {
        0 => format!("{line} ({})", plan.from),
        1 => format!("{line} ({})", plan.to),
        _ => line.to_owned(),
    };
    let lines: Vec<String> = lines.enumerate().map(titled).collect();
    indented(&lines, "", limit)
}

fn commands(plan: &Plan, limit: usize) -> String {
    // A command of several lines goes on below it; only our own have any.
    let several =
        |command: &String| command.trim_end().replace('\n', "\n  ").lines().map(str::to_owned).collect::<Vec<_>>();
    indented(&plan.commands.iter().flat_map(several).collect::<Vec<_>>(), "> ", limit)
}

fn indented(lines: &[String], sign: &str, limit: usize) -> String {
    let more = lines.len().saturating_sub(limit);
    let rest = (more > 0).then(|| format!("  … {more} more (--full)"));
    joined(lines.iter().take(limit).map(|line| format!("  {sign}{}", safe(line))).chain(rest))
}

fn summary(plan: &Plan) -> String {
    let s = plan.summary;
    let mut parts = Vec::new();
    if plan.changes_anything() {
        let drains = if s.drain > 0 { format!(" ({} drain)", s.drain) } else { String::new() };
        parts.push(format!("{} to add, {} to change{drains}, {} to remove", s.add, s.change, s.remove));
    } else {
        let now = if s.waiting > 0 { " now" } else { "" };
        parts.push(format!("nothing to change{now}"));
    }
    parts.extend((s.waiting > 0).then(|| format!("{} waiting", s.waiting)));
    parts.extend((s.held > 0).then(|| format!("{} held", s.held)));
    parts.extend((s.refused > 0).then(|| format!("{} refused", s.refused)));
    let reload = plan.reload.as_ref().map_or_else(|| "no reload".to_owned(), |why| format!("reload: {}", safe(why)));
    let effort =
        if plan.changes_anything() { format!("; {}, {reload}", count(s.commands, "command")) } else { String::new() };
    format!("Plan: {}{effort}.\n", parts.join(", "))
}

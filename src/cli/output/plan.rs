//! A plan as text: the sign in column 1, one self-contained line a change, so that `grep '^[-!]'` finds the danger.

mod change;

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
    let (driver, read) = (&plan.driver, age::ago(plan.read_back_ms));
    format!(
        "{}: {} {}, generation {generation}, read back {read}, {synced}\n",
        safe(&plan.node),
        driver.name,
        driver.version
    )
}

/// What a reader judges by: the capacity that is left, and why something is held.
fn judgement(plan: &Plan) -> String {
    let moved: Vec<_> = plan.ready.iter().filter(|r| r.before != r.after || r.hold.is_some()).map(ready).collect();
    let ready = (!moved.is_empty()).then(|| format!("ready: {}", moved.join(", ")));
    let holds = plan.holds.iter().flat_map(|hold| {
        let id = safe(&hold.id);
        [format!("hold {id}: {}", safe(&hold.why)), format!("  backchat release {id}")]
    });
    joined(ready.into_iter().chain(holds))
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
    let lines: Vec<String> = lines.map(|line| titled(line, plan)).collect();
    indented(&lines, "", limit)
}

/// The two title lines say which generation they are.
fn titled(line: &str, plan: &Plan) -> String {
    if line.starts_with("--- ") {
        format!("{line} ({})", plan.from)
    } else if line.starts_with("+++ ") {
        format!("{line} ({})", plan.to)
    } else {
        line.to_owned()
    }
}

fn commands(plan: &Plan, limit: usize) -> String {
    indented(&plan.commands, "> ", limit)
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
        parts.push("nothing to change".to_owned());
    }
    parts.extend((s.held > 0).then(|| format!("{} held", s.held)));
    parts.extend((s.refused > 0).then(|| format!("{} refused", s.refused)));
    let reload = plan.reload.as_ref().map_or_else(|| "no reload".to_owned(), |why| format!("reload: {}", safe(why)));
    let effort =
        if plan.changes_anything() { format!("; {}, {reload}", count(s.commands, "command")) } else { String::new() };
    format!("Plan: {}{effort}.\n", parts.join(", "))
}

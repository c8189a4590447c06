//! The lines of `status`: ok, warn, HELD, FAIL.

mod certificates;

use std::fmt::Write;

use super::{age, count, paint, safe};
use crate::{
    admin::answers::{Approval, Check, Flapping, Hold, Source, Status},
    model::{Kind, Liveness, words::first_of},
};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Ok,
    Warn,
    Held,
    Fail,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Line {
    mark: Mark,
    about: &'static str,
    text: String,
}

impl Line {
    fn new(mark: Mark, about: &'static str, text: impl Into<String>) -> Self {
        Self { mark, about, text: text.into() }
    }

    /// Whether it makes the command fail.
    pub(in crate::cli) fn is_bad(&self) -> bool {
        matches!(self.mark, Mark::Held | Mark::Fail)
    }
}

/// Everything there is to say.
pub(in crate::cli) fn lines(s: &Status) -> Vec<Line> {
    let mut lines = Vec::new();
    if s.sources.is_empty() || s.sources.iter().any(|source| source.name == GOSSIP) {
        lines.push(gossip(s));
    }
    lines.extend(s.sources.iter().filter(|source| source.name != GOSSIP).map(source));
    if s.kind == Kind::Balancer {
        lines.push(plane(s));
        lines.extend(s.template.iter().map(|why| Line::new(Mark::Fail, "template", why.clone())));
        lines.extend(s.access_log.iter().map(|why| Line::new(Mark::Fail, "access log", why.clone())));
        lines.extend(s.blocked.iter().map(|why| edited(why, s.waiting.as_deref())));
    }
    lines.extend(certificates::lines(s));
    lines.extend(s.checks.iter().filter_map(check));
    let status = s.down_status.unwrap_or(503);
    let down =
        |name: &String| Line::new(Mark::Warn, "service", format!("{name}: no endpoint answers, so it is {status}"));
    lines.extend(s.services_down.iter().map(down));
    let canary = |name: &String| {
        Line::new(Mark::Warn, "canary", format!("{name}: no endpoint answers, so its requests go to its service"))
    };
    lines.extend(s.canaries_down.iter().map(canary));
    if !s.drained.is_empty() {
        lines.push(Line::new(
            Mark::Warn,
            "drained",
            format!("by hand: {}; until 'backchat undrain'", s.drained.join(", ")),
        ));
    }
    lines.extend(s.held.iter().map(held));
    lines.extend(s.approval.iter().map(approval));
    lines.extend(s.flapping.iter().map(flapping));
    lines.extend(
        s.rejections.iter().map(|r| Line::new(Mark::Warn, "refused", format!("{}: {}: {}", r.node, r.subject, r.why))),
    );
    lines
}

/// A file that was edited by hand: a failure once something needs it to be written, which the wait then names. Other waits
/// may stand beside it.
fn edited(why: &str, waiting: Option<&str>) -> Line {
    let is_needed = waiting.is_some_and(|waiting| waiting.contains(&format!("{why} (needed: ")));
    Line::new(if is_needed { Mark::Fail } else { Mark::Warn }, "file", why)
}

/// As text; only what is not ok where `short`.
pub(in crate::cli) fn text(lines: &[Line], short: bool) -> String {
    let mut text = String::new();
    for line in lines.iter().filter(|line| !short || line.mark != Mark::Ok) {
        let mark = match line.mark {
            Mark::Ok => "ok",
            Mark::Warn => "warn",
            Mark::Held => "HELD",
            Mark::Fail => "FAIL",
        };
        // Writing to a String cannot fail.
        let _ok = writeln!(text, "{mark:<4}  {:<10}  {}", line.about, safe(&line.text));
    }
    paint::lines(&text, |line| match line.split_whitespace().next() {
        Some("ok") => Some(paint::GOOD),
        Some("warn") => Some(paint::ODD),
        Some("HELD") => Some(paint::HELD),
        _ => Some(paint::BAD),
    })
}

/// Endpoints of a hold that are named; `plan` names all.
const NAMED: usize = 8;

/// The source that every line but its own is about members of.
const GOSSIP: &str = "gossip";

fn source(source: &Source) -> Line {
    let name = &source.name;
    match &source.error {
        // Its own words name the file.
        Some(why) => Line::new(Mark::Fail, "source", why.clone()),
        // A wrong prefix or database looks like that.
        None if source.synced && source.services == 0 && name.contains("://") => {
            Line::new(Mark::Warn, "source", format!("{name}: it has no key frontend:HOST"))
        }
        None if source.synced => {
            let (endpoints, services) = (count(source.endpoints, "endpoint"), count(source.services, "service"));
            Line::new(Mark::Ok, "source", format!("{name}: {endpoints} of {services}"))
        }
        None => Line::new(Mark::Warn, "source", format!("{name}: not read yet")),
    }
}

fn gossip(s: &Status) -> Line {
    let count = |liveness| s.members.get(&liveness).copied().unwrap_or(0);
    let gone = count(Liveness::Left);
    let known = s.members.values().sum::<usize>().saturating_sub(gone);
    let alive = count(Liveness::Alive) + count(Liveness::Suspect);
    let suspects = match count(Liveness::Suspect) {
        0 => String::new(),
        n => format!(" ({n} suspect)"),
    };
    let heard =
        s.heard_ms.map_or_else(|| "no other member heard yet".to_owned(), |ms| format!("heard {}", age::ago(ms)));
    let text = format!("{alive} of {known} alive{suspects}, {heard}");
    let synced = s.sources.iter().find(|source| source.name == GOSSIP).map_or(s.synced, |source| source.synced);
    if synced {
        Line::new(Mark::Ok, "gossip", text)
    } else {
        Line::new(Mark::Warn, "gossip", format!("{text}; not synced: nothing is removed"))
    }
}

fn plane(s: &Status) -> Line {
    let plane = "data plane";
    let Some((driver, version)) = s.driver.as_ref().zip(s.driver_version.as_ref()).filter(|(_, v)| !v.is_empty())
    else {
        let why = s.error.clone().unwrap_or_else(|| "not read yet".to_owned());
        return Line::new(if s.error.is_some() { Mark::Fail } else { Mark::Warn }, plane, why);
    };
    if let Some(error) = &s.error {
        return Line::new(Mark::Fail, plane, format!("{driver} {version}: {error}"));
    }
    let generation = s.generation.unwrap_or(0);
    let read =
        s.read_back_ms.map_or_else(|| "not read back yet".to_owned(), |ms| format!("read back {}", age::ago(ms)));
    let reloads = count(usize::try_from(s.reloads).unwrap_or(usize::MAX), "reload");
    let text = format!("{driver} {version}, generation {generation} {read}, {reloads} in {}", age::since(s.uptime_ms));
    match &s.waiting {
        Some(why) => Line::new(Mark::Ok, plane, format!("{text}; waiting: {why}")),
        None if s.converged == Some(true) => Line::new(Mark::Ok, plane, text),
        None => Line::new(Mark::Warn, plane, format!("{text}; not converged yet")),
    }
}

/// A service that is up and was not looked at with another result is no news.
fn check(c: &Check) -> Option<Line> {
    let Check { service, port, up, why } = c;
    let why = match (up, why) {
        (true, None) => return None,
        (true, Some(why)) => format!("{service}:{port} is offered, but {why}"),
        (false, why) => format!("{service}:{port} is not offered: {}", why.as_deref().unwrap_or("its check fails")),
    };
    Some(Line::new(Mark::Warn, "check", why))
}

fn flapping(f: &Flapping) -> Line {
    let left = f.left_ms.div_ceil(1000);
    let held = if f.let_in {
        "let in all the same, for too few others are ready".to_owned()
    } else {
        format!("held down for {left} s more; 'backchat release {}' lets it in", f.id)
    };
    let service = f.service.as_ref().map_or_else(String::new, |service| format!("/{service}"));
    Line::new(Mark::Warn, "flapping", format!("{}{service}: {}; {held}", f.node, f.why))
}

fn approval(approval: &Approval) -> Line {
    let Approval { since_ms, why } = approval;
    let waits = format!("waits for approval for {}: {why}", age::since(*since_ms));
    let text = format!("{waits}; 'backchat plan --out FILE' shows it, 'backchat apply FILE' lets it go");
    Line::new(Mark::Held, "structure", text)
}

fn held(hold: &Hold) -> Line {
    let kept = first_of(&hold.endpoints, NAMED);
    Line::new(Mark::Held, "guard", format!("{kept}: {}; 'backchat release {}' lets it go", hold.why, hold.id))
}

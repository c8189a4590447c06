//! The lines of a plan's changes: sign, place, address, what becomes of it, why; in columns.

use crate::{admin::answers::Change, cli::output::safe};

/// One change as cells: an endpoint has an address of its own, all else is one text.
struct Row {
    sign: char,
    id: String,
    addr: Option<String>,
    what: String,
    why: String,
}

/// All changes, a line each.
pub(super) fn lines(changes: &[Change]) -> String {
    let rows: Vec<Row> = changes.iter().map(row).collect();
    let endpoints = || rows.iter().filter(|row| row.addr.is_some());
    let width = |cell: &dyn Fn(&Row) -> usize| endpoints().map(cell).max().unwrap_or(0);
    let id = width(&|row| row.id.chars().count());
    let addr = width(&|row| row.addr.as_ref().map_or(0, |addr| addr.chars().count()));
    let what = width(&|row| row.what.chars().count());
    let head = |row: &Row| match &row.addr {
        Some(cell) => format!("{} {:<id$}  {cell:<addr$}  {:<what$}", row.sign, row.id, row.what),
        None => format!("{} {} {}", row.sign, row.id, row.what.trim_start()).trim_end().to_owned(),
    };
    let heads: Vec<String> = rows.iter().map(head).collect();
    let all = heads.iter().map(|head| head.chars().count()).max().unwrap_or(0);
    let line = |(row, head): (&Row, &String)| format!("{}\n", format!("{head:<all$}   {}", row.why).trim_end());
    rows.iter().zip(&heads).map(line).collect()
}

fn row(c: &Change) -> Row {
    let why = c.reason.as_ref().map(|r| safe(&r.text)).unwrap_or_default();
    let (before, after) = (words(c.before.as_deref()), words(c.after.as_deref()));
    let sign = sign(c);
    let id = safe(&c.id);
    match (c.kind.as_str(), c.status.as_str()) {
        ("endpoint", "planned" | "waiting" | "held") => {
            let addr = after.first().or(before.first()).cloned().unwrap_or_default();
            Row { sign, id, addr: Some(addr), what: becomes(c, &before, &after), why }
        }
        ("route", _) => Row { sign, id: format!("route {id}"), addr: None, what: target(c) + waits(c), why },
        ("service", _) => Row { sign, id: format!("service {id}"), addr: None, what: speaks(c) + waits(c), why },
        ("certificate", _) => {
            let what = format!(" {}", holds(&before, &after)) + waits(c);
            Row { sign, id: format!("certificate {id}"), addr: None, what, why }
        }
        // Of what was refused nothing is told but its name; a record as a whole is `record`.
        _ => Row { sign, id, addr: None, what: String::new(), why },
    }
}

fn sign(c: &Change) -> char {
    match (c.status.as_str(), c.action.as_str()) {
        ("waiting" | "held" | "refused", _) => '!',
        (_, "add") => '+',
        (_, "remove") => '-',
        _ => '~',
    }
}

/// `10.0.0.7:8080  weight 100  drain`: the words of an endpoint, two spaces between.
fn words(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default().split("  ").filter(|word| !word.is_empty()).map(safe).collect()
}

/// What becomes of an endpoint: what it is where it comes, `a → b` where it changes, nothing where it goes.
fn becomes(c: &Change, before: &[String], after: &[String]) -> String {
    match (c.status.as_str(), c.action.as_str()) {
        ("held", _) => "kept".to_owned(),
        ("waiting", "add") => "waits to come".to_owned(),
        ("waiting", "remove") => "waits to go".to_owned(),
        ("waiting", _) => format!("{}, waits", changed(before, after)),
        (_, "add") => after.get(1..).unwrap_or_default().join(" "),
        (_, "remove") => String::new(),
        _ => changed(before, after),
    }
}

fn changed(before: &[String], after: &[String]) -> String {
    let mut parts = Vec::new();
    let pair = |index: usize| before.get(index).zip(after.get(index)).filter(|(before, after)| before != after);
    if let Some((before, _)) = pair(0) {
        parts.push(format!("from {before}"));
    }
    if let Some((before, after)) = pair(1) {
        parts.push(format!("{before} → {}", after.strip_prefix("weight ").unwrap_or(after)));
    }
    let state = |words: &[String]| if words.len() > 2 { "drain" } else { "ready" };
    if state(before) != state(after) {
        parts.push(format!("{} → {}", state(before), state(after)));
    }
    parts.join(", ")
}

/// Where a route leads.
fn target(c: &Change) -> String {
    match (c.before.as_deref().map(safe), c.after.as_deref().map(safe)) {
        (Some(before), Some(after)) => format!("→ {after}, not {before}"),
        (None, Some(service)) | (Some(service), None) => format!("→ {service}"),
        (None, None) => String::new(),
    }
}

/// What a service speaks from now on, where that is another protocol.
fn speaks(c: &Change) -> String {
    match (c.action.as_str(), &c.before, &c.after) {
        ("update", Some(before), Some(after)) => format!("{} → {}", safe(before), safe(after)),
        _ => String::new(),
    }
}

/// Of a certificate: until when it holds, and whether it is the default, as `expires a → b` where that changes.
fn holds(before: &[String], after: &[String]) -> String {
    let (Some(old), Some(new)) = (before.first(), after.first()) else {
        return [before, after].concat().join("  ");
    };
    let until = if old == new {
        format!("{new}, renewed")
    } else {
        format!("{old} → {}", new.strip_prefix("expires ").unwrap_or(new))
    };
    match (before.get(1), after.get(1)) {
        (None, Some(_)) if old == new => format!("{new}, now the default"),
        (None, Some(_)) => format!("{until}, now the default"),
        (Some(_), None) => format!("{until}, no longer the default"),
        _ => until,
    }
}

/// Of what is no endpoint: whether it waits, and for what to become of it.
fn waits(c: &Change) -> &'static str {
    match (c.status.as_str(), c.action.as_str()) {
        ("waiting", "add") => " waits to come",
        ("waiting", "remove") => " waits to go",
        ("waiting", _) => " waits",
        _ => "",
    }
}

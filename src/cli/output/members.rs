//! The table of members, Serf's columns first, and Serf's own JSON.

use std::net::SocketAddr;

use serde_json::json;

use super::{
    age, count, paint,
    table::{Table, list},
};
use crate::{
    admin::answers::{Member, Members},
    cli::connection::Format,
    model::{Kind, Liveness, State},
};

const COLUMNS: [&str; 6] = ["NAME", "ADDR", "STATUS", "SERVICES", "SINCE", "WHY"];
const WIDE: [&str; 11] =
    ["NAME", "ADDR", "STATUS", "SERVICES", "SINCE", "KIND", "STATE", "EPOCH", "VERSION", "TAGS", "WHY"];

pub(in crate::cli) fn text(members: &Members, format: Format, no_headers: bool) -> String {
    let wide = format == Format::Wide;
    let mut table = Table::new(if wide { &WIDE } else { &COLUMNS }, no_headers);
    for m in &members.members {
        let mut row =
            vec![m.name.clone(), addr(m).to_string(), m.liveness.to_string(), services(m), age::since(m.since_ms)];
        if wide {
            row.extend(more(m));
        }
        row.push(m.why.clone().unwrap_or_default());
        table.row(row);
    }
    let third = |line: &str| line.split_whitespace().nth(2).map(str::to_owned);
    paint::lines(&table.text(), |line| match third(line).as_deref() {
        Some("suspect") => Some(paint::ODD),
        Some("failed") => Some(paint::BAD),
        _ => None,
    })
}

fn addr(m: &Member) -> SocketAddr {
    SocketAddr::new(m.ip, m.port)
}

/// `web:8080`, with what is not usual about it behind.
fn services(m: &Member) -> String {
    let one = |s: &crate::admin::answers::Offer| {
        let ill = if s.healthy { "" } else { "!" };
        format!("{}:{}{ill}", s.name, s.port)
    };
    list(&m.services.iter().map(one).collect::<Vec<_>>())
}

fn more(m: &Member) -> [String; 5] {
    let kind = m.kind.map_or("-", |kind| match kind {
        Kind::Agent => "agent",
        Kind::Balancer => "balancer",
    });
    let state = m.state.map_or("-", |state| match state {
        State::Serving => "serving",
        State::Draining => "draining",
        State::Left => "left",
    });
    let tags: Vec<_> = m.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let version = if m.state.is_some() { m.version.to_string() } else { "-".to_owned() };
    [kind.into(), state.into(), m.epoch.to_string(), version, list(&tags)]
}

/// `5 members: 4 alive, 1 failed`.
pub(in crate::cli) fn totals(members: &Members) -> String {
    let all = [Liveness::Alive, Liveness::Suspect, Liveness::Failed, Liveness::Left];
    let counts = all.map(|liveness| (members.count(liveness), liveness));
    let counts =
        counts.iter().filter(|(number, _)| *number > 0).map(|(number, liveness)| format!("{number} {liveness}"));
    format!("{}: {}", count(members.members.len(), "member"), counts.collect::<Vec<_>>().join(", "))
}

/// What `serf members -format=json` prints. Serf shows no suspects: they are alive until they fail.
pub(in crate::cli) fn serf(members: &Members) -> anyhow::Result<String> {
    let one = |m: &Member| {
        let status = match (m.liveness, m.state) {
            (Liveness::Alive | Liveness::Suspect, Some(State::Draining)) => "leaving",
            (Liveness::Alive | Liveness::Suspect, _) => "alive",
            (Liveness::Failed, _) => "failed",
            (Liveness::Left, _) => "left",
        };
        json!({
            "name": m.name,
            "addr": addr(m).to_string(),
            "port": m.port,
            "tags": m.tags,
            "status": status,
            "protocol": { "max": 5, "min": 2, "version": 4 },
        })
    };
    let list = json!({ "members": members.members.iter().map(one).collect::<Vec<_>>() });
    Ok(serde_json::to_string_pretty(&list)? + "\n")
}

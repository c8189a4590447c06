//! Why a change of a plan happens: the member behind it, in words. Pure.

use backchat_contract::{Action, Change, ChangeKind, ChangeStatus, Reason};

use super::{
    Assumption, Flapping, Held, Liveness, Member, Moment, Rejection, Snapshot, State, Verdict,
    owner::{node_of, node_of_name},
};

/// Says of each change why, as far as the snapshots know.
pub fn explain(changes: &mut [Change], snapshots: &[Snapshot], now: Moment) {
    for change in changes.iter_mut().filter(|c| c.kind == ChangeKind::Endpoint && c.reason.is_none()) {
        let (service, endpoint) = change.id.split_once('/').unwrap_or_default();
        let node = endpoint.parse().ok().as_ref().and_then(node_of_name);
        let member = node.and_then(|node| snapshots.iter().find_map(|s| s.members.get(&node)));
        change.reason = Some(member.map_or_else(unknown, |m| reason(m, service, change.action, now)));
    }
}

/// Says of the changes that an assumption makes that nobody left or drains in truth.
pub fn assumed(changes: &mut [Change], assumptions: &[Assumption]) {
    for reason in changes.iter_mut().filter_map(|c| c.reason.as_mut()) {
        for assumption in assumptions {
            let (node, text) = match assumption {
                Assumption::Drain(node) => (node, "were it to drain"),
                Assumption::Gone(node) => (node, "were it gone"),
            };
            if reason.node.as_deref() == Some(node.as_str()) {
                *reason = Reason { code: "assumed", text: text.into(), ..reason.clone() };
            }
        }
    }
}

/// Says of the changes that take out one that is held down why that is.
pub fn held_down(changes: &mut [Change], flapping: &[Flapping]) {
    for change in changes.iter_mut().filter(|c| c.kind == ChangeKind::Endpoint) {
        let flap = flapping.iter().find(|f| f.endpoints.iter().any(|id| id.to_string() == change.id));
        if let Some(flap) = flap {
            let who = flap.service.as_ref().map_or_else(String::new, |service| format!("{service} "));
            let text = format!("{who}came back {}", flap.how_often());
            change.reason = Some(Reason { code: "flapping", node: Some(flap.node.to_string()), text });
        }
    }
}

/// What is held back and what was refused, as changes that are not done: a plan shows them too.
pub fn not_done(held: &[Held], refused: &[Rejection]) -> Vec<Change> {
    let kept = held.iter().flat_map(|hold| hold.endpoints.iter().map(move |id| (hold, id)));
    let kept = kept.map(|(hold, id)| Change {
        kind: ChangeKind::Endpoint,
        action: Action::Remove,
        id: id.to_string(),
        before: Some("kept".into()),
        after: None,
        reason: Some(Reason {
            code: "hold",
            node: node_of(id).map(|n| n.to_string()),
            text: format!("hold {}", hold.id),
        }),
        status: ChangeStatus::Held,
    });
    let refused = refused.iter().map(|r| Change {
        kind: if r.code == "conflict" { ChangeKind::Route } else { ChangeKind::Endpoint },
        action: Action::Add,
        id: r.subject.strip_prefix("route ").unwrap_or(&r.subject).to_owned(),
        before: None,
        after: None,
        reason: Some(Reason {
            code: r.code,
            node: Some(r.node.clone()),
            text: format!("{} refused: {}", r.node, r.why),
        }),
        status: ChangeStatus::Refused,
    });
    kept.chain(refused).collect()
}

fn unknown() -> Reason {
    Reason { code: "drift", node: None, text: "no member says so".into() }
}

fn reason(member: &Member, service: &str, action: Action, now: Moment) -> Reason {
    let ago = now.saturating_sub(member.since).as_secs();
    let record = member.record.as_ref();
    let state = record.map_or(State::Serving, |r| r.state);
    let by_hand = record.is_some_and(|r| r.by_hand.node || r.by_hand.services.contains(service));
    let (code, text) = match (member.liveness, state) {
        (Liveness::Failed, _) => ("failed", format!("failed {ago} s ago")),
        (Liveness::Left, _) | (_, State::Left) => ("left", format!("left {ago} s ago")),
        _ if by_hand => ("drained", "drained by hand".to_owned()),
        (_, State::Draining) => ("draining", "says that it drains".to_owned()),
        (Liveness::Suspect, _) if action == Action::Drain => ("suspect", suspect(member.verdict).to_owned()),
        _ if action == Action::Add => ("joined", format!("joined {ago} s ago")),
        _ => ("record", format!("record {}", record.map_or(0, |r| r.version))),
    };
    Reason { code, node: Some(member.name.to_string()), text }
}

fn suspect(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Refused => "suspect, refused our connect",
        Verdict::Silent => "suspect, did not answer us",
        Verdict::Unasked | Verdict::Answered => "suspect",
    }
}

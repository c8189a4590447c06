//! What speaks against an endpoint by its member's word, or by the cluster's: one code and one wording, whoever tells it.

use crate::model::{Liveness, Member, Moment, State, Verdict};

/// The nearest cause that a member gives for a service of it not to be served; `None` where nothing is said against it.
pub(in crate::model) fn said(member: &Member, service: &str, now: Moment) -> Option<(&'static str, String)> {
    let ago = now.saturating_sub(member.since).as_secs();
    let record = member.record.as_ref();
    let state = record.map_or(State::Serving, |r| r.state);
    let by_hand = record.is_some_and(|r| r.by_hand.node || r.by_hand.services.contains(service));
    let mut offers = record.into_iter().flat_map(|r| &r.services).filter(|o| o.name == service).peekable();
    Some(match (member.liveness, state) {
        (Liveness::Failed, _) => ("failed", format!("failed {ago} s ago")),
        (Liveness::Left, _) | (_, State::Left) => ("left", format!("left {ago} s ago")),
        _ if by_hand => ("drained", "drained by hand".into()),
        (_, State::Draining) => ("draining", "says that it drains".into()),
        _ if offers.peek().is_some() && offers.all(|o| !o.healthy) => {
            ("unhealthy", "fails its agent's own check".into())
        }
        (Liveness::Suspect, _) => ("suspect", format!("suspect, {}", answer(member.verdict))),
        _ => return None,
    })
}

/// What it said when this node asked it in person.
fn answer(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Answered => "answered us",
        Verdict::Refused => "refused our connect",
        Verdict::Silent => "did not answer us",
        Verdict::Unasked => "not asked yet",
    }
}

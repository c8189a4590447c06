//! The reasons themselves: a code for programs, and words. Pure.

use backchat_contract::{Action, Reason};

use super::said::said;
use crate::model::{HostPattern, Member, Moment, Rejection, Route};

/// Nobody asked for what is there.
pub(super) fn unknown() -> Reason {
    Reason { code: "drift", node: None, ago: None, text: "drift, no member says so".into() }
}

/// What is live is not as it was left, and nobody wants it otherwise.
pub(super) fn drift(node: Option<String>) -> Reason {
    Reason { code: "drift", node, ago: None, text: "drift, changed by somebody else".into() }
}

/// A claim that no member makes: the operator does.
pub(super) fn operator(route: &Route) -> Reason {
    let named = matches!(route.host, HostPattern::Magic { .. });
    let flag = if named { "--magic-domain" } else { "--default-service" };
    Reason { code: "operator", node: None, ago: None, text: flag.into() }
}

/// Something said that was not taken.
pub(super) fn not_taken(refused: &Rejection) -> Reason {
    let text = format!("{} refused: {}", refused.node, refused.why);
    Reason { code: refused.code, node: Some(refused.node.clone()), ago: None, text }
}

/// What a member does, or says, that an endpoint of it changes. A suspicion alone only drains.
pub(super) fn member(member: &Member, service: &str, action: Action, now: Moment) -> Reason {
    let since = now.saturating_sub(member.since);
    let changed = || match action {
        Action::Add => ("joined", format!("joined {} s ago", since.as_secs())),
        _ => ("record", format!("record {}", member.record.as_ref().map_or(0, |r| r.version))),
    };
    let against = said(member, service, now).filter(|(code, _)| *code != "suspect" || action == Action::Drain);
    let (code, text) = against.unwrap_or_else(changed);
    // Of all else it is not known since when.
    let ago = matches!(code, "failed" | "left" | "suspect" | "joined").then_some(since);
    Reason { code, node: Some(member.name.to_string()), ago, text }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Liveness, RawOffer, RawRecord, Verdict};

    fn web1() -> Member {
        let offer = RawOffer {
            name: "web".into(),
            port: 80,
            hosts: Vec::new(),
            path: None,
            weight: None,
            protocol: None,
            healthy: true,
        };
        let record = RawRecord { node: "web1".into(), version: 3, services: vec![offer], ..RawRecord::default() };
        Member {
            name: "web1".parse().unwrap(),
            epoch: 1,
            addr: ([10, 0, 0, 1], 7946).into(),
            liveness: Liveness::Alive,
            verdict: Verdict::Silent,
            since: Duration::from_secs(1),
            record: Some(record),
            refused: None,
        }
    }

    fn check(member: &Member, action: Action, code: &str, text: &str) {
        let reason = super::member(member, "web", action, Duration::from_secs(5));
        assert_eq!((reason.code, reason.text.as_str()), (code, text));
        // The same event has the same name whoever tells of it.
        if let Some((said, words)) = said(member, "web", Duration::from_secs(5)) {
            assert!(code == "record" || code == "joined" || (said, words.as_str()) == (code, text));
        }
    }

    #[test]
    fn one_event_has_one_reason() {
        let mut member = web1();
        check(&member, Action::Remove, "record", "record 3");
        check(&member, Action::Add, "joined", "joined 4 s ago");
        member.liveness = Liveness::Suspect;
        check(&member, Action::Drain, "suspect", "suspect, did not answer us");
        check(&member, Action::Add, "joined", "joined 4 s ago");
        member.record.as_mut().unwrap().services[0].healthy = false;
        check(&member, Action::Remove, "unhealthy", "fails its agent's own check");
        member.liveness = Liveness::Failed;
        check(&member, Action::Remove, "failed", "failed 4 s ago");
    }
}

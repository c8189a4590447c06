//! Which balancers a leaver waits for. Pure.
//!
//! A daemon that is gone may have left a data plane behind that serves on, with the leaver's server in it, until the next
//! daemon takes it over: a server that went before that would break what is under way at it. So who failed a short while
//! ago is waited for, and so is who said goodbye and keeps its data plane; who ends its data plane with itself is not.

use std::collections::BTreeMap;

use crate::{
    cluster::{identity::Identity, view::View},
    model::{Kind, Liveness, Member, Moment, NodeName},
};

/// Who is gone for longer than this when the wait begins will not be back within it: its host is gone, or somebody took
/// the daemon away for good. Far more than a restart takes, and what a balancer's death may cost each agent that leaves
/// soon after it is its own deadline, no more.
const AWAY: Moment = Moment::from_secs(60);

/// A balancer that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// It can be asked.
    Living(Identity),
    /// It may be back, and can be asked then.
    Gone(Liveness, Moment),
}

impl Awaited {
    /// Why it is waited for though it is gone.
    pub(super) fn gone(&self, now: Moment) -> Option<String> {
        let Self::Gone(liveness, since) = self else { return None };
        let ago = now.saturating_sub(*since).as_secs();
        Some(format!("{liveness} {ago} s ago: its data plane may serve on"))
    }
}

/// All that are waited for by a wait that `began` then. Where it `serves`, none that is gone: nothing is lost by it.
pub(super) fn awaited(view: &View, began: Moment, serves: bool) -> BTreeMap<NodeName, Awaited> {
    let others = view.snapshot.members.values().filter(|member| member.name.as_str() != view.me.node);
    others.filter_map(|member| Some((member.name.clone(), look(member, began, serves)?))).collect()
}

fn look(member: &Member, began: Moment, serves: bool) -> Option<Awaited> {
    let record = member.record.as_ref().filter(|record| record.kind == Kind::Balancer)?;
    let lately = began.saturating_sub(member.since) < AWAY;
    let gone = (lately && !serves).then_some(Awaited::Gone(member.liveness, member.since));
    match member.liveness {
        Liveness::Alive | Liveness::Suspect => {
            Some(Awaited::Living(Identity::new(member.name.clone(), member.epoch, member.addr)))
        }
        Liveness::Failed => gone,
        Liveness::Left => gone.filter(|_| record.plane_stays),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RawRecord, Snapshot, Verdict};

    fn member(name: &str, liveness: Liveness, since: u64, plane_stays: bool) -> Member {
        Member {
            name: name.parse().unwrap(),
            epoch: 7,
            addr: ([10, 0, 0, 1], 7946).into(),
            liveness,
            verdict: Verdict::Unasked,
            since: Moment::from_secs(since),
            record: Some(RawRecord { kind: Kind::Balancer, plane_stays, ..RawRecord::default() }),
            refused: None,
        }
    }

    /// At 100 s.
    fn check(members: &[Member], serves: bool, expected: &[&str]) {
        let members = members.iter().map(|member| (member.name.clone(), member.clone())).collect();
        let snapshot = Snapshot { source: "gossip".into(), synced: true, members, ..Snapshot::default() };
        let me = RawRecord { node: "me".into(), ..RawRecord::default() };
        let view = View { snapshot, me, addr: ([10, 0, 0, 9], 7946).into() };
        let now = Moment::from_secs(100);
        let awaited = awaited(&view, now, serves).into_iter();
        let words = awaited.map(|(name, one)| format!("{name} {}", one.gone(now).unwrap_or_else(|| "lives".into())));
        assert_eq!(words.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn who_lives_whatever_the_rest_says() {
        let all = [member("a", Liveness::Alive, 0, false), member("b", Liveness::Suspect, 99, true)];
        for serves in [false, true] {
            check(&all, serves, &["a lives", "b lives"]);
        }
    }

    #[test]
    fn who_failed_a_short_while_ago() {
        let all = [member("a", Liveness::Failed, 98, false), member("b", Liveness::Failed, 41, false)];
        let words = ["a failed 2 s ago: its data plane may serve on", "b failed 59 s ago: its data plane may serve on"];
        check(&all, false, &words);
        check(&all, true, &[]);
        // It failed after the wait began.
        let later = "a failed 0 s ago: its data plane may serve on";
        check(&[member("a", Liveness::Failed, 101, false)], false, &[later]);
    }

    #[test]
    fn who_failed_long_ago_does_not_come_back() {
        check(&[member("a", Liveness::Failed, 40, true), member("b", Liveness::Left, 40, true)], false, &[]);
    }

    #[test]
    fn who_left_and_keeps_its_data_plane() {
        let all = [member("a", Liveness::Left, 98, true), member("b", Liveness::Left, 98, false)];
        check(&all, false, &["a left 2 s ago: its data plane may serve on"]);
        check(&all, true, &[]);
    }

    #[test]
    fn no_agent_nor_itself_nor_who_said_nothing_yet() {
        let agent = RawRecord::default();
        let agents = [Some(agent), None].map(|record| Member { record, ..member("a", Liveness::Failed, 99, true) });
        for agent in agents {
            check(&[agent, member("me", Liveness::Alive, 0, true)], false, &[]);
        }
    }
}

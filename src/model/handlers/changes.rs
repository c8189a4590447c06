//! What became of members since they were told of last.

use std::{collections::BTreeMap, net::IpAddr};

use super::MemberEvent;
use crate::model::{Liveness, Member, Moment, NodeName, RawOffer, Snapshot};

/// A member as it is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub name: NodeName,
    /// Where it is.
    pub ip: IpAddr,
    /// What it says of itself. Raw: any text.
    pub tags: BTreeMap<String, String>,
    /// What it offers. How that fares is no matter here.
    services: Vec<RawOffer>,
    standing: Standing,
}

/// Whether it is there. A suspect is, to Serf as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Here,
    Failed,
    Left,
}

/// What became of a member, and the member as it is then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What became of it.
    pub event: MemberEvent,
    /// How it is.
    pub member: Seen,
}

/// The members as they were told of last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told(BTreeMap<NodeName, Seen>);

impl Told {
    /// This was told.
    pub fn take(&mut self, change: &Change) {
        let Change { event, member } = change;
        if *event == MemberEvent::Reap {
            self.0.remove(&member.name);
        } else {
            self.0.insert(member.name.clone(), member.clone());
        }
    }
}

/// What is to be told next, in the order in which it happened: each of its changes taken, `before` is `now`.
pub fn changes(before: &Told, now: &Snapshot) -> Vec<Change> {
    let mut turned: Vec<(Moment, Vec<Change>)> =
        now.members.values().map(|member| (member.since, of_member(before.0.get(&member.name), member))).collect();
    turned.sort_by_key(|(since, _)| *since);
    let vanished = before.0.values().filter(|seen| !now.members.contains_key(&seen.name)).flat_map(gone);
    turned.into_iter().flat_map(|(_, changes)| changes).chain(vanished).collect()
}

fn of_member(before: Option<&Seen>, member: &Member) -> Vec<Change> {
    let now = seen(member, before);
    let is_known = is_known(member);
    let turned = |event| vec![Change { event, member: now.clone() }];
    match (before, now.standing) {
        // Without its record a newcomer has no tags: it is told of with them, or, where they cannot be read, without.
        (None | Some(Seen { standing: Standing::Failed | Standing::Left, .. }), Standing::Here) if is_known => {
            turned(MemberEvent::Join)
        }
        (Some(was @ Seen { standing: Standing::Here, .. }), Standing::Here) if is_known => {
            if was.ip != now.ip {
                // Its host is another: that of before is gone, which is how a script by addresses forgets it.
                let failed = Seen { standing: Standing::Failed, ..was.clone() };
                return [Change { event: MemberEvent::Failed, member: failed }]
                    .into_iter()
                    .chain(turned(MemberEvent::Join))
                    .collect();
            }
            if *was == now { Vec::new() } else { turned(MemberEvent::Update) }
        }
        (Some(Seen { standing: Standing::Here, .. }), Standing::Failed) => turned(MemberEvent::Failed),
        (Some(Seen { standing: Standing::Here | Standing::Failed, .. }), Standing::Left) => turned(MemberEvent::Leave),
        _ => Vec::new(),
    }
}

/// One that nobody knows any more. It was gone before, or is so now.
fn gone(was: &Seen) -> Vec<Change> {
    let failed = Seen { standing: Standing::Failed, ..was.clone() };
    let failed = (was.standing == Standing::Here).then_some(Change { event: MemberEvent::Failed, member: failed });
    failed.into_iter().chain([Change { event: MemberEvent::Reap, member: was.clone() }]).collect()
}

/// Whether what it says of itself is here, of this very life; or is known not to be readable.
fn is_known(member: &Member) -> bool {
    member.refused.is_some() || member.record.as_ref().is_some_and(|record| record.epoch == member.epoch)
}

fn seen(member: &Member, before: Option<&Seen>) -> Seen {
    let (tags, services) = match (&member.record, before) {
        (Some(record), _) => (record.tags.clone(), record.services.iter().map(offered).collect()),
        (None, Some(before)) => (before.tags.clone(), before.services.clone()),
        (None, None) => (BTreeMap::new(), Vec::new()),
    };
    let standing = match member.liveness {
        Liveness::Alive | Liveness::Suspect => Standing::Here,
        Liveness::Failed => Standing::Failed,
        Liveness::Left => Standing::Left,
    };
    Seen { name: member.name.clone(), ip: member.addr.ip(), tags, services, standing }
}

fn offered(offer: &RawOffer) -> RawOffer {
    RawOffer { healthy: true, ..offer.clone() }
}

#[cfg(test)]
pub(super) mod tests;

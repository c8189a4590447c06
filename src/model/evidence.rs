//! What the guard judges by: who is silent, who lives, what was held before. Gathered from the snapshots and the live
//! set; it judges nothing but whether so many are silent that this node may be the one that is cut off, or was.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Desired, EndpointId, Held, Liveness, Member, Moment, NodeName, ServiceName, Snapshot, SourceName, State, Verdict,
    owner::node_of,
};

/// What the guard judges by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Whether all sources have listed everything once. Before, nothing is removed.
    pub synced: bool,
    /// Members that failed within the window or were held before and are not known to answer this node, those that
    /// live by the word of others and did not answer it, and owners of live endpoints that were never heard of. Not
    /// those that took a connect or whose host refused it: both prove the path.
    pub silent: BTreeSet<NodeName>,
    /// Members that failed and answer this node by now, while or after it may have been cut off: those that were
    /// held, and those that the others tell dead once they are back. They are on their way back.
    pub returning: BTreeSet<NodeName>,
    /// Members that live and are not silent, this node among them.
    pub living: usize,
    /// Whether this node may be the one that is cut off. The caller keeps it for the next look.
    pub cut: Cut,
    /// Members that live and whose record has not come yet: what they offered stays.
    pub unread: BTreeSet<NodeName>,
    /// Owners of live endpoints that were not heard of since this node began, while it began a short while ago.
    pub unheard: BTreeSet<NodeName>,
    /// Live endpoints of silent members that serve by their own word.
    pub serving: BTreeSet<EndpointId>,
    /// What was held before, with its id and beginning.
    pub before: Vec<Held>,
    /// Endpoints that the operator let go.
    pub released: BTreeSet<EndpointId>,
    /// Endpoints that are a file's to say, or were: whatever they are called, they are no member's.
    pub listed: BTreeSet<EndpointId>,
    /// How many ready endpoints of a service stay whoever falls silent, where the operator says.
    pub floors: BTreeMap<ServiceName, usize>,
    /// Now.
    pub now: Moment,
}

/// Whether this node may be the one that is cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// Nothing speaks for it.
    #[default]
    No,
    /// So many are silent that it may be.
    Likely,
    /// It may have been, and enough are back; until then the others get the time to come back as well. The first
    /// are back as soon as the way is free, and each of the others only once one of them speaks to it.
    Healing(Moment),
}

/// How far back failures count together, and how long the unheard are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Failures within this time of one another count as one event, and for as long those that were held are waited
    /// for once the others are back. Default 10 s.
    pub failure: Moment,
    /// For how long after the start endpoints of members never heard of just stay. Default 30 s. After it they
    /// are judged as silent.
    pub grace: Moment,
}

impl Default for Windows {
    fn default() -> Self {
        Self { failure: Moment::from_secs(10), grace: Moment::from_secs(30) }
    }
}

impl Evidence {
    /// The evidence out of what is known. `began` is when this node did.
    pub fn gather(
        snapshots: &[Snapshot],
        live: &Desired,
        held: (Vec<Held>, Cut),
        released: BTreeSet<EndpointId>,
        times: (Moment, Moment),
        windows: Windows,
    ) -> Self {
        Self::beside(&BTreeMap::new(), snapshots, live, held, released, times, windows)
    }

    /// The same where files list endpoints too, or did.
    pub fn beside(
        listed: &BTreeMap<EndpointId, SourceName>,
        snapshots: &[Snapshot],
        live: &Desired,
        (before, cut): (Vec<Held>, Cut),
        released: BTreeSet<EndpointId>,
        (began, now): (Moment, Moment),
        windows: Windows,
    ) -> Self {
        let members = || snapshots.iter().flat_map(|s| s.members.values());
        let known: BTreeSet<&NodeName> = members().map(|m| &m.name).collect();
        // Without a source of members there is nobody to be heard of.
        let members_only = |id: &EndpointId| !known.is_empty() && !listed.contains_key(id);
        let owners = live.endpoints().filter(|(id, _)| members_only(id)).filter_map(|(id, _)| node_of(&id));
        let unknown: BTreeSet<NodeName> = owners.filter(|name| !known.contains(name)).collect();
        let in_grace = now.saturating_sub(began) < windows.grace;
        let (unheard, lost) = if in_grace { (unknown, BTreeSet::new()) } else { (BTreeSet::new(), unknown) };
        let held: BTreeSet<NodeName> = before.iter().flat_map(|h| &h.endpoints).filter_map(node_of).collect();
        let counts = |m: &&Member| match m.liveness {
            Liveness::Failed => now.saturating_sub(m.since) < windows.failure || held.contains(&m.name),
            Liveness::Alive | Liveness::Suspect | Liveness::Left => true,
        };
        let silent: BTreeSet<NodeName> =
            members().filter(|m| is_silent(m)).filter(counts).map(|m| m.name.clone()).chain(lost).collect();
        let living = members().filter(|m| m.lives() && !silent.contains(&m.name)).count();
        let cut = cut.next(silent.len(), living, (now, windows.failure));
        let answers = |m: &&Member| m.liveness == Liveness::Failed && m.verdict == Verdict::Answered && !has_left(m);
        let returns = |m: &&Member| matches!(cut, Cut::Healing(_)) || held.contains(&m.name);
        Self {
            synced: snapshots.iter().all(|s| s.synced),
            cut,
            returning: members().filter(answers).filter(returns).map(|m| m.name.clone()).collect(),
            living,
            unread: members().filter(|m| m.lives() && m.record.is_none()).map(|m| m.name.clone()).collect(),
            unheard,
            serving: serving(snapshots, live, &silent).filter(|id| !listed.contains_key(id)).collect(),
            silent,
            before,
            released,
            listed: listed.keys().cloned().collect(),
            floors: BTreeMap::new(),
            now,
        }
    }
}

impl Cut {
    /// What follows on it.
    pub(super) fn next(self, silent: usize, living: usize, (now, window): (Moment, Moment)) -> Self {
        match self {
            _ if is_likely(silent, living) => Self::Likely,
            Self::Likely => Self::Healing(now + window),
            Self::Healing(until) if now < until => self,
            Self::No | Self::Healing(_) => Self::No,
        }
    }
}

/// Whether so many fell silent that this node must ask itself whether it is the one cut off: more than half of
/// three or more, or everybody else. The latter goes beyond DESIGN's three: a balancer that hears nobody cannot
/// tell a dead peer from its own dead cable, and a dead server that stays costs nothing, for the data plane's own
/// checks take it out.
fn is_likely(silent: usize, living: usize) -> bool {
    let all = silent + living;
    (all >= 3 && silent * 2 > all) || (silent > 0 && living <= 1)
}

/// Whether nothing proves the path to it. One that lives was asked before it is called silent: after a cut the first
/// fails while most are not even suspected, and by then this node has asked them all.
fn is_silent(m: &Member) -> bool {
    match m.liveness {
        Liveness::Alive | Liveness::Suspect => m.verdict == Verdict::Silent,
        Liveness::Failed => !has_left(m) && !matches!(m.verdict, Verdict::Refused | Verdict::Answered),
        Liveness::Left => false,
    }
}

fn has_left(m: &Member) -> bool {
    m.record.as_ref().is_some_and(|r| r.state == State::Left)
}

fn serving(snapshots: &[Snapshot], live: &Desired, silent: &BTreeSet<NodeName>) -> impl Iterator<Item = EndpointId> {
    let serves = |id: &EndpointId| {
        let node = node_of(id).filter(|node| silent.contains(node));
        let member = node.and_then(|node| snapshots.iter().find_map(|s| s.members.get(&node)));
        member.and_then(|m| m.record.as_ref()).is_some_and(|record| !record.is_draining(id.service.as_str()))
    };
    live.endpoints().map(|(id, _)| id).filter(serves)
}

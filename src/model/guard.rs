//! The guard: which removals may happen now, and which are held back because it may be this node that is cut
//! off. Additions, drains and graceful leaves always pass.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Desired, EndpointId, EndpointName, Held, Liveness, Moment, NodeName, Service, ServiceName, Snapshot, State,
    Verdict, short_id,
};

/// What the guard judges by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Whether all sources have listed everything once. Before, nothing is removed.
    pub synced: bool,
    /// Members that failed within the window or were held before and are not known to answer this node, and
    /// owners of live endpoints that were never heard of. Not those that took a connect or whose host refused
    /// it: both prove the path.
    pub silent: BTreeSet<NodeName>,
    /// Members that live, this node among them.
    pub living: usize,
    /// Members that live and whose record has not come yet: what they offered stays.
    pub unread: BTreeSet<NodeName>,
    /// Owners of live endpoints that were not heard of since this node began, while it began a short while ago.
    pub unheard: BTreeSet<NodeName>,
    /// What was held before, with its id and beginning.
    pub before: Vec<Held>,
    /// Endpoints that the operator let go.
    pub released: BTreeSet<EndpointId>,
    /// Now.
    pub now: Moment,
}

/// How far back failures count together, and how long the unheard are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Failures within this time of one another count as one event. Default 10 s.
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
        before: Vec<Held>,
        released: BTreeSet<EndpointId>,
        (began, now): (Moment, Moment),
        windows: Windows,
    ) -> Self {
        let held: BTreeSet<NodeName> = before.iter().flat_map(|h| &h.endpoints).filter_map(node_of).collect();
        let members = || snapshots.iter().flat_map(|s| s.members.values());
        let known: BTreeSet<&NodeName> = members().map(|m| &m.name).collect();
        let lives = |l: Liveness| matches!(l, Liveness::Alive | Liveness::Suspect);
        let left = |m: &super::Member| m.record.as_ref().is_some_and(|r| r.state == State::Left);
        let proven = |m: &super::Member| matches!(m.verdict, Verdict::Refused | Verdict::Answered);
        let failed = members().filter(|m| m.liveness == Liveness::Failed && !proven(m) && !left(m));
        let recent = |m: &&super::Member| now.saturating_sub(m.since) < windows.failure || held.contains(&m.name);
        let unknown: BTreeSet<NodeName> =
            live.endpoints().filter_map(|(id, _)| node_of(&id)).filter(|name| !known.contains(name)).collect();
        let (unheard, lost) = if now.saturating_sub(began) < windows.grace {
            (unknown, BTreeSet::new())
        } else {
            (BTreeSet::new(), unknown)
        };
        Self {
            synced: snapshots.iter().all(|s| s.synced),
            silent: failed.filter(recent).map(|m| m.name.clone()).chain(lost).collect(),
            living: members().filter(|m| lives(m.liveness)).count(),
            unread: members().filter(|m| lives(m.liveness) && m.record.is_none()).map(|m| m.name.clone()).collect(),
            unheard,
            before,
            released,
            now,
        }
    }

    /// Whether so many fell silent that this node must ask itself whether it is the one cut off: more than
    /// half of three or more, or everybody else. The latter goes beyond DESIGN's three: a balancer that hears
    /// nobody cannot tell a dead peer from its own dead cable, and a dead server that stays costs nothing, for
    /// the data plane's own checks take it out.
    fn cut_off(&self) -> bool {
        let (silent, all) = (self.silent.len(), self.silent.len() + self.living);
        (all >= 3 && silent * 2 > all) || (silent > 0 && self.living <= 1)
    }
}

/// What may be applied now of `next`, and what is held back and why.
pub fn guard(live: &Desired, next: Desired, evidence: &Evidence) -> (Desired, Vec<Held>) {
    let mut out = next;
    let mut held: BTreeMap<ServiceName, Vec<EndpointId>> = BTreeMap::new();
    // Before all is synced nothing is judged: everything stays.
    let cut_off = evidence.synced && evidence.cut_off();
    let mut kept: BTreeSet<ServiceName> = BTreeSet::new();
    for (id, endpoint) in live.endpoints() {
        if out.endpoint(&id).is_some() || taken_over(&out, &id, live) {
            continue;
        }
        let node = node_of(&id);
        let is = |set: &BTreeSet<NodeName>| node.as_ref().is_some_and(|n| set.contains(n));
        let keep = cut_off && is(&evidence.silent) && !evidence.released.contains(&id);
        if keep {
            held.entry(id.service.clone()).or_default().push(id.clone());
        }
        if keep || !evidence.synced || is(&evidence.unread) || is(&evidence.unheard) {
            let protocol = live.services.get(&id.service).map_or_else(Default::default, |s| s.protocol);
            let service = out.services.entry(id.service.clone());
            let service = service.or_insert_with(|| Service { protocol, ..Service::default() });
            service.endpoints.insert(id.endpoint.clone(), endpoint.clone());
            kept.insert(id.service);
        }
    }
    keep_routes(live, &mut out, &kept, evidence.synced);
    let held = held.into_iter().map(|(service, endpoints)| describe(&service, endpoints, live, evidence)).collect();
    (out, held)
}

/// Whether another endpoint of the service has the address now: a node that was replaced is no loss.
fn taken_over(next: &Desired, id: &EndpointId, live: &Desired) -> bool {
    let addr = live.endpoint(id).map(|e| e.addr);
    next.services.get(&id.service).is_some_and(|s| s.endpoints.values().any(|e| Some(e.addr) == addr))
}

/// The routes of a service stay with the endpoints that were kept, and all of them until all is synced; one that
/// another service has now is gone.
fn keep_routes(live: &Desired, out: &mut Desired, kept: &BTreeSet<ServiceName>, synced: bool) {
    for (route, name) in live.routes.iter().filter(|(_, name)| !synced || kept.contains(name)) {
        let Some(service) = live.services.get(name) else { continue };
        let empty = || Service { protocol: service.protocol, ..Service::default() };
        out.services.entry(name.clone()).or_insert_with(empty);
        out.routes.entry(route.clone()).or_insert_with(|| name.clone());
    }
}

fn describe(service: &ServiceName, endpoints: Vec<EndpointId>, live: &Desired, evidence: &Evidence) -> Held {
    // Of the service alone, so that it stays the same while the hold lasts.
    let id = short_id('h', service.as_str());
    let all = live.services.get(service).map_or(0, |s| s.endpoints.len());
    let (silent, living) = (evidence.silent.len(), evidence.living);
    let limit = if living <= 1 { "nobody else is heard" } else { "limit half" };
    Held {
        why: format!(
            "{} of {all} endpoints of {service}: {silent} of {} members failed and do not answer us; {limit}",
            endpoints.len(),
            silent + living,
        ),
        since: evidence.before.iter().find(|h| h.id == id).map_or(evidence.now, |h| h.since),
        id,
        endpoints,
    }
}

/// The node whose endpoint this is.
pub fn node_of(id: &EndpointId) -> Option<NodeName> {
    node_of_name(&id.endpoint)
}

/// The node whose endpoint has this name: what stands before the port, where there is one.
pub(super) fn node_of_name(name: &EndpointName) -> Option<NodeName> {
    name.as_str().split(':').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Endpoint, EndpointState, Member, Route, Weight};

    const NOW: Moment = Moment::from_secs(100);

    /// A set with these endpoints of `web`, node by node, and the default route onto it.
    fn set(nodes: &[&str]) -> Desired {
        let mut desired = Desired::default();
        let web: ServiceName = "web".parse().unwrap();
        let service = desired.services.entry(web.clone()).or_default();
        for (i, node) in (1u8..).zip(nodes) {
            let addr = std::net::SocketAddr::from(([10, 0, 0, i], 80)).try_into().unwrap();
            let endpoint = Endpoint { addr, weight: Weight::DEFAULT, state: EndpointState::Ready };
            service.endpoints.insert(node.parse().unwrap(), endpoint);
        }
        desired.routes.insert(Route { host: "*".parse().unwrap(), path: "/".parse().unwrap() }, web);
        desired
    }

    fn member(name: &str, liveness: Liveness, verdict: Verdict) -> Member {
        Member {
            name: name.parse().unwrap(),
            epoch: 1,
            addr: "10.0.0.1:7946".parse().unwrap(),
            liveness,
            verdict,
            since: Moment::from_secs(95),
            record: Some(crate::model::RawRecord::default()),
            refused: None,
        }
    }

    /// `web` has the endpoints a to e; `members` are known besides this node. Which endpoints stay, and is a hold there?
    fn check(members: &[(&str, Liveness, Verdict)], next: &[&str], stay: &[&str], held: bool) {
        let (out, holds) = run(members, next, Vec::new(), true, BTreeSet::new());
        assert_eq!(names(&out), stay);
        assert_eq!(!holds.is_empty(), held, "{holds:?}");
    }

    fn run(
        members: &[(&str, Liveness, Verdict)],
        next: &[&str],
        before: Vec<Held>,
        synced: bool,
        released: BTreeSet<EndpointId>,
    ) -> (Desired, Vec<Held>) {
        let this = member("lb", Liveness::Alive, Verdict::Unasked);
        let members = members.iter().map(|(n, l, v)| member(n, *l, *v)).chain([this]);
        let members = members.map(|m| (m.name.clone(), m)).collect();
        let snapshots = [Snapshot { source: "gossip".into(), synced, members }];
        let live = set(&["a", "b", "c", "d", "e"]);
        let times = (Moment::ZERO, NOW);
        let evidence = Evidence::gather(&snapshots, &live, before, released, times, Windows::default());
        guard(&live, set(next), &evidence)
    }

    fn names(set: &Desired) -> Vec<String> {
        set.endpoints().map(|(id, _)| id.endpoint.to_string()).collect()
    }

    use Liveness::{Alive, Failed, Left};
    use Verdict::{Refused, Silent, Unasked};

    #[test]
    fn a_minority_that_fails_goes() {
        let members = [
            ("a", Failed, Silent),
            ("b", Failed, Silent),
            ("c", Alive, Unasked),
            ("d", Alive, Unasked),
            ("e", Alive, Unasked),
        ];
        check(&members, &["x", "x2", "c", "d", "e"], &["c", "d", "e", "x", "x2"], false);
    }

    #[test]
    fn a_silent_majority_is_held() {
        let members = [
            ("a", Failed, Silent),
            ("b", Failed, Silent),
            ("c", Failed, Silent),
            ("d", Failed, Silent),
            ("e", Alive, Unasked),
        ];
        check(&members, &[], &["a", "b", "c", "d"], true);
    }

    #[test]
    fn a_refused_connect_proves_the_path() {
        let members = ["a", "b", "c", "d", "e"].map(|n| (n, Failed, Refused));
        check(&members, &[], &[], false);
    }

    #[test]
    fn graceful_leaves_pass_whatever_their_number() {
        let members = ["a", "b", "c", "d", "e"].map(|n| (n, Left, Unasked));
        check(&members, &[], &[], false);
    }

    #[test]
    fn the_only_one_silent_is_held_and_refused_goes() {
        let with = |verdict| {
            [
                ("a", Failed, verdict),
                ("b", Left, Unasked),
                ("c", Left, Unasked),
                ("d", Left, Unasked),
                ("e", Left, Unasked),
            ]
        };
        check(&with(Silent), &[], &["a"], true);
        check(&with(Refused), &[], &[], false);
    }

    #[test]
    fn a_balancer_that_never_heard_anybody_removes_nothing() {
        let (out, held) = run(&[], &[], Vec::new(), true, BTreeSet::new());
        assert_eq!((names(&out).len(), held.len()), (5, 1));
        assert!(held[0].why.contains("nobody else is heard"), "{}", held[0].why);
    }

    #[test]
    fn one_that_takes_connects_is_reached_and_goes() {
        let members = ["a", "b", "c", "d", "e"].map(|n| (n, Failed, Verdict::Answered));
        check(&members, &[], &[], false);
    }

    #[test]
    fn all_routes_of_a_kept_service_stay() {
        let mut live = set(&["a"]);
        for host in ["a.example", "b.example"] {
            live.routes
                .insert(Route { host: host.parse().unwrap(), path: "/".parse().unwrap() }, "web".parse().unwrap());
        }
        let members = [("a", Failed, Silent)].map(|(n, l, v)| member(n, l, v));
        let members = members.into_iter().map(|m| (m.name.clone(), m)).collect();
        let snapshots = [Snapshot { source: "gossip".into(), synced: true, members }];
        let times = (Moment::ZERO, NOW);
        let evidence = Evidence::gather(&snapshots, &live, Vec::new(), BTreeSet::new(), times, Windows::default());
        let (out, held) = guard(&live, Desired::default(), &evidence);
        assert_eq!((&out, held.len()), (&live, 1));
    }

    #[test]
    fn a_hold_keeps_its_id_outlasts_the_window_and_ends_with_the_clusters_return() {
        let all = ["a", "b", "c", "d", "e"].map(|n| (n, Failed, Silent));
        let (_, first) = run(&all, &[], Vec::new(), true, BTreeSet::new());
        // Forgotten by the cluster, held all the same.
        let (out, second) = run(&[], &[], first.clone(), true, BTreeSet::new());
        assert_eq!(names(&out), ["a", "b", "c", "d", "e"]);
        assert_eq!((&first[0].id, first[0].since), (&second[0].id, second[0].since));
        // Four are back, one stays away: it goes.
        let back = [
            ("a", Alive, Unasked),
            ("b", Alive, Unasked),
            ("c", Alive, Unasked),
            ("d", Alive, Unasked),
            ("e", Failed, Silent),
        ];
        let (out, third) = run(&back, &["a", "b", "c", "d"], second, true, BTreeSet::new());
        assert_eq!((names(&out), third), (["a", "b", "c", "d"].map(String::from).to_vec(), vec![]));
        // Or the operator lets it go.
        let (out, fourth) = run(&all, &[], first.clone(), true, first[0].endpoints.iter().cloned().collect());
        assert_eq!((names(&out), fourth), (vec![], vec![]));
    }

    #[test]
    fn nothing_goes_before_all_is_synced() {
        let (mut next, held) = run(&[], &[], Vec::new(), false, BTreeSet::new());
        assert_eq!((names(&next).len(), held), (5, vec![]));
        let all = ["a", "b", "c", "d", "e"].map(|n| (n, Left, Unasked));
        next = run(&all, &[], Vec::new(), true, BTreeSet::new()).0;
        assert_eq!(names(&next), Vec::<String>::new(), "synced");
    }

    #[test]
    fn who_took_over_an_address_replaces_its_owner() {
        let members = [
            ("a", Failed, Silent),
            ("b", Failed, Silent),
            ("c", Failed, Silent),
            ("d", Left, Unasked),
            ("e", Left, Unasked),
            ("x", Alive, Unasked),
        ];
        check(&members, &["x"], &["b", "c", "x"], true);
    }

    #[test]
    fn the_guard_never_loses_what_is_wanted() {
        let live = set(&["a", "b"]);
        let next = set(&["b", "c"]);
        let (out, _) = guard(&live, next.clone(), &Evidence::default());
        for (id, endpoint) in next.endpoints() {
            assert_eq!(out.endpoint(&id), Some(endpoint));
        }
        assert_eq!(out.routes, next.routes);
    }
}

//! Evidence and judgement together: who is silent, and what stays for it.

use super::*;
use crate::model::{Cut, Endpoint, Liveness, Member, Moment, Route, Snapshot, State, Verdict, Weight, Windows};

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
    let (out, holds) = run(members, next, Default::default(), true, BTreeSet::new());
    assert_eq!(names(&out), stay);
    assert_eq!(!holds.is_empty(), held, "{holds:?}");
}

fn run(
    members: &[(&str, Liveness, Verdict)],
    next: &[&str],
    before: (Vec<Held>, Cut),
    synced: bool,
    released: BTreeSet<EndpointId>,
) -> (Desired, Vec<Held>) {
    let this = member("lb", Liveness::Alive, Verdict::Unasked);
    let members = members.iter().map(|(n, l, v)| member(n, *l, *v)).chain([this]);
    let members = members.map(|m| (m.name.clone(), m)).collect();
    let snapshots = [Snapshot { source: "gossip".into(), synced, members, ..Snapshot::default() }];
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
        [("a", Failed, verdict), ("b", Left, Unasked), ("c", Left, Unasked), ("d", Left, Unasked), ("e", Left, Unasked)]
    };
    check(&with(Silent), &[], &["a"], true);
    check(&with(Refused), &[], &[], false);
}

#[test]
fn a_balancer_that_never_heard_anybody_removes_nothing() {
    let (out, held) = run(&[], &[], Default::default(), true, BTreeSet::new());
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
        live.routes.insert(Route { host: host.parse().unwrap(), path: "/".parse().unwrap() }, "web".parse().unwrap());
    }
    let members = [("a", Failed, Silent)].map(|(n, l, v)| member(n, l, v));
    let members = members.into_iter().map(|m| (m.name.clone(), m)).collect();
    let snapshots = [Snapshot { source: "gossip".into(), synced: true, members, ..Snapshot::default() }];
    let times = (Moment::ZERO, NOW);
    let evidence = Evidence::gather(&snapshots, &live, Default::default(), BTreeSet::new(), times, Windows::default());
    let (out, held) = guard(&live, Desired::default(), &evidence);
    assert_eq!((&out, held.len()), (&live, 1));
}

#[test]
fn a_hold_keeps_its_id_outlasts_the_window_and_ends_with_the_clusters_return() {
    let all = ["a", "b", "c", "d", "e"].map(|n| (n, Failed, Silent));
    let (_, first) = run(&all, &[], Default::default(), true, BTreeSet::new());
    // Forgotten by the cluster, held all the same.
    let (out, second) = run(&[], &[], (first.clone(), Cut::Likely), true, BTreeSet::new());
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
    let (out, third) = run(&back, &["a", "b", "c", "d"], (second, Cut::Healing(NOW)), true, BTreeSet::new());
    assert_eq!((names(&out), third), (["a", "b", "c", "d"].map(String::from).to_vec(), vec![]));
    // Or the operator lets it go.
    let (out, fourth) =
        run(&all, &[], (first.clone(), Cut::Likely), true, first[0].endpoints.iter().cloned().collect());
    assert_eq!((names(&out), fourth), (vec![], vec![]));
}

#[test]
fn nothing_goes_before_all_is_synced() {
    let (mut next, held) = run(&[], &[], Default::default(), false, BTreeSet::new());
    assert_eq!((names(&next).len(), held), (5, vec![]));
    let all = ["a", "b", "c", "d", "e"].map(|n| (n, Left, Unasked));
    next = run(&all, &[], Default::default(), true, BTreeSet::new()).0;
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

/// After a cut the members are declared down one by one: the first of them is judged by all that are silent.
#[test]
fn the_first_to_fail_is_held_where_the_others_are_silent_too() {
    use Liveness::Suspect;
    let members = |others| {
        let mut members = vec![("a", Failed, Silent), ("e", Alive, Unasked)];
        members.extend(["b", "c", "d"].map(|n| (n, Suspect, others)));
        members
    };
    let run = |others| {
        let this = member("lb", Alive, Unasked);
        let members = members(others).into_iter().map(|(n, l, v)| member(n, l, v)).chain([this]);
        let members = members.map(|m| (m.name.clone(), m)).collect();
        let known = [Snapshot { source: "gossip".into(), synced: true, members, ..Snapshot::default() }];
        let live = set(&["a", "b", "c", "d", "e"]);
        let mut next = live.clone();
        let web = next.services.values_mut().next().unwrap();
        web.endpoints.remove(&"a".parse().unwrap());
        // As `desired` has it of suspects that are silent.
        web.endpoints.get_mut(&"b".parse().unwrap()).unwrap().state = EndpointState::Drain;
        let times = (Moment::ZERO, NOW);
        let evidence = Evidence::gather(&known, &live, Default::default(), BTreeSet::new(), times, Windows::default());
        let (out, held) = guard(&live, next, &evidence);
        (out == live, held.len())
    };
    assert_eq!(run(Silent), (true, 1), "all stay, and as they were");
    assert_eq!(run(Verdict::Answered), (false, 0), "they are reached, and a is not");
}

/// What drains by its own word does so whoever is cut off.
#[test]
fn a_drain_of_its_own_passes_a_cut() {
    let mut draining = member("a", Alive, Silent);
    draining.record.as_mut().unwrap().state = State::Draining;
    let others = ["b", "c", "d", "e"].map(|n| member(n, Failed, Silent));
    let members = others.into_iter().chain([draining]).map(|m| (m.name.clone(), m)).collect();
    let known = [Snapshot { source: "gossip".into(), synced: true, members, ..Snapshot::default() }];
    let live = set(&["a", "b"]);
    let mut next = set(&["a"]);
    let a = next.services.values_mut().next().unwrap().endpoints.values_mut().next().unwrap();
    a.state = EndpointState::Drain;
    let times = (Moment::ZERO, NOW);
    let evidence = Evidence::gather(&known, &live, Default::default(), BTreeSet::new(), times, Windows::default());
    let (out, held) = guard(&live, next, &evidence);
    let states: Vec<_> = out.endpoints().map(|(_, e)| e.state).collect();
    assert_eq!((states, held.len()), (vec![EndpointState::Drain, EndpointState::Ready], 1));
}

/// After a cut the others come back one by one; `d` and `e` are what they are.
fn healing(
    d: (Liveness, Verdict),
    e: (Liveness, Verdict),
    until: Moment,
    released: BTreeSet<EndpointId>,
) -> Vec<String> {
    let all = ["a", "b", "c", "d", "e"].map(|n| (n, Failed, Silent));
    let (_, held) = run(&all, &[], Default::default(), true, BTreeSet::new());
    let back = [("a", Alive, Unasked), ("b", Alive, Unasked), ("c", Alive, Unasked), ("d", d.0, d.1), ("e", e.0, e.1)];
    let (out, _) = run(&back, &["a", "b", "c"], (held, Cut::Healing(until)), true, released);
    names(&out)
}

#[test]
fn the_last_get_the_time_to_come_back_too() {
    let (soon, none) = (NOW + Moment::from_secs(1), BTreeSet::new);
    let check = |d, until, stay: &[&str]| assert_eq!(healing(d, (Failed, Silent), until, none()), stay, "{d:?}");
    check((Failed, Silent), soon, &["a", "b", "c", "d", "e"]);
    check((Failed, Unasked), soon, &["a", "b", "c", "d", "e"]);
    check((Failed, Verdict::Answered), soon, &["a", "b", "c", "d", "e"]);
    // What is known to be gone goes at once, and all who are silent with the time.
    check((Failed, Refused), soon, &["a", "b", "c", "e"]);
    check((Left, Unasked), soon, &["a", "b", "c", "e"]);
    check((Failed, Silent), NOW, &["a", "b", "c"]);
    check((Failed, Verdict::Answered), NOW, &["a", "b", "c"]);
    let e = EndpointId { service: "web".parse().unwrap(), endpoint: "e".parse().unwrap() };
    assert_eq!(healing((Failed, Silent), (Failed, Silent), soon, [e].into()), ["a", "b", "c", "d"], "let go");
}

#[test]
fn one_that_was_held_and_answers_stays_while_the_others_are_silent() {
    let mut all = ["a", "b", "c", "d", "e"].map(|n| (n, Failed, Silent));
    let (_, held) = run(&all, &[], Default::default(), true, BTreeSet::new());
    all[0].2 = Verdict::Answered;
    let (out, _) = run(&all, &[], (held, Cut::Likely), true, BTreeSet::new());
    assert_eq!(names(&out), ["a", "b", "c", "d", "e"]);
}

#[test]
fn a_cut_is_over_a_window_after_most_are_back() {
    let window = Moment::from_secs(10);
    let check = |before: Cut, silent, living, now, next| {
        assert_eq!(before.next(silent, living, (Moment::from_secs(now), window)), next, "{before:?}");
    };
    let healing = Cut::Healing(Moment::from_secs(110));
    check(Cut::No, 2, 4, 100, Cut::No);
    check(Cut::No, 4, 2, 100, Cut::Likely);
    check(Cut::Likely, 4, 2, 1000, Cut::Likely);
    check(Cut::Likely, 3, 3, 100, healing);
    check(healing, 3, 3, 109, healing);
    check(healing, 0, 6, 109, healing);
    check(healing, 3, 3, 110, Cut::No);
    check(healing, 4, 2, 105, Cut::Likely);
}

/// The operator took it out of his file; that it is called as somebody who is silent, or as nobody known, is no matter.
#[test]
fn no_silence_keeps_what_a_file_takes_out() {
    let silent = |name| member(name, Liveness::Failed, Verdict::Silent);
    let members = [silent("a"), silent("b"), member("lb", Liveness::Alive, Verdict::Unasked)];
    let members = members.into_iter().map(|m| (m.name.clone(), m)).collect();
    let known = [Snapshot { source: "gossip".into(), synced: true, members, ..Snapshot::default() }];
    let live = set(&["a", "b", "c", "d"]);
    let listed = ["a", "c"].map(|name| {
        let id = EndpointId { service: "web".parse().unwrap(), endpoint: name.parse().unwrap() };
        (id, "file:s.toml".into())
    });
    let out = |began: Moment, listed: &[_]| {
        let listed = listed.iter().cloned().collect();
        let (times, before) = ((began, NOW), (Vec::new(), Cut::No));
        let evidence = Evidence::beside(&listed, &known, &live, before, BTreeSet::new(), times, Windows::default());
        names(&guard(&live, set(&[]), &evidence).0)
    };
    assert_eq!(out(Moment::ZERO, &[]), ["a", "b", "c", "d"], "all that members have, by their silence");
    assert_eq!(out(Moment::ZERO, &listed), ["b", "d"]);
    assert_eq!(out(NOW, &listed), ["b", "d"], "unheard of a moment after the start");
    let nobody = [Snapshot { source: "file:s.toml".into(), synced: true, ..Snapshot::default() }];
    let evidence =
        Evidence::gather(&nobody, &live, Default::default(), BTreeSet::new(), (NOW, NOW), Windows::default());
    assert_eq!(names(&guard(&live, set(&[]), &evidence).0), [""; 0], "without gossip nobody is to be heard of");
}

/// What the operator wants to stay stays, as far as nobody proved it dead.
#[test]
fn as_many_stay_as_the_operator_wants() {
    let check = |floor: usize, verdict: Verdict, stay: &[&str], why: &str| {
        let failed = ["d", "e"].map(|name| (name, Failed, verdict));
        let alive = ["a", "b", "c", "f", "g", "lb"].map(|name| (name, Alive, Unasked));
        let members = failed.into_iter().chain(alive).map(|(n, l, v)| member(n, l, v));
        let members = members.map(|m| (m.name.clone(), m)).collect();
        let snapshots = [Snapshot { source: "gossip".into(), synced: true, members, ..Snapshot::default() }];
        let live = set(&["a", "b", "c", "d", "e"]);
        let (before, times) = (Default::default(), (Moment::ZERO, NOW));
        let gathered = Evidence::gather(&snapshots, &live, before, BTreeSet::new(), times, Windows::default());
        let floors = BTreeMap::from([("web".parse().unwrap(), floor)]);
        let (out, holds) = guard(&live, set(&["a", "b", "c"]), &Evidence { floors, ..gathered });
        assert_eq!(names(&out), stay, "at least {floor}");
        assert_eq!(holds.into_iter().map(|hold| hold.why).collect::<String>(), why);
    };
    check(3, Silent, &["a", "b", "c"], "");
    let one = "1 of 5 endpoints of web: they do not answer us, and min-ready is 4";
    check(4, Silent, &["a", "b", "c", "d"], one);
    let both = "2 of 5 endpoints of web: they do not answer us, and min-ready is 9";
    check(9, Silent, &["a", "b", "c", "d", "e"], both);
    check(9, Refused, &["a", "b", "c"], "");
}

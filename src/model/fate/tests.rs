//! What is said of endpoints: of each cause alone, and which of several is told.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::model::{Desired, Flapping, Held, Ledger, Liveness, RawOffer, RawRecord, Rejection, State, Verdict, Weight};

/// A member that offers `web` at these ports.
fn member(name: &str, ports: &[u32]) -> Member {
    let offer = |port: &u32| RawOffer {
        name: "web".into(),
        port: *port,
        hosts: Vec::new(),
        path: None,
        weight: None,
        protocol: None,
        healthy: true,
    };
    let record = RawRecord {
        node: name.into(),
        version: 3,
        services: ports.iter().map(offer).collect(),
        ..RawRecord::default()
    };
    Member {
        name: name.parse().unwrap(),
        epoch: 1,
        addr: ([10, 0, 0, 1], 7946).into(),
        liveness: Liveness::Alive,
        verdict: Verdict::Unasked,
        since: Duration::from_secs(1),
        record: Some(record),
        refused: None,
    }
}

fn record(member: &mut Member) -> &mut RawRecord {
    member.record.as_mut().unwrap()
}

/// The service `web` with these endpoints: `name state`.
fn web(endpoints: &[&str]) -> Arc<Desired> {
    let one = |line: &&str| {
        let (name, state) = line.split_once(' ').unwrap();
        let state = if state == "ready" { EndpointState::Ready } else { EndpointState::Drain };
        let addr = std::net::SocketAddr::from(([10, 0, 0, 1], 80)).try_into().unwrap();
        (name.parse().unwrap(), Endpoint { addr, weight: Weight::DEFAULT, state })
    };
    let service = Service { endpoints: endpoints.iter().map(one).collect(), ..Service::default() };
    Arc::new(Desired { services: [("web".parse().unwrap(), service)].into(), ..Desired::default() })
}

fn id(endpoint: &str) -> EndpointId {
    EndpointId { service: "web".parse().unwrap(), endpoint: endpoint.parse().unwrap() }
}

/// What each endpoint of `web` is said: `name code text`, with `-` where there is nothing to say.
fn check(members: Vec<Member>, status: &Status, expected: &[&str]) {
    let members = members.into_iter().map(|m| (m.name.clone(), m)).collect();
    let members = Snapshot { members, ..Snapshot::default() };
    let now = Duration::from_secs(10);
    let line = |fate: Fate| {
        let why = fate.reason.map_or_else(|| "-".to_owned(), |r| format!("{}: {}", r.code, r.text));
        format!("{} {why}", fate.id.endpoint)
    };
    let said = |fates: Vec<Fate>| fates.into_iter().map(line).collect::<Vec<_>>();
    assert_eq!(said(of_service(&"web".parse().unwrap(), status, &members, now)), expected);
    // Asked by its node each is said the same.
    let by_member = members.members.values().flat_map(|m| said(of_member(m, status, &members, now)));
    let by_member: BTreeSet<_> = by_member.collect();
    assert!(by_member.iter().all(|line| expected.contains(&line.as_str())), "{by_member:?}");
}

fn status(live: &[&str], desired: &[&str]) -> Status {
    let roles = Arc::new(BTreeSet::from(["web".to_owned()]));
    Status { live: web(live), desired: web(desired), roles, ..Status::default() }
}

#[test]
fn what_is_well_needs_no_word_and_what_comes_says_so() {
    let all = ["a ready", "b:80 ready", "b:81 ready"];
    let members = || vec![member("a", &[80]), member("b", &[80, 81])];
    check(members(), &status(&all, &all), &["a -", "b:80 -", "b:81 -"]);
    check(
        members(),
        &status(&[], &all),
        &["a joined: is on its way", "b:80 joined: is on its way", "b:81 joined: is on its way"],
    );
    check(vec![member("a", &[80])], &status(&[], &[]), &["a unseen: not looked at yet"]);
    // By Serf's habit.
    let mut serf = member("s", &[]);
    record(&mut serf).tags.insert("role".into(), "web".into());
    check(vec![serf.clone()], &status(&["s ready"], &["s ready"]), &["s -"]);
    check(vec![serf.clone()], &status(&[], &[]), &["s unseen: not looked at yet"]);
    // A role that the operator does not list is a tag like any other.
    let unlisted = Status { roles: Arc::default(), ..status(&[], &[]) };
    check(vec![serf.clone()], &unlisted, &[]);
    let members = Snapshot { members: [(serf.name.clone(), serf.clone())].into(), ..Snapshot::default() };
    assert_eq!(of_member(&serf, &unlisted, &members, Duration::from_secs(10)), []);
}

#[test]
fn the_member_says_why_it_is_gone_or_drains() {
    let one = |change: fn(&mut Member), live: &[&str], desired: &[&str], expected: &str| {
        let mut m = member("a", &[80]);
        change(&mut m);
        check(vec![m], &status(live, desired), &[expected]);
    };
    one(|m| m.liveness = Liveness::Failed, &[], &[], "a failed: failed 9 s ago");
    one(|m| m.liveness = Liveness::Failed, &["a ready"], &[], "a failed: failed 9 s ago");
    one(|m| m.liveness = Liveness::Left, &[], &[], "a left: left 9 s ago");
    one(|m| record(m).state = State::Left, &[], &[], "a left: left 9 s ago");
    one(|m| record(m).by_hand.node = true, &["a drain"], &["a drain"], "a drained: drained by hand");
    one(
        |m| record(m).by_hand.services = ["web".to_owned()].into(),
        &["a drain"],
        &["a drain"],
        "a drained: drained by hand",
    );
    one(|m| record(m).state = State::Draining, &["a drain"], &["a drain"], "a draining: says that it drains");
    one(|m| record(m).services[0].healthy = false, &[], &[], "a unhealthy: fails its agent's own check");
    let suspect = |m: &mut Member| (m.liveness, m.verdict) = (Liveness::Suspect, Verdict::Silent);
    one(suspect, &["a drain"], &["a drain"], "a suspect: suspect, did not answer us, for 9 s");
    one(suspect, &["a ready"], &["a ready"], "a suspect: suspect, did not answer us, kept in, for 9 s");
    one(|m| record(m).services.clear(), &["a ready"], &[], "a record: record 3 offers it no more");
    one(|m| m.record = None, &["a ready"], &["a ready"], "a record: its record has not come yet");
}

#[test]
fn the_balancer_says_what_it_does_of_its_own() {
    let held = Held { id: "h1".into(), why: "half".into(), endpoints: vec![id("a")], since: Duration::ZERO };
    let mut failed = member("a", &[80]);
    failed.liveness = Liveness::Failed;
    let kept = Status { held: vec![held], ..status(&["a ready"], &["a ready"]) };
    check(vec![failed], &kept, &["a hold: kept by hold h1"]);
    let flap = Flapping {
        id: "f1".into(),
        node: "a".parse().unwrap(),
        service: None,
        times: 4,
        within: Duration::from_secs(90),
        left: Duration::from_millis(15_400),
        endpoints: vec![id("a")],
        let_in: false,
    };
    let out = Status { flapping: vec![flap], ..status(&[], &[]) };
    check(vec![member("a", &[80])], &out, &["a flapping: came back 4 times in 90 s, held down for 16 s more"]);
    for subject in ["service web", "service \"web\""] {
        let why = "10.0.0.1:80 is b's address since its epoch is newer".to_owned();
        let refused = Rejection { node: "a".into(), subject: subject.into(), service: None, why, code: "duplicate" };
        let status = Status { rejections: vec![refused], ..status(&[], &[]) };
        check(
            vec![member("a", &[80])],
            &status,
            &["a duplicate: refused: 10.0.0.1:80 is b's address since its epoch is newer"],
        );
    }
    check(vec![], &status(&["x ready"], &[]), &["x drift: no member says so"]);
}

#[test]
fn a_file_has_the_word_where_it_lists_one() {
    let listed = |live: &[&str], desired: &[&str], expected: &str| {
        let ledger = Ledger { listed: [(id("a"), "file:s.toml".into())].into(), ..Ledger::default() };
        let status = Status { ledger: Some(Arc::new(ledger)), ..status(live, desired) };
        check(vec![], &status, &[expected]);
    };
    listed(&["a ready"], &["a ready"], "a -");
    listed(&["a drain"], &["a drain"], "a listed: file:s.toml says drain");
    listed(&["a ready"], &[], "a listed: no longer in file:s.toml");
    listed(&[], &["a ready"], "a listed: listed by file:s.toml a moment ago");
}

#[test]
fn drift_names_what_differs() {
    let all = |live, desired| {
        let status = status(live, desired);
        let fates = of_service(&"web".parse().unwrap(), &status, &Snapshot::default(), Duration::ZERO);
        fates.iter().filter_map(drift).collect::<Vec<_>>()
    };
    assert_eq!(all(&["a ready"], &["a drain"]), ["ready, should be drain"]);
    assert!(all(&["a ready", "b drain"], &["a ready"]).is_empty());
}

#[test]
fn who_was_meant() {
    let members = [member("web1", &[]), member("web2", &[]), member("proxy", &[])];
    let members = members.into_iter().map(|m| (m.name.clone(), m)).collect();
    let members = Snapshot { members, ..Snapshot::default() };
    let status = status(&[], &[]);
    assert_eq!(meant("Wbe1", Some(&status), &members), ["node web1"]);
    assert_eq!(meant("web9", None, &members), ["node web1", "node web2"]);
    assert!(meant("nonsense", Some(&status), &members).is_empty());
}

//! What is told of the difference between two states, line by line.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use backchat_contract::{Endpoint, EndpointState, Plane, Service, Weight};

use super::*;
use crate::model::{
    Desired, EndpointId, Flapping, Held, Ledger, Member, RawRecord, Rejection, SourceState, State, Verdict,
};

fn member(name: &str, epoch: u64, liveness: Liveness) -> Member {
    Member {
        name: name.parse().unwrap(),
        epoch,
        addr: SocketAddr::from(([10, 0, 0, 1], 7946)),
        liveness,
        verdict: Verdict::Silent,
        since: Duration::from_secs(5),
        record: Some(RawRecord { node: name.into(), epoch, ..RawRecord::default() }),
        refused: None,
    }
}

fn snapshot(members: impl IntoIterator<Item = Member>) -> Snapshot {
    let members = members.into_iter().map(|m| (m.name.clone(), m)).collect();
    Snapshot { source: "gossip".into(), synced: true, members, ..Snapshot::default() }
}

/// A web service of these, each `name, weight, state`, after what is live was adopted.
fn status(endpoints: &[(&str, u16, EndpointState)]) -> Status {
    let one = |(name, weight, state): &(&str, u16, EndpointState)| {
        let addr = SocketAddr::from(([10, 0, 0, 1], 8080)).try_into().unwrap();
        (name.parse().unwrap(), Endpoint { addr, weight: Weight::try_from(u32::from(*weight)).unwrap(), state: *state })
    };
    let service = Service { endpoints: endpoints.iter().map(one).collect(), ..Service::default() };
    let desired = Desired { services: [("web".parse().unwrap(), service)].into(), ..Desired::default() };
    Status {
        plane: Plane { name: "haproxy", version: "2.6.12".into(), generation: 43, ..Plane::default() },
        plane_up: true,
        converged: true,
        desired: Arc::new(desired),
        ledger: Some(Arc::new(Ledger::default())),
        stepped_at: Some(std::time::UNIX_EPOCH),
        ..Status::default()
    }
}

fn shown(events: Vec<Event>) -> Vec<String> {
    let line = |e: Event| [e.subject, e.text, e.effect.unwrap_or_default()].join(" | ");
    events.into_iter().map(line).collect()
}

fn check(events: Vec<Event>, expected: &[&str]) {
    assert_eq!(shown(events), expected);
}

fn between(before: &Status, after: &Status, known: &Snapshot) -> Vec<Event> {
    loops(before, after, known, Duration::from_secs(9))
}

#[test]
fn members_come_and_go() {
    use Liveness::{Alive, Failed, Left, Suspect};
    let turned = |before: Vec<Member>, after: Vec<Member>, expected: &[&str]| {
        let me = member("me", 1, Alive);
        check(
            members(&snapshot([me.clone()].into_iter().chain(before)), &snapshot([me].into_iter().chain(after))),
            expected,
        );
    };
    turned(vec![], vec![member("a", 1, Alive)], &["a | joined | "]);
    turned(vec![], vec![member("a", 1, Failed)], &["a | known as failed | "]);
    turned(vec![member("a", 1, Alive)], vec![member("a", 1, Suspect)], &["a | alive → suspect | "]);
    turned(vec![member("a", 1, Suspect)], vec![member("a", 1, Left)], &["a | suspect → left | "]);
    turned(vec![member("a", 1, Alive)], vec![member("a", 2, Alive)], &["a | alive, in a new life | "]);
    turned(vec![member("a", 1, Failed)], vec![member("a", 2, Alive)], &["a | failed → alive | "]);
    turned(vec![member("a", 1, Failed)], vec![], &[]);
    turned(vec![member("a", 1, Alive)], vec![member("a", 1, Alive)], &[]);
    check(members(&Snapshot::default(), &snapshot([member("me", 1, Alive)])), &[]);
}

#[test]
fn drains_are_told_by_whose_word_they_are() {
    let with = |record: &dyn Fn(&mut RawRecord)| {
        let mut member = member("a", 1, Liveness::Alive);
        record(member.record.as_mut().unwrap());
        snapshot([member])
    };
    let serves = with(&|_| {});
    let drains = with(&|r| r.state = State::Draining);
    let by_hand = with(&|r| (r.state, r.by_hand.node) = (State::Draining, true));
    let service = with(&|r| r.by_hand.services.extend(["web".to_owned()]));
    check(members(&serves, &drains), &["a | drains, by its own word | "]);
    check(members(&serves, &by_hand), &["a | drained by hand | "]);
    check(members(&by_hand, &serves), &["a | undrained | "]);
    check(members(&serves, &service), &["a/web | drained by hand | "]);
    check(members(&service, &serves), &["a/web | undrained | "]);
    check(members(&service, &service), &[]);
}

#[test]
fn what_a_member_does_is_told_with_what_follows_for_the_set() {
    use EndpointState::{Drain, Ready};
    let (alive, suspect) =
        (snapshot([member("web3", 1, Liveness::Alive)]), snapshot([member("web3", 1, Liveness::Suspect)]));
    let before = status(&[("web3", 100, Ready), ("web1", 100, Ready), ("db", 1, Ready)]);
    let after = status(&[("web3", 100, Drain), ("web1", 50, Ready), ("web4", 100, Ready)]);
    let set = between(&before, &after, &suspect);
    let alone = [
        "web/web4 | in at 10.0.0.1:8080, weight 100 | ",
        "web/web1 | weight 100 → 50 | ",
        "web/web3 | ready → drain | suspect, did not answer us",
        "web/db | out | ",
    ];
    check(set.clone(), &alone);
    let together = with_effects(members(&alive, &suspect), set);
    assert_eq!(shown(together)[0], "web3 | alive → suspect | drain web/web3");
}

#[test]
fn routes_come_move_and_go() {
    let with = |routes: &[(&str, &str)]| {
        let route = |(host, service): &(&str, &str)| {
            let route = backchat_contract::Route { host: host.parse().unwrap(), path: "/".parse().unwrap() };
            (route, service.parse().unwrap())
        };
        let desired = Desired { routes: routes.iter().map(route).collect(), ..Desired::default() };
        Status { desired: Arc::new(desired), ..status(&[]) }
    };
    let (before, after) =
        (with(&[("a.example", "web"), ("b.example", "web")]), with(&[("b.example", "api"), ("*", "api")]));
    let told = ["route | a.example/ is gone | ", "route | b.example/ → api, was web | ", "route | */ → api | "];
    let mut lines = shown(between(&before, &after, &snapshot([])));
    lines.sort_by_key(|line| told.iter().position(|expected| expected == line));
    assert_eq!(lines, told);
}

#[test]
fn of_one_that_drains_and_leaves_at_once_each_is_told_with_its_own() {
    let turned = |what, text: &str| Event::new(what, "a", text).of(&"a");
    let left = What::Member { from: Some(Liveness::Alive), to: Liveness::Left, epoch: 1 };
    let turned = vec![turned(What::Drain { begins: true }, "drains"), turned(left, "alive → left")];
    let set = |change| Event::new(What::Endpoint { change }, "web/a", "").of(&"a");
    let told = |change| shown(with_effects(turned.clone(), vec![set(change)]));
    assert_eq!(told(Action::Drain), ["a | drains | drain web/a", "a | alive → left | "]);
    assert_eq!(told(Action::Remove), ["a | drains | ", "a | alive → left | remove web/a"]);
}

#[test]
fn what_was_there_at_the_first_look_is_no_news_and_a_crowd_is_a_number() {
    let known = snapshot([]);
    let names: Vec<String> = (0..=64).map(|n| format!("web{n}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), 100, EndpointState::Ready)).collect();
    let first = between(&Status::default(), &status(&many), &known);
    check(first, &["data plane | up | haproxy 2.6.12"]);
    check(between(&status(&[]), &status(&many), &known), &["web | 65 endpoints change at once | "]);
    assert_eq!(between(&status(&[]), &status(&many[1..]), &known).len(), 64);
}

#[test]
fn an_apply_is_told_in_numbers() {
    let before = status(&[]);
    let mut after = before.clone();
    after.tally.applies = 1;
    after.tally.commands = 3;
    after.tally.phases.apply.observe(Duration::from_millis(4));
    check(between(&before, &after, &snapshot([])), &["apply | 43 | 3 commands, 4 ms, no reload, confirmed"]);
    let mut worse = Status { reloads: 1, converged: false, ..after.clone() };
    worse.tally.applies = 3;
    worse.tally.commands = 4;
    worse.tally.refusals = 2;
    check(
        between(&after, &worse, &snapshot([])),
        &["apply | 43 | 1 command, 0 ms, 1 reload, 2 refused, not confirmed yet"],
    );
    worse.waiting = Some("web/web2 drains".into());
    let told = shown(between(&before, &worse, &snapshot([])));
    assert!(told[0].ends_with("2 refused, confirmed, waiting: web/web2 drains"), "{told:?}");
}

#[test]
fn trouble_is_told_when_it_begins_and_when_it_ends() {
    let well = status(&[]);
    let both = |ill: &Status, begins: &[&str], ends: &[&str]| {
        check(between(&well, ill, &snapshot([])), begins);
        check(between(ill, ill, &snapshot([])), &[]);
        check(between(ill, &well, &snapshot([])), ends);
    };
    let down = Status { plane_up: false, error: Some("failed to reach it".into()), ..well.clone() };
    both(&down, &["data plane | up → down | failed to reach it"], &["data plane | down → up | haproxy 2.6.12"]);
    let refused = Status { error: Some("failed to run 'x'".into()), ..well.clone() };
    both(&refused, &["data plane | in trouble | failed to run 'x'"], &["data plane | well again | "]);
    let mut template = well.clone();
    template.plane.template = Some("my.jinja:4: no".into());
    both(&template, &["template | in trouble | my.jinja:4: no"], &["template | well again | "]);
    let mut edited = well.clone();
    edited.plane.blocked = Some("edited".into());
    both(&edited, &["file | in trouble | edited"], &["file | well again | "]);
    let id = EndpointId { service: "api".parse().unwrap(), endpoint: "api1".parse().unwrap() };
    let kept = Held { id: "h3c9".into(), why: "2 of 2 failed".into(), endpoints: vec![id], since: Duration::ZERO };
    let held = Status { held: vec![kept], ..well.clone() };
    let begins = "guard | holds h3c9 | api/api1: 2 of 2 failed; 'backchat release h3c9' lets it go";
    both(&held, &[begins], &["guard | ends h3c9 | "]);
    let rejection = Rejection {
        node: "web9".into(),
        subject: "route x/".into(),
        service: None,
        why: "api1 holds it".into(),
        code: "conflict",
    };
    let rejected = Status { rejections: vec![rejection], ..well.clone() };
    let why = "route x/: api1 holds it";
    both(&rejected, &[&format!("web9 | refused | {why}")], &[&format!("web9 | no longer refused | {why}")]);
}

#[test]
fn who_is_held_down_once_more_was_not_let_in() {
    let flap = |times| Flapping {
        id: "f3c9a".into(),
        node: "web3".parse().unwrap(),
        service: Some("web".parse().unwrap()),
        times,
        within: Duration::from_secs(130),
        left: Duration::from_millis(15_400),
        endpoints: Vec::new(),
        let_in: false,
    };
    let with = |flapping: Vec<Flapping>| Status { flapping, ..status(&[]) };
    let held = "web3/web | held down | came back 4 times in 2 min; for 16 s, 'backchat release f3c9a' lets it in";
    check(between(&with(vec![]), &with(vec![flap(4)]), &snapshot([])), &[held]);
    let told = shown(between(&with(vec![flap(4)]), &with(vec![flap(5)]), &snapshot([])));
    assert!(told.len() == 1 && told[0].contains("5 times"), "{told:?}");
    check(between(&with(vec![flap(5)]), &with(vec![]), &snapshot([])), &["web3/web | no longer held down | "]);
}

#[test]
fn sources_say_when_they_are_read_and_when_not() {
    let source = |synced, trouble: Option<&str>| {
        let of_file =
            Snapshot { source: "file:s.toml".into(), synced, trouble: trouble.map(Into::into), ..Snapshot::default() };
        Status { sources: vec![SourceState::of(&of_file)], ..status(&[]) }
    };
    let told =
        |before: &Status, after: &Status, expected: &[&str]| check(between(before, after, &snapshot([])), expected);
    let (new, well, ill) = (source(false, None), source(true, None), source(true, Some("s.toml:3: no")));
    told(&new, &well, &["file:s.toml | has listed everything | "]);
    told(&well, &ill, &["file:s.toml | in trouble | s.toml:3: no; what it listed before stays"]);
    told(&ill, &well, &["file:s.toml | well again | "]);
}

#[test]
fn checks_turn() {
    let of = |up, why: Option<&str>| vec![Health { service: "web".into(), port: 80, up, why: why.map(Into::into) }];
    check(checks(&of(true, None), &of(false, Some("refused"))), &["web:80 | up → down | refused"]);
    check(checks(&of(false, Some("refused")), &of(true, None)), &["web:80 | down → up | "]);
    check(checks(&of(true, None), &of(true, Some("answered 503"))), &[]);
}

#[test]
fn an_event_reads_as_it_was_written() {
    let from = snapshot([member("a", 1, Liveness::Alive)]);
    let event = members(&from, &snapshot([member("a", 1, Liveness::Failed)])).remove(0).so("remove web/a");
    let json = serde_json::to_value(&event).unwrap();
    let expected = serde_json::json!({
        "kind": "member", "from": "alive", "to": "failed", "epoch": 1,
        "subject": "a", "node": "a", "text": "alive → failed", "effect": "remove web/a",
    });
    assert_eq!(json, expected);
    assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
    assert_eq!(serde_json::to_value(Event::gap("why")).unwrap()["kind"], "gap");
}

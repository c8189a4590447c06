//! `desired` by cases and by law.

use proptest::prelude::*;

use std::{net::SocketAddr, sync::Arc};

use backchat_contract::{
    ServicePolicy,
    policy::{Canary, Pick},
};

use super::*;
use crate::model::{
    Endpoint, EndpointState, Kind, Listed, ListedEndpoint, Liveness, Place, Protocol, RawOffer, RawRecord, Route,
    State, Verdict, Weight,
};

const SECOND: Moment = Duration::from_secs(1);

/// A member that lives at 10.0.0.`host` and offers services written `name:port[@host…]`.
fn member(name: &str, host: u8, services: &[&str]) -> Member {
    let record = RawRecord {
        node: name.into(),
        epoch: u64::from(host),
        version: 1,
        services: services.iter().map(|s| offer(s)).collect(),
        ..RawRecord::default()
    };
    Member {
        name: name.parse().unwrap(),
        epoch: u64::from(host),
        addr: SocketAddr::from(([10, 0, 0, host], 7946)),
        liveness: Liveness::Alive,
        verdict: Verdict::Unasked,
        since: Moment::ZERO,
        record: Some(record),
        refused: None,
    }
}

fn offer(text: &str) -> RawOffer {
    let mut parts = text.split('@');
    let (name, port) = parts.next().unwrap().rsplit_once(':').unwrap();
    RawOffer {
        name: name.into(),
        port: port.parse().unwrap(),
        hosts: parts.map(str::to_owned).collect(),
        path: None,
        weight: None,
        protocol: None,
        healthy: true,
    }
}

fn snapshot(members: impl IntoIterator<Item = Member>) -> Vec<Snapshot> {
    let members = members.into_iter().map(|m| (m.name.clone(), m)).collect();
    vec![Snapshot { source: "gossip".into(), synced: true, members, ..Snapshot::default() }]
}

/// The desired set as lines: `web/web1 10.0.0.1:8080`, `* → web`, and the codes of the rejections.
fn lines(desired: &Desired, refused: &[Rejection]) -> Vec<String> {
    let endpoints = desired.endpoints().map(|(id, e)| match e.state {
        EndpointState::Ready => format!("{id} {}", e.addr),
        EndpointState::Drain => format!("{id} {} drain", e.addr),
    });
    let routes = desired.routes.iter().map(|(route, service)| format!("{route} → {service}"));
    let refused = refused.iter().map(|r| format!("refused {} {}", r.node, r.code));
    endpoints.chain(routes).chain(refused).collect()
}

fn check(members: impl IntoIterator<Item = Member>, expected: &[&str]) {
    let (desired, _, refused) = desired(&snapshot(members), &Policy::default(), &Ledger::default(), SECOND);
    assert_eq!(lines(&desired, &refused), expected);
}

#[test]
fn members_become_endpoints_and_routes() {
    check(
        [member("web1", 1, &["web:8080"]), member("web2", 2, &["web:8080", "api:90@api.example.com"])],
        &[
            "api/web2 10.0.0.2:90",
            "web/web1 10.0.0.1:8080",
            "web/web2 10.0.0.2:8080",
            "api.example.com/ → api",
            "*/ → web",
        ],
    );
}

#[test]
fn one_node_with_two_ports_of_a_service_is_two_endpoints() {
    check([member("n", 1, &["web:1", "web:2"])], &["web/n:1 10.0.0.1:1", "web/n:2 10.0.0.1:2", "*/ → web"]);
}

#[test]
fn balancers_the_gone_and_the_unhealthy_are_no_endpoints() {
    let mut balancer = member("lb", 1, &["web:1"]);
    balancer.record.as_mut().unwrap().kind = Kind::Balancer;
    let failed = Member { liveness: Liveness::Failed, ..member("failed", 2, &["web:1"]) };
    let mut left = member("left", 3, &["web:1"]);
    left.record.as_mut().unwrap().state = State::Left;
    let mut ill = member("ill", 4, &["web:1"]);
    ill.record.as_mut().unwrap().services[0].healthy = false;
    let silent = Member { record: None, ..member("silent", 5, &[]) };
    check([balancer, failed, left, ill, silent], &[]);
}

#[test]
fn draining_members_drain() {
    let mut draining = member("web1", 1, &["web:1"]);
    draining.record.as_mut().unwrap().state = State::Draining;
    check([draining], &["web/web1 10.0.0.1:1 drain", "*/ → web"]);
}

#[test]
fn a_service_drained_by_hand_drains_alone() {
    let mut partly = member("web1", 1, &["web:1", "api:2@api.example"]);
    partly.record.as_mut().unwrap().by_hand.services.insert("api".into());
    check([partly], &["api/web1 10.0.0.1:2 drain", "web/web1 10.0.0.1:1", "api.example/ → api", "*/ → web"]);
}

#[test]
fn a_hostile_member_is_left_out_and_the_others_go_on() {
    let evil = member("evil", 1, &["we\nb:1", "web:0", "web:1@a;b"]);
    check(
        [evil, member("good", 2, &["web:1"])],
        &["web/good 10.0.0.2:1", "*/ → web", "refused evil name", "refused evil host", "refused evil port"],
    );
}

#[test]
fn a_record_that_cannot_be_read_is_told_and_the_one_before_it_holds_on() {
    let unread = |m: Member| Member { refused: Some("malformed".into()), ..m };
    check([unread(member("web1", 1, &["web:1"]))], &["web/web1 10.0.0.1:1", "*/ → web", "refused web1 record"]);
    let new = Member { record: None, ..member("new", 3, &[]) };
    let gone = Member { liveness: Liveness::Failed, ..member("gone", 4, &["web:1"]) };
    check(
        [unread(new), unread(gone), member("web2", 2, &["web:1"])],
        &["web/web2 10.0.0.2:1", "*/ → web", "refused new record"],
    );
}

#[test]
fn loopback_is_refused_unless_allowed() {
    let local = || Member { addr: "127.0.0.1:7946".parse().unwrap(), ..member("web1", 1, &["web:1"]) };
    check([local()], &["refused web1 address"]);
    let policy = Policy { allow_loopback: true, ..Policy::default() };
    let (set, _, refused) = desired(&snapshot([local()]), &policy, &Ledger::default(), SECOND);
    assert_eq!(lines(&set, &refused), ["web/web1 127.0.0.1:1", "*/ → web"]);
}

#[test]
fn a_new_node_on_an_old_address_takes_it_over() {
    let reborn = Member { addr: "10.0.0.1:7946".parse().unwrap(), ..member("b", 9, &["web:1"]) };
    check([member("a", 1, &["web:1"]), reborn], &["web/b 10.0.0.1:1", "*/ → web", "refused a duplicate"]);
}

#[test]
fn the_incumbent_keeps_a_host() {
    let old = || member("api1", 9, &["api:1@shop.example.com"]);
    let (_, ledger, _) = desired(&snapshot([old()]), &Policy::default(), &Ledger::default(), SECOND);
    // The newcomer's epoch is lower: it would win were there no ledger.
    let new = || member("web9", 1, &["web:1@shop.example.com"]);
    let (set, ledger, refused) = desired(&snapshot([old(), new()]), &Policy::default(), &ledger, SECOND);
    assert_eq!(
        lines(&set, &refused),
        ["api/api1 10.0.0.9:1", "web/web9 10.0.0.1:1", "shop.example.com/ → api", "refused web9 conflict"]
    );
    assert_eq!(refused[0].why, "api1 holds it");
    // Empty, the service keeps its host for a while; then the newcomer has it.
    let (set, ledger, _) = desired(&snapshot([new()]), &Policy::default(), &ledger, 2 * SECOND);
    assert_eq!(lines(&set, &[]), ["web/web9 10.0.0.1:1", "shop.example.com/ → api"]);
    let (set, ledger, _) = desired(&snapshot([new()]), &Policy::default(), &ledger, 601 * SECOND);
    assert_eq!(lines(&set, &[]), ["web/web9 10.0.0.1:1", "shop.example.com/ → api"]);
    let (set, _, _) = desired(&snapshot([new()]), &Policy::default(), &ledger, 602 * SECOND);
    assert_eq!(lines(&set, &[]), ["web/web9 10.0.0.1:1", "shop.example.com/ → web"]);
}

#[test]
fn the_operator_says_which_service_is_the_default() {
    let policy = Policy { default_service: Some("api".parse().unwrap()), ..Policy::default() };
    let members = [member("web1", 1, &["web:1"]), member("api1", 2, &["api:1"])];
    let (set, _, refused) = desired(&snapshot(members), &policy, &Ledger::default(), SECOND);
    assert_eq!(
        lines(&set, &refused),
        ["api/api1 10.0.0.2:1", "web/web1 10.0.0.1:1", "*/ → api", "refused web1 conflict"]
    );
}

/// One that held it before is no exception.
#[test]
fn hipache_knows_no_wildcard_of_six_labels() {
    let policy = Policy { manners: Manners::Hipache, ..Policy::default() };
    let long = || snapshot([member("web1", 1, &["web:1@*.1.2.3.4.5@*.1.2.3.4.5.6"])]);
    let (_, ledger, refused) = desired(&long(), &Policy::default(), &Ledger::default(), SECOND);
    assert_eq!((ledger.claims.len(), refused), (2, vec![]));
    let (set, ledger, refused) = desired(&long(), &policy, &ledger, 2 * SECOND);
    assert_eq!(lines(&set, &refused), ["web/web1 10.0.0.1:1", "*.1.2.3.4.5/ → web", "refused web1 host"]);
    assert_eq!(refused[0].why, "Hipache looks up wildcards of 5 labels at most");
    assert_eq!(ledger.claims.len(), 1);
}

/// Nobody asks for them, nobody may; they go with their service and with the operator's word.
#[test]
fn each_service_has_a_name_below_the_operators_domains() {
    let policy = Policy { magic_domains: vec!["nip.io".parse().unwrap()], ..Policy::default() };
    let mut db = member("db", 3, &["db:1@db.example"]);
    db.record.as_mut().unwrap().services[0].protocol = Some("tcp".into());
    let members = [
        member("w1", 1, &["Web:1@a.example", "web:2@b.example"]),
        member("w2", 2, &["a_b:1@c.example", "x:2@web.<ip>.nip.io"]),
        db,
    ];
    let (set, ledger, refused) = desired(&snapshot(members), &policy, &Ledger::default(), SECOND);
    let named = |set: &Desired| {
        let routes = set.routes.iter().filter(|(route, _)| route.host.to_string().contains("<ip>"));
        routes.map(|(route, service)| format!("{route} → {service}")).collect::<Vec<_>>()
    };
    assert_eq!(named(&set), ["web.<ip>.nip.io/ → web", "x.<ip>.nip.io/ → x"]);
    assert_eq!(refused.iter().map(|r| (r.node.as_str(), r.code)).collect::<Vec<_>>(), [("w2", "conflict")]);
    let (set, _, _) = desired(&snapshot([]), &policy, &ledger, 2 * SECOND);
    assert_eq!(named(&set), ["web.<ip>.nip.io/ → web", "x.<ip>.nip.io/ → x"], "empty for a while, they answer 503");
    let (set, _, _) = desired(&snapshot([]), &Policy::default(), &ledger, 2 * SECOND);
    assert_eq!(named(&set), [""; 0]);
}

#[test]
fn the_first_decides_what_a_service_speaks() {
    let mut tcp = member("web2", 2, &["web:1"]);
    tcp.record.as_mut().unwrap().services[0].protocol = Some("tcp".into());
    check([member("web1", 1, &["web:1"]), tcp], &["web/web1 10.0.0.1:1", "*/ → web", "refused web2 protocol"]);
}

/// Where a drain takes a reload a suspicion, which may pass, drains nobody; a failure does.
#[test]
fn no_suspect_drains_where_that_takes_a_reload() {
    let mut members: Vec<_> = (1..=6).map(|n| member(&format!("w{n}"), n, &["web:80"])).collect();
    for m in &mut members[..3] {
        (m.liveness, m.verdict) = (Liveness::Suspect, Verdict::Silent);
    }
    let ready = |members: &[Member], drain_suspects| {
        let policy = Policy { drain_suspects, ..Policy::default() };
        desired(&snapshot(members.to_vec()), &policy, &Ledger::default(), SECOND).0.ready(&"web".parse().unwrap())
    };
    assert_eq!((ready(&members, true), ready(&members, false)), (4, 6));
    members[0].liveness = Liveness::Failed;
    assert_eq!(ready(&members, false), 5);
}

/// `silent` of `all` members are suspects that answer nothing: how many endpoints drain?
fn drained(all: u8, silent: u8, verdict: Verdict) -> usize {
    let members = (0..all).map(|i| {
        let mut m = member(&format!("web{i}"), i + 1, &["web:1"]);
        if i < silent {
            (m.liveness, m.verdict) = (Liveness::Suspect, verdict);
        }
        m
    });
    let (set, ..) = desired(&snapshot(members), &Policy::default(), &Ledger::default(), SECOND);
    usize::from(all) - set.ready(&"web".parse().unwrap())
}

#[test]
fn a_suspicion_is_a_question() {
    assert_eq!(drained(9, 9, Verdict::Answered), 0);
    assert_eq!(drained(9, 9, Verdict::Unasked), 0);
    assert_eq!(drained(9, 2, Verdict::Silent), 2);
    assert_eq!(drained(9, 9, Verdict::Silent), 3, "at most a third");
    assert_eq!(drained(2, 2, Verdict::Refused), 1, "at least one");
    assert_eq!(drained(1, 1, Verdict::Refused), 0, "never the last");
}

/// A member that crashes and comes back, look by look.
struct Crashes {
    ledger: Ledger,
    now: Moment,
    epochs: BTreeMap<String, u64>,
}

impl Crashes {
    fn new() -> Self {
        Self { ledger: Ledger::default(), now: SECOND, epochs: BTreeMap::new() }
    }

    /// The set out of these members: `a` lives, `a?` is a suspect that is silent, `-a` failed.
    fn look(&mut self, members: &[&str]) -> String {
        let one = |(nth, text): (u8, &&str)| {
            let name = text.trim_matches(['-', '?']);
            let mut m = member(name, nth, &["web:1"]);
            m.epoch = self.epochs.get(name).copied().unwrap_or(100);
            m.record.as_mut().unwrap().epoch = m.epoch;
            (m.liveness, m.verdict) = match text {
                t if t.starts_with('-') => (Liveness::Failed, Verdict::Refused),
                t if t.ends_with('?') => (Liveness::Suspect, Verdict::Silent),
                _ => (Liveness::Alive, Verdict::Unasked),
            };
            m
        };
        let known = snapshot((1..).zip(members).map(one));
        let (set, ledger, _) = desired(&known, &Policy::default(), &self.ledger, self.now);
        self.ledger = ledger;
        let show = |(id, e): (EndpointId, &Endpoint)| match e.state {
            EndpointState::Ready => id.endpoint.to_string(),
            EndpointState::Drain => format!("{} drains", id.endpoint),
        };
        let shown: Vec<_> = set.endpoints().map(show).collect();
        assert_eq!(set.routes.len(), 1, "its route stays: nothing is built anew");
        shown.join(", ")
    }

    /// `name`, the first of `members`, crashes four times.
    fn flap(&mut self, members: &[&str]) {
        let name = members[0];
        for _ in 0..4 {
            let gone = format!("-{name}");
            self.look(&[&[gone.as_str()], &members[1..]].concat());
            *self.epochs.entry(name.to_owned()).or_insert(100) += 1;
            self.look(members);
        }
    }
}

#[test]
fn a_member_that_flaps_is_held_down_for_its_time() {
    let mut crashes = Crashes::new();
    assert_eq!(crashes.look(&["a", "b", "c"]), "a, b, c");
    crashes.flap(&["a", "b", "c"]);
    assert_eq!(crashes.look(&["a", "b", "c"]), "b, c");
    let flapping = crashes.ledger.flaps.report(crashes.now).remove(0);
    assert_eq!((flapping.node.as_str(), flapping.endpoints.len(), flapping.left), ("a", 1, 5 * SECOND));
    crashes.now += Duration::from_millis(4999);
    assert_eq!(crashes.look(&["a", "b", "c"]), "b, c");
    crashes.now += Duration::from_millis(1);
    assert_eq!(crashes.look(&["a", "b", "c"]), "a, b, c");
}

#[test]
fn an_endpoint_that_flaps_is_better_than_none() {
    let mut crashes = Crashes::new();
    crashes.look(&["a"]);
    crashes.flap(&["a"]);
    assert_eq!(crashes.look(&["a"]), "a", "the only one");
    assert_eq!(crashes.ledger.flaps.report(crashes.now)[0].endpoints, []);
    assert_eq!(crashes.look(&["a", "b"]), "a, b", "nor is it taken out when another comes");
    crashes.flap(&["a", "b"]);
    assert_eq!(crashes.look(&["a", "b"]), "b");
    assert_eq!(crashes.look(&["a", "b?"]), "a, b drains", "the other one is a suspect");
    assert_eq!(crashes.look(&["a", "b"]), "a, b");
}

#[test]
fn the_last_ready_one_leaves_and_the_held_one_serves() {
    let mut crashes = Crashes::new();
    crashes.look(&["a", "b"]);
    crashes.flap(&["a", "b"]);
    assert_eq!(crashes.look(&["a", "b"]), "b");
    assert_eq!(crashes.look(&["a", "-b"]), "a");
}

#[test]
fn at_most_a_third_is_held_down() {
    let mut crashes = Crashes::new();
    let all = ["a", "b", "c", "d", "e", "f", "g"];
    crashes.look(&all);
    for nth in [0, 1, 2] {
        let mut order = all;
        order.swap(0, nth);
        crashes.flap(&order);
    }
    assert_eq!(crashes.look(&all), "c, d, e, f, g", "two of seven");
}

fn any_member() -> impl Strategy<Value = Member> {
    let text = prop_oneof!["[a-c]{1,2}", ".{0,8}"];
    let services = prop::collection::vec((text.clone(), 0u32..4, prop::collection::vec(text, 0..3)), 0..4);
    let state = prop_oneof![Just(State::Serving), Just(State::Draining), Just(State::Left)];
    let liveness = prop_oneof![Just(Liveness::Alive), Just(Liveness::Suspect), Just(Liveness::Failed)];
    ("[a-f]", 0u8..6, 0u64..9, services, state, liveness).prop_map(|(name, host, epoch, services, state, liveness)| {
        let mut m = member(&name, host, &[]);
        (m.epoch, m.liveness) = (epoch, liveness);
        let record = m.record.as_mut().unwrap();
        record.state = state;
        record.services =
            services.into_iter().map(|(name, port, hosts)| RawOffer { name, port, hosts, ..offer("x:1") }).collect();
        m
    })
}

proptest! {
    /// Total; the same input gives the same set; what was decided once holds when asked again.
    #[test]
    fn laws(members in prop::collection::vec(any_member(), 0..8)) {
        let input = snapshot(members);
        let policy = Policy::default();
        let (first, ledger, refused) = desired(&input, &policy, &Ledger::default(), SECOND);
        prop_assert_eq!(&desired(&input, &policy, &Ledger::default(), SECOND).0, &first);
        let (again, settled, refused_again) = desired(&input, &policy, &ledger, SECOND);
        prop_assert_eq!(&again, &first);
        prop_assert_eq!(settled, ledger);
        prop_assert_eq!(refused_again, refused);
        // Every route has a service, every service with endpoints is there, no address serves for two nodes.
        for service in first.routes.values() {
            prop_assert!(first.services.contains_key(service));
        }
        let mut owners = BTreeMap::new();
        for (id, e) in first.endpoints() {
            let node = id.endpoint.as_str().split(':').next().unwrap().to_owned();
            prop_assert_eq!(owners.entry(e.addr).or_insert(node.clone()), &node);
        }
    }

    /// Whatever a member says, the endpoints of the others are as if it were not there, but for the routes
    /// and addresses that it shares with them.
    #[test]
    fn one_member_never_holds_back_the_others(mut evil in any_member()) {
        evil.name = "evil".parse().unwrap();
        evil.addr = "10.9.9.9:7946".parse().unwrap();
        let good = [member("good1", 1, &["good:80"]), member("good2", 2, &["good:80@good.example"])];
        let (set, ..) = desired(&snapshot(good.into_iter().chain([evil])), &Policy::default(), &Ledger::default(), SECOND);
        let good: ServiceName = "good".parse().unwrap();
        prop_assert_eq!(set.ready(&good), 2);
        prop_assert_eq!(set.routes.get(&Route { host: "good.example".parse().unwrap(), path: "/".parse().unwrap() }), Some(&good));
    }
}

/// A file that lists these: `service [protocol] [@host…]: name=addr[!]…`, `!` for drain; a line each.
fn file(name: &str, lines: &[&str]) -> Snapshot {
    let endpoint = |(text, line): (&str, usize)| {
        let (name, addr) = text.split_once('=').unwrap();
        let state = if addr.ends_with('!') { EndpointState::Drain } else { EndpointState::Ready };
        let addr: SocketAddr = addr.trim_end_matches('!').parse().unwrap();
        let endpoint =
            ListedEndpoint { place: Place::Line(line), addr: addr.try_into().unwrap(), weight: Weight::DEFAULT, state };
        (name.parse().unwrap(), endpoint)
    };
    let service = |(line, text): (usize, &&str)| {
        let (head, endpoints) = text.split_once(": ").unwrap_or((text.trim_end_matches(':'), ""));
        let mut words = head.split_whitespace();
        let name = words.next().unwrap().parse().unwrap();
        let (mut protocol, mut hosts) = (Protocol::Http, Vec::new());
        for word in words {
            match word.strip_prefix('@') {
                Some(host) => hosts.push(host.parse().unwrap()),
                None => protocol = Protocol::Tcp,
            }
        }
        let endpoints = endpoints.split_whitespace().map(|e| endpoint((e, line + 1))).collect();
        let place = Place::Line(line + 1);
        (name, Arc::new(Listed { place, hosts, path: "/".parse().unwrap(), protocol, endpoints }))
    };
    let services = lines.iter().enumerate().map(service).collect();
    Snapshot { source: format!("file:{name}").into(), synced: true, services, ..Snapshot::default() }
}

fn merged(snapshots: &[Snapshot], ledger: &Ledger) -> (Vec<String>, Ledger) {
    let (desired, ledger, refused) = desired(snapshots, &Policy::default(), ledger, SECOND);
    let said: Vec<_> = refused.iter().map(|r| format!("  {}: {}: {}", r.node, r.subject, r.why)).collect();
    let lines = lines(&desired, &[]).into_iter().chain(said).collect();
    (lines, ledger)
}

fn check_merged(snapshots: &[Snapshot], expected: &[&str]) {
    assert_eq!(merged(snapshots, &Ledger::default()).0, expected);
}

#[test]
fn a_file_lists_services_with_and_without_endpoints() {
    check_merged(
        &[file("s.toml", &["web: a=127.0.0.1:80 b=10.0.0.2:80!", "api @api.example:", "db tcp: d=10.0.0.3:5432"])],
        &["db/d 10.0.0.3:5432", "web/a 127.0.0.1:80", "web/b 10.0.0.2:80 drain", "api.example/ → api", "*/ → web"],
    );
}

#[test]
fn sources_unite_what_they_say_of_a_service() {
    let gossip = snapshot([member("web1", 1, &["web:80"])]).remove(0);
    check_merged(
        &[gossip, file("s.toml", &["web: web2=10.0.0.2:80"])],
        &["web/web1 10.0.0.1:80", "web/web2 10.0.0.2:80", "*/ → web"],
    );
}

/// The first source has the name, the address and the host, and the lines of the others are refused one by one.
#[test]
fn what_two_sources_say_is_the_first_ones() {
    let gossip = snapshot([member("web1", 1, &["web:80", "api:90@api.example"])]).remove(0);
    let first =
        file("a.toml", &["web: web1=10.0.9.1:80 x=10.0.0.1:80 y=10.0.9.3:80", "shop @api.example: s=10.0.9.4:80"]);
    let second = file("b.toml", &["web: y=10.0.9.5:80 z=10.0.9.6:80", "db: d=10.0.0.1:80", "api tcp: t=10.0.9.7:90"]);
    check_merged(
        &[gossip, first, second],
        &[
            "api/web1 10.0.0.1:90",
            "db/d 10.0.0.1:80",
            "shop/s 10.0.9.4:80",
            "web/web1 10.0.0.1:80",
            "web/y 10.0.9.3:80",
            "web/z 10.0.9.6:80",
            "api.example/ → api",
            "*/ → web",
            "  a.toml:1: endpoint web/web1: gossip says where web1 is",
            "  a.toml:1: endpoint web/x: 10.0.0.1:80 is web1's address",
            "  a.toml:2: route api.example/: web1 holds it",
            "  b.toml:1: endpoint web/y: file:a.toml says where y is",
            "  b.toml:2: route */: web1 holds it",
            "  b.toml:3: service api: it speaks tcp, the service http",
        ],
    );
}

#[test]
fn an_incumbent_keeps_its_host_against_an_earlier_source() {
    let (later, earlier) = (file("b.toml", &["old @h:"]), file("a.toml", &["new @h:"]));
    let (_, ledger) = merged(&[file("a.toml", &[]), later.clone()], &Ledger::default());
    let (lines, _) = merged(&[earlier, later], &ledger);
    assert_eq!(lines, ["h/ → old", "  a.toml:1: route h/: file:b.toml holds it"]);
}

/// The operator says it by taking the line out: nobody answers 503 for it, and its host is free.
#[test]
fn a_service_that_is_listed_no_more_goes_at_once() {
    let (_, ledger) = merged(&[file("s.toml", &["old @h: a=10.0.0.1:80"])], &Ledger::default());
    let renamed = file("s.toml", &["new @h: a=10.0.0.1:80"]);
    let (lines, after) = merged(std::slice::from_ref(&renamed), &ledger);
    assert_eq!(lines, ["new/a 10.0.0.1:80", "h/ → new"]);
    assert!(after.listed.len() == 2 && !after.services.contains_key(&"old".parse().unwrap()), "{after:?}");
    // While another file is still to be read, nobody knows that it is listed no more.
    let unread = Snapshot { synced: false, ..file("t.toml", &[]) };
    let (lines, _) = merged(&[renamed, unread], &ledger);
    assert_eq!(lines, ["new/a 10.0.0.1:80", "h/ → old", "  s.toml:1: route h/: file:s.toml holds it"]);
}

/// Members with a canary's tag serve it instead of the service, whose hosts stay its own.
#[test]
fn canaries_are_services_of_their_own() {
    let canary = Canary {
        service: "web.canary".parse().unwrap(),
        tag: ("version".into(), "2".into()),
        pick: Pick::Share("5%".parse().unwrap()),
    };
    let web = ServicePolicy { canaries: vec![canary], ..ServicePolicy::DEFAULT };
    let services = [("web".parse().unwrap(), web)].into_iter().collect();
    let policy = Policy { services, ..Policy::default() };
    let tagged = |name, host, version: &str| {
        let mut member = member(name, host, &["web:80@a.example", "api:81@b.example"]);
        member.record.as_mut().unwrap().tags.insert("version".into(), version.into());
        member
    };
    let check = |members: Vec<Member>, expected: &[&str]| {
        let (desired, _, refused) = desired(&snapshot(members), &policy, &Ledger::default(), SECOND);
        assert_eq!(lines(&desired, &refused), expected);
        assert!(desired.services.contains_key(&"web".parse().unwrap()));
    };
    check(
        vec![tagged("web1", 1, "1"), tagged("web2", 2, "2")],
        &[
            "api/web1 10.0.0.1:81",
            "api/web2 10.0.0.2:81",
            "web/web1 10.0.0.1:80",
            "web.canary/web2 10.0.0.2:80",
            "a.example/ → web",
            "b.example/ → api",
        ],
    );
    check(
        vec![tagged("web2", 2, "2")],
        &["api/web2 10.0.0.2:81", "web.canary/web2 10.0.0.2:80", "a.example/ → web", "b.example/ → api"],
    );
    let mut out = tagged("web2", 2, "2");
    out.record.as_mut().unwrap().by_hand.services.insert("web".into());
    check(
        vec![out],
        &["api/web2 10.0.0.2:81", "web.canary/web2 10.0.0.2:80 drain", "a.example/ → web", "b.example/ → api"],
    );
}

/// A store may hold whatever somebody wrote into it: it is told, and not at any length.
#[test]
fn what_a_source_cannot_take_is_told_up_to_a_bound() {
    let rejection = |n: usize| Rejection {
        node: "redis://r".into(),
        subject: format!("frontend:{n:05}"),
        service: None,
        why: "bad".into(),
        code: "backend",
    };
    let snapshot = |n| Snapshot { refused: (0..n).map(rejection).collect(), ..Snapshot::default() };
    let told = |n| desired(&[snapshot(n)], &Policy::default(), &Ledger::default(), SECOND).2;
    assert_eq!(told(1000).len(), 1000);
    let many = told(3000);
    assert_eq!(many.len(), 1001);
    assert!(many.iter().any(|r| r.why == "2000 more of its entries cannot be taken"), "{:?}", many.last());
}

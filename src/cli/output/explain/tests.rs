//! What people are told, as snapshots: the page of OUTPUT, and the ways in which it can be otherwise.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use backchat_contract::Plane;

use super::text;
use crate::{
    admin::answers::{Explain, Known, Unexplained},
    model::{
        Desired, Endpoint, EndpointId, EndpointState, Flapping, Health, Held, Kind, Ledger, Liveness, Member, RawOffer,
        RawRecord, Rejection, Service, Since, Snapshot, Status, Verdict, Weight, ledger::Standing,
    },
};

fn now() -> Duration {
    Duration::from_secs(100)
}

/// The same on the wall.
fn wall() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// A member that offers these: `service:port host,host`, its state since so many seconds.
fn member(name: &str, offers: &[&str], liveness: Liveness, since: u64) -> Member {
    let offer = |line: &&str| {
        let (place, hosts) = line.split_once(' ').unwrap_or((line, ""));
        let (service, port) = place.split_once(':').unwrap();
        RawOffer {
            name: service.into(),
            port: port.parse().unwrap(),
            hosts: hosts.split(',').filter(|host| !host.is_empty()).map(str::to_owned).collect(),
            path: None,
            weight: None,
            protocol: None,
            healthy: true,
        }
    };
    let kind = if offers.is_empty() { Kind::Balancer } else { Kind::Agent };
    let services = offers.iter().map(offer).collect();
    let tags = BTreeMap::from([("zone".to_owned(), "a".to_owned())]);
    let record = RawRecord { node: name.into(), epoch: 7, version: 2, kind, services, tags, ..RawRecord::default() };
    Member {
        name: name.parse().unwrap(),
        epoch: 7,
        addr: ([10, 0, 0, 2], 7946).into(),
        liveness,
        verdict: if liveness == Liveness::Suspect { Verdict::Silent } else { Verdict::Unasked },
        since: now().saturating_sub(Duration::from_secs(since)),
        record: Some(record),
        refused: None,
    }
}

fn members() -> Snapshot {
    use Liveness::{Alive, Failed, Suspect};
    let mut ill = member("web5", &["web:8080"], Alive, 60);
    ill.record.as_mut().unwrap().services[0].healthy = false;
    let members = [
        member("proxy", &[], Alive, 100),
        member("web1", &["web:8080 *.example.com"], Alive, 90),
        member("web2", &["web:8080"], Suspect, 1),
        member("web3", &["web:8080"], Failed, 9),
        member("web4", &["web:8080 new.example.com", "we;b:1"], Alive, 2),
        ill,
        member("web6", &["web:8080"], Alive, 3),
        member("api1", &["api:81 shop.example.com"], Failed, 4),
        member("web9", &["web:8080 shop.example.com", "api:82"], Alive, 20),
        // A service has this name too.
        member("db", &["db:5432"], Alive, 20),
    ];
    let members = members.into_iter().map(|m| (m.name.clone(), m)).collect();
    Snapshot { source: "gossip".into(), synced: true, members, ..Snapshot::default() }
}

/// A set of `service/endpoint port weight state`, a service alone, and routes `host path service`.
fn set(endpoints: &[&str], routes: &[&str]) -> Arc<Desired> {
    let mut set = Desired::default();
    for line in endpoints {
        let words: Vec<&str> = line.split(' ').collect();
        let (service, name) = words[0].split_once('/').unwrap_or((words[0], ""));
        let service: &mut Service = set.services.entry(service.parse().unwrap()).or_default();
        if let [_, port, weight, state] = words[..] {
            let addr = std::net::SocketAddr::from(([10, 0, 0, 7], port.parse().unwrap())).try_into().unwrap();
            let state = if state == "ready" { EndpointState::Ready } else { EndpointState::Drain };
            let weight = Weight::try_from(weight.parse::<u32>().unwrap()).unwrap();
            service.endpoints.insert(name.parse().unwrap(), Endpoint { addr, weight, state });
        }
    }
    for line in routes {
        let words: Vec<&str> = line.split(' ').collect();
        let route = crate::model::Route { host: words[0].parse().unwrap(), path: words[1].parse().unwrap() };
        set.routes.insert(route, words[2].parse().unwrap());
    }
    Arc::new(set)
}

const ENDPOINTS: [&str; 6] = [
    "web/web1 8080 50 ready",
    "web/web2 8080 100 drain",
    "web/web4 8080 100 ready",
    "api/api1 81 100 ready",
    "old",
    "db/db 5432 100 ready",
];
const ROUTES: [&str; 5] =
    ["new.example.com / web", "*.example.com / web", "shop.example.com / api", "old.example.com /a old", "* /only api"];

fn id(text: &str) -> EndpointId {
    let (service, endpoint) = text.split_once('/').unwrap();
    EndpointId { service: service.parse().unwrap(), endpoint: endpoint.parse().unwrap() }
}

fn status() -> Status {
    let flap = Flapping {
        id: "f3c9a".into(),
        node: "web6".parse().unwrap(),
        service: None,
        times: 4,
        within: Duration::from_secs(130),
        left: Duration::from_millis(15_400),
        endpoints: vec![id("web/web6")],
        let_in: false,
    };
    let why = "1 of 1 endpoints of api: 5 of 9 members do not answer us; limit half".to_owned();
    let held = Held { id: "h3c9".into(), why, endpoints: vec![id("api/api1")], since: Duration::ZERO };
    let refused = |subject: &str, why: &str, node: &str, code| Rejection {
        node: node.into(),
        subject: subject.into(),
        service: None,
        why: why.into(),
        code,
    };
    let empty = Standing { empty_since: Some(Since::ago(now(), Duration::from_secs(70))), ..Standing::default() };
    let ledger = Ledger { services: [("old".parse().unwrap(), empty)].into(), ..Ledger::default() };
    Status {
        plane: Plane { name: "haproxy", version: "2.6.12".into(), generation: 42, ..Plane::default() },
        plane_up: true,
        converged: true,
        synced: true,
        desired: set(&ENDPOINTS, &ROUTES),
        live: set(&ENDPOINTS, &ROUTES),
        held: vec![held],
        flapping: vec![flap],
        ledger: Some(Arc::new(ledger)),
        rejections: vec![
            refused("route shop.example.com/", "api1 holds it", "web9", "conflict"),
            refused("service \"we;b\"", "\"we;b\" is no service name", "web4", "name"),
            refused("service api", "it speaks tcp, the service http", "web9", "protocol"),
        ],
        ..Status::default()
    }
}

fn told(about: &str, status: Option<&Status>) -> Result<Explain, Unexplained> {
    let members = members();
    let node = if status.is_some() { "proxy" } else { "web5" };
    let why = Some("tcp 10.0.0.2:8080: connection refused".to_owned());
    let checks = [Health { service: "web".into(), port: 8080, up: false, why }];
    Explain::new(
        about,
        &node.parse().unwrap(),
        Known { status, members: &members, checks: &checks, now: now(), wall: wall() },
    )
}

/// The question as it is asked, and the answer.
fn shown(about: &str, status: Option<&Status>) -> String {
    let answer = match told(about, status) {
        Ok(told) => anstream::adapter::strip_str(&text(&told)).to_string(),
        Err(why) => format!("{why:?}\n"),
    };
    format!("$ backchat explain {about}\n{answer}\n")
}

fn all(abouts: &[&str], status: &Status) -> String {
    abouts.iter().map(|about| shown(about, Some(status))).collect()
}

#[test]
fn requests() {
    let well = all(
        &[
            "http://new.example.com/cart",
            "http://NEW.example.com:8080/cart?x=/only",
            "shop.example.com",
            "http://old.example.com/a/b",
            "http://old.example.com/b",
            "http://shop.exmaple.com/",
            "http://nothing.like.it/",
            "http://nothing.like.it/only",
        ],
        &status(),
    );
    insta::assert_snapshot!(well);
}

#[test]
fn requests_where_not_all_is_well() {
    let down = |all: &[&str]| Arc::new(all.iter().map(|text| id(text)).collect());
    let url = "http://new.example.com/";
    let one = Status { down: down(&["web/web1"]), ..status() };
    let both = Status { down: down(&["web/web1", "web/web4"]), ..status() };
    let mut asks = both.clone();
    (asks.plane.name, asks.plane.asks_failing) = ("openresty", true);
    let next =
        ["web/web1 8080 100 ready", "web/web4 8080 100 drain", "web/new 8080 100 ready", "api/api1 81 100 ready"];
    let drift = Status { desired: set(&next, &["new.example.com / api"]), converged: false, ..status() };
    let weightless = Status { live: set(&["web/web1 8080 0 ready"], &ROUTES), ..status() };
    let gone = Status {
        plane_up: false,
        error: Some("failed to reach haproxy at /run/x.sock: connection refused".into()),
        ..status()
    };
    let attached = Status { live: set(&ENDPOINTS, &[]), ..status() };
    let all = [one, both, asks, drift, weightless, gone, attached];
    insta::assert_snapshot!(all.map(|status| shown(url, Some(&status))).concat());
}

/// Before the data plane was read nothing is known of what is served, not even that there is none.
#[test]
fn what_was_never_read_is_not_known() {
    let nothing = Status { plane: Plane::default(), plane_up: false, synced: false, ..Status::default() };
    let said = "not known: the data plane was not read yet";
    for about in ["http://a.example.com/", "nonsense", "service/web"] {
        assert_eq!(told(about, Some(&nothing)), Err(Unexplained::Unread(said.into())), "{about}");
    }
    let silent = Status { error: Some("failed to reach it".into()), ..nothing.clone() };
    let why = Unexplained::Unread(format!("{said}: failed to reach it"));
    assert_eq!(told("nonsense", Some(&silent)), Err(why));
    assert!(matches!(told("node/nonsense", Some(&nothing)), Err(Unexplained::Unknown(_))));
    let known = shown("web4", Some(&nothing));
    assert!(known.contains("\nplane   it was not read yet\n") && !known.contains("gone"), "{known}");
}

#[test]
fn no_route_is_no_last_word_before_all_was_listed() {
    let unsynced = shown("http://nothing.like.it/", Some(&Status { synced: false, ..status() }));
    assert!(
        unsynced.contains("answer  404 no route for this host and path; not synced: one may come yet\n"),
        "{unsynced}"
    );
}

#[test]
fn nodes_and_services() {
    let abouts = [
        "web",
        "api",
        "old",
        "service/db",
        "node/db",
        "db",
        "web1",
        "web2",
        "web3",
        "web4",
        "web5",
        "web6",
        "web9",
        "api1",
        "proxy",
    ];
    insta::assert_snapshot!(all(&abouts, &status()));
}

#[test]
fn what_is_neither() {
    let abouts = ["wbe1", "node/web", "service/web1", "nonsense", "web/web1", "a b", "ftp://a/", "node/a b"];
    insta::assert_snapshot!(all(&abouts, &status()));
}

/// An agent knows members, and who knows more.
#[test]
fn an_agent_says_what_it_knows() {
    let abouts = ["web2", "web5", "web", "service/web", "wbe2", "http://new.example.com/"];
    insta::assert_snapshot!(abouts.map(|about| shown(about, None)).concat());
}

/// Text and JSON say the same: whatever name is in one is in the other.
#[test]
fn as_json() {
    let (status, url) = (status(), "http://new.example.com/cart");
    let json = serde_json::to_value(told(url, Some(&status)).unwrap()).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
    let text = shown(url, Some(&status));
    for endpoint in json["request"]["pool"].as_array().unwrap() {
        assert!(text.contains(endpoint["name"].as_str().unwrap()), "{text}");
    }
}

/// Members cannot draw on it, nor make a line of their own.
#[test]
fn nothing_from_outside_steers_the_terminal() {
    let evil = "a\u{1b}]0;x\u{7}\n\u{202e}b";
    let mut status = status();
    status.rejections[1].subject.push_str(evil);
    status.rejections[1].why.push_str(evil);
    let lines = shown("web4", Some(&self::status())).lines().count();
    let text = shown("web4", Some(&status));
    assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text}");
    assert_eq!(text.lines().count(), lines, "{text}");
}

//! What moves a plan, by what name it is told, and what moves none.

use std::time::{Duration, SystemTime};

use backchat_contract::{FileChange, PlanView, Plane};
use proptest::prelude::*;

use super::*;
use crate::model::{Endpoint, EndpointState, Route, Service};

/// `web/web1@7*100`, `-web/web2@8*100` (drains), `a.example=web`, `web`.
fn set(words: &str) -> Desired {
    let mut set = Desired::default();
    for word in words.split_whitespace() {
        if let Some((host, service)) = word.split_once('=') {
            let route = Route { host: host.parse().unwrap(), path: "/".parse().unwrap() };
            set.routes.insert(route, service.parse().unwrap());
        } else if let Some((service, endpoint)) = word.trim_start_matches('-').split_once('/') {
            let (name, (ip, weight)) =
                endpoint.split_once('@').map(|(name, e)| (name, e.split_once('*').unwrap())).unwrap();
            let addr = std::net::SocketAddr::from(([10, 0, 0, ip.parse().unwrap()], 80)).try_into().unwrap();
            let weight = weight.parse::<u32>().unwrap().try_into().unwrap();
            let state = if word.starts_with('-') { EndpointState::Drain } else { EndpointState::Ready };
            let service: &mut Service = set.services.entry(service.parse().unwrap()).or_default();
            service.endpoints.insert(name.parse().unwrap(), Endpoint { addr, weight, state });
        } else {
            set.services.entry(word.parse().unwrap()).or_default();
        }
    }
    set
}

/// What would be done to bring `live` to `next`, with a reload that loads this.
fn proposal(live: &Desired, next: &Desired, structure: Option<&str>) -> Proposal {
    Proposal {
        plane: Plane { name: "haproxy", version: "2.6.12".into(), generation: 7, ..Plane::default() },
        observed_at: SystemTime::UNIX_EPOCH,
        synced: true,
        view: PlanView {
            changes: diff(live, next),
            files: structure.into_iter().map(|text| file(7, text)).collect(),
            commands: vec!["kill -HUP 71".into()],
            reload: structure.map(|_| "new: shop".into()),
            ..PlanView::default()
        },
        to: 8,
        held: Vec::new(),
        rejections: Vec::new(),
        ready: Vec::new(),
        structure: structure.map(Into::into),
        assumed: Vec::new(),
        waits: false,
    }
}

fn file(generation: u64, text: &str) -> FileChange {
    let says = |generation: u64| format!("setting 1\nsays {generation} {:x}\n", generation * 1_000_003);
    let new = says(generation + 1) + text + "\n";
    FileChange { path: "/run/p/haproxy.cfg".into(), old: says(generation), new }
}

/// What was shown, what is, and what has moved in between; a reload after `!`.
fn check(shown: [&str; 2], now: [&str; 2], moved: &[&str]) {
    let of = |[live, next]: [&str; 2]| {
        let (next, structure) = next.split_once('!').map_or((next, None), |(next, text)| (next, Some(text)));
        (set(live), proposal(&set(live), &set(next), structure))
    };
    let ((_, shown), (live, now)) = (of(shown), of(now));
    assert_eq!(Fingerprint::of(&shown).moved(&now, (&live, None)), moved);
}

#[test]
fn what_has_moved_is_named() {
    let add = ["web/a@1*100", "web/a@1*100 web/b@2*100"];
    check(add, add, &[]);
    check(add, ["web/a@1*100"; 2], &["web/b: was to be added, is not any more"]);
    check(add, ["web/a@1*100 web/b@2*100"; 2], &[]);
    check(add, ["web/a@1*100 web/b@3*100"; 2], &["web/b: was to be added, is not any more"]);
    check(add, ["web/a@1*100", "web/b@2*100"], &["web/a: is to be removed, which was not shown"]);
    let other = "web/b: was to be added to 10.0.0.2:80 weight 100, is to be added to 10.0.0.2:80 weight 50";
    check(add, ["web/a@1*100", "web/a@1*100 web/b@2*50"], &[other]);
    let drain = ["web/a@1*100", "-web/a@1*100"];
    check(drain, ["web/a@1*100"; 2], &["web/a: was to be drained, is not any more"]);
    check(drain, ["-web/a@1*100"; 2], &[]);
    let go = ["web/a@1*100", "web"];
    check(go, ["web"; 2], &[]);
    check(go, ["web/a@1*100"; 2], &["web/a: was to be removed, is not any more"]);
    check(["web", "web a.example=web"], ["web", "web"], &["route a.example/: was to be added, is not any more"]);
    check(["web", "web"], ["web", "web shop"], &["service shop: is to be added, which was not shown"]);
    check(["", ""], ["", ""], &[]);
}

#[test]
fn what_is_loaded_is_named_by_its_first_line() {
    let shown = ["web", "web!backend shop"];
    check(shown, shown, &[]);
    check(shown, ["web", "web!backend shop2"], &["haproxy.cfg: '+ backend shop2' was not shown"]);
    let less = ["haproxy.cfg: '+ backend shop' was shown, and is not any more"];
    check(shown, ["web", "web!"], &less);
    check(["web", "web!backend 7"], ["web", "web!backend 8"], &["what the reload loads is not what was shown"]);
    check(shown, ["web", "web"], &["the reload that was shown is not needed any more"]);
    check(["web", "web"], shown, &["a reload is needed, which was not shown: new: shop"]);
}

/// With `--force` a file that somebody has edited is written over: the one that was shown, and no other.
#[test]
fn what_somebody_wrote_since_is_not_written_over() {
    let by_hand = |text: Option<&str>| {
        let mut proposal = proposal(&set("web"), &set("web shop"), Some("x"));
        proposal.plane.blocked = text.map(|_| "edited".into());
        for file in &mut proposal.view.files {
            text.unwrap_or_default().clone_into(&mut file.old);
        }
        proposal
    };
    let check = |shown: Option<&str>, now: Option<&str>, moved: &[&str]| {
        assert_eq!(Fingerprint::of(&by_hand(shown)).moved(&by_hand(now), (&set("web"), None)), moved);
    };
    check(None, None, &[]);
    check(Some("a"), Some("a"), &[]);
    check(Some("a"), None, &[]);
    check(None, Some("a"), &["/run/p/haproxy.cfg was edited by hand, and would be written over"]);
    check(Some("a"), Some("b"), &["/run/p/haproxy.cfg was edited by hand once more, and would be written over"]);
}

#[test]
fn what_was_loaded_by_now_is_done() {
    let (live, shown) = (set("web"), Fingerprint::of(&proposal(&set("web"), &set("web shop"), Some("x"))));
    let (there, mut now) = (set("web shop"), proposal(&set("web"), &set("web"), None));
    assert!(shown.moved(&now, (&there, Some("x"))).is_empty());
    let not_needed = ["the reload that was shown is not needed any more"];
    assert_eq!(shown.moved(&now, (&there, Some("y"))), not_needed);
    assert_eq!(shown.moved(&now, (&live, Some("x"))), ["service shop: was to be added, is not any more"]);
    now.plane.blocked = Some("haproxy.cfg was edited by hand".into());
    assert_eq!(shown.moved(&now, (&there, Some("x"))), ["haproxy.cfg was edited by hand"]);
}

#[test]
fn what_blocks_the_reload_is_said() {
    let (live, shown) = (set("web"), Fingerprint::of(&proposal(&set("web"), &set("web"), Some("x"))));
    let mut now = proposal(&live, &live, None);
    now.plane.template = Some("my.jinja:3: no; generation 7 serves on".into());
    assert_eq!(shown.moved(&now, (&live, None)), ["my.jinja:3: no; generation 7 serves on"]);
    now.plane.blocked = Some("haproxy.cfg was edited by hand".into());
    assert_eq!(shown.moved(&now, (&live, None)), ["haproxy.cfg was edited by hand"]);
    now.plane.version = "2.8.1".into();
    assert_eq!(shown.moved(&now, (&live, None))[0], "haproxy is 2.8.1 now, and was 2.6.12");
}

#[test]
fn of_many_the_first_are_named() {
    let many: Vec<String> = (1..40).map(|n| format!("web/w{n}@{n}*100")).collect();
    let shown = Fingerprint::of(&proposal(&set("web"), &set(&many.join(" ")), None));
    let moved = shown.moved(&proposal(&set("web"), &set("web"), None), (&set("web"), None));
    assert_eq!((moved.len(), moved.last().unwrap().as_str()), (NAMED + 1, "and 31 more"));
}

fn endpoint() -> impl Strategy<Value = (u8, u8, u8, u8, bool)> {
    (0..2u8, 0..4u8, 1..4u8, 0..3u8, any::<bool>())
}

/// Sets of two services and four endpoints each, with routes.
fn desired() -> impl Strategy<Value = Desired> {
    let routes = prop::collection::vec((0..3u8, 0..2u8), 0..3);
    (prop::collection::vec(endpoint(), 0..6), routes).prop_map(|(endpoints, routes)| {
        let endpoint = |(service, name, ip, weight, drain): (u8, u8, u8, u8, bool)| {
            format!("{}s{service}/e{name}@{ip}*{} ", if drain { "-" } else { "" }, u32::from(weight) * 50)
        };
        let route = |(host, service): (u8, u8)| format!("h{host}.example=s{service} s{service} ");
        let words: String = endpoints.into_iter().map(endpoint).chain(routes.into_iter().map(route)).collect();
        set(&words)
    })
}

/// Something managed that is another.
#[derive(Clone, Copy, Debug)]
enum Edit {
    Version,
    Structure,
    NoStructure,
    Weight,
    Addr,
    State,
    Service,
}

fn edited(edit: Edit, live: &Desired, next: &Desired, structure: &str) -> Option<Proposal> {
    let mut to = next.clone();
    let first = to.services.values_mut().flat_map(|s| s.endpoints.values_mut()).next();
    match (edit, first) {
        (Edit::Weight, Some(e)) => e.weight = 200.try_into().ok()?,
        (Edit::Addr, Some(e)) => e.addr = std::net::SocketAddr::from(([10, 9, 9, 9], 80)).try_into().ok()?,
        (Edit::State, Some(e)) => {
            e.state = if e.state == EndpointState::Ready { EndpointState::Drain } else { EndpointState::Ready };
        }
        (Edit::Weight | Edit::Addr | Edit::State, None) => return None,
        (Edit::Service, _) => drop(to.services.insert("other".parse().ok()?, Service::default())),
        (Edit::Version | Edit::Structure | Edit::NoStructure, _) => {}
    }
    let mut now = proposal(live, &to, Some(structure));
    match edit {
        Edit::Version => now.plane.version += ".1",
        Edit::Structure => now.structure = Some(format!("{structure}'")),
        Edit::NoStructure => now.structure = None,
        _ => {}
    }
    Some(now)
}

fn edits() -> impl Strategy<Value = Edit> {
    use Edit::{Addr, NoStructure, Service, State, Structure, Version, Weight};
    prop::sample::select(vec![Version, Structure, NoStructure, Weight, Addr, State, Service])
}

proptest! {
    /// Whatever is managed and another is told.
    #[test]
    fn another_managed_field_moves_it(live in desired(), next in desired(), edit in edits()) {
        let shown = Fingerprint::of(&proposal(&live, &next, Some("lines")));
        if let Some(now) = edited(edit, &live, &next, "lines") {
            prop_assert_ne!(&Fingerprint::of(&now), &shown);
            prop_assert!(!shown.moved(&now, (&live, None)).is_empty());
        }
    }

    /// What counts, passes or only explains moves nothing; nor does what came to be as it was shown.
    #[test]
    fn counters_move_nothing(live in desired(), next in desired(), count in 1..1000u64, done in any::<bool>()) {
        let shown = Fingerprint::of(&proposal(&live, &next, Some("lines")));
        let live = if done { next.clone() } else { live };
        let mut now = proposal(&live, &next, Some("lines"));
        now.plane.generation += count;
        now.plane.old_workers = 3;
        now.to += count;
        now.observed_at += Duration::from_secs(count);
        now.view.files = vec![file(7 + count, "lines")];
        now.view.commands = vec![format!("kill -HUP {count}")];
        now.synced = false;
        for change in &mut now.view.changes {
            let text = format!("joined {count} s ago");
            change.reason = Some(backchat_contract::Reason { code: "joined", node: None, text, ago: None });
        }
        prop_assert_eq!(shown.moved(&now, (&live, None)), Vec::<String>::new());
    }

    /// It goes over the wire as it is.
    #[test]
    fn it_survives_the_wire(live in desired(), next in desired()) {
        let shown = Fingerprint::of(&proposal(&live, &next, Some("lines")));
        let sent = serde_json::to_string(&shown).unwrap();
        prop_assert_eq!(serde_json::from_str::<Fingerprint>(&sent).unwrap(), shown);
    }
}

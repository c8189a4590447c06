//! What people see, as snapshots; and that members cannot draw on it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use backchat_contract::{Action, Change, ChangeKind, ChangeStatus, FileChange, PlanView, Plane, Reason};

use super::*;
use crate::{
    admin::answers,
    cli::connection::Format,
    model::{
        Approval, Desired, Endpoint, EndpointState, Event, Flapping, Health, Held, Kind, LastApply, Liveness, Member,
        Proposal, RawOffer, RawRecord, Ready, Rejection, Service, Snapshot, State, Status, Verdict, What,
    },
};

/// As a terminal that knows no colour shows it.
fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)
}

fn member(name: &str, ip: u8, liveness: Liveness, kind: Kind, services: &[(&str, u32)]) -> Member {
    let offer = |(name, port): &(&str, u32)| RawOffer {
        name: (*name).to_owned(),
        port: *port,
        hosts: Vec::new(),
        path: None,
        weight: None,
        protocol: None,
        healthy: true,
    };
    let record = RawRecord {
        node: name.to_owned(),
        epoch: 7,
        version: 2,
        kind,
        state: State::Serving,
        services: services.iter().map(offer).collect(),
        tags: BTreeMap::from([("zone".to_owned(), "a".to_owned())]),
        ..RawRecord::default()
    };
    Member {
        name: name.parse().unwrap(),
        epoch: 7,
        addr: ([10, 0, 0, ip], 7946).into(),
        liveness,
        verdict: Verdict::Unasked,
        since: Duration::from_secs(u64::from(ip)),
        record: Some(record),
        refused: None,
    }
}

fn snapshot() -> Snapshot {
    let mut hostile = member("web9", 9, Liveness::Alive, Kind::Agent, &[("we\u{1b}[31mb\nx", 70_000)]);
    hostile.record.as_mut().unwrap().services[0].hosts.push("shop.example.com".into());
    let mut suspect = member("web2", 8, Liveness::Suspect, Kind::Agent, &[("web", 8080), ("api", 81)]);
    suspect.verdict = Verdict::Silent;
    let mut ill = member("web4", 4, Liveness::Alive, Kind::Agent, &[("web", 80)]);
    ill.record.as_mut().unwrap().services[0].healthy = false;
    let mut new = member("web5", 5, Liveness::Alive, Kind::Agent, &[]);
    new.record = None;
    let members = [
        member("proxy", 2, Liveness::Alive, Kind::Balancer, &[]),
        suspect,
        member("web3", 6, Liveness::Failed, Kind::Agent, &[("web", 8080)]),
        ill,
        new,
        hostile,
    ];
    let members = members.into_iter().map(|m| (m.name.clone(), m)).collect();
    Snapshot { source: "gossip".into(), synced: true, members, ..Snapshot::default() }
}

#[test]
fn members_as_tables_and_as_serf() {
    let members = answers::Members::new(&snapshot(), Duration::from_secs(4000));
    insta::assert_snapshot!("members", plain(&members::text(&members, Format::Text, false)));
    insta::assert_snapshot!("members_wide", plain(&members::text(&members, Format::Wide, true)));
    insta::assert_snapshot!("members_totals", members::totals(&members));
    insta::assert_snapshot!("members_serf", members::serf(&members).unwrap());
}

/// Endpoints of a service, each `name:last byte of its address:state`.
fn service(endpoints: &[(&str, u8, EndpointState)]) -> Service {
    let one = |(name, ip, state): &(&str, u8, EndpointState)| {
        let addr = std::net::SocketAddr::from(([10, 0, 0, *ip], 8080)).try_into().unwrap();
        (name.parse().unwrap(), Endpoint { addr, weight: crate::model::Weight::DEFAULT, state: *state })
    };
    Service { endpoints: endpoints.iter().map(one).collect(), ..Service::default() }
}

fn set(services: Vec<(&str, Service)>, routes: &[(&str, &str, &str)]) -> Arc<Desired> {
    let route = |(host, path, service): &(&str, &str, &str)| {
        let route = crate::model::Route { host: host.parse().unwrap(), path: path.parse().unwrap() };
        (route, service.parse().unwrap())
    };
    let services = services.into_iter().map(|(name, s)| (name.parse().unwrap(), s)).collect();
    Arc::new(Desired { services, routes: routes.iter().map(route).collect(), ..Desired::default() })
}

fn held() -> Held {
    let endpoints = ["api1", "api2"]
        .map(|name| crate::model::EndpointId { service: "api".parse().unwrap(), endpoint: name.parse().unwrap() });
    let why = "2 of 2 endpoints failed within 1 s and do not answer us; limit half".to_owned();
    Held { id: "h3c9".into(), why, endpoints: endpoints.into(), since: Duration::ZERO }
}

fn rejection() -> Rejection {
    let why = "api1 holds it".to_owned();
    let (node, subject, service) = ("web9".into(), "route shop.example.com/".into(), Some("web".parse().unwrap()));
    Rejection { node, subject, service, why, code: "conflict" }
}

fn status() -> Status {
    use EndpointState::{Drain, Ready};
    let plane = Plane { name: "haproxy", version: "2.6.12".into(), generation: 42, old_workers: 0, ..Plane::default() };
    let routes = [("shop.example.com", "/", "api"), ("new.example.com", "/cart", "web"), ("*", "/", "web")];
    let web = [("web1", 7, Ready), ("web2", 8, Drain), ("web4", 9, Ready)];
    Status {
        plane,
        plane_up: true,
        observed_at: Some(now() - Duration::from_millis(230)),
        converged: true,
        synced: true,
        desired: set(
            vec![("web", service(&web)), ("api", service(&[("api1", 4, Ready)])), ("old", service(&[]))],
            &routes,
        ),
        live: set(vec![("web", service(&web[..2])), ("api", service(&[("api1", 4, Ready)]))], &routes),
        rejections: vec![rejection()],
        reloads: 1,
        ..Status::default()
    }
}

#[test]
fn services_and_routes() {
    let all = answers::Services::new(&Status { held: vec![held()], ..status() });
    insta::assert_snapshot!("services", plain(&services::text(&all, Format::Text, false)));
    insta::assert_snapshot!("services_wide", plain(&services::text(&all, Format::Wide, false)));
    insta::assert_snapshot!("services_totals", services::totals(&all));
    let routes = answers::Routes::new(&status(), &snapshot());
    insta::assert_snapshot!("routes", plain(&services::routes(&routes, false)));
}

fn shown(status: &Status) -> String {
    let (up, heard) = (Duration::from_secs(11_000), Some(Duration::from_millis(300)));
    let answer = answers::Status::agent("proxy", &snapshot(), up, heard).with_plane(status, now());
    let lines = status::lines(&answer);
    let bad = if lines.iter().any(status::Line::is_bad) { "bad" } else { "well" };
    format!("{}--short\n{}{bad}\n", plain(&status::text(&lines, false)), plain(&status::text(&lines, true)))
}

#[test]
fn status_says_what_is_wrong() {
    let well = Status { rejections: Vec::new(), ..status() };
    let apply = LastApply {
        at: now(),
        took: Duration::from_millis(4),
        commands: 3,
        refused: Vec::new(),
        reloaded: false,
        generation: 42,
        changes: 2,
    };
    let waiting =
        Status { converged: false, waiting: Some("web/web2 drains".into()), last_apply: Some(apply), ..well.clone() };
    let ill = Status { held: vec![held()], ..status() };
    let error = Some("failed to reach haproxy at /run/x.sock: connection refused".to_owned());
    let down = Status { plane_up: false, converged: false, error, ..well.clone() };
    let mut edited = well.clone();
    edited.plane.blocked = Some("haproxy.cfg was edited by somebody else".into());
    let waits = |why: &str| Status { converged: false, waiting: Some(why.into()), ..edited.clone() };
    let unmet = waits("haproxy.cfg was edited by somebody else; web/web2 drains");
    let met = waits("haproxy.cfg was edited by somebody else (needed: settings changed); web/web2 drains");
    let mut broken = Status { converged: false, waiting: Some("the template to be mended".into()), ..well.clone() };
    broken.plane.template =
        Some("my.jinja:41: 'servce' is undefined; did you mean 'service'? generation 42 serves on".into());
    let unread = Status { error: Some("failed to start haproxy: no such file".into()), ..Status::default() };
    let flaps = |node: &str, endpoints: Vec<crate::model::EndpointId>| Flapping {
        id: "f3c9a".into(),
        node: node.parse().unwrap(),
        service: None,
        let_in: endpoints.is_empty(),
        times: 4,
        within: Duration::from_secs(130),
        left: Duration::from_millis(15_400),
        endpoints,
    };
    let out = crate::model::EndpointId { service: "web".parse().unwrap(), endpoint: "web3".parse().unwrap() };
    let away = Flapping { service: Some("web".parse().unwrap()), let_in: false, ..flaps("web4", Vec::new()) };
    let flapping = Status { flapping: vec![flaps("web3", vec![out]), flaps("db", Vec::new()), away], ..well.clone() };
    let all = [&well, &waiting, &ill, &down, &edited, &unread, &Status::default(), &flapping, &broken, &unmet, &met]
        .map(shown);
    insta::assert_snapshot!("status", all.join("\n"));
}

#[test]
fn structure_that_waits_is_held_and_says_how_it_goes_on() {
    let approval = Some(Approval { since: now() - Duration::from_secs(3), why: "no backend for shop".into() });
    let text = shown(&Status { approval, rejections: Vec::new(), ..status() });
    let line = "HELD  structure   waits for approval for 3s: no backend for shop; 'backchat plan --out FILE' shows it, \
        'backchat apply FILE' lets it go";
    assert!(text.lines().any(|said| said == line) && text.ends_with("bad\n"), "{text}");
}

#[test]
fn an_access_log_that_goes_elsewhere_is_a_failure() {
    let mut astray = Status { rejections: Vec::new(), ..status() };
    astray.plane.access_log = Some("haproxy, pid 7, writes to /a.log.1, not to /a.log".into());
    let text = shown(&astray);
    let line = "FAIL  access log  haproxy, pid 7, writes to /a.log.1, not to /a.log";
    assert!(text.lines().any(|said| said == line) && text.ends_with("bad\n"), "{text}");
}

#[test]
fn an_agent_has_no_data_plane() {
    let mut alone = snapshot();
    alone.synced = false;
    alone.members.retain(|name, _| name.as_str() == "web4");
    let health = |service: &str, up, why: Option<&str>| Health {
        service: service.into(),
        port: 80,
        up,
        why: why.map(str::to_owned),
    };
    let checks = [
        health("web", true, None),
        health("api", false, Some("tcp 127.0.0.1:80: connection refused")),
        health("shop", true, Some("http 127.0.0.1:80/: answered 503")),
    ];
    let answer = answers::Status::agent("web4", &alone, Duration::from_secs(1), None).with_checks(&checks);
    insta::assert_snapshot!("status_agent", plain(&status::text(&status::lines(&answer), false)));
}

fn change(kind: ChangeKind, action: Action, id: &str, sides: (Option<&str>, Option<&str>), why: &str) -> Change {
    let reason = Some(Reason { code: "record", node: Some("web1".into()), ago: None, text: why.into() });
    let side = |side: Option<&str>| side.map(str::to_owned);
    let status = ChangeStatus::Planned;
    Change { kind, action, id: id.into(), before: side(sides.0), after: side(sides.1), reason, status }
}

fn proposal() -> Proposal {
    use self::{Action::*, ChangeKind::*};
    let not = |status, change| Change { status, ..change };
    let changes = vec![
        not(
            ChangeStatus::Held,
            change(Endpoint, Remove, "api/api1", (Some("10.0.0.4:8080  weight 100"), None), "hold h3c9"),
        ),
        not(ChangeStatus::Refused, change(Endpoint, Add, "service \"we;b\"", (None, None), "web8 refused: no name")),
        change(
            Endpoint,
            Update,
            "web/web1",
            (Some("10.0.0.7:8080  weight 100"), Some("10.0.0.7:8080  weight 50")),
            "record 7",
        ),
        change(
            Endpoint,
            Drain,
            "web/web2",
            (Some("10.0.0.8:8080  weight 100"), Some("10.0.0.8:8080  weight 100  drain")),
            "suspect, did not answer us",
        ),
        change(Endpoint, Remove, "web/web3", (Some("10.0.0.6:8080  weight 100"), None), "failed 4 s ago"),
        change(Endpoint, Add, "web/web4", (None, Some("10.0.0.9:8080  weight 100")), "joined 2 s ago"),
        change(
            Endpoint,
            Update,
            "web/web5",
            (Some("10.0.0.1:1  weight 1  drain"), Some("10.0.0.2:1  weight 1")),
            "moved",
        ),
        change(Route, Add, "new.example.com/", (None, Some("web")), "web4"),
        change(Route, Update, "a.example.com/", (Some("api"), Some("web")), "web4"),
        change(Route, Remove, "old.example.com/", (Some("web"), None), "web3"),
        not(
            ChangeStatus::Refused,
            change(Route, Add, "shop.example.com/", (None, Some("web")), "web9 refused: api1 holds it"),
        ),
        change(Service, Add, "api", (None, Some("new")), "api1"),
    ];
    let file = FileChange {
        path: "/run/backchat/proxy/haproxy.cfg".into(),
        old: "backend web\n    server web3 10.0.0.6:8080 id 13 weight 100\n".into(),
        new: "backend web\n    server web4 10.0.0.9:8080 id 14 weight 100\n".into(),
    };
    let commands = vec!["set server web/web2 state drain".into(), "set server web/web1 weight 50".into()];
    let ready = |service: &str, before, after, without_hold| Ready {
        service: service.parse().unwrap(),
        before,
        after,
        without_hold,
    };
    Proposal {
        plane: status().plane,
        observed_at: now() - Duration::from_millis(230),
        synced: true,
        view: PlanView { changes, files: vec![file], commands, ..PlanView::default() },
        to: 43,
        held: vec![held()],
        rejections: vec![rejection()],
        ready: vec![ready("web", 3, 2, None), ready("api", 2, 2, Some((0, "h3c9".into()))), ready("same", 1, 1, None)],
        structure: None,
        assumed: Vec::new(),
        waits: false,
    }
}

fn shown_plan(proposal: &Proposal, full: bool) -> String {
    plain(&plan::text(&answers::Plan::new("proxy", proposal, now()), full))
}

#[test]
fn a_plan_with_everything_in_it() {
    let text = shown_plan(&proposal(), false);
    insta::assert_snapshot!("plan", text);
    let danger: Vec<&str> = text.lines().filter(|line| line.starts_with(['-', '!'])).collect();
    assert_eq!(danger.len(), 5, "{danger:#?}");
    let json = serde_json::to_value(answers::Tagged::from(answers::Plan::new("proxy", &proposal(), now()))).unwrap();
    insta::assert_snapshot!("plan_json", serde_json::to_string_pretty(&json).unwrap());
}

#[test]
fn plans_with_little_in_them() {
    let empty =
        Proposal { view: PlanView::default(), held: vec![], rejections: vec![], ready: vec![], to: 42, ..proposal() };
    let unsynced = Proposal { synced: false, ..empty.clone() };
    let mut reload = empty.clone();
    reload.view.reload = Some("service api needs a backend of its own: no spare is left".into());
    reload.view.commands = vec!["reload".into()];
    let mut hold = Proposal { held: vec![held()], ..empty.clone() };
    hold.view.changes = proposal().view.changes[..1].to_vec();
    let exit = |p: &Proposal| crate::cli::plan::exit(&answers::Plan::new("proxy", p, now()));
    let all = [&empty, &unsynced, &reload, &hold].map(|p| format!("{}{:?}\n", shown_plan(p, false), exit(p)));
    insta::assert_snapshot!("plan_little", all.join("\n"));
}

#[test]
fn what_is_long_is_cut_unless_all_is_wanted() {
    let mut long = proposal();
    long.view.commands = (0..100).map(|n| format!("add server web/web{n}")).collect();
    let (cut, full) = (shown_plan(&long, false), shown_plan(&long, true));
    assert!(cut.contains("\n  … 60 more (--full)\n"), "{cut}");
    assert!(!full.contains("--full") && full.contains("web99"), "{full}");
}

/// The same changes from the same state have the same id; another command, or another state, have another.
#[test]
fn a_plan_is_known_by_its_id() {
    let id = |p: &Proposal| answers::Plan::new("proxy", p, now()).id;
    let later = Proposal { observed_at: now(), ..proposal() };
    let mut other = proposal();
    other.view.commands.pop();
    let mut moved = proposal();
    moved.plane.generation = 41;
    assert_eq!(id(&proposal()), id(&later));
    assert_ne!(id(&proposal()), id(&other));
    assert_ne!(id(&proposal()), id(&moved));
}

fn event(what: What, subject: &str, text: &str, effect: Option<&str>) -> answers::Event {
    let effect = effect.map(str::to_owned);
    let event = Event { what, subject: subject.into(), node: None, text: text.into(), effect };
    answers::Event { id: 7, at: 1_700_000_000_112, event }
}

#[test]
fn what_happens_is_appended_line_by_line() {
    let suspect = What::Member { from: Some(Liveness::Alive), to: Liveness::Suspect, epoch: 1 };
    let applied = What::Apply { generation: 43, commands: 3, refused: 0, took_ms: 4, reloads: 0, confirmed: true };
    let all = [
        event(suspect, "web3", "alive → suspect", Some("drain web/web3")),
        event(applied, "apply", "43", Some("3 commands, 4 ms, no reload, confirmed")),
        event(What::Plane { up: false }, "data plane", "up → down", Some("failed to reach it")),
        event(What::Refused { begins: true }, "we\u{1b}[31mb\nx", "refused", Some("a\u{202e}b")),
        event(What::Gap, "gap", "events are missing here", Some("after event 6: the daemon was started anew")),
        event(What::Check { up: true }, "web:80", "down → up", None),
    ];
    let shown = |format| {
        let mut columns = watch::Columns::default();
        all.iter().map(|event| plain(&columns.line(event, format))).collect::<String>()
    };
    insta::assert_snapshot!("watch", shown(Format::Text));
    insta::assert_snapshot!("watch_wide", shown(Format::Wide));
}

/// A member's words stay on their line and cannot steer the terminal.
#[test]
fn nothing_from_outside_steers_the_terminal() {
    let evil = "a\u{1b}]0;x\u{7}\n\u{202e}b";
    assert_eq!(safe(evil), r"a\u{1b}]0;x\u{7}\u{a}\u{202e}b");
    assert_eq!(safe("shop → web … ä"), "shop → web … ä");
    let mut plan = proposal();
    for change in &mut plan.view.changes {
        change.id.push_str(evil);
        change.reason.as_mut().unwrap().text.push_str(evil);
    }
    plan.view.commands.push(evil.into());
    plan.held[0].why.push_str(evil);
    let answer = answers::Plan::new("proxy", &plan, now());
    let text = plain(&plan::text(&answer, false));
    assert_eq!(text.lines().count(), shown_plan(&proposal(), false).lines().count() + 2);
    assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text}");
}

proptest::proptest! {
    /// Whatever a text holds, what is left of it is one line without control characters.
    #[test]
    fn safe_text_is_one_plain_line(text in ".*") {
        proptest::prop_assert!(!safe(&text).chars().any(char::is_control));
    }
}

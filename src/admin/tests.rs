//! The admin server over real sockets: what it answers, what it refuses, and that it stays bounded.

mod live;
mod page;
mod token;

use std::{os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::model::{
    self, Kind, Liveness, Member, NoProposal, Obstacle, Proposal, RawRecord, Snapshot, Status, Unapplied, Verdict,
};
use backchat_contract::Plane;

/// A server on a unix socket and on TCP, with state that the test sets.
struct Served {
    folder: tempfile::TempDir,
    tcp: std::net::SocketAddr,
    members: watch::Sender<Arc<Snapshot>>,
    status: watch::Sender<Arc<Status>>,
    commands: mpsc::Receiver<Command>,
    stopping: CancellationToken,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn snapshot(synced: bool) -> Snapshot {
    let record = RawRecord { node: "proxy".into(), kind: Kind::Balancer, ..RawRecord::default() };
    let member = Member {
        name: "proxy".parse().unwrap(),
        epoch: 7,
        addr: "10.0.0.2:7946".parse().unwrap(),
        liveness: Liveness::Alive,
        verdict: Verdict::Unasked,
        since: Duration::ZERO,
        record: Some(record),
        refused: None,
    };
    Snapshot { source: "gossip".into(), synced, members: [(member.name.clone(), member)].into(), ..Snapshot::default() }
}

fn checks() -> Vec<model::Health> {
    let check = |service: &str, port, up| model::Health { service: service.into(), port, up, why: None };
    vec![check("web", 80, true), check("api", 81, true), check("api", 82, false)]
}

impl Served {
    async fn new(kind: Kind) -> Self {
        Self::asking_for(None, kind).await
    }

    async fn asking_for(token: Option<Token>, kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let unix = Addr::Unix(folder.path().join("deep/run/admin.sock"));
        let server = Server::bind(&[unix, "127.0.0.1:0".parse().unwrap()]).await.unwrap().asking_for(token);
        let tcp = server.tcp_addrs()[0];
        let (members, members_seen) = watch::channel(Arc::new(snapshot(true)));
        let (status, status_seen) = watch::channel(Arc::default());
        let (sender, commands) = mpsc::channel(4);
        let (stopping, stop) = (CancellationToken::new(), CancellationToken::new());
        let counts = Counts { packets_in: 3, rejected: vec![("key", 2)], ..Counts::default() };
        let sources = Sources {
            me: Me { node: "proxy".parse().unwrap(), kind },
            start: Instant::now(),
            members: members_seen,
            status: (kind == Kind::Balancer).then_some(status_seen),
            commands: sender,
            counts: Arc::new(move || counts.clone()),
            stopping: stopping.clone(),
            health: watch::channel(checks()).1,
        };
        let task = tokio::spawn(server.serve(sources, stop.clone()));
        Self { folder, tcp, members, status, commands, stopping, stop, task }
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("deep/run/admin.sock")
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let client = Client::builder().unix_socket(self.socket()).build().unwrap();
        client.request(method, format!("http://localhost{path}"))
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path)).await
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(self.request(Method::POST, path).json(body)).await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
}

#[tokio::test]
async fn every_answer_names_its_format() {
    let served = Served::new(Kind::Balancer).await;
    for (path, name) in [
        ("/v1/status", "status"),
        ("/v1/members", "members"),
        ("/v1/services", "services"),
        ("/v1/routes", "routes"),
        ("/healthz", "health"),
        ("/readyz", "health"),
        ("/v1/explain?about=proxy", "explain"),
        ("/v1/explain", "error"),
        ("/nowhere", "error"),
    ] {
        let (_, body) = served.get(path).await;
        assert_eq!(body["format"], format!("backchat.{name}/1"), "{path}");
    }
    let (status, body) = served.get("/v1/members").await;
    assert_eq!(status, StatusCode::OK);
    let wanted = ["name", "ip", "port", "liveness", "state", "kind", "epoch", "version", "services", "tags"];
    for field in wanted {
        assert!(body["members"][0].get(field).is_some(), "{field}: {body}");
    }
    let (_, body) = served.get("/v1/status").await;
    for field in [
        "node",
        "version",
        "driver",
        "generation",
        "converged",
        "synced",
        "held",
        "flapping",
        "rejections",
        "last_apply",
    ] {
        assert!(body.get(field).is_some(), "{field}: {body}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let served = Served::new(Kind::Balancer).await;
    let check = async |request: reqwest::RequestBuilder, expected: u16| {
        let (status, body) = answer(request).await;
        assert_eq!((status.as_u16(), &body["format"]), (expected, &json!("backchat.error/1")), "{body}");
    };
    let (get, post) = (|path: &str| served.request(Method::GET, path), |path: &str| served.request(Method::POST, path));
    check(get("/nowhere"), 404).await;
    check(post("/v1/status"), 405).await;
    check(get("/v1/explain"), 400).await;
    check(get("/v1/explain?about="), 400).await;
    check(get("/v1/explain?about=proxy&more=x"), 400).await;
    check(get("/v1/explain?about=node/web1"), 404).await;
    check(get("/v1/explain?about=web1"), 503).await;
    check(get("/v1/events").header("last-event-id", "x"), 400).await;
    check(post("/v1/apply").json(&json!({ "node": "proxy" })), 422).await;
    check(post("/v1/apply").json(&json!({ "node": "other", "shown": shown("haproxy", &[]) })), 421).await;
    check(post("/v1/plan").json(&json!({ "assume": ["soon=web1"] })), 400).await;
    check(post("/v1/plan").json(&json!({ "assume": vec!["gone=web1"; 65] })), 400).await;
    check(get(&format!("/v1/plan?assume={}", ["gone=web1"; 65].join(","))), 400).await;
    check(post("/v1/plan").json(&json!({ "template": { "name": "t", "text": "x".repeat(17 << 20) } })), 413).await;
    check(post("/v1/drain").json(&json!({ "target": "we b" })), 400).await;
    check(post("/v1/drain").json(&json!({ "target": "web1", "wait_ms": 10_001 })), 400).await;
    check(post("/v1/undrain").json(&json!({ "node": "web1" })), 422).await;
    check(get("/v1/plan?assume=soon=web1"), 400).await;
    check(get("/v1/plan?asume=gone=web1"), 400).await;
    check(post("/v1/join").json(&json!({ "addrs": [] })), 400).await;
    check(post("/v1/join").json(&json!({ "addrs": vec!["a"; 65] })), 400).await;
    check(post("/v1/join").json(&json!({ "adrs": ["a"] })), 422).await;
    check(post("/v1/join").body("{}"), 415).await;
    check(post("/v1/join").json(&json!({ "addrs": ["a".repeat(70_000)] })), 413).await;
    check(get("/v1/members").header("origin", "http://evil.example"), 403).await;
}

/// A page that looks at loopback through a name of its own gets nothing; neither does one over its real name.
#[tokio::test]
async fn tcp_answers_loopback_hosts_alone() {
    let served = Served::new(Kind::Balancer).await;
    let get = |host: &'static str| Client::new().get(format!("http://{}/v1/members", served.tcp)).header("host", host);
    assert_eq!(answer(get("127.0.0.1")).await.0, StatusCode::OK);
    assert_eq!(answer(get("evil.example")).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_agent_says_whom_to_ask() {
    let served = Served::new(Kind::Agent).await;
    for path in ["/v1/services", "/v1/routes", "/v1/plan", "/v1/explain?about=web", "/v1/explain?about=http://a.b/"] {
        let (status, body) = served.get(path).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(body["error"], "proxy is an agent and drives no data plane; ask a balancer: proxy", "{path}");
    }
    let (status, about) = served.get("/v1/explain?about=proxy").await;
    assert_eq!(
        (status, &about["plane"], &about["member"]["member"]["name"]),
        (StatusCode::OK, &Value::Null, &json!("proxy"))
    );
    assert_eq!(served.get("/v1/status").await.1["driver"], Value::Null);
}

#[tokio::test]
async fn commands_are_handed_on() {
    let mut served = Served::new(Kind::Balancer).await;
    let mut commands = std::mem::replace(&mut served.commands, mpsc::channel(1).1);
    let daemon = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(command) = commands.recv().await {
            match command {
                Command::Join { addrs, answer } => {
                    let result = |(index, addr): (usize, String)| {
                        let result = if index == 0 { Ok(3) } else { Err("no answer".into()) };
                        Joined { addr, result }
                    };
                    answer.send(addrs.into_iter().enumerate().map(result).collect()).unwrap();
                }
                Command::Leave { answer } => answer.send(()).unwrap(),
                Command::Order { ordering, answer } => answer.send(ordered(&ordering)).unwrap(),
                Command::Plan { assume, answer } if assume.iter().any(|a| a.to_string() == "gone=silent") => {
                    answer.send(Err(NoProposal::Unreachable("it is silent".into()))).unwrap();
                }
                Command::Plan { assume, answer } => {
                    let plane = Plane { name: "haproxy", ..Plane::default() };
                    let proposal = Proposal {
                        plane,
                        observed_at: std::time::SystemTime::now(),
                        synced: true,
                        view: backchat_contract::PlanView::default(),
                        to: 0,
                        held: Vec::new(),
                        rejections: Vec::new(),
                        ready: Vec::new(),
                        structure: None,
                        assumed: assume.iter().map(ToString::to_string).collect(),
                        waits: false,
                    };
                    seen.extend(assume);
                    answer.send(Ok(Box::new(proposal))).unwrap();
                }
                Command::Apply { shown, answer } => answer.send(applied(&shown)).unwrap(),
                Command::Release { hold, answer } => answer.send(hold == "h3c9").unwrap(),
            }
        }
        seen
    });
    let (_, joined) = served.post("/v1/join", &json!({ "addrs": ["a", "b:1"] })).await;
    let expected = json!({
        "format": "backchat.join/1",
        "joined": [{ "addr": "a", "members": 3 }],
        "failed": [{ "addr": "b:1", "why": "no answer" }],
    });
    assert_eq!(joined, expected);
    assert_eq!(served.get("/v1/plan?assume=drain=web1,gone=web2").await.1["driver"]["name"], "haproxy");
    let (status, body) = served.get("/v1/plan?assume=gone=silent").await;
    assert_eq!((status, &body["error"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("it is silent")));
    let most = vec!["gone=web3"; 64];
    assert_eq!(served.post("/v1/plan", &json!({ "assume": most })).await.1["assumed"], json!(most));
    let template = json!({ "name": "my.jinja", "text": "x".repeat(100_000) });
    let (_, plan) = served.post("/v1/plan", &json!({ "assume": ["gone=web3"], "template": template })).await;
    assert_eq!(plan["assumed"], json!(["gone=web3", "template=my.jinja"]));
    check_applies(&served).await;
    assert_eq!(served.post("/v1/release", &json!({ "hold": "h3c9" })).await.0, StatusCode::OK);
    assert_eq!(served.post("/v1/release", &json!({ "hold": "none" })).await.0, StatusCode::NOT_FOUND);
    check_orders(&served).await;
    assert_eq!(served.post("/v1/leave", &json!({})).await.1, json!({ "format": "backchat.leave/1", "node": "proxy" }));
    served.stop.cancel();
    served.task.await.unwrap();
    let words: Vec<String> = daemon.await.unwrap().iter().map(ToString::to_string).collect();
    let (first, last) = (["drain=web1", "gone=web2"], ["gone=web3", "template=my.jinja"]);
    assert_eq!(words, [first.as_slice(), &["gone=web3"; 64], &last].concat());
}

/// A plan that was shown, with these endpoints to add.
fn shown(driver: &str, add: &[&str]) -> Value {
    let change = |id: &&str| json!({ "kind": "endpoint", "id": id, "action": "add", "before": null, "after": "x" });
    let changes: Vec<_> = add.iter().map(change).collect();
    json!({ "driver": driver, "version": "2.6.12", "structure": null, "changes": changes, "files": [] })
}

/// Whatever the plan is, by the name of its driver.
fn applied(shown: &model::Fingerprint) -> Result<model::Applied, Unapplied> {
    match shown.driver.as_str() {
        "haproxy" => {
            let done = model::LastApply {
                at: std::time::UNIX_EPOCH,
                took: Duration::from_millis(3),
                commands: 4,
                refused: Vec::new(),
                reloaded: true,
                generation: 8,
                changes: shown.changes.len(),
            };
            Ok(model::Applied { done: Some(done), took: Duration::from_millis(9), generation: 9, waiting: None })
        }
        "nothing" => Ok(model::Applied { done: None, took: Duration::ZERO, generation: 9, waiting: None }),
        "moved" => Err(Unapplied::Moved(vec!["web/web3: was to be added, is not any more".into(), "b".into()])),
        "foreign" => Err(Unapplied::Foreign("the plan is for foreign".into())),
        "template" => Err(Unapplied::Template("my.jinja:3: no".into())),
        "silent" => Err(Unapplied::Unreachable("it is silent".into())),
        _ => Err(Unapplied::Failed("it failed".into())),
    }
}

async fn check_applies(served: &Served) {
    let apply = async |shown: Value| served.post("/v1/apply", &json!({ "node": "proxy", "shown": shown })).await;
    let (status, body) = apply(shown("haproxy", &["web/web1", "web/web2"])).await;
    let expected = json!({
        "format": "backchat.apply/1", "node": "proxy", "done": true, "changes": 2, "commands": 4, "refused": [],
        "reloaded": true, "generation": 9, "took_ms": 9, "waiting": null,
    });
    assert_eq!((status, body), (StatusCode::OK, expected));
    assert_eq!(apply(shown("nothing", &[])).await.1["done"], false);
    let moved = "the plan has changed, it was not applied: web/web3: was to be added, is not any more; b";
    for (driver, status, text) in [
        ("moved", 412, moved),
        ("foreign", 421, "the plan is for foreign; it was not applied"),
        ("template", 422, "my.jinja:3: no"),
        ("silent", 503, "it is silent"),
        ("other", 502, "it failed"),
    ] {
        let (code, body) = apply(shown(driver, &[])).await;
        assert_eq!((code.as_u16(), &body["error"]), (status, &json!(text)), "{driver}");
    }
}

/// web1 follows, at one balancer of two; web2 is not reached, and there is no other.
fn ordered(ordering: &Ordering) -> Result<Followed, Obstacle> {
    match ordering.target.node.as_str() {
        "web1" => Ok(Followed {
            age: (7, u64::from(ordering.given)),
            confirmed: ["proxy".parse().unwrap()].into(),
            missing: [("proxy2".parse().unwrap(), format!("{:?}", ordering.wait))].into(),
            last: if ordering.force { vec!["web".into()] } else { Vec::new() },
        }),
        "web2" => Err(Obstacle::Unreached("web2 is silent".into())),
        _ => Err(Obstacle::Unknown("there is none".into())),
    }
}

async fn check_orders(served: &Served) {
    let (status, drained) = served.post("/v1/drain", &json!({ "target": "web1/web", "force": true })).await;
    let expected = json!({
        "format": "backchat.drain/1",
        "node": "web1",
        "service": "web",
        "epoch": 7,
        "version": 1,
        "confirmed": ["proxy"],
        "missing": [{ "balancer": "proxy2", "why": "0ns" }],
        "last": ["web"],
    });
    assert_eq!((status, drained), (StatusCode::OK, expected));
    let wait = json!({ "target": "web1", "only_wait": true, "wait_ms": 1500 });
    let (_, undrained) = served.post("/v1/undrain", &wait).await;
    let expected = json!({
        "format": "backchat.undrain/1",
        "node": "web1",
        "service": null,
        "epoch": 7,
        "version": 0,
        "confirmed": ["proxy"],
        "missing": [{ "balancer": "proxy2", "why": "1.5s" }],
    });
    assert_eq!(undrained, expected);
    for (node, expected) in [("web2", StatusCode::BAD_GATEWAY), ("web3", StatusCode::NOT_FOUND)] {
        assert_eq!(served.post("/v1/drain", &json!({ "target": node })).await.0, expected);
    }
}

#[tokio::test]
async fn a_daemon_that_ends_answers_no_command() {
    let mut served = Served::new(Kind::Balancer).await;
    served.commands.close();
    let (status, body) = served.post("/v1/leave", &json!({})).await;
    assert_eq!((status, &body["error"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("the daemon is about to end")));
}

#[tokio::test]
async fn ready_is_who_may_be_sent_traffic() {
    let served = Served::new(Kind::Balancer).await;
    let check = async |ready: bool, why: &str| {
        let (status, body) = served.get("/readyz").await;
        assert_eq!((status.is_success(), body["ok"] == true), (ready, ready), "{body}");
        assert!(body["why"].as_str().unwrap_or_default().contains(why), "{body}");
    };
    check(false, "the data plane is not up").await;
    let gone = Status { synced: true, error: Some("failed to reach it".into()), ..Status::default() };
    served.status.send_replace(Arc::new(gone));
    check(false, "failed to reach it").await;
    served.status.send_replace(Arc::new(Status { plane_up: true, ..Status::default() }));
    check(false, "a source has not listed").await;
    served.status.send_replace(Arc::new(Status { plane_up: true, synced: true, ..Status::default() }));
    check(true, "").await;
    served.members.send_replace(Arc::new(snapshot(false)));
    check(false, "no full exchange").await;
    served.members.send_replace(Arc::new(snapshot(true)));
    served.stopping.cancel();
    check(false, "about to end").await;
    assert_eq!(served.get("/healthz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn metrics_hold_what_is_known() {
    let served = Served::new(Kind::Balancer).await;
    let plane = Plane { name: "haproxy", version: "2.6.12".into(), ..Plane::default() };
    let observed_at = Some(std::time::UNIX_EPOCH + Duration::from_millis(1500));
    let services = ["web", "api"].map(|name| (name.parse().unwrap(), backchat_contract::Service::default()));
    let desired = Arc::new(backchat_contract::Desired { services: services.into(), ..Default::default() });
    let kept = |name: &str| model::EndpointId { service: "api".parse().unwrap(), endpoint: name.parse().unwrap() };
    let held = vec![model::Held {
        id: "h3c9".into(),
        why: "half".into(),
        endpoints: ["api1", "api2"].map(kept).into(),
        since: Duration::ZERO,
    }];
    let flapping = vec![model::Flapping {
        id: "f3c9a".into(),
        node: "web3".parse().unwrap(),
        service: None,
        times: 4,
        within: Duration::from_secs(130),
        left: Duration::from_secs(16),
        endpoints: vec![model::EndpointId { service: "web".parse().unwrap(), endpoint: "web3".parse().unwrap() }],
        let_in: false,
    }];
    let status = Status { plane, plane_up: true, observed_at, desired, held, flapping, ..Status::default() };
    let status = Status { steps: 5, failures: 1, reloads: 2, ..status };
    served.status.send_replace(Arc::new(status));
    let response = served.request(Method::GET, "/metrics").send().await.unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    insta::assert_snapshot!(response.text().await.unwrap());
}

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_socket_is_private_and_goes_with_its_server() {
    let served = Served::new(Kind::Agent).await;
    let (socket, folder) = (served.socket(), served.folder.path().join("deep/run"));
    assert_eq!((mode(&socket), mode(&folder)), (0o600, 0o700));
    let again = Server::bind(&[Addr::Unix(socket.clone())]).await.unwrap_err().to_string();
    assert!(again.ends_with("another daemon answers there; choose another --run-dir or --admin"), "{again}");
    served.stop.cancel();
    served.task.await.unwrap();
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_killed_daemons_socket_is_replaced_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(Server::bind(&[Addr::Unix(path.clone())]).await.is_ok());
    std::fs::write(&path, "precious").unwrap();
    let error = Server::bind(&[Addr::Unix(path.clone())]).await.unwrap_err().to_string();
    assert!(error.contains("cannot bind"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

/// Clients that connect and say nothing are cut off, and so never keep others out.
#[tokio::test(start_paused = true)]
async fn silent_clients_keep_nobody_out() {
    let served = Served::new(Kind::Agent).await;
    let mut silent = Vec::new();
    for _ in 0..80 {
        silent.push(UnixStream::connect(served.socket()).await.unwrap());
    }
    let began = Instant::now();
    assert_eq!(served.get("/healthz").await.0, StatusCode::OK);
    assert!(began.elapsed() < Duration::from_secs(30), "they kept others out for {:?}", began.elapsed());
    assert_eq!(silent[0].read(&mut [0; 1]).await.unwrap(), 0);
}

/// Not even for as long as silence is borne with.
#[tokio::test]
async fn whoever_fills_tcp_keeps_nobody_from_the_socket() {
    let served = Served::new(Kind::Agent).await;
    let mut strangers = Vec::new();
    for _ in 0..80 {
        strangers.push(TcpStream::connect(served.tcp).await.unwrap());
    }
    for _ in 0..3 {
        let asked = tokio::time::timeout(Duration::from_secs(8), served.get("/healthz")).await;
        assert_eq!(asked.expect("the socket has slots of its own").0, StatusCode::OK);
    }
}

#[tokio::test]
async fn an_open_connection_does_not_keep_the_daemon() {
    let served = Served::new(Kind::Agent).await;
    let _idle = TcpStream::connect(served.tcp).await.unwrap();
    assert_eq!(served.get("/healthz").await.0, StatusCode::OK);
    served.stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), served.task).await.unwrap().unwrap();
}

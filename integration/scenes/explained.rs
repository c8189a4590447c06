//! What `explain` says is what the data plane does: a table of hosts and paths is asked of both; and of each endpoint
//! it is said what became of it.

use std::{collections::BTreeSet, fs, net::SocketAddr, time::Duration};

use backchat::demo::{Driver, Web};
use serde_json::Value;

use super::world::World;

/// Services as `name host path`; each has one endpoint of its name, but for those that say otherwise.
const SERVICES: [&str; 12] = [
    "exact www.example.com /",
    "api www.example.com /api",
    "v2 www.example.com /api/v2",
    "wild *.example.com /",
    "deep *.deep.example.com /",
    "deepapi *.deep.example.com /api",
    "part part.example.com /api",
    "only * /only",
    "one localhost /",
    "empty empty.example.org /",
    "drained drained.example.org /",
    "tcp tcp.example.org /",
];

const HOSTS: [&str; 22] = [
    "www.example.com",
    "WWW.Example.COM",
    "www.example.com:8080",
    "www.example.com.",
    "other.example.com",
    "a_b.example.com",
    "a.deep.example.com",
    "a.b.DEEP.example.com:1",
    "deep.example.com",
    "part.example.com",
    "example.com",
    "a.b.c.d.e.example.com",
    "a.b.c.d.e.f.example.com",
    "a.b.c.d.e.deep.example.com",
    "a.b.c.d.e.f.deep.example.com",
    "localhost",
    "10.0.0.1:80",
    "[::1]:80",
    "empty.example.org",
    "drained.example.org",
    "tcp.example.org",
    "elsewhere.org",
];

const PATHS: [&str; 14] = [
    "/",
    "/api",
    "/api/",
    "/API",
    "/apis",
    "/api/v1",
    "/api/v2",
    "/api/v2/x",
    "/api/v22",
    "/api?a=/api/v2",
    "//api",
    "/?q=/only/",
    "/only",
    "/only/x",
];

/// One request on a fresh connection: status and body.
async fn ask(addr: SocketAddr, host: &str, path: &str) -> (u16, String) {
    let client = reqwest::Client::builder().pool_max_idle_per_host(0).timeout(Duration::from_secs(10)).build().unwrap();
    let answer = client.get(format!("http://{addr}{path}")).header("host", host).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap().trim().to_owned())
}

/// Who answers by the word of `explain`, or which status.
fn said(answer: &Value) -> (u16, BTreeSet<String>) {
    let by = answer["by"].as_array().into_iter().flatten();
    let by = by.map(|share| share["name"].as_str().unwrap_or_default().to_owned()).collect();
    let status = answer["status"].as_u64().map_or(200, |status| u16::try_from(status).unwrap());
    (status, by)
}

/// Whether every service is told with all of its endpoints ready: it is told a moment after it is so.
async fn is_up(world: &World) -> bool {
    let told = world.json("proxy", &["services"]).await.unwrap_or_default();
    let services = told["services"].as_array().cloned().unwrap_or_default();
    services.len() == SERVICES.len() && services.iter().all(|service| service["ready"] == service["total"])
}

pub(super) async fn requests_go_where_it_is_said(driver: Driver) {
    compared(driver, &[], [200, 404, 503]).await;
}

pub(super) async fn requests_go_where_it_is_said_under_hipache(driver: Driver) {
    compared(driver, &["--hipache"], [200, 400, 502]).await;
}

/// What is said of each host and path is what is done, by a balancer with these flags; and what comes of it.
async fn compared(driver: Driver, flags: &[&str], all: [u16; 3]) {
    let mut world = World::empty(driver);
    let (mut webs, mut text) = (Vec::new(), String::new());
    for line in SERVICES {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, host, path] = words[..] else { panic!("{line}") };
        let web = Web::start(SocketAddr::from(([127, 0, 0, 1], 0)), name).await.unwrap();
        let endpoint = format!("{{ name = '{name}', addr = '{}', drain = {} }}", web.addr(), name == "drained");
        let endpoints = if name == "empty" { "" } else { &endpoint };
        let protocol = if name == "tcp" { "tcp" } else { "http" };
        let listed = format!(
            "[services.{name}]\nhosts = ['{host}']\npath = '{path}'\nprotocol = '{protocol}'\nendpoints = [{endpoints}]\n"
        );
        text.push_str(&listed);
        webs.push(web);
    }
    let file = world.folder.path().join("services.toml");
    fs::write(&file, text).unwrap();
    let source = format!("file:{}", file.display());
    world.start_balancer("proxy", &[&["--no-gossip", "--source", &source], flags].concat()).await;
    world.eventually("all of it is up, and told", || async { is_up(&world).await }).await;
    world.converges().await;

    let mut statuses = BTreeSet::new();
    for host in HOSTS {
        for path in PATHS {
            let url = format!("http://{host}{path}");
            let told =
                world.json("proxy", &["explain", &url]).await.unwrap_or_else(|| panic!("{url} is not explained"));
            let (status, by) = said(&told["request"]["answer"]);
            let (is, who) = ask(world.proxy().http, host, path).await;
            statuses.insert(is);
            assert_eq!(is, status, "{url}: {who}\n{told:#}");
            assert!(is != 200 || by.contains(&who), "{url}: {who} answers\n{told:#}");
            let service = told["request"]["route"]["service"].as_str();
            assert!(is != 200 || service == Some(&who), "{url}: {who} answers\n{told:#}");
        }
    }
    assert_eq!(statuses, BTreeSet::from(all), "the table is no table of all");
}

/// What is said of an endpoint in the pool of a request: its state, and the code of why.
async fn standing(world: &World, name: &str) -> (String, String) {
    let told = world.json("proxy", &["explain", "http://any.example/"]).await.unwrap_or_default();
    let pool = told["request"]["pool"].as_array().into_iter().flatten();
    let of = |e: &&Value| e["name"] == name;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    pool.clone().find(of).map(|e| (text(&e["state"]), text(&e["reason"]["code"]))).unwrap_or_default()
}

pub(super) async fn what_became_of_each_endpoint_is_said(driver: Driver) {
    let mut world = World::with(driver, &["web1", "web2", "web3", "web4"]).await;
    world.converges().await;
    let is = async |name: &str, state: &str, code: &str| {
        let wanted = (state.to_owned(), code.to_owned());
        world
            .eventually(&format!("{name} is {state} ({code})"), || async { standing(&world, name).await == wanted })
            .await;
    };
    for name in ["web1", "web2", "web3", "web4"] {
        is(name, "ready", "").await;
    }
    world.json("proxy", &["drain", "web2"]).await.expect("it drains");
    world.agents["web3"].process.terminate().unwrap();
    is("web3", "gone", "left").await;
    world.eventually("web2 drains", || async { ["drain", "gone"].contains(&&*standing(&world, "web2").await.0) }).await;
    assert_eq!(standing(&world, "web2").await.1, "drained");
    world.crash("web4");
    world
        .eventually("web4 is gone", || async { standing(&world, "web4").await == ("gone".into(), "failed".into()) })
        .await;

    // Who is left has all, and answers.
    let told = world.json("proxy", &["explain", "http://any.example/"]).await.expect("it explains");
    assert_eq!(said(&told["request"]["answer"]), (200, BTreeSet::from(["web1".to_owned()])), "{told:#}");
    assert_eq!(ask(world.proxy().http, "any.example", "/").await, (200, "web1".into()));
    // A node is explained by its own agent too, which names the balancer for the rest.
    let told = world.json("proxy", &["explain", "web4"]).await.expect("it explains");
    assert_eq!(told["member"]["member"]["liveness"], "failed", "{told:#}");
    let told = world.json("web1", &["explain", "web2"]).await.expect("it explains");
    assert_eq!((&told["plane"], &told["ask"][0]), (&Value::Null, &"proxy".into()), "{told:#}");
}

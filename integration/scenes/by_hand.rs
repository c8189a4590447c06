//! `backchat drain` and `undrain`: an operator takes a node or a service out, from any daemon, and puts it back.

use std::time::Duration;

use backchat::demo::{Driver, Traffic, Web, traffic::Load};
use serde_json::Value;

use super::world::{PATIENCE, World, backchat, get, none_failed};

/// What a command came to: its status, and what it printed on both ways.
#[derive(Debug)]
struct Said {
    status: Option<i32>,
    out: String,
    error: String,
}

/// A command at this node's daemon.
async fn say(world: &World, node: &str, words: &[&str]) -> Said {
    let admin = format!("unix:{}", world.run_dir(node).join("admin.sock").display());
    let output = tokio::process::Command::new(backchat()).args(words).args(["--admin", &admin]).output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { status: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
}

/// It did, with nothing to complain about.
async fn does(world: &World, node: &str, words: &[&str], out: &str) {
    let said = say(world, node, words).await;
    assert_eq!((said.status, said.out.as_str()), (Some(0), out), "{said:?}\n{}", world.last_words());
}

async fn refused(world: &World, node: &str, words: &[&str], why: &str) {
    let said = say(world, node, words).await;
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{said:?}");
    assert_eq!(said.error, format!("{}: {why}\n", words[0]));
}

fn served(world: &World, name: &str) -> u64 {
    world.agents[name].web.as_ref().map_or(0, Web::served)
}

/// The member as this node's `members` shows it.
async fn member(world: &World, node: &str, name: &str) -> Value {
    let answer = world.json(node, &["members"]).await.unwrap_or_default();
    let all = answer["members"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|m| m["name"] == name).unwrap_or_default()
}

/// The service as this balancer's `services` shows it.
async fn service(world: &World, balancer: &str, name: &str) -> Value {
    let answer = world.json(balancer, &["services"]).await.unwrap_or_default();
    let all = answer["services"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|s| s["name"] == name).unwrap_or_default()
}

/// Two balancers and three servers, under load at both.
async fn world(driver: Driver) -> (World, Vec<Traffic>) {
    let mut world = World::new(driver).await;
    world.start_balancer("proxy2", &[]).await;
    for web in ["web1", "web2", "web3"] {
        world.start_agent(web, &[]).await;
    }
    let mut traffic = Vec::new();
    for balancer in ["proxy", "proxy2"] {
        world.serves_at(balancer, &["web1", "web2", "web3"]).await;
        // A worker of before may answer once more, that knew nobody.
        world.converges_at(balancer).await;
        let kept = Load { clients: 4, ..world.load(balancer) };
        let fresh = Load { keep_alive: false, rest: Duration::from_millis(10), ..kept.clone() };
        traffic.extend([kept, fresh].map(|load| Traffic::start(&load).unwrap()));
    }
    (world, traffic)
}

pub(super) async fn a_node_is_drained_and_undrained_and_nobody_notices(driver: Driver) {
    let (world, traffic) = world(driver).await;
    // Asked at another agent; answered once both balancers have let go.
    does(&world, "web3", &["drain", "web1", "--wait"], "web1 drains; let go by proxy, proxy2\n").await;
    let before = served(&world, "web1");
    let version = member(&world, "proxy", "web1").await["version"].clone();
    // Again it changes nothing, from whomever it comes.
    does(&world, "proxy2", &["drain", "web1", "--wait"], "web1 drains; let go by proxy, proxy2\n").await;
    does(&world, "web1", &["drain", "web1"], "web1 drains\n").await;
    let shown = member(&world, "proxy", "web1").await;
    assert_eq!((&shown["state"], &shown["why"]), (&"draining".into(), &"drained by hand".into()));
    assert_eq!((&shown["liveness"], &shown["version"]), (&"alive".into(), &version));
    for balancer in ["proxy", "proxy2"] {
        let web = service(&world, balancer, "web").await;
        assert_eq!((&web["ready"], &web["drain"], &web["total"]), (&2.into(), &1.into(), &3.into()), "{web}");
    }
    for node in ["proxy", "web2"] {
        assert_eq!(world.json(node, &["status"]).await.unwrap()["drained"], serde_json::json!(["web1"]));
        let said = say(&world, node, &["status"]).await;
        assert!(said.status == Some(0) && said.out.contains("by hand: web1; until 'backchat undrain'"), "{said:?}");
    }
    world.serves(&["web2", "web3"]).await;
    assert_eq!(served(&world, "web1"), before, "not one request came");
    does(&world, "web1", &["undrain", "web1", "--wait"], "web1 serves again; served by proxy, proxy2\n").await;
    for balancer in ["proxy", "proxy2"] {
        world.serves_at(balancer, &["web1", "web2", "web3"]).await;
    }
    assert_eq!(world.json("proxy", &["status"]).await.unwrap()["drained"], serde_json::json!([]));
    for one in traffic {
        none_failed(one).await;
    }
}

pub(super) async fn one_service_is_drained_and_the_other_serves_on(driver: Driver) {
    let mut world = World::with(driver, &["web1", "web2"]).await;
    let server = Web::start(([127, 0, 0, 1], 0).into(), "api").await.unwrap();
    let api = format!("api:{},host=api.example", server.addr().port());
    world.start_agent("web3", &["--service", &api]).await;
    world.serves(&["web1", "web2", "web3"]).await;
    let http = world.proxy().http;
    let api = || async { get(http, "api.example").await };
    world.eventually("api is served", || async { api().await.is_some_and(|(status, _)| status == 200) }).await;
    does(&world, "proxy", &["drain", "web3/web", "--wait"], "web3/web drains; let go by proxy\n").await;
    world.serves(&["web1", "web2"]).await;
    assert_eq!(api().await.map(|(status, _)| status), Some(200));
    let shown = member(&world, "web1", "web3").await;
    assert_eq!((&shown["state"], &shown["why"]), (&"serving".into(), &"web drained by hand".into()));
    assert_eq!(world.json("web1", &["status"]).await.unwrap()["drained"], serde_json::json!(["web3/web"]));
    // The last one of a service goes with --force alone, and then it is 503.
    let last =
        "web3 is the last that serves api: without it requests get 503, or 502 by --hipache; --force drains it still";
    refused(&world, "proxy", &["drain", "web3/api"], last).await;
    refused(&world, "web1", &["drain", "web3"], last).await;
    let said = say(&world, "web1", &["drain", "web3", "--force", "--wait"]).await;
    assert_eq!((said.status, said.out.as_str()), (Some(0), "web3 drains; let go by proxy\n"), "{said:?}");
    assert!(said.error.contains("nobody serves api now: requests get 503"), "{said:?}");
    assert_eq!(api().await.map(|(status, _)| status), Some(503));
    let whole = "web3 is drained as a whole: 'backchat undrain web3'";
    refused(&world, "proxy", &["undrain", "web3/api"], whole).await;
    does(&world, "proxy", &["undrain", "web3", "--wait"], "web3 serves again; served by proxy\n").await;
    world.serves(&["web1", "web2", "web3"]).await;
    assert_eq!(api().await.map(|(status, _)| status), Some(200));
}

pub(super) async fn what_cannot_be_drained_is_said(driver: Driver) {
    let mut world = World::with(driver, &["web1", "web2"]).await;
    refused(&world, "web1", &["drain", "web9"], "no member is called web9; there are web1, web2").await;
    refused(&world, "proxy", &["undrain", "web1/api"], "web1 offers no service api; it offers web").await;
    refused(&world, "proxy", &["drain", "proxy"], "proxy is a balancer: it offers no service").await;
    world.crash("web2");
    world.members("proxy", &[("web2", "failed")]).await;
    let dead = "web2 is not alive, it has failed: there is nothing to order";
    refused(&world, "proxy", &["drain", "web2"], dead).await;
    let said = say(&world, "proxy", &["drain", "we b"]).await;
    assert_eq!(said.status, Some(64), "{said:?}");
}

/// A slow request keeps a balancer from letting go: whoever waits is told who is missing, and it drains on.
pub(super) async fn a_wait_ends_at_its_deadline_and_names_who_is_missing(driver: Driver) {
    let world = World::with(driver, &["web1"]).await;
    let slow = format!("http://{}/slow?ms=60000", world.proxy().http);
    let before = served(&world, "web1");
    let request = tokio::spawn(reqwest::get(slow));
    world.eventually("it is under way", || async { served(&world, "web1") > before }).await;
    let words = ["drain", "web1", "--force", "--wait", "--timeout", "2500ms"];
    let said = say(&world, "web1", &words).await;
    assert_eq!((said.status, said.out.as_str()), (Some(75), ""), "{said:?}");
    // Usually `still drains`; on a busy machine `no answer in time`.
    assert!(said.error.contains("drain: waiting for proxy ("), "{said:?}");
    assert!(said.error.contains("drain: web1 is not let go within 2s 500ms: proxy ("), "{said:?}");
    assert_eq!(member(&world, "proxy", "web1").await["state"], "draining");
    // The request ends: then the same wait has an end too.
    request.abort();
    does(&world, "proxy", &["undrain", "web1", "--wait"], "web1 serves again; served by proxy\n").await;
}

/// A balancer that restarts or joins keeps to what was drained before; an agent that restarts has forgotten it.
pub(super) async fn it_holds_for_balancers_to_come_and_as_long_as_the_agent_lives(driver: Driver) {
    let mut world = World::with(driver, &["web1", "web2"]).await;
    does(&world, "proxy", &["drain", "web1", "--wait"], "web1 drains; let go by proxy\n").await;
    world.start_balancer("late", &[]).await;
    world.serves_at("late", &["web2"]).await;
    let lb = &mut world.balancers.get_mut("proxy").unwrap().process;
    lb.terminate().unwrap();
    lb.ended(PATIENCE).await.unwrap().expect("it ends, and its data plane with it");
    let before = served(&world, "web1");
    world.restart_balancer("proxy");
    world.members("late", &[("proxy", "alive")]).await;
    world.serves(&["web2"]).await;
    does(&world, "late", &["drain", "web1", "--wait"], "web1 drains; let go by late, proxy\n").await;
    assert_eq!(served(&world, "web1"), before, "not one request came, at no time");
    // A leave of what was drained by hand is a leave like any other; a new life serves.
    let agent = &mut world.agents.get_mut("web1").unwrap().process;
    agent.terminate().unwrap();
    let status = agent.ended(PATIENCE).await.unwrap();
    assert_eq!(status.and_then(|s| s.code()), Some(0), "{}", world.last_words());
    world.restart_agent("web1", &[]);
    for balancer in ["late", "proxy"] {
        world.serves_at(balancer, &["web1", "web2"]).await;
    }
}

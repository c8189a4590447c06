//! Leaving with several balancers: none that dies, restarts, joins or stays silent in the middle costs a request, nor
//! keeps the leaver for ever.
//!
//! What holds a drain open is a slow request, for as long as a scene wants it.

use std::{net::SocketAddr, time::Duration};

use backchat::demo::{Driver, Traffic, Web, traffic::Load};
use rustix::process::Signal;
use tokio::{task::JoinHandle, time::Instant};

use super::world::{Agent, PATIENCE, World, none_failed};
use crate::signal::{halt, send};

/// By how much an answer may seem later than the end of the agent that waited for it: two tasks of a busy machine. Far
/// less than what the slow requests take.
const SLACK: Duration = Duration::from_millis(1500);
/// Longer than any scene takes.
const FOR_GOOD: u64 = 60_000;

/// Clients that keep their connection and clients that do not, at each of these balancers.
fn traffic(world: &World, balancers: &[&str]) -> Vec<Traffic> {
    let loads = balancers.iter().flat_map(|name| {
        let kept = Load { clients: 4, ..world.load(name) };
        [Load { keep_alive: false, rest: Duration::from_millis(10), ..kept.clone() }, kept]
    });
    loads.map(|load| Traffic::start(&load).expect("traffic starts")).collect()
}

async fn all_went_well(traffic: Vec<Traffic>) {
    for one in traffic {
        none_failed(one).await;
    }
}

/// A request through this balancer that takes this long, under way at web1; before there is other traffic. It is one that
/// nobody may send again.
async fn slow(world: &World, balancer: &str, ms: u64) -> JoinHandle<(Option<(u16, String)>, Instant)> {
    let begun = || world.agents.values().map(served).sum::<u64>();
    loop {
        let (all, here) = (begun(), served(&world.agents["web1"]));
        let http = world.balancers[balancer].http;
        let request = tokio::spawn(async move { (ask(http, ms).await, Instant::now()) });
        world.eventually("a slow request is under way", || async { begun() > all }).await;
        if served(&world.agents["web1"]) > here {
            return request;
        }
        // It went to another server: the next one goes to the next.
        request.abort();
    }
}

fn served(agent: &Agent) -> u64 {
    agent.web.as_ref().map_or(0, Web::served)
}

async fn ask(addr: SocketAddr, ms: u64) -> Option<(u16, String)> {
    let answer = reqwest::Client::new().post(format!("http://{addr}/slow?ms={ms}")).body("x").send().await.ok()?;
    let status = answer.status().as_u16();
    Some((status, answer.text().await.ok()?.trim().to_owned()))
}

/// Whether new requests go from this balancer to web1.
async fn takes(world: &World, balancer: &str) -> Option<bool> {
    world.plane(balancer).takes(world.agents["web1"].addr).await.ok()
}

async fn takes_no_more(world: &World, balancer: &str) {
    let out = || async { takes(world, balancer).await == Some(false) };
    world.eventually(&format!("{balancer} sends nothing to web1"), out).await;
}

/// A world with these balancers beside `proxy`, and web1 to web3 serving at each; web1 drains for this long.
async fn world(driver: Driver, others: &[&str], drain_timeout: &str) -> World {
    world_of(driver, others, &[], drain_timeout).await
}

/// The same, the balancers beside `proxy` run with more arguments.
async fn world_of(driver: Driver, others: &[&str], more: &[&str], drain_timeout: &str) -> World {
    let mut world = World::new(driver).await;
    for balancer in others {
        world.start_balancer(balancer, more).await;
    }
    for web in ["web1", "web2", "web3"] {
        world.start_agent(web, &["--drain-timeout", drain_timeout]).await;
    }
    for balancer in others.iter().chain(&["proxy"]) {
        world.serves_at(balancer, &["web1", "web2", "web3"]).await;
        // A worker of before may answer once more, that knew nobody.
        world.converges_at(balancer).await;
    }
    world
}

/// Waits until web1's agent has ended well, and takes its web server away then. Its last words, and when it ended.
async fn gone(world: &mut World) -> (String, Instant) {
    let agent = &mut world.agents.get_mut("web1").unwrap().process;
    let status = agent.ended(PATIENCE).await.unwrap();
    let ended = Instant::now();
    world.agents.get_mut("web1").unwrap().web = None;
    assert_eq!(status.and_then(|s| s.code()), Some(0), "{}", world.last_words());
    (world.agents["web1"].process.last_words(20), ended)
}

/// A slow request was answered by web1, and before its agent ended: the agent waited for it.
async fn answered_before(ended: Instant, request: JoinHandle<(Option<(u16, String)>, Instant)>) {
    let (answer, at) = request.await.unwrap();
    assert_eq!(answer, Some((200, "web1".into())));
    assert!(at < ended + SLACK, "answered {:?} after the agent's end", at.duration_since(ended));
}

pub(super) async fn several_balancers_let_go_and_what_is_in_flight_ends(driver: Driver) {
    let mut world = world(driver, &["proxy2", "proxy3"], "10m").await;
    let slow = [slow(&world, "proxy", 5000).await, slow(&world, "proxy3", 6000).await];
    let traffic = traffic(&world, &["proxy", "proxy2", "proxy3"]);
    world.agents["web1"].process.terminate().unwrap();
    let (words, ended) = gone(&mut world).await;
    assert!(words.contains("drained balancers=\"proxy, proxy2, proxy3\""), "{words}");
    for request in slow {
        answered_before(ended, request).await;
    }
    for balancer in ["proxy", "proxy2", "proxy3"] {
        world.serves_at(balancer, &["web2", "web3"]).await;
    }
    all_went_well(traffic).await;
}

/// One of each kind: each lets go in its own way, and is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn balancers_of_different_kinds_let_go_each_in_its_way() {
    let mut world = World::new(Driver::Haproxy).await;
    world.start_balancer_of(Driver::Nginx, "proxy2", &[]).await;
    world.start_balancer_of(Driver::Openresty, "proxy3", &[]).await;
    for web in ["web1", "web2", "web3"] {
        world.start_agent(web, &["--drain-timeout", "10m"]).await;
    }
    for balancer in ["proxy", "proxy2", "proxy3"] {
        world.serves_at(balancer, &["web1", "web2", "web3"]).await;
        world.converges_at(balancer).await;
    }
    let slow =
        [slow(&world, "proxy", 3000).await, slow(&world, "proxy2", 8000).await, slow(&world, "proxy3", 5000).await];
    let traffic = traffic(&world, &["proxy", "proxy2", "proxy3"]);
    world.agents["web1"].process.terminate().unwrap();
    let (words, ended) = gone(&mut world).await;
    assert!(words.contains("drained balancers=\"proxy, proxy2, proxy3\""), "{words}");
    for request in slow {
        answered_before(ended, request).await;
    }
    for balancer in ["proxy", "proxy2", "proxy3"] {
        world.serves_at(balancer, &["web2", "web3"]).await;
    }
    all_went_well(traffic).await;
}

/// Its data plane outlives it, and nobody is left to say whether it has let go: the drain takes all the time that it has.
pub(super) async fn a_balancer_dies_for_good_while_web1_drains(driver: Driver) {
    let mut world = world(driver, &["proxy2"], "6s").await;
    let held = slow(&world, "proxy2", FOR_GOOD).await;
    let traffic = traffic(&world, &["proxy", "proxy2"]);
    world.agents["web1"].process.terminate().unwrap();
    let began = Instant::now();
    takes_no_more(&world, "proxy2").await;
    world.balancers.get_mut("proxy2").unwrap().process.kill().unwrap();
    let (words, ended) = gone(&mut world).await;
    assert!(ended - began > Duration::from_secs(5), "it left before its deadline: {words}");
    assert!(words.contains("s ago: its data plane may serve on; waiting for it until the drain deadline"), "{words}");
    assert!(words.contains("not drained within 6s, leaving all the same: failed"), "{words}");
    assert_eq!(words.matches("balancer=proxy2").count(), 2, "{words}");
    all_went_well(traffic).await;
    held.abort();
}

/// The agent of web1 says that it waits for proxy2 though that is gone.
async fn waits_for_proxy2(world: &World) {
    let words = "until the drain deadline balancer=proxy2";
    let waits = || async { world.agents["web1"].process.last_words(20).contains(words) };
    world.eventually("web1 waits for proxy2", waits).await;
}

/// Back it finds the record that drains, and its data plane as it was: the leaver has waited, and asks it anew.
pub(super) async fn a_balancer_restarts_while_web1_drains(driver: Driver) {
    let mut world = world(driver, &["proxy2"], "10m").await;
    let held = slow(&world, "proxy2", 8000).await;
    let traffic = traffic(&world, &["proxy", "proxy2"]);
    world.agents["web1"].process.terminate().unwrap();
    takes_no_more(&world, "proxy2").await;
    let lb = &mut world.balancers.get_mut("proxy2").unwrap().process;
    lb.kill().unwrap();
    lb.ended(PATIENCE).await.unwrap().expect("it was killed");
    waits_for_proxy2(&world).await;
    world.restart_balancer("proxy2");
    let (words, ended) = gone(&mut world).await;
    answered_before(ended, held).await;
    assert!(words.contains("drained balancers=\"proxy, proxy2\""), "{words}");
    all_went_well(traffic).await;
}

/// web1 leaves while proxy2 is gone as said, and its data plane gives web1 requests all the while.
async fn web1_leaves_while_proxy2_is(driver: Driver, gone_as: &str) {
    let keep = ["--on-exit", "keep"];
    let mut world = world_of(driver, &["proxy2"], &keep, "10m").await;
    let held = slow(&world, "proxy2", 8000).await;
    let lb = &mut world.balancers.get_mut("proxy2").unwrap().process;
    if gone_as == "left" {
        lb.terminate().unwrap();
    } else {
        lb.kill().unwrap();
    }
    lb.ended(PATIENCE).await.unwrap().expect("it ends");
    world.members("web1", &[("proxy2", gone_as)]).await;
    let traffic = traffic(&world, &["proxy", "proxy2"]);
    world.agents["web1"].process.terminate().unwrap();
    waits_for_proxy2(&world).await;
    takes_no_more(&world, "proxy").await;
    assert_eq!(takes(&world, "proxy2").await, Some(true), "nobody is there to drain it");
    world.restart_balancer_with("proxy2", &keep);
    let (words, ended) = gone(&mut world).await;
    answered_before(ended, held).await;
    assert!(words.contains("drained balancers=\"proxy, proxy2\""), "{words}");
    all_went_well(traffic).await;
}

pub(super) async fn a_balancer_is_dead_as_web1_begins_to_drain(driver: Driver) {
    web1_leaves_while_proxy2_is(driver, "failed").await;
}

pub(super) async fn a_balancer_was_restarted_gracefully_as_web1_begins_to_drain(driver: Driver) {
    web1_leaves_while_proxy2_is(driver, "left").await;
}

/// It ends its data plane itself, and whatever it held with it: nothing is left to wait for.
pub(super) async fn a_balancer_that_ends_its_data_plane_is_not_waited_for(driver: Driver) {
    let mut world = world(driver, &["proxy2"], "10m").await;
    let held = slow(&world, "proxy2", FOR_GOOD).await;
    let traffic = traffic(&world, &["proxy"]);
    world.agents["web1"].process.terminate().unwrap();
    takes_no_more(&world, "proxy2").await;
    world.balancers["proxy2"].process.terminate().unwrap();
    let (words, _) = gone(&mut world).await;
    assert!(words.contains("leaving without its word balancer=proxy2"), "{words}");
    all_went_well(traffic).await;
    held.abort();
}

/// A second signal hurries, whoever is waited for.
pub(super) async fn a_second_signal_waits_for_no_balancer(driver: Driver) {
    let mut world = world(driver, &["proxy2"], "10m").await;
    world.balancers.get_mut("proxy2").unwrap().process.kill().unwrap();
    world.members("web1", &[("proxy2", "failed")]).await;
    world.agents["web1"].process.terminate().unwrap();
    waits_for_proxy2(&world).await;
    world.agents["web1"].process.terminate().unwrap();
    let (words, _) = gone(&mut world).await;
    assert!(words.contains("the drain is cut short"), "{words}");
}

/// It never sends anything to who drains, and is asked like the others.
pub(super) async fn a_balancer_joins_while_web1_drains(driver: Driver) {
    let mut world = world(driver, &[], "10m").await;
    let held = slow(&world, "proxy", FOR_GOOD).await;
    let before = traffic(&world, &["proxy"]);
    world.agents["web1"].process.terminate().unwrap();
    takes_no_more(&world, "proxy").await;
    world.start_balancer("late", &[]).await;
    world.serves_at("late", &["web2", "web3"]).await;
    let after = traffic(&world, &["late"]);
    assert!(world.agents.get_mut("web1").unwrap().process.is_running(), "{}", world.last_words());
    world.agents["web1"].web.as_ref().expect("it serves").hurry();
    let (words, ended) = gone(&mut world).await;
    answered_before(ended, held).await;
    assert!(words.contains("drained balancers=\"late, proxy\""), "{words}");
    all_went_well(before).await;
    for traffic in after {
        assert_eq!(none_failed(traffic).await.by("web1"), 0);
    }
}

/// Its daemon lives, gossips and is asked, but its data plane is stopped: it can never say that it has let go.
pub(super) async fn a_balancer_that_never_confirms_holds_no_longer_than_the_deadline(driver: Driver) {
    let mut world = world(driver, &["proxy2"], "2s").await;
    let traffic = traffic(&world, &["proxy"]);
    let stopped = world.plane("proxy2").stop().await;
    world.agents["web1"].process.terminate().unwrap();
    let (words, _) = gone(&mut world).await;
    drop(stopped);
    assert!(
        words.contains("not drained within 2s, leaving all the same: ") && words.contains("balancer=proxy2"),
        "{words}"
    );
    world.serves(&["web2", "web3"]).await;
    all_went_well(traffic).await;
}

/// A daemon that is stopped answers nobody, and its data plane serves on.
pub(super) async fn a_balancer_that_is_stopped_is_left_behind_by_name_at_the_deadline(driver: Driver) {
    let mut world = world(driver, &["proxy2"], "5s").await;
    let traffic = traffic(&world, &["proxy"]);
    halt(world.balancers["proxy2"].process.pid());
    world.agents["web1"].process.terminate().unwrap();
    let (words, _) = gone(&mut world).await;
    assert!(words.contains("not drained within 5s, leaving all the same"), "{words}");
    assert!(words.contains("balancer=proxy2"), "{words}");
    // It comes back, and finds out by itself.
    send(world.balancers["proxy2"].process.pid(), Signal::CONT);
    world.serves_at("proxy2", &["web2", "web3"]).await;
    all_went_well(traffic).await;
}

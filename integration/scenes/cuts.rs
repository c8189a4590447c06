//! Cuts between hosts, and deaths on both sides of them. Needs root, for network namespaces.
//!
//! The balancer is on host 0 and the web servers on host 1, so that every cut is the balancer's own. The ten minutes
//! without gossip, and larger clusters, are the simulator's.

use std::{collections::BTreeSet, process::Command, time::Duration};

use serde_json::Value;
use tokio::time::Instant;

use super::namespaces::{Hosts, PATIENCE};

/// For how long nothing may change: longer than it takes to declare everybody down.
const LONG: Duration = Duration::from_secs(8);

/// The balancer, and so many web servers on the other host, all of them served.
fn world(tag: &str, webs: u16) -> Option<Hosts> {
    let mut hosts = Hosts::new(tag)?;
    hosts.start_lb();
    (1..=webs).for_each(|nth| hosts.start_web(1, nth));
    serves(&hosts, 1..=webs);
    Some(hosts)
}

fn names(webs: impl Iterator<Item = u16>) -> BTreeSet<String> {
    webs.map(|nth| format!("web{nth}")).collect()
}

/// Waits until requests reach these web servers and no other.
fn serves(hosts: &Hosts, webs: impl Iterator<Item = u16>) {
    let wanted = names(webs);
    let began = Instant::now();
    while hosts.served(3 * wanted.len()) != wanted {
        assert!(began.elapsed() < PATIENCE, "not {wanted:?} but {:?}\n{}", hosts.served(6), hosts.last_words());
    }
}

/// Waits until a command's answer is as said.
async fn until(hosts: &Hosts, command: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let answer = hosts.json("proxy", &[command]).await;
        if is(&answer) {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: {answer:#}\n{}", hosts.last_words());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Ready, draining and held endpoints of the only service.
fn counts(services: &Value) -> [u64; 3] {
    ["ready", "drain", "held"].map(|part| services["services"][0][part].as_u64().unwrap_or(99))
}

async fn holds(hosts: &Hosts, wanted: u64) -> Value {
    let held = |answer: &Value| answer["held"][0]["endpoints"].as_array().map_or(0, Vec::len) as u64 == wanted;
    until(hosts, "status", &format!("{wanted} are held"), held).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balancer_cut_off_from_gossip_changes_nothing() {
    let Some(hosts) = world("g", 4) else { return };
    hosts.cut_gossip(true);
    let status = holds(&hosts, 4).await;
    let id = status["held"][0]["id"].as_str().unwrap().to_owned();
    let all = |answer: &Value| counts(answer) == [4, 0, 4];
    until(&hosts, "services", "all serve on, none drains", all).await;
    let began = Instant::now();
    while began.elapsed() < LONG {
        assert_eq!(hosts.served(12), names(1..=4), "{}", hosts.last_words());
        let services = hosts.json("proxy", &["services"]).await;
        assert!(all(&services), "{services:#}\n{}", hosts.last_words());
    }
    // It is said by all who speak: status, log and metrics.
    let words = hosts.words("proxy");
    assert!(words.contains(&format!("backchat release {id} lets it go")), "{words}");
    let admin = hosts.run_dir("proxy").join("admin.sock").display().to_string();
    let metrics = Command::new("curl").args(["-s", "--unix-socket", &admin, "http://localhost/metrics"]).output();
    let metrics = String::from_utf8_lossy(&metrics.unwrap().stdout).into_owned();
    assert!(metrics.contains("backchat_guard_held{service=\"web\"} 4\n"), "{metrics}");
    hosts.cut_gossip(false);
    let status = until(&hosts, "status", "the cluster is back", |s| s["held"].as_array().is_some_and(Vec::is_empty));
    let status = status.await;
    assert_eq!((&status["reloads"], &status["flapping"]), (&Value::from(0), &Value::Array(Vec::new())));
    serves(&hosts, 1..=4);
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_die_are_out_however_many_while_their_host_answers() {
    let Some(mut hosts) = world("d", 5) else { return };
    hosts.crash("web1");
    serves(&hosts, 2..=5);
    // Of the four that are left, all at once.
    (2..=5).for_each(|nth| hosts.crash(&format!("web{nth}")));
    let none = |answer: &Value| answer["services"][0]["total"] == 0;
    until(&hosts, "services", "none is left", none).await;
    let status = hosts.json("proxy", &["status"]).await;
    assert_eq!(status["held"], Value::Array(Vec::new()), "{}", hosts.last_words());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_falls_silent_is_held_until_it_is_let_go() {
    let Some(mut hosts) = world("s", 2) else { return };
    hosts.cut(true);
    let status = holds(&hosts, 2).await;
    // One of them dies where nobody here can see it.
    hosts.crash("web1");
    let id = status["held"][0]["id"].as_str().unwrap();
    let released = hosts.json("proxy", &["release", id]).await;
    assert_eq!(released["hold"], id, "{released}");
    until(&hosts, "services", "what is released goes", |answer| answer["services"][0]["total"] == 0).await;
    hosts.cut(false);
    serves(&hosts, 2..=2);
}

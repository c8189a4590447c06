//! Some of ten web servers die at once, each on a host by itself: they are killed, or their hosts fall silent, on
//! this side of a cut and on that. Needs root, for network namespaces.
//!
//! The balancer tells three cases apart: hosts that refuse prove the path, and all that refuse go; of those that are
//! silent a minority goes after its suspicion, a majority is held, for then it may be the balancer that is cut off.

use std::{collections::BTreeSet, ops::RangeInclusive, time::Duration};

use serde_json::Value;
use tokio::time::Instant;

use super::namespaces::{Client, Hosts, PATIENCE};

const ALL: RangeInclusive<u16> = 1..=10;
/// Where the other balancer is, if there is one.
const OTHER: usize = 11;

/// A balancer on host 0, and ten web servers, each on the host of its number; all of them serve.
async fn world(tag: &str) -> Option<Hosts> {
    told(tag, &[]).await
}

/// The same with more arguments for the balancer.
async fn told(tag: &str, more: &[&str]) -> Option<Hosts> {
    let mut hosts = Hosts::on_a_switch(tag, OTHER + 1)?;
    hosts.start_lb_told(more);
    ALL.for_each(|nth| hosts.start_web(usize::from(nth), nth));
    until(&hosts, "proxy", [10, 0, 0]).await;
    Some(hosts)
}

/// The hosts of these web servers fall silent: nobody reaches them, nor they anybody.
fn silence(hosts: &Hosts, webs: RangeInclusive<usize>) {
    hosts.part(webs, 0..=OTHER);
}

fn names(webs: RangeInclusive<u16>) -> BTreeSet<String> {
    webs.map(|nth| format!("web{nth}")).collect()
}

/// Waits until the only service is as wanted in a balancer's own words: how many endpoints pass the data plane's
/// check and take requests, how many drain, how many are held.
async fn until(hosts: &Hosts, node: &str, wanted: [u64; 3]) -> Value {
    let began = Instant::now();
    loop {
        let services = hosts.json(node, &["services"]).await;
        let service = &services["services"][0];
        let counts = ["ready", "drain", "held"].map(|part| service[part].as_u64().unwrap_or_default());
        // Those that are held are in it, and nobody else who does not serve.
        let total = service["total"].as_u64().unwrap_or_default();
        if counts == wanted && total == wanted.iter().sum::<u64>() {
            return hosts.json(node, &["status"]).await;
        }
        assert!(began.elapsed() < PATIENCE, "{node}: not {wanted:?}: {services:#}\n{}", hosts.last_words());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until requests at a host's balancer reach these web servers, one after another, and no other.
fn serves(hosts: &Hosts, host: usize, webs: RangeInclusive<u16>) {
    let wanted = names(webs);
    let began = Instant::now();
    while hosts.served_on(host, 2 * wanted.len()) != wanted {
        let seen = hosts.served_on(host, 10);
        assert!(began.elapsed() < PATIENCE, "not {wanted:?} but {seen:?}\n{}", hosts.last_words());
    }
}

/// Waits until a client has so many more answers; returns all of them.
async fn more(hosts: &Hosts, client: &Client, more: usize) -> Vec<String> {
    let (began, before) = (Instant::now(), client.answers().len());
    loop {
        let answers = client.answers();
        if answers.len() >= before + more {
            return answers;
        }
        assert!(began.elapsed() < PATIENCE, "no more answers\n{}", hosts.last_words());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn failures(answers: &[String]) -> usize {
    answers.iter().filter(|status| *status != "200").count()
}

/// None of a client's requests has failed since the first.
async fn none_failed(hosts: &Hosts, client: &Client) {
    let answers = more(hosts, client, 10).await;
    assert_eq!(failures(&answers), 0, "of {}\n{}", answers.len(), hosts.last_words());
}

/// None fails from here on. What is under way may have begun before.
async fn none_fails(hosts: &Hosts, client: &Client) {
    let before = more(hosts, client, 1).await;
    let answers = more(hosts, client, 10).await;
    assert_eq!(failures(&answers[before.len()..]), 0, "of {}\n{}", answers.len(), hosts.last_words());
}

fn never_held(hosts: &Hosts, node: &str) {
    let log = hosts.log(node);
    assert!(!log.contains("held:"), "{log}");
}

/// So many are killed, with their agents, and then all others.
async fn check_killed(tag: &str, dead: u16) {
    let Some(mut hosts) = world(tag).await else { return };
    let clients = [true, false].map(|keeps| hosts.client(0, keeps));
    for client in &clients {
        none_failed(&hosts, client).await;
    }
    (1..=dead).for_each(|nth| hosts.crash(&format!("web{nth}")));
    until(&hosts, "proxy", [u64::from(10 - dead), 0, 0]).await;
    for client in &clients {
        // HAProxy tries four: where more are dead it may meet none that lives before they are out.
        if dead < 4 {
            none_failed(&hosts, client).await;
        } else {
            none_fails(&hosts, client).await;
        }
    }
    serves(&hosts, 0, dead + 1..=10);
    (dead + 1..=10).for_each(|nth| hosts.crash(&format!("web{nth}")));
    until(&hosts, "proxy", [0, 0, 0]).await;
    never_held(&hosts, "proxy");
}

/// A minority goes, but for so many as the operator wants to stay; they may go when they prove dead.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_silent_minority_as_many_stay_as_min_ready_says() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("lb.toml");
    std::fs::write(&config, "[services.web]\nmin-ready = 9\n").unwrap();
    let Some(hosts) = told("mr", &["--config", config.to_str().unwrap()]).await else { return };
    let client = hosts.client(0, false);
    none_failed(&hosts, &client).await;
    silence(&hosts, 1..=2);
    let status = until(&hosts, "proxy", [8, 0, 1]).await;
    let why = status["held"][0]["why"].as_str().unwrap_or_default();
    assert!(why.contains("1 of 9 endpoints of web") || why.contains("1 of 10 endpoints of web"), "{status:#}");
    assert!(why.contains("min-ready is 9"), "{status:#}");
    none_fails(&hosts, &client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_of_ten_that_are_killed_are_out() {
    check_killed("k3", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn six_of_ten_that_are_killed_are_out() {
    check_killed("k6", 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_of_ten_hosts_that_fall_silent_are_out() {
    let Some(hosts) = world("q3").await else { return };
    let client = hosts.client(0, false);
    none_failed(&hosts, &client).await;
    silence(&hosts, 1..=3);
    hosts.sees("proxy", &["web1", "web2", "web3"].map(|name| (name, "failed"))).await;
    serves(&hosts, 0, 4..=10);
    none_fails(&hosts, &client).await;
    hosts.join();
    until(&hosts, "proxy", [10, 0, 0]).await;
    let answers = more(&hosts, &client, 10).await;
    // It asks for one thing at a time, and only what was under way at a host when that fell silent is lost.
    assert!(failures(&answers) <= 1, "{} of {}\n{}", failures(&answers), answers.len(), hosts.last_words());
    never_held(&hosts, "proxy");
    let log = hosts.log("proxy");
    assert!((1..=3).all(|nth| log.contains(&format!("Remove kind=Endpoint id=web/web{nth} "))), "{log}");
}

/// Six of ten are silent and held, while the others serve; then those that are held come back.
#[tokio::test(flavor = "multi_thread")]
async fn six_of_ten_hosts_that_fall_silent_are_held_until_they_are_back() {
    let Some(hosts) = world("q6").await else { return };
    let client = hosts.client(0, false);
    none_failed(&hosts, &client).await;
    silence(&hosts, 1..=6);
    until(&hosts, "proxy", [4, 0, 6]).await;
    none_fails(&hosts, &client).await;
    hosts.join();
    let status = until(&hosts, "proxy", [10, 0, 0]).await;
    none_fails(&hosts, &client).await;
    assert_eq!((&status["reloads"], &status["flapping"]), (&Value::from(0), &Value::Array(Vec::new())));
    assert!(!hosts.log("proxy").contains("Remove kind=Endpoint"), "{}", hosts.log("proxy"));
}

#[tokio::test(flavor = "multi_thread")]
async fn six_of_ten_silent_hosts_go_when_they_are_let_go() {
    let Some(hosts) = world("r6").await else { return };
    silence(&hosts, 1..=6);
    let status = until(&hosts, "proxy", [4, 0, 6]).await;
    let id = status["held"][0]["id"].as_str().unwrap();
    let released = hosts.json("proxy", &["apply", "--accept", id]).await;
    assert_eq!(released["hold"], id, "{released}");
    until(&hosts, "proxy", [4, 0, 0]).await;
    serves(&hosts, 0, 7..=10);
}

/// Four of ten and a balancer on this side, six and another balancer on that. Each side serves its own.
#[tokio::test(flavor = "multi_thread")]
async fn both_sides_of_a_cut_serve_their_own() {
    let Some(mut hosts) = world("b").await else { return };
    hosts.start_lb_on(OTHER, "other");
    until(&hosts, "other", [10, 0, 0]).await;
    let clients = [0, OTHER].map(|host| hosts.client(host, false));
    for client in &clients {
        none_failed(&hosts, client).await;
    }
    hosts.part(0..=4, 5..=OTHER);
    // Seven of twelve members are silent here, five of twelve there.
    until(&hosts, "proxy", [4, 0, 6]).await;
    until(&hosts, "other", [6, 0, 0]).await;
    // Deaths on either side are seen where they are, and nowhere else.
    hosts.crash("web1");
    hosts.crash("web5");
    until(&hosts, "proxy", [3, 0, 6]).await;
    until(&hosts, "other", [5, 0, 0]).await;
    for client in &clients {
        none_fails(&hosts, client).await;
    }
    serves(&hosts, 0, 2..=4);
    serves(&hosts, OTHER, 6..=10);
    hosts.join();
    for node in ["proxy", "other"] {
        until(&hosts, node, [8, 0, 0]).await;
    }
    for client in &clients {
        none_fails(&hosts, client).await;
    }
    never_held(&hosts, "other");
}

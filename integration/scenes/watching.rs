//! `backchat watch` and `/metrics`: what happens is told as it happens, over a restart of the daemon too, and the counts
//! say the same afterwards.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use backchat::demo::{Child, Driver};
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    namespaces::Hosts,
    plane::ANY,
    world::{World, backchat},
};
use crate::signal::send;

/// How long an event may take to be told: far beyond what any needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `watch` of a daemon.
struct Watcher {
    process: Child,
    log: PathBuf,
}

impl Watcher {
    /// One that listens already, to the daemon with this run folder.
    async fn start(run_dir: &Path, format: &str) -> Self {
        let mut log = run_dir.join(format!("watch-{format}.log"));
        let admin = format!("unix:{}", run_dir.join("admin.sock").display());
        let listening = format!("watching {admin}\n");
        let began = Instant::now();
        loop {
            let args = ["watch", "--admin", &admin, "--format", format];
            let mut watcher = Self { process: Child::start(backchat(), args, &log).expect("backchat starts"), log };
            // It ends where there is no daemon yet.
            while watcher.process.is_running() && !watcher.text().contains(&listening) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            if watcher.process.is_running() {
                return watcher;
            }
            assert!(began.elapsed() < PATIENCE, "{}", watcher.text());
            log = watcher.log;
        }
    }

    /// All that it printed and said.
    fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The events that it printed.
    fn events(&self) -> Vec<Value> {
        self.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The place of the first such event.
    fn place(&self, is_it: impl Fn(&Value) -> bool) -> Option<usize> {
        self.events().iter().position(is_it)
    }

    /// Waits until there is such an event.
    async fn tells(&self, what: &str, is_it: impl Fn(&Value) -> bool) {
        self.until(what, || self.place(&is_it).is_some()).await;
    }

    /// Waits until it has said so.
    async fn says(&self, words: &str) {
        let said = || self.text().lines().any(|line| line.starts_with("watch: ") && line.ends_with(words));
        self.until(words, said).await;
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < PATIENCE, "not told: {what}\n{}", self.text());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The member is so now.
fn turned(e: &Value, node: &str, to: &str) -> bool {
    e["kind"] == "member" && e["node"] == node && e["to"] == to
}

/// An endpoint of the set is so now, told by itself or with what its member did.
fn follows(e: &Value, endpoint: &str, change: &str) -> bool {
    let alone = e["kind"] == "endpoint" && e["subject"] == endpoint && e["change"] == change;
    alone || e["effect"].as_str().unwrap_or_default().contains(&format!("{change} {endpoint}"))
}

pub(super) async fn a_join_and_a_crash_are_told_with_what_follows_and_the_counts_agree(driver: Driver) {
    let mut world = World::new(driver).await;
    let run_dir = world.run_dir("proxy");
    let (json, text) = (Watcher::start(&run_dir, "json").await, Watcher::start(&run_dir, "text").await);
    for web in ["web1", "web2", "web3"] {
        world.start_agent(web, &[]).await;
    }
    world.serves(&["web1", "web2", "web3"]).await;
    world.crash("web3");
    world.members("proxy", &[("web3", "failed")]).await;
    world.serves(&["web1", "web2"]).await;
    json.tells("web3 is out", |e| follows(e, "web/web3", "remove")).await;
    json.tells("what was done is confirmed", |e| e["kind"] == "apply" && e["confirmed"] == true).await;
    let order = [
        json.place(|e| turned(e, "web3", "alive")),
        json.place(|e| follows(e, "web/web3", "add")),
        json.place(|e| turned(e, "web3", "failed")),
        json.place(|e| follows(e, "web/web3", "remove")),
    ];
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{order:?}\n{}", json.text());
    counts_agree(&world, &json).await;
    reads_well(text).await;
}

pub(super) async fn a_data_plane_that_is_killed_is_told_and_counted(driver: Driver) {
    let world = World::with(driver, &["web1"]).await;
    world.converges().await;
    let watcher = Watcher::start(&world.run_dir("proxy"), "json").await;
    world.plane("proxy").kill();
    watcher.tells("it was started again", |e| e["kind"] == "plane" && e["text"] == "started again").await;
    world.serves(&["web1"]).await;
    let counted = || async {
        let page = metrics(&world).await.unwrap_or_default();
        page.get("backchat_data_plane_restarts_total").is_some_and(|count| count == "1")
    };
    world.eventually("it is counted once", counted).await;
}

/// A host falls silent: its member is a suspect, and what it serves is drained before it is taken out. Needs root, for
/// network namespaces.
#[tokio::test(flavor = "multi_thread")]
async fn a_suspicion_is_told_with_the_drain_that_follows() {
    let Some(mut hosts) = Hosts::on_a_switch("w", 3) else { return };
    hosts.start_lb();
    (1..=3).for_each(|nth| hosts.start_web(1, nth));
    hosts.start_web(2, 4);
    hosts.sees("proxy", &[("web1", "alive"), ("web2", "alive"), ("web3", "alive"), ("web4", "alive")]).await;
    let watcher = Watcher::start(&hosts.run_dir("proxy"), "json").await;
    hosts.part([2].into_iter(), 0..2);
    watcher.tells("web4 is out", |e| follows(e, "web/web4", "remove")).await;
    let order = [
        watcher.place(|e| turned(e, "web4", "suspect")),
        watcher.place(|e| follows(e, "web/web4", "drain")),
        watcher.place(|e| turned(e, "web4", "failed")),
        watcher.place(|e| follows(e, "web/web4", "remove")),
    ];
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{order:?}\n{}", watcher.text());
}

/// How often members became what they are: the metrics count each time, and watch tells of those that it saw. What came and
/// went between two looks of it is not told, so it may be fewer: a suspect that failed, or answered, at once.
async fn counts_agree(world: &World, watcher: &Watcher) {
    let told = |to: &str| watcher.events().iter().filter(|e| e["kind"] == "member" && e["to"] == to).count() as u64;
    let same = || async {
        let Some(page) = metrics(world).await else { return false };
        let probed = page.get("backchat_gossip_probe_duration_seconds_count").is_some_and(|count| count != "0");
        let counted = |to: &str| {
            let name = format!("backchat_member_transitions_total{{to=\"{to}\"}}");
            page.get(&name).and_then(|count| count.parse::<u64>().ok())
        };
        // Nobody comes back, so nothing hides how often one failed or left, and without a suspicion all is told.
        let final_ones = ["failed", "left"].iter().all(|to| counted(to) == Some(told(to)));
        let others = ["alive", "suspect"].iter().all(|to| counted(to) >= Some(told(to)));
        let all_told = counted("suspect") != Some(0) || counted("alive") == Some(told("alive"));
        probed && final_ones && others && all_told
    };
    world.eventually(&format!("the counts are those of\n{}", watcher.text()), same).await;
    let page = metrics(world).await.expect("it answers");
    let count = |name: &str| page[name].parse::<u64>().unwrap();
    assert_eq!(count("backchat_changes_total{action=\"remove\"}"), 1, "{page:?}");
    assert!(count("backchat_changes_total{action=\"add\"}") >= 3, "{page:?}");
    assert_eq!(count("backchat_data_plane_restarts_total"), 0, "{page:?}");
    assert!(count("backchat_reconcile_duration_seconds_count{phase=\"apply\"}") > 0, "{page:?}");
    assert!(count("backchat_change_to_effect_seconds_count") > 0, "{page:?}");
}

/// Each series of the page with its value.
async fn metrics(world: &World) -> Option<BTreeMap<String, String>> {
    let socket = world.run_dir("proxy").join("admin.sock");
    let client = reqwest::Client::builder().unix_socket(socket).build().ok()?;
    let page = client.get("http://localhost/metrics").send().await.ok()?.text().await.ok()?;
    let series = page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    Some(series.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// The lines for people: a time, what about, what, and what follows; and Ctrl-C ends it well.
async fn reads_well(mut watcher: Watcher) {
    let line = |words: &[&str]| watcher.text().lines().any(|line| words.iter().all(|word| line.contains(word)));
    watcher.until("that web3 failed", || line(&["  web3 ", "→ failed"])).await;
    // With what follows from it, or after it where the balancer was slow.
    watcher.until("that it is out", || line(&["remove web/web3"]) || line(&["  web/web3 ", "  out "])).await;
    watcher.until("an apply", || line(&["  apply ", "confirmed"])).await;
    for line in watcher.text().lines().skip(1) {
        let time = line.split("  ").next().unwrap_or_default();
        let digits = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>();
        assert_eq!(digits, "00:00:00.000", "{line}");
    }
    send(watcher.process.pid(), Signal::INT);
    let status = watcher.process.ended(PATIENCE).await.unwrap().expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", watcher.text());
}

/// The daemon dies and comes back: watch says so, says that something may be missing, and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn watch_goes_on_when_its_daemon_is_started_anew() {
    let mut world = World::with(ANY, &["web1"]).await;
    let watcher = Watcher::start(&world.run_dir("proxy"), "json").await;
    world.start_agent("web2", &[]).await;
    watcher.tells("web2 comes", |e| turned(e, "web2", "alive")).await;
    world.kill_lb().await;
    watcher.says("does not answer any more; waiting for it").await;
    world.restart_balancer("proxy");
    watcher.says("is back").await;
    watcher.tells("a gap", |e| e["kind"] == "gap").await;
    world.serves(&["web1", "web2"]).await;
    world.start_agent("web3", &[]).await;
    watcher.tells("web3 comes", |e| turned(e, "web3", "alive")).await;
    let ids: Vec<_> = watcher.events().iter().filter_map(|e| e["id"].as_u64()).collect();
    assert!(ids.is_sorted() && ids.len() == watcher.events().len(), "{ids:?}");
}

/// Who was away for a while hears all of it, in order.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_returns_has_missed_nothing() {
    let mut world = World::with(ANY, &["web1"]).await;
    let all = Watcher::start(&world.run_dir("proxy"), "json").await;
    world.start_agent("web2", &[]).await;
    all.tells("web2 comes", |e| turned(e, "web2", "alive")).await;
    let last = all.events()[0]["id"].as_u64().unwrap();
    world.crash("web2");
    all.tells("web2 is out", |e| follows(e, "web/web2", "remove")).await;
    let client = reqwest::Client::builder().unix_socket(world.run_dir("proxy").join("admin.sock")).build().unwrap();
    let request = client.get("http://localhost/v1/events").header("last-event-id", last);
    let mut response = request.send().await.unwrap();
    let wanted: Vec<u64> = all.events().iter().skip(1).filter_map(|e| e["id"].as_u64()).collect();
    assert_eq!(wanted, (last + 1..).take(wanted.len()).collect::<Vec<_>>());
    let ids =
        |text: &str| text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect::<Vec<u64>>();
    let mut heard = String::new();
    while !heard.ends_with("\n\n") || ids(&heard).len() < wanted.len() {
        let chunk = tokio::time::timeout(PATIENCE, response.chunk()).await.expect("it is told");
        heard += std::str::from_utf8(&chunk.unwrap().expect("it goes on")).unwrap();
    }
    assert_eq!(ids(&heard)[..wanted.len()], wanted, "{heard}");
}

/// An agent tells what becomes of members too.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_tells_of_members() {
    let mut world = World::with(ANY, &["web1"]).await;
    let watcher = Watcher::start(&world.run_dir("web1"), "json").await;
    world.start_agent("web2", &[]).await;
    watcher.tells("web2 comes", |e| turned(e, "web2", "alive")).await;
    world.crash("web2");
    watcher.tells("web2 goes", |e| turned(e, "web2", "failed")).await;
}

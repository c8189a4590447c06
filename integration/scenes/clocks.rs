//! The wall clock of every node jumps a day forward and two days back, under load: nothing changes, with and without
//! `--data-dir`. The clock is libfaketime's, which leaves the monotonic one alone, as a real jump does.
//!
//! The data plane keeps the true time here. HAProxy's own timers are made of the wall clock, and guess at a jump: 2.6 answers one
//! request in some 10,000 with 408 then, or closes its connection, whoever drives it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    time::Duration,
};

use backchat::demo::{Driver, child::Folder};
use serde_json::Value;
use tokio::time::Instant;

use super::world::{PATIENCE, World, liveness_of, none_failed};

/// Longer than a suspicion lasts: who were wrongly taken as failed would be out by then.
const WATCHED: Duration = Duration::from_secs(4);

const NODES: [&str; 3] = ["proxy", "web1", "web2"];

/// The wall clock of the nodes.
struct Clock {
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// `None`, said aloud, where libfaketime is not installed.
    fn new(folder: &Folder) -> Option<Self> {
        let triplets = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
        let mut libraries = triplets.map(|folder| folder.join("faketime/libfaketime.so.1"));
        let Some(library) = libraries.find(|library| library.exists()) else {
            eprintln!("SKIPPED: there is no libfaketime here (Debian: apt-get install faketime)");
            return None;
        };
        let clock = Self { file: folder.path().join("clock"), library };
        clock.jump("+0");
        Some(clock)
    }

    /// So far from the true time from now on.
    fn jump(&self, offset: &str) {
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{offset}\n")).unwrap();
        fs::rename(&new, &self.file).unwrap();
    }

    /// Puts a node's next life under this clock.
    fn govern(&self, world: &mut World, node: &str) {
        let words = [
            format!("LD_PRELOAD={}", self.library.display()),
            format!("FAKETIME_TIMESTAMP_FILE={}", self.file.display()),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".into(),
            "FAKETIME_NO_CACHE=1".into(),
        ];
        let words: Vec<&str> = std::iter::once("env").chain(words.iter().map(String::as_str)).collect();
        world.prefix(node, &words);
    }
}

/// A data plane that keeps the true time, though its lb does not.
fn of_true_time(folder: &Folder, driver: Driver) -> PathBuf {
    let path = folder.path().join("true-time");
    let program = driver.program().into_string().unwrap();
    fs::write(&path, format!("#!/bin/sh\nunset LD_PRELOAD\nexec {program} \"$@\"\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    path
}

/// A balancer and agents under one clock, with a data folder each or without.
struct Host {
    world: World,
    clock: Clock,
    program: PathBuf,
    kept: bool,
}

impl Host {
    async fn new(driver: Driver, kept: bool) -> Option<Self> {
        let mut world = World::empty(driver);
        let clock = Clock::new(&world.folder)?;
        for node in ["proxy", "web1", "web2", "web3"] {
            clock.govern(&mut world, node);
        }
        let program = of_true_time(&world.folder, driver);
        let mut host = Self { world, clock, program, kept };
        let flags = host.flags("proxy");
        host.world.start_balancer("proxy", &words(&flags)).await;
        host.start("web1").await;
        host.start("web2").await;
        host.world.serves(&["web1", "web2"]).await;
        host.world.converges().await;
        for node in NODES {
            host.world.members(node, &NODES.map(|name| (name, "alive"))).await;
        }
        Some(host)
    }

    /// A node's own flags.
    fn flags(&self, node: &str) -> Vec<String> {
        let folder = self.world.folder.path().join("data").join(node);
        let mut flags = if self.kept { vec!["--data-dir".into(), folder.display().to_string()] } else { Vec::new() };
        // The profile of a cluster, not that of one machine: this one may be busy, and nobody is to be suspected for it.
        flags.extend(["--profile".into(), "lan".into()]);
        if node == "proxy" {
            flags.extend([format!("--{}", self.world.driver.name()), self.program.display().to_string()]);
        }
        flags
    }

    async fn start(&mut self, agent: &str) {
        let flags = self.flags(agent);
        self.world.start_agent(agent, &words(&flags)).await;
    }

    /// Forward in time it leaves, back in time it crashes.
    async fn goes(&mut self, agent: &str, offset: &str) {
        let end = if offset == "+1d" { "left" } else { "failed" };
        if end == "failed" {
            self.world.crash(agent);
        } else {
            let gone = self.world.agents.get_mut(agent).unwrap();
            gone.process.terminate().unwrap();
            let status = gone.process.ended(PATIENCE).await.unwrap();
            gone.web = None;
            assert_eq!(status.and_then(|s| s.code()), Some(0), "{}", self.world.last_words());
        }
        self.world.members("proxy", &[(agent, end)]).await;
        self.world.serves(&["web1", "web2"]).await;
    }

    /// The agent crashes and comes back: a life whose wall clock may say that it is before the last.
    async fn restart_agent(&mut self, agent: &str) {
        let process = &mut self.world.agents.get_mut(agent).unwrap().process;
        process.kill().unwrap();
        process.ended(PATIENCE).await.unwrap().expect("it was killed");
        let flags = self.flags(agent);
        self.world.restart_agent(agent, &words(&flags));
        self.joined(agent).await;
    }

    async fn restart_balancer(&mut self) {
        let process = &mut self.world.balancers.get_mut("proxy").unwrap().process;
        process.kill().unwrap();
        process.ended(PATIENCE).await.unwrap().expect("it was killed");
        let flags = self.flags("proxy");
        self.world.restart_balancer_with("proxy", &words(&flags));
        self.joined("proxy").await;
    }

    /// The node sees the others, and they it: in the life that it has now.
    async fn joined(&self, node: &str) {
        let epoch = |members: &Value| -> Option<u64> {
            members["members"].as_array()?.iter().find(|m| m["name"] == node)?["epoch"].as_u64()
        };
        let joined = || async {
            let Some(own) = self.world.json(node, &["members"]).await else { return false };
            let mut all = true;
            for other in NODES {
                let Some(seen) = self.world.json(other, &["members"]).await else { return false };
                all &= epoch(&seen).is_some() && epoch(&seen) == epoch(&own);
                all &= liveness_of(&seen, node).as_deref() == Some("alive");
                all &= liveness_of(&own, other).as_deref() == Some("alive");
            }
            all
        };
        self.world.eventually(&format!("{node} has joined"), joined).await;
    }

    /// Nobody is taken as failed for longer than a suspicion lasts, nobody's endpoint goes, and nothing is reloaded.
    /// (Who is suspected may drain: on a busy machine that happens to one that answers late, whatever the clock says.)
    async fn nothing_happens(&self) {
        self.world.serves(&["web1", "web2"]).await;
        self.world.converges().await;
        let (began, reloads) = (Instant::now(), self.reloads().await);
        while began.elapsed() < WATCHED {
            for node in NODES {
                let members = self.world.json(node, &["members"]).await.expect("members answers");
                for name in NODES {
                    let liveness = liveness_of(&members, name);
                    let words = || format!("{name} at {node}: {members}\n{}", self.world.last_words());
                    assert!(matches!(liveness.as_deref(), Some("alive" | "suspect")), "{}", words());
                }
            }
            assert_eq!(self.live().await, ["web1", "web2"], "{}", self.world.last_words());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(self.reloads().await, reloads, "{}", self.world.last_words());
        let endpoints_reload = self.world.plane("proxy").endpoints_reload();
        assert!(endpoints_reload || reloads == Some(0), "{reloads:?}\n{}", self.world.last_words());
    }

    /// The endpoints that were read back from the data plane.
    async fn live(&self) -> Vec<String> {
        let services = self.world.json("proxy", &["services"]).await.expect("services answers");
        let endpoints = services["services"][0]["endpoints"].as_array().cloned().unwrap_or_default();
        let live = endpoints.iter().filter(|endpoint| !endpoint["live"].is_null());
        live.filter_map(|endpoint| Some(endpoint["name"].as_str()?.to_owned())).collect()
    }

    async fn reloads(&self) -> Option<u64> {
        self.world.json("proxy", &["status"]).await.expect("status answers")["reloads"].as_u64()
    }

    /// The day of the newest line in the lb's log.
    fn day(&self) -> String {
        let line = self.world.balancers["proxy"].process.last_words(1);
        line.split('T').next().unwrap_or_default().to_owned()
    }
}

fn words(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

async fn a_clock_that_jumps_changes_nothing(driver: Driver, kept: bool) {
    let Some(mut host) = Host::new(driver, kept).await else { return };
    let (traffic, mut today) = (host.world.traffic(), host.day());
    for offset in ["+1d", "-1d"] {
        host.clock.jump(offset);
        host.nothing_happens().await;
        // Who comes and goes is taken as on any other day.
        host.start("web3").await;
        host.world.serves(&["web1", "web2", "web3"]).await;
        // A server may serve before its lb has a word to say of it.
        host.world.eventually("the lb sees the jump", async || host.day() != today).await;
        today = host.day();
        host.goes("web3", offset).await;
    }
    // By now the others know lives of these that began two days later.
    host.restart_agent("web1").await;
    host.restart_balancer().await;
    host.nothing_happens().await;
    host.clock.jump("+0");
    host.restart_agent("web1").await;
    host.nothing_happens().await;
    none_failed(traffic).await;
}

pub(super) async fn a_clock_that_jumps_changes_nothing_with_a_data_folder(driver: Driver) {
    a_clock_that_jumps_changes_nothing(driver, true).await;
}

pub(super) async fn a_clock_that_jumps_changes_nothing_without_a_data_folder(driver: Driver) {
    a_clock_that_jumps_changes_nothing(driver, false).await;
}

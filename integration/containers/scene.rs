//! The scene of `compose.yaml`: it is brought up, asked and taken down as its users do.

use std::{
    collections::BTreeSet,
    fs,
    future::Future,
    net::SocketAddr,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    process::Command,
    sync::Arc,
    time::Duration,
};

use backchat::demo::{
    Traffic, ports,
    traffic::{Counts, Load},
};
use serde_json::Value;
use tokio::time::Instant;

pub(super) use crate::scenes::reached;

use super::{
    engine::{compose, docker, last_words, run, try_docker},
    images::{Images, images},
};

/// How long a condition may take before the test fails: far beyond what any of them needs.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Whose the containers' processes are.
const USER: u32 = 10001;

/// One balancer and its webs; gone with this.
pub(super) struct Scene {
    pub(super) images: Arc<Images>,
    project: String,
    key: Key,
    /// Where the balancer is published.
    pub(super) http: SocketAddr,
}

impl Scene {
    /// A balancer and two webs that are served.
    pub(super) async fn up(name: &str) -> Self {
        let http = ports::free().expect("a free port");
        let project = format!("bc{}{name}", std::process::id());
        let scene = Self { images: images(), project, key: Key::new(), http };
        scene.scale(2);
        scene.serves(&scene.webs()).await;
        scene
    }

    /// `up -d --scale web=N`.
    pub(super) fn scale(&self, webs: usize) {
        let scale = format!("web={webs}");
        run(self.compose().args(["up", "-d", "--no-build", "--no-recreate", "--scale", &scale]));
    }

    fn compose(&self) -> Command {
        let mut command = compose(&self.project);
        let port = self.http.port().to_string();
        command.env("BACKCHAT_IMAGE", &self.images.name).env("BACKCHAT_KEY", &self.key.file).env("BACKCHAT_PORT", port);
        command
    }

    /// The network that all are on.
    pub(super) fn network(&self) -> String {
        format!("{}_default", self.project)
    }

    /// The balancer's container.
    pub(super) fn balancer(&self) -> String {
        self.containers("balancer").pop().expect("the balancer's container")
    }

    /// The webs' containers, by their ids: what they answer and are called begins each.
    pub(super) fn webs(&self) -> Vec<String> {
        self.containers("web")
    }

    fn containers(&self, service: &str) -> Vec<String> {
        let of = [("project", self.project.as_str()), ("service", service)];
        let [project, service] = of.map(|(what, is)| format!("label=com.docker.compose.{what}={is}"));
        let all = docker(&["ps", "-q", "--no-trunc", "--filter", &project, "--filter", &service]);
        all.lines().map(ToOwned::to_owned).collect()
    }

    /// Waits until requests reach these webs and no other.
    pub(super) async fn serves(&self, webs: &[String]) {
        let wanted: BTreeSet<_> = webs.iter().map(|id| name_of(id)).collect();
        let seen = || async { reached(self.http, 3 * wanted.len()).await == wanted };
        eventually(&format!("{wanted:?} serve"), seen, || self.last_words()).await;
    }

    /// The balancer's answer to a command of ours; `None` where it gives none.
    pub(super) fn asks(&self, command: &[&str]) -> Option<Value> {
        let balancer = self.balancer();
        let args = [&["exec", &balancer, "backchat"], command, &["--format", "json"]].concat();
        serde_json::from_slice(&try_docker(&args).stdout).ok()
    }

    /// Waits until the balancer's answer to a command is as said.
    pub(super) async fn says(&self, command: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let seen = || async { self.asks(&[command]).is_some_and(|answer| is(&answer)) };
        eventually(what, seen, || self.last_words()).await;
        self.asks(&[command]).expect("it answered a moment ago")
    }

    /// Waits until a member is so in the balancer's words.
    pub(super) async fn sees(&self, id: &str, liveness: &str) {
        let name = name_of(id);
        let is = |members: &Value| {
            let member = members["members"].as_array().into_iter().flatten().find(|member| member["name"] == *name);
            member.is_some_and(|member| member["liveness"] == liveness)
        };
        self.says("members", &format!("{name} is {liveness}"), is).await;
    }

    /// Clients that never stop asking; a request that is not answered within 20 s has failed.
    pub(super) fn traffic(&self) -> Traffic {
        traffic(self.http)
    }

    /// None fails from here on. What is under way may have begun before.
    pub(super) async fn none_fails(&self, traffic: &Traffic) {
        let before = traffic.counts();
        let under_way = u64::try_from(CLIENTS).unwrap();
        let seen = |counts: &Counts| counts.since(&before).sent >= 2 * under_way;
        traffic.wait(PATIENCE, seen).await.unwrap_or_else(|| panic!("no more answers\n{}", self.last_words()));
        let then = traffic.counts();
        let seen = |counts: &Counts| counts.since(&then).sent >= 20 * under_way;
        traffic.wait(PATIENCE, seen).await.unwrap_or_else(|| panic!("no more answers\n{}", self.last_words()));
        let since = traffic.counts().since(&then);
        assert_eq!(since.failures(), 0, "{since}\n{}", self.last_words());
    }

    /// How long after a web's death the balancer let go of it for the first time, by the engine's clock and the log.
    pub(super) fn let_go_after(&self, id: &str) -> Duration {
        let died = docker(&["inspect", "-f", "{{.State.FinishedAt}}", id]);
        let died = humantime::parse_rfc3339(&died).expect("a time of the engine's");
        let log = try_docker(&["logs", &self.balancer()]);
        let log = String::from_utf8_lossy(&log.stderr).into_owned();
        let endpoint = format!("id=web/{} ", name_of(id));
        let gone = log.lines().filter(|line| line.contains(&endpoint) && !line.contains(": Add kind="));
        let times = gone.filter_map(|line| humantime::parse_rfc3339(line.split(' ').next()?).ok());
        let after = times.filter_map(|time| time.duration_since(died).ok()).min();
        after.unwrap_or_else(|| panic!("it was not let go of\n{log}"))
    }

    /// What the balancer, and who failed beside it, said last.
    pub(super) fn last_words(&self) -> String {
        let all = docker(&["ps", "-aq", "--filter", &format!("label=com.docker.compose.project={}", self.project)]);
        last_words(all.lines())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _gone = self.compose().args(["down", "-v", "-t", "0", "--remove-orphans"]).output();
    }
}

/// A key of the cluster's that the containers' user may read.
pub(super) struct Key {
    _folder: tempfile::TempDir,
    pub(super) file: String,
}

impl Key {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        run(Command::new(Path::new(env!("CARGO_BIN_EXE_backchat"))).arg("keygen").arg("--out").arg(&file));
        chown(&file, Some(USER), Some(USER)).unwrap();
        // The engine mounts the file alone, but it has to come by it.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { file: file.display().to_string(), _folder: folder }
    }
}

const CLIENTS: usize = 4;

/// Clients of a balancer, each with a connection of its own for each request.
pub(super) fn traffic(http: SocketAddr) -> Traffic {
    let load = Load { clients: CLIENTS, keep_alive: false, timeout: Duration::from_secs(20), ..Load::steady(http) };
    Traffic::start(&load).expect("traffic starts")
}

/// Not one request failed; says how many there were.
pub(super) async fn none_failed(what: &str, traffic: Traffic, last_words: impl Fn() -> String) {
    let counts = traffic.stop().await;
    println!("{what}: {counts}");
    assert!(counts.sent > 0 && counts.failures() == 0, "{what}: {counts}\n{}", last_words());
}

/// What a container calls itself, and its node.
pub(super) fn name_of(id: &str) -> String {
    id.chars().take(12).collect()
}

/// Waits for a condition.
pub(super) async fn eventually<F>(what: &str, mut seen: impl FnMut() -> F, last_words: impl Fn() -> String)
where
    F: Future<Output = bool>,
{
    let began = Instant::now();
    while !seen().await {
        assert!(began.elapsed() < PATIENCE, "not in time: {what}\n{}", last_words());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

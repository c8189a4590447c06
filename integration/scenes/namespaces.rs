//! Two hosts with their own addresses, a cut between them, and the heal. Needs root, for network namespaces.

use std::{path::PathBuf, process::Command, time::Duration};

use backchat::demo::{Child, child::Folder};
use serde_json::Value;
use tokio::time::Instant;

use super::world::{backchat, liveness_of};

/// Heals are announced every 5 s with the `lan` profile.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Two network namespaces joined by a cable.
pub(super) struct Hosts {
    pub(super) names: [String; 2],
    processes: Vec<(String, Child)>,
    folder: Folder,
}

impl Hosts {
    /// Host 0 is 10.77.0.1, host 1 is 10.77.0.2; `None`, said aloud, where this user may not make them.
    pub(super) fn new(tag: &str) -> Option<Self> {
        let names = [0, 1].map(|i| format!("bc{}{tag}{i}", std::process::id()));
        if !run(&["ip", "netns", "add", &names[0]]) {
            eprintln!("SKIPPED: network namespaces need root and iproute2");
            return None;
        }
        let hosts = Self { names, processes: Vec::new(), folder: Folder::new("backchat-hosts-").unwrap() };
        let [a, b] = &hosts.names;
        assert!(run(&["ip", "netns", "add", b]));
        assert!(run(&[
            "ip", "link", "add", "cable0", "netns", a, "type", "veth", "peer", "name", "cable0", "netns", b
        ]));
        for (i, name) in hosts.names.iter().enumerate() {
            assert!(run(&["ip", "-n", name, "addr", "add", &format!("10.77.0.{}/24", i + 1), "dev", "cable0"]));
            assert!(run(&["ip", "-n", name, "link", "set", "cable0", "up"]));
            assert!(run(&["ip", "-n", name, "link", "set", "lo", "up"]));
        }
        Some(hosts)
    }

    pub(super) fn start(&mut self, host: usize, node: &str, args: &[&str]) {
        let run_dir = self.run_dir(node).display().to_string();
        let program = backchat().display().to_string();
        let mut all = vec!["netns", "exec", &self.names[host], &program];
        all.extend_from_slice(args);
        if args[0] != "demo-web" {
            all.extend(["--node", node, "--run-dir", &run_dir, "--insecure"]);
        }
        let child = Child::start("ip".as_ref(), &all, &self.folder.path().join(format!("{node}.log"))).unwrap();
        self.processes.push((node.to_owned(), child));
    }

    pub(super) fn run_dir(&self, node: &str) -> PathBuf {
        self.folder.path().join(node)
    }

    /// The balancer `proxy` on host 0, with the data plane that is under test.
    pub(super) fn start_lb(&mut self) {
        let mut lb = vec!["lb", "--bind", "10.77.0.1:7946", "--listen", "10.77.0.1:8080"];
        let haproxy = std::env::var("BACKCHAT_HAPROXY").ok();
        if let Some(program) = &haproxy {
            lb.extend(["--haproxy", program]);
        }
        self.start(0, "proxy", &lb);
    }

    /// SIGKILL for a web server and its agent.
    pub(super) fn crash(&mut self, name: &str) {
        let dead = [name.to_owned(), format!("{name}.http")];
        for (_, process) in self.processes.iter_mut().filter(|(node, _)| dead.contains(node)) {
            process.kill().unwrap();
        }
    }

    /// A web server and its agent on a host; `nth` makes its ports.
    pub(super) fn start_web(&mut self, host: usize, nth: u16) {
        let name = format!("web{nth}");
        let (web, gossip) =
            (format!("10.77.0.{}:{}", host + 1, 8000 + nth), format!("10.77.0.{}:{}", host + 1, 7946 + nth));
        self.start(host, &format!("{name}.http"), &["demo-web", "--listen", &web, "--name", &name]);
        let service = format!("web:{}", 8000 + nth);
        self.start(host, &name, &["agent", "--bind", &gossip, "--join", "10.77.0.1:7946", "--service", &service]);
    }

    /// Drops every packet between the hosts, or lets them pass again.
    pub(super) fn cut(&self, cut: bool) {
        self.drop_packets(cut, "");
    }

    /// The same for gossip alone: what the web servers answer passes.
    pub(super) fn cut_gossip(&self, cut: bool) {
        self.drop_packets(cut, "meta l4proto { tcp, udp } th dport 7946-7999");
    }

    fn drop_packets(&self, cut: bool, which: &str) {
        let rules = format!(
            "add table inet cut; add chain inet cut in {{ type filter hook input priority 0; }}; \
             add rule inet cut in iifname cable0 {which} drop; \
             add chain inet cut out {{ type filter hook output priority 0; }}; \
             add rule inet cut out oifname cable0 {which} drop"
        );
        let rules = if cut { rules.as_str() } else { "delete table inet cut" };
        assert!(run(&["ip", "netns", "exec", &self.names[0], "nft", rules]));
    }

    async fn members(&self, node: &str) -> Value {
        self.json(node, &["members"]).await
    }

    /// What a client command prints as JSON at this node.
    pub(super) async fn json(&self, node: &str, command: &[&str]) -> Value {
        let admin = format!("unix:{}", self.run_dir(node).join("admin.sock").display());
        let args = ["--admin", &admin, "--format", "json"];
        let output = tokio::process::Command::new(backchat()).args(command).args(args).output().await.unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    pub(super) async fn sees(&self, node: &str, wanted: &[(&str, &str)]) {
        let began = Instant::now();
        loop {
            let members = self.members(node).await;
            if wanted.iter().all(|(name, is)| liveness_of(&members, name).as_deref() == Some(*is)) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{node} does not see {wanted:?}: {members}\n{}", self.last_words());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Which of these web servers the balancer on host 0 leads to.
    pub(super) fn served(&self, requests: usize) -> std::collections::BTreeSet<String> {
        let one = |_| {
            let args = ["netns", "exec", &self.names[0], "curl", "-s", "-m", "2", "http://10.77.0.1:8080/"];
            let output = Command::new("ip").args(args).output().unwrap();
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        (0..requests).map(one).collect()
    }

    /// What a node has said last.
    pub(super) fn words(&self, node: &str) -> String {
        let process = self.processes.iter().find(|(name, _)| name == node);
        process.map_or_else(String::new, |(_, process)| process.last_words(40))
    }

    pub(super) fn last_words(&self) -> String {
        let words = self.processes.iter().map(|(name, p)| format!("--- {name}\n{}", p.last_words(12)));
        words.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.processes.clear();
        for name in &self.names {
            run(&["ip", "netns", "del", name]);
        }
    }
}

fn run(command: &[&str]) -> bool {
    Command::new(command[0]).args(&command[1..]).output().is_ok_and(|o| o.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_of_two_hosts_heals() {
    let Some(mut hosts) = Hosts::new("h") else { return };
    hosts.start_lb();
    hosts.start_web(0, 1);
    hosts.start_web(1, 2);
    let all = [("proxy", "alive"), ("web1", "alive"), ("web2", "alive")];
    for node in ["proxy", "web1", "web2"] {
        hosts.sees(node, &all).await;
    }
    hosts.cut(true);
    hosts.sees("proxy", &[("web1", "alive"), ("web2", "failed")]).await;
    hosts.sees("web2", &[("proxy", "failed"), ("web1", "failed")]).await;
    let began = Instant::now();
    while hosts.served(4) != ["web1"].map(String::from).into() {
        assert!(began.elapsed() < PATIENCE, "{:?}\n{}", hosts.served(4), hosts.last_words());
    }
    hosts.cut(false);
    for node in ["proxy", "web1", "web2"] {
        hosts.sees(node, &all).await;
    }
    let began = Instant::now();
    while hosts.served(4) != ["web1", "web2"].map(String::from).into() {
        assert!(began.elapsed() < PATIENCE, "{:?}\n{}", hosts.served(4), hosts.last_words());
    }
}

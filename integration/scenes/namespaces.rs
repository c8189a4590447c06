//! Hosts with their own addresses, a cut between two of them, and the heal. Needs root, for network namespaces.

use std::{collections::BTreeSet, path::PathBuf, process::Command, time::Duration};

use backchat::demo::{Child, Driver, child::Folder};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    plane::ANY,
    world::{backchat, liveness_of},
};

/// Heals are announced every 5 s with the `lan` profile.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Network namespaces: two joined by a cable, or several on a switch.
pub(super) struct Hosts {
    pub(super) names: Vec<String>,
    switch: Option<String>,
    processes: Vec<(String, Child)>,
    folder: Folder,
}

impl Hosts {
    /// Host 0 is 10.77.0.1, host 1 is 10.77.0.2; `None`, said aloud, where this user may not make them.
    pub(super) fn new(tag: &str) -> Option<Self> {
        let hosts = Self::namespaces(tag, 2, None)?;
        let (a, b) = (&hosts.names[0], &hosts.names[1]);
        assert!(run(&[
            "ip", "link", "add", "cable0", "netns", a, "type", "veth", "peer", "name", "cable0", "netns", b
        ]));
        hosts.set_up();
        Some(hosts)
    }

    /// So many hosts on one switch, 10.77.0.1 and up: any of them may be cut off from any others.
    pub(super) fn on_a_switch(tag: &str, count: usize) -> Option<Self> {
        let switch = format!("bc{}{tag}s", std::process::id());
        let hosts = Self::namespaces(tag, count, Some(switch.clone()))?;
        assert!(run(&["ip", "netns", "add", &switch]));
        assert!(run(&["ip", "-n", &switch, "link", "add", "bridge0", "up", "type", "bridge"]));
        for (i, name) in hosts.names.iter().enumerate() {
            let port = format!("port{i}");
            assert!(run(&[
                "ip", "link", "add", "cable0", "netns", name, "type", "veth", "peer", "name", &port, "netns", &switch
            ]));
            assert!(run(&["ip", "-n", &switch, "link", "set", &port, "master", "bridge0", "up"]));
        }
        hosts.set_up();
        Some(hosts)
    }

    fn namespaces(tag: &str, count: usize, switch: Option<String>) -> Option<Self> {
        let names: Vec<_> = (0..count).map(|i| format!("bc{}{tag}{i}", std::process::id())).collect();
        if !run(&["ip", "netns", "add", &names[0]]) {
            eprintln!("SKIPPED: network namespaces need root and iproute2");
            return None;
        }
        assert!(names[1..].iter().all(|name| run(&["ip", "netns", "add", name])));
        Some(Self { names, switch, processes: Vec::new(), folder: Folder::new("backchat-hosts-").unwrap() })
    }

    fn set_up(&self) {
        for (i, name) in self.names.iter().enumerate() {
            assert!(run(&["ip", "-n", name, "addr", "add", &format!("{}/24", address(i)), "dev", "cable0"]));
            assert!(run(&["ip", "-n", name, "link", "set", "cable0", "up"]));
            assert!(run(&["ip", "-n", name, "link", "set", "lo", "up"]));
        }
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

    /// The balancer `proxy` on host 0.
    pub(super) fn start_lb(&mut self) {
        self.start_lb_driving(ANY);
    }

    /// The same with a data plane of its own kind.
    pub(super) fn start_lb_driving(&mut self, driver: Driver) {
        self.start_lb_of(driver, 0, "proxy", &[]);
    }

    /// The same with more arguments.
    pub(super) fn start_lb_told(&mut self, more: &[&str]) {
        self.start_lb_of(ANY, 0, "proxy", more);
    }

    /// A balancer on a host, joined by that on host 0.
    pub(super) fn start_lb_on(&mut self, host: usize, name: &str) {
        self.start_lb_of(ANY, host, name, &[]);
    }

    fn start_lb_of(&mut self, driver: Driver, host: usize, name: &str, more: &[&str]) {
        let [gossip, http] = [7946, 8080].map(|port| format!("{}:{port}", address(host)));
        let mut lb = vec!["lb", "--bind", &gossip, "--listen", &http];
        if host != 0 {
            lb.extend(["--join", "10.77.0.1:7946"]);
        }
        lb.extend(more);
        let flags = driver.flags();
        lb.extend(flags.iter().map(|flag| flag.to_str().expect("a program's name is text")));
        self.start(host, name, &lb);
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

    /// Drops every packet between some hosts and others.
    pub(super) fn part(&self, some: impl Iterator<Item = usize>, others: impl Iterator<Item = usize>) {
        let others = others.map(address).collect::<Vec<_>>().join(", ");
        for host in some {
            let rules = format!(
                "add table inet apart; add chain inet apart in {{ type filter hook input priority 0; }}; \
                 add rule inet apart in iifname cable0 ip saddr {{ {others} }} drop; \
                 add chain inet apart out {{ type filter hook output priority 0; }}; \
                 add rule inet apart out oifname cable0 ip daddr {{ {others} }} drop"
            );
            assert!(run(&["ip", "netns", "exec", &self.names[host], "nft", &rules]));
        }
    }

    /// Lets all packets that hosts were parted by pass again.
    pub(super) fn join(&self) {
        for name in &self.names {
            let rules = "add table inet apart; delete table inet apart";
            assert!(run(&["ip", "netns", "exec", name, "nft", rules]));
        }
    }

    /// A client of the balancer on a host, until it is dropped: it asks some 30 times a second, each time on a new
    /// connection or always on one, and notes each answer's status, 000 where there is none within 10 s.
    pub(super) fn client(&self, host: usize, keeps: bool) -> Client {
        let url = format!("http://{}:8080/[1-100000]", address(host));
        let log = self.folder.path().join(format!("client{host}{keeps}"));
        let style = if keeps { "Connection: keep-alive" } else { "Connection: close" };
        let args = ["netns", "exec", &self.names[host], "curl", "-s", "-o", "/dev/null", "-m", "10", "--rate", "30/s"];
        // To the standard error, which is not buffered.
        let args = args.into_iter().chain(["-w", "%{stderr}%{http_code}\\n", "-H", style, &url]);
        Client { _process: Child::start("ip".as_ref(), args, &log).unwrap(), log }
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
    pub(super) fn served(&self, requests: usize) -> BTreeSet<String> {
        self.served_on(0, requests)
    }

    /// The same of the balancer on another host.
    pub(super) fn served_on(&self, host: usize, requests: usize) -> BTreeSet<String> {
        let url = format!("http://{}:8080/", address(host));
        let one = |_| {
            let args = ["netns", "exec", &self.names[host], "curl", "-s", "-m", "2", &url];
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

    /// Everything that a node has said.
    pub(super) fn log(&self, node: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(format!("{node}.log"))).unwrap_or_default()
    }

    pub(super) fn last_words(&self) -> String {
        let words = self.processes.iter().map(|(name, p)| format!("--- {name}\n{}", p.last_words(12)));
        words.collect::<Vec<_>>().join("\n")
    }
}

/// A client, and where it notes what it got.
pub(super) struct Client {
    _process: Child,
    log: PathBuf,
}

impl Client {
    /// The statuses of all answers so far.
    pub(super) fn answers(&self) -> Vec<String> {
        std::fs::read_to_string(&self.log).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

fn address(host: usize) -> String {
    format!("10.77.0.{}", host + 1)
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.processes.clear();
        for name in self.names.iter().chain(&self.switch) {
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

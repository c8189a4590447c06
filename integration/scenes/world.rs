//! One small world a test: a balancer, agents beside web servers, traffic. All of it ends with the test.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use backchat::demo::{self, Child, Counts, Driver, Traffic, Web, child::Folder, ports, traffic::Load};
use serde_json::Value;
use tokio::time::Instant;

use super::plane::Plane;

/// How long a condition may take before the test fails: far beyond what any of them needs.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// The program under test.
pub(super) fn backchat() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_backchat"))
}

/// A balancer with its data plane, and agents with their web servers.
pub(super) struct World {
    pub(super) folder: Folder,
    /// What its balancers drive, where nothing else is said.
    pub(super) driver: Driver,
    pub(super) balancers: BTreeMap<String, Balancer>,
    pub(super) agents: BTreeMap<String, Agent>,
    /// What a node's command begins with from its next start on: `env NAME=VALUE`, `setpriv …`.
    pub(super) prefixes: BTreeMap<String, Vec<String>>,
}

/// One `backchat lb`.
pub(super) struct Balancer {
    pub(super) process: Child,
    pub(super) driver: Driver,
    pub(super) gossip: SocketAddr,
    pub(super) http: SocketAddr,
}

/// One `backchat agent`, and the web server it speaks for.
pub(super) struct Agent {
    pub(super) process: Child,
    pub(super) gossip: SocketAddr,
    pub(super) web: Option<Web>,
    /// Where its service `web` is meant to listen.
    pub(super) addr: SocketAddr,
}

impl World {
    /// A world with one balancer called `proxy`, whose data plane answers.
    pub(super) async fn new(driver: Driver) -> Self {
        Self::run_by(driver, &[]).await
    }

    /// The same with more arguments for the balancer.
    pub(super) async fn run_by(driver: Driver, more: &[&str]) -> Self {
        let mut world = Self::empty(driver);
        world.start_balancer("proxy", more).await;
        world
    }

    /// A world in which nothing runs yet.
    pub(super) fn empty(driver: Driver) -> Self {
        let folder = Folder::new("backchat-scene-").expect("a temporary folder");
        Self { folder, driver, balancers: BTreeMap::new(), agents: BTreeMap::new(), prefixes: BTreeMap::new() }
    }

    /// A world with these agents serving, and its balancer at rest.
    pub(super) async fn with(driver: Driver, agents: &[&str]) -> Self {
        let mut world = Self::new(driver).await;
        for name in agents {
            world.start_agent(name, &[]).await;
        }
        world.serves(agents).await;
        // What is served may be ahead of what its balancer says of it.
        world.converges().await;
        world
    }

    pub(super) fn run_dir(&self, node: &str) -> PathBuf {
        self.folder.path().join(node)
    }

    pub(super) fn proxy(&self) -> &Balancer {
        &self.balancers["proxy"]
    }

    /// The data plane of a balancer, that of `proxy` before it was ever started too.
    pub(super) fn plane(&self, balancer: &str) -> Plane {
        let driver = self.balancers.get(balancer).map_or(self.driver, |balancer| balancer.driver);
        Plane(demo::Plane::new(driver, self.run_dir(balancer)))
    }

    /// From its next start on this node's command begins with these words: `["env", "NAME=VALUE"]`.
    pub(super) fn prefix(&mut self, name: &str, words: &[&str]) {
        self.prefixes.insert(name.into(), words.iter().map(ToString::to_string).collect());
    }

    /// Starts a balancer at new ports, joined to those that are there, and waits until its data plane answers.
    pub(super) async fn start_balancer(&mut self, name: &str, more: &[&str]) {
        self.start_balancer_of(self.driver, name, more).await;
    }

    /// The same with a data plane of its own kind.
    pub(super) async fn start_balancer_of(&mut self, driver: Driver, name: &str, more: &[&str]) {
        let (gossip, http) = (free(), free());
        let joins: Vec<_> = self.balancers.values().map(|b| b.gossip).collect();
        let process = self.lb(driver, name, gossip, http, &joins, more);
        self.balancers.insert(name.into(), Balancer { process, driver, gossip, http });
        self.answers(name).await;
    }

    /// Starts a balancer that was there before, at the ports it had.
    pub(super) fn restart_balancer(&mut self, name: &str) {
        self.restart_balancer_with(name, &[]);
    }

    pub(super) fn restart_balancer_with(&mut self, name: &str, more: &[&str]) {
        let Balancer { driver, gossip, http, .. } = self.balancers[name];
        let process = self.lb(driver, name, gossip, http, &[], more);
        self.balancers.insert(name.into(), Balancer { process, driver, gossip, http });
    }

    /// An lb process at these addresses, not kept in the world.
    pub(super) fn lb(
        &self,
        driver: Driver,
        name: &str,
        gossip: SocketAddr,
        http: SocketAddr,
        joins: &[SocketAddr],
        more: &[&str],
    ) -> Child {
        let mut args = self.common("lb", name, gossip, joins);
        args.extend(["--listen".into(), http.to_string()]);
        args.extend(driver.flags().into_iter().map(|flag| flag.into_string().expect("a program's name is text")));
        args.extend(more.iter().map(ToString::to_string));
        self.start(name, &args)
    }

    fn common(&self, command: &str, name: &str, gossip: SocketAddr, joins: &[SocketAddr]) -> Vec<String> {
        let run_dir = self.run_dir(name).display().to_string();
        let mut args: Vec<String> =
            [command, "--node", name, "--bind", &gossip.to_string(), "--run-dir", &run_dir].map(Into::into).into();
        args.extend(joins.iter().flat_map(|join| ["--join".into(), join.to_string()]));
        args
    }

    fn start(&self, name: &str, args: &[String]) -> Child {
        let log = self.folder.path().join(format!("{name}.log"));
        let mut words = self.prefixes.get(name).cloned().unwrap_or_default();
        words.push(backchat().display().to_string());
        words.extend_from_slice(args);
        Child::start(Path::new(&words[0]), &words[1..], &log).expect("backchat starts")
    }

    /// Starts an agent with a web server that answers its name; service `web`, joined by every balancer.
    pub(super) async fn start_agent(&mut self, name: &str, more: &[&str]) {
        self.start_agent_at(Ipv4Addr::LOCALHOST, name, more).await;
    }

    /// The same on another of loopback's addresses.
    pub(super) async fn start_agent_at(&mut self, ip: Ipv4Addr, name: &str, more: &[&str]) {
        let web = Web::start(SocketAddr::from((ip, 0)), name).await.expect("a web server");
        let addr = web.addr();
        let gossip = SocketAddr::from((ip, free().port()));
        let process = self.agent(name, gossip, addr.port(), more);
        self.agents.insert(name.into(), Agent { process, gossip, web: Some(web), addr });
    }

    /// Starts an agent that runs this command as its service `web`; returns the address that is meant to serve. In the
    /// command `ADDR` stands for that, `NAME` for the node's name and `BACKCHAT` for the program under test.
    pub(super) fn start_agent_running(&mut self, name: &str, more: &[&str], command: &[&str]) -> SocketAddr {
        let (gossip, addr) = (free(), free());
        let program = backchat().display().to_string();
        let word =
            |word: &&str| word.replace("ADDR", &addr.to_string()).replace("NAME", name).replace("BACKCHAT", &program);
        let command: Vec<String> = command.iter().map(word).collect();
        let words: Vec<&str> = more.iter().copied().chain(["--"]).chain(command.iter().map(String::as_str)).collect();
        let process = self.agent(name, gossip, addr.port(), &words);
        self.agents.insert(name.into(), Agent { process, gossip, web: None, addr });
        addr
    }

    /// Starts the agent of a web server that is there, at the gossip address it had.
    pub(super) fn restart_agent(&mut self, name: &str, more: &[&str]) {
        // The one before has the socket as long as it runs.
        let before = &mut self.agents.get_mut(name).expect("it was there").process;
        while before.is_running() {
            before.kill().expect("it is ours to end");
            std::thread::sleep(Duration::from_millis(1));
        }
        let (gossip, addr) = (self.agents[name].gossip, self.agents[name].addr);
        let process = self.agent(name, gossip, addr.port(), more);
        self.agents.get_mut(name).expect("it was there").process = process;
    }

    /// An agent process at these addresses, not kept in the world.
    pub(super) fn agent(&self, name: &str, gossip: SocketAddr, port: u16, more: &[&str]) -> Child {
        let joins: Vec<_> = self.balancers.values().map(|b| b.gossip).collect();
        let mut args = self.common("agent", name, gossip, &joins);
        args.extend(["--service".into(), format!("web:{port}")]);
        args.extend(more.iter().map(ToString::to_string));
        self.start(name, &args)
    }

    /// SIGKILL for the agent and its web server, in this order and at once.
    pub(super) fn crash(&mut self, name: &str) {
        let agent = self.agents.get_mut(name).expect("it was there");
        agent.process.kill().expect("it runs");
        agent.web = None;
    }

    /// Waits until the balancer's data plane gives any HTTP answer.
    pub(super) async fn answers(&self, balancer: &str) {
        let http = self.balancers[balancer].http;
        let answered = || async { get(http, "any.example").await.is_some() };
        self.eventually(&format!("{balancer} answers"), answered).await;
    }

    /// Waits until requests to the default service reach all of these and no other.
    pub(super) async fn serves(&self, names: &[&str]) {
        self.serves_at("proxy", names).await;
    }

    pub(super) async fn serves_at(&self, balancer: &str, names: &[&str]) {
        let wanted: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
        let http = self.balancers[balancer].http;
        let same = || async { reached(http, 3 * wanted.len().max(1)).await == wanted };
        self.eventually(&format!("{balancer} serves {names:?}"), same).await;
    }

    /// What a client command prints as JSON at this node.
    pub(super) async fn json(&self, node: &str, command: &[&str]) -> Option<Value> {
        let admin = format!("unix:{}", self.run_dir(node).join("admin.sock").display());
        let output = tokio::process::Command::new(backchat())
            .args(command)
            .args(["--admin", &admin, "--format", "json"])
            .output()
            .await
            .expect("backchat runs");
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Waits until `members` at this node says of each of these names that it is in this state.
    pub(super) async fn members(&self, node: &str, wanted: &[(&str, &str)]) {
        let last = Mutex::new(None);
        let seen = || async {
            let Some(answer) = self.json(node, &["members"]).await else { return false };
            let is_so = wanted.iter().all(|(name, liveness)| liveness_of(&answer, name).as_deref() == Some(*liveness));
            *last.lock().expect("nobody panics with it") = Some(answer);
            is_so
        };
        let what = || format!("{node} sees {wanted:?}; it saw last {last:?}");
        self.eventually_so(what, seen).await;
    }

    /// Traffic onto the balancer called `proxy`.
    pub(super) fn traffic(&self) -> Traffic {
        Self::traffic_of(self.load("proxy"))
    }

    /// The same, where what only a reload can bring is going to change.
    pub(super) fn traffic_over_a_reload(&self) -> Traffic {
        let resend = self.proxy().driver.reload_closes_idle();
        Self::traffic_of(Load { resend, ..self.load("proxy") })
    }

    fn traffic_of(kept: Load) -> Traffic {
        let fresh = Load { keep_alive: false, clients: 4, rest: Duration::from_millis(10), ..kept.clone() };
        let loads = if kept.resend { vec![kept, fresh] } else { vec![kept] };
        Traffic::of(&loads).expect("traffic starts")
    }

    /// Clients of a balancer that keep their connections: one that reloads closes those, and they are used to it.
    pub(super) fn load(&self, balancer: &str) -> Load {
        Load { resend: self.plane(balancer).endpoints_reload(), ..Load::steady(self.balancers[balancer].http) }
    }

    /// Waits for a condition; fails with every process's last words when it does not come.
    pub(super) async fn eventually<F: Future<Output = bool>>(&self, what: &str, condition: impl Fn() -> F) {
        self.eventually_so(|| what, condition).await;
    }

    /// The same, where what is said of its failure is only known then.
    async fn eventually_so<T: Display, F: Future<Output = bool>>(
        &self,
        what: impl Fn() -> T,
        condition: impl Fn() -> F,
    ) {
        let began = Instant::now();
        while !condition().await {
            assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {}\n{}", what(), self.last_words());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(super) fn last_words(&self) -> String {
        let balancers = self.balancers.iter().map(|(name, b)| (name, &b.process));
        let processes = balancers.chain(self.agents.iter().map(|(name, a)| (name, &a.process)));
        let words = processes.map(|(name, p)| format!("--- {name}\n{}", p.last_words(25)));
        words.collect::<Vec<_>>().join("\n")
    }
}

/// An address on loopback that nobody has.
pub(super) fn free() -> SocketAddr {
    ports::free().expect("a free port")
}

/// The liveness that `members --format json` shows of a node.
pub(super) fn liveness_of(members: &Value, name: &str) -> Option<String> {
    let member = members["members"].as_array()?.iter().find(|m| m["name"] == name)?;
    Some(member["liveness"].as_str()?.to_owned())
}

/// One request on a fresh connection: status and body, or `None` without an answer.
pub(super) async fn get(addr: SocketAddr, host: &str) -> Option<(u16, String)> {
    let client = reqwest::Client::builder().pool_max_idle_per_host(0).timeout(Duration::from_secs(2)).build().ok()?;
    let answer = client.get(format!("http://{addr}/")).header("host", host).send().await.ok()?;
    let status = answer.status().as_u16();
    Some((status, answer.text().await.ok()?.trim().to_owned()))
}

/// Who answered these many requests; an error stands as its status.
pub(crate) async fn reached(addr: SocketAddr, requests: usize) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for _ in 0..requests {
        match get(addr, "any.example").await {
            Some((200, name)) => names.insert(name),
            Some((status, _)) => names.insert(format!("status {status}")),
            None => names.insert("no answer".into()),
        };
    }
    // No endpoint at all: all that is left is 503.
    if names.len() == 1 && (names.contains("status 503") || names.contains("status 404")) {
        names.clear();
    }
    names
}

/// Ends the traffic and checks that every request was answered well.
pub(super) async fn none_failed(traffic: Traffic) -> Counts {
    let counts = traffic.stop().await;
    assert!(counts.sent > 0, "no request was sent");
    assert_eq!(counts.failures(), 0, "{counts}");
    counts
}

//! Crashes: agent and service at once, the agent alone, the service alone, and what only looks like one.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::http::Request;
use backchat::demo::{Child, Client, Driver, Traffic, ports, traffic::Load};
use bytes::Bytes;
use rustix::process::Signal;
use tokio::{runtime::Runtime, task::JoinSet};

use super::world::{PATIENCE, World, none_failed};
use crate::signal::{halt, send};

/// "Within about a second", on a machine that is busy with other tests.
const ABOUT_A_SECOND: Duration = Duration::from_secs(4);

/// What every POST did: how often each was carried out, over all servers.
type Deeds = Arc<Mutex<BTreeMap<u64, u32>>>;

/// An agent, and a web server that dies with all of its connections at once, as a killed process does.
struct Host {
    agent: Child,
    web: Option<Runtime>,
    addr: SocketAddr,
}

impl Host {
    /// Answers its name after a moment; notes each POST before that.
    fn start(world: &World, name: &str, deeds: &Deeds) -> Self {
        let (addr, gossip) = (ports::free().unwrap(), ports::free().unwrap());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (text, deeds) = (format!("{name}\n"), Arc::clone(deeds));
        let get_text = text.clone();
        let post = move |body: String| async move {
            *deeds.lock().unwrap().entry(body.parse().unwrap()).or_default() += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
            text
        };
        let get = move || async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            get_text
        };
        let app = axum::Router::new().fallback(axum::routing::get(get).post(post));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::bind(addr).await.unwrap();
            axum::serve(listener, app).await.unwrap();
        });
        Self { agent: world.agent(name, gossip, addr.port(), &[]), web: Some(runtime), addr }
    }

    fn kill(&mut self) {
        self.agent.kill().unwrap();
        self.web.take().unwrap().shutdown_background();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(web) = self.web.take() {
            web.shutdown_background();
        }
    }
}

/// A world with these hosts serving.
async fn hosts(driver: Driver, names: &[&str]) -> (World, Vec<Host>, Deeds) {
    let (world, deeds) = (World::new(driver).await, Deeds::default());
    let hosts = names.iter().map(|name| Host::start(&world, name, &deeds)).collect();
    world.serves(names).await;
    world.converges().await;
    (world, hosts, deeds)
}

pub(super) async fn agent_and_service_die_together_and_no_idempotent_request_is_lost(driver: Driver) {
    let (world, mut hosts, _) = hosts(driver, &["web1", "web2", "web3"]).await;
    let load = Load { clients: 16, rest: Duration::ZERO, ..world.load("proxy") };
    let (traffic, plane) = (Traffic::start(&load).unwrap(), world.plane("proxy"));
    for (dead, name) in [(2, "web3"), (1, "web2")] {
        let busy = traffic.counts().by(name);
        traffic.wait(PATIENCE, |counts| counts.by(name) > busy + 16).await.expect("it is asked");
        hosts[dead].kill();
        let took = world.out(hosts[dead].addr).await;
        assert!(took < ABOUT_A_SECOND, "{name} was out after {took:?} only\n{}", world.last_words());
        world.members("proxy", &[(name, "failed")]).await;
        let gone = || async { !plane.knows(hosts[dead].addr).await };
        world.eventually("it is removed", gone).await;
    }
    none_failed(traffic).await;
}

/// Sixteen clients that POST numbers nobody else uses, and count what failed.
struct Posts {
    clients: JoinSet<()>,
    stop: Arc<AtomicBool>,
    /// Sent, and failed.
    counts: Arc<(AtomicU64, AtomicU64)>,
}

impl Posts {
    const CLIENTS: u64 = 16;

    fn start(addr: SocketAddr) -> Self {
        let (stop, counts) = (Arc::<AtomicBool>::default(), Arc::<(AtomicU64, AtomicU64)>::default());
        let mut clients = JoinSet::new();
        for _ in 0..Self::CLIENTS {
            let (stop, counts) = (Arc::clone(&stop), Arc::clone(&counts));
            clients.spawn(async move {
                let client = Client::new(true, PATIENCE);
                while !stop.load(Ordering::Relaxed) {
                    let number = counts.0.fetch_add(1, Ordering::Relaxed);
                    let post = Request::post(format!("http://{addr}/")).body(Bytes::from(number.to_string()));
                    let answer = client.ask(post.unwrap()).await;
                    if !answer.is_ok_and(|answer| answer.status.is_success()) {
                        counts.1.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        Self { clients, stop, counts }
    }

    async fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
        (self.counts.0.load(Ordering::Relaxed), self.counts.1.load(Ordering::Relaxed))
    }
}

/// What may not be repeated is not: at most what was under way at the dead server fails, and nothing is done twice.
pub(super) async fn a_post_is_never_carried_out_twice(driver: Driver) {
    let (world, mut hosts, deeds) = hosts(driver, &["web1", "web2", "web3"]).await;
    let posts = Posts::start(world.proxy().http);
    let mut crashes = 0;
    for dead in [2, 1] {
        let done = deeds.lock().unwrap().len();
        world.eventually("posts are carried out", || async { deeds.lock().unwrap().len() > done + 100 }).await;
        hosts[dead].kill();
        crashes += 1;
        world.out(hosts[dead].addr).await;
    }
    let done = deeds.lock().unwrap().len();
    world.eventually("posts go on", || async { deeds.lock().unwrap().len() > done + 100 }).await;
    let (sent, failed) = posts.stop().await;
    let deeds = deeds.lock().unwrap();
    let twice: Vec<_> = deeds.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "carried out more than once: {twice:?}");
    // A reload closes kept connections, and a POST that was under way on one is nobody's to send again.
    let losses = if driver.reloads() { 2 * crashes } else { crashes };
    assert!(failed <= losses * Posts::CLIENTS, "{failed} of {sent} failed in {crashes} crashes");
    let done = u64::try_from(deeds.len()).unwrap();
    assert!(done >= sent - failed, "{done} of {sent} were carried out, {failed} failed");
}

/// Its web server would serve on; but nobody can tell any more how it is.
pub(super) async fn an_agent_dies_alone_and_its_service_is_let_go_gently(driver: Driver) {
    let mut world = World::with(driver, &["web1", "web2"]).await;
    let traffic = world.traffic();
    let agent = world.agents.get_mut("web1").unwrap();
    agent.process.kill().unwrap();
    world.members("proxy", &[("web1", "failed")]).await;
    world.serves(&["web2"]).await;
    none_failed(traffic).await;
}

/// Stopped for a while, the agent misses its probes; the balancer's own question is answered, so nothing changes.
pub(super) async fn a_suspicion_of_one_that_answers_the_balancer_changes_nothing(driver: Driver) {
    // Seconds from the suspicion to the verdict, so that a busy machine does not run past it.
    let slow = ["--profile", "wan"];
    let mut world = World::run_by(driver, &slow).await;
    for web in ["web1", "web2", "web3"] {
        world.start_agent(web, &slow).await;
    }
    world.serves(&["web1", "web2", "web3"]).await;
    world.converges().await;
    let traffic = world.traffic();
    let (addr, pid) = (world.agents["web1"].addr, world.agents["web1"].process.pid());
    halt(pid);
    let answered = || async {
        let members = world.json("proxy", &["members"]).await.unwrap_or_default();
        let all = members["members"].as_array().cloned().unwrap_or_default();
        all.iter().any(|m| m["name"] == "web1" && m["why"] == "no ack to a member, answered us")
    };
    world.eventually("web1 is a suspect that answered", answered).await;
    assert!(world.plane("proxy").takes(addr).await.unwrap(), "{}", world.last_words());
    send(pid, Signal::CONT);
    world.members("proxy", &[("web1", "alive")]).await;
    world.serves(&["web1", "web2", "web3"]).await;
    let words = world.balancers["proxy"].process.last_words(200);
    let touched = words.lines().any(|line| line.contains("id=web/web1") && !line.contains(": Add "));
    assert!(!touched, "{words}");
    none_failed(traffic).await;
}

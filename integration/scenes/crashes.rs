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
use backchat::demo::{Child, Client, Traffic, Web, plane, ports, traffic::Load};
use bytes::Bytes;
use rustix::process::Signal;
use tokio::{runtime::Runtime, task::JoinSet};

use super::{
    signals::send,
    world::{PATIENCE, World, none_failed},
};

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
async fn hosts(names: &[&str]) -> (World, Vec<Host>, Deeds) {
    let (world, deeds) = (World::new().await, Deeds::default());
    let hosts = names.iter().map(|name| Host::start(&world, name, &deeds)).collect();
    world.serves(names).await;
    (world, hosts, deeds)
}

/// What HAProxy has at an address; by name.
async fn at(world: &World, addr: SocketAddr) -> Vec<String> {
    let servers = plane::servers(&world.run_dir("proxy").join("haproxy.sock")).await.unwrap_or_default();
    servers.into_iter().filter(|server| server.addr == addr).map(|server| server.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_and_service_die_together_and_no_idempotent_request_is_lost() {
    let (world, mut hosts, _) = hosts(&["web1", "web2", "web3"]).await;
    let load = Load { clients: 16, rest: Duration::ZERO, ..Load::steady(world.proxy().http) };
    let traffic = Traffic::start(&load).unwrap();
    for (dead, name) in [(2, "web3"), (1, "web2")] {
        let busy = traffic.counts().by(name);
        traffic.wait(PATIENCE, |counts| counts.by(name) > busy + 16).await.expect("it is asked");
        hosts[dead].kill();
        let took = world.out(hosts[dead].addr).await;
        assert!(took < ABOUT_A_SECOND, "{name} was out after {took:?} only\n{}", world.last_words());
        world.members("proxy", &[(name, "failed")]).await;
        let gone = || async { at(&world, hosts[dead].addr).await.is_empty() };
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
#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_never_carried_out_twice() {
    let (world, mut hosts, deeds) = hosts(&["web1", "web2", "web3"]).await;
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
    assert!(failed <= crashes * Posts::CLIENTS, "{failed} of {sent} failed in {crashes} crashes");
    let done = u64::try_from(deeds.len()).unwrap();
    assert!(done >= sent - failed, "{done} of {sent} were carried out, {failed} failed");
}

/// Its web server would serve on; but nobody can tell any more how it is.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_dies_alone_and_its_service_is_let_go_gently() {
    let mut world = World::with(&["web1", "web2"]).await;
    let traffic = world.traffic();
    let agent = world.agents.get_mut("web1").unwrap();
    agent.process.kill().unwrap();
    world.members("proxy", &[("web1", "failed")]).await;
    world.serves(&["web2"]).await;
    none_failed(traffic).await;
}

/// Gossip says that it lives, HAProxy's own check that it does not: it gets nothing, and is not removed; it is back as
/// soon as it answers.
#[tokio::test(flavor = "multi_thread")]
async fn what_gossip_calls_alive_and_the_check_down_gets_nothing_and_stays() {
    let world = World::new().await;
    let (addr, gossip) = (ports::free().unwrap(), ports::free().unwrap());
    let _agent = world.agent("web1", gossip, addr.port(), &[]);
    let web = Web::start(addr, "web1").await.unwrap();
    world.serves(&["web1"]).await;
    web.stop().await.unwrap();
    let down = || async {
        let services = world.json("proxy", &["services"]).await.unwrap_or_default();
        let web = &services["services"][0];
        web["state"] == "down" && web["ready"] == 0 && web["total"] == 1
    };
    world.eventually("web is down", down).await;
    world.members("proxy", &[("web1", "alive")]).await;
    assert_eq!(at(&world, addr).await, ["web1"]);
    let _web = Web::start(addr, "web1").await.unwrap();
    world.serves(&["web1"]).await;
}

/// Stopped for a while, the agent misses its probes; the balancer's own question is answered, so nothing changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_suspicion_of_one_that_answers_the_balancer_changes_nothing() {
    // Seconds from the suspicion to the verdict, so that a busy machine does not run past it.
    let slow = ["--profile", "wan"];
    let mut world = World::run_by(&slow).await;
    for web in ["web1", "web2", "web3"] {
        world.start_agent(web, &slow).await;
    }
    world.serves(&["web1", "web2", "web3"]).await;
    let traffic = world.traffic();
    let addr = world.agents["web1"].web.as_ref().unwrap().addr();
    let pid = world.agents["web1"].process.pid();
    send(pid, Signal::STOP);
    let answered = || async {
        let members = world.json("proxy", &["members"]).await.unwrap_or_default();
        let all = members["members"].as_array().cloned().unwrap_or_default();
        all.iter().any(|m| m["name"] == "web1" && m["why"] == "no ack to a member, answered us")
    };
    world.eventually("web1 is a suspect that answered", answered).await;
    let servers = plane::servers(&world.run_dir("proxy").join("haproxy.sock")).await.unwrap();
    assert!(plane::takes(&servers, addr), "{servers:?}\n{}", world.last_words());
    send(pid, Signal::CONT);
    world.members("proxy", &[("web1", "alive")]).await;
    world.serves(&["web1", "web2", "web3"]).await;
    let words = world.balancers["proxy"].process.last_words(200);
    let touched = words.lines().any(|line| line.contains("id=web/web1") && !line.contains(": Add "));
    assert!(!touched, "{words}");
    none_failed(traffic).await;
}

/// Of two at one address the newest life has it; the other is a rejection, and is back when that has left.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_members_at_one_address_the_newest_serves() {
    let world = World::with(&["web1", "web2"]).await;
    let traffic = world.traffic();
    let addr = world.agents["web1"].web.as_ref().unwrap().addr();
    let mut twin = world.agent("twin", ports::free().unwrap(), addr.port(), &[]);
    world.eventually("the twin has it", || async { at(&world, addr).await == ["twin"] }).await;
    let refused = || async {
        let status = world.status().await;
        let refused = &status["rejections"][0];
        refused["node"] == "web1" && refused["code"] == "duplicate"
    };
    world.eventually("web1's claim is refused", refused).await;
    twin.terminate().unwrap();
    twin.ended(PATIENCE).await.unwrap().expect("it leaves");
    world.eventually("web1 has it again", || async { at(&world, addr).await == ["web1"] }).await;
    world.serves(&["web1", "web2"]).await;
    none_failed(traffic).await;
}

/// The one that had the address is gone with the apply that brings its heir, long before it is declared failed.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_over_an_address_replaces_its_owner_in_one_apply() {
    let slow = ["--profile", "wan"];
    let mut world = World::run_by(&slow).await;
    for web in ["web1", "web2"] {
        world.start_agent(web, &slow).await;
    }
    world.serves(&["web1", "web2"]).await;
    let traffic = world.traffic();
    let addr = world.agents["web1"].web.as_ref().unwrap().addr();
    world.agents.get_mut("web1").unwrap().process.kill().unwrap();
    let _heir = world.agent("heir", ports::free().unwrap(), addr.port(), &slow);
    world.eventually("the heir has it", || async { at(&world, addr).await == ["heir"] }).await;
    let words = world.balancers["proxy"].process.last_words(200);
    let line = |what: &str| {
        let found = words.lines().enumerate().find(|(_, line)| line.contains(what));
        found.unwrap_or_else(|| panic!("no {what}:\n{words}"))
    };
    let ((comes, _), (goes, why)) =
        (line(": Add kind=Endpoint id=web/heir"), line(": Remove kind=Endpoint id=web/web1"));
    assert!(!why.contains("failed") && !why.contains("left"), "it went for another reason: {why}");
    assert_eq!(comes.abs_diff(goes), 1, "two applies:\n{words}");
    // The web server at that address still answers the old name.
    world.serves(&["web1", "web2"]).await;
    none_failed(traffic).await;
}

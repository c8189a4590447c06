//! Daemons and data planes end, hang and begin anew, one at a time and together: what was served is served on.

use std::time::Duration;

use backchat::demo::{Child, Driver, Web, child::kill_pid, plane::Processes, ports};
use tokio::time::Instant;

use super::{
    plane::ANY,
    world::{PATIENCE, World, get, none_failed},
};

/// SIGKILL for a balancer and its data plane, and nothing left in the run folder: what a reboot leaves.
async fn reboot(world: &mut World, more: &[&str]) {
    world.kill_lb().await;
    world.plane("proxy").kill();
    let http = world.proxy().http;
    world.eventually("nobody answers", || async { get(http, "any.example").await.is_none() }).await;
    std::fs::remove_dir_all(world.run_dir("proxy")).unwrap();
    world.restart_balancer_with("proxy", more);
}

/// An agent whose web server says its name at `shop.example.com`, for a service of this name.
struct Shop {
    web: Web,
    gossip: std::net::SocketAddr,
    service: String,
    name: &'static str,
}

impl Shop {
    async fn new(name: &'static str, service: &str) -> Self {
        let web = Web::start(([127, 0, 0, 1], 0).into(), name).await.unwrap();
        let service = format!("{service}:{},host=shop.example.com", web.addr().port());
        Self { web, gossip: ports::free().unwrap(), service, name }
    }

    fn start(&self, world: &World) -> Child {
        world.agent(self.name, self.gossip, self.web.addr().port(), &["--service", &self.service])
    }
}

async fn crash(mut agent: Child) {
    agent.kill().unwrap();
    agent.ended(PATIENCE).await.unwrap().expect("it was killed");
}

/// Whether `web9` is refused, which it is said to be once it is known.
async fn refused(world: &World) -> bool {
    let status = world.status().await;
    status["rejections"].as_array().is_some_and(|all| all.iter().any(|r| r["node"] == "web9"))
}

/// Only the file knows who came first: nothing of the data plane is left, and the newcomer is there before the
/// incumbent is back.
#[tokio::test(flavor = "multi_thread")]
async fn the_incumbent_keeps_its_host_over_a_reboot_of_the_balancer() {
    let data = tempfile::tempdir().unwrap();
    let (ledger, data) = (data.path().join("ledger.json"), data.path().display().to_string());
    let mut world = World::run_by(ANY, &["--data-dir", &data]).await;
    let (incumbent, newcomer) = (Shop::new("web1", "shop").await, Shop::new("web9", "other").await);
    let http = world.proxy().http;
    let by = async |name: &str| get(http, "shop.example.com").await.is_some_and(|(_, by)| by == name);

    let first = incumbent.start(&world);
    world.eventually("web1 serves the shop", || by("web1")).await;
    let _newcomer = newcomer.start(&world);
    world.eventually("web9 is refused", || refused(&world)).await;
    let kept = || async { std::fs::read_to_string(&ledger).is_ok_and(|text| text.contains("\"web1\"")) };
    world.eventually("the ledger is kept", kept).await;
    crash(first).await;

    reboot(&mut world, &["--data-dir", &data]).await;
    let again = || async {
        assert!(!by("web9").await, "the newcomer took the host\n{}", world.last_words());
        refused(&world).await
    };
    world.eventually("web9 is refused again", again).await;
    let second = incumbent.start(&world);
    world.eventually("web1 serves the shop again", || by("web1")).await;

    // Without the file the newcomer has it: nothing else knew.
    crash(second).await;
    // From web9 the balancer hears of everybody: as alive of one whose death nobody has noticed.
    world.members("web9", &[("web1", "failed")]).await;
    reboot(&mut world, &[]).await;
    world.eventually("web9 serves the shop", || by("web9")).await;
}

/// Killed at every point of its start and afterwards, under load: nothing is written, and nobody is restarted.
pub(super) async fn many_restarts_under_load_change_nothing(driver: Driver) {
    const RESTARTS: usize = 20;
    let mut world = World::with(driver, &["web1", "web2", "web3"]).await;
    world.eventually("all is settled", || world.is_settled(3)).await;
    let plane = world.plane("proxy");
    world.kill_lb().await;
    let before = (plane.state().await, plane.running().await, plane.files());
    let (traffic, joined) = (world.traffic(), world.agents["web1"].gossip.to_string());
    for round in 0..RESTARTS {
        world.restart_balancer_with("proxy", &["--join", &joined]);
        let so_far = || async {
            match round % 5 {
                0 => true,
                1 => world.run_dir("proxy").join("admin.sock").exists(),
                2 => world.status().await["synced"] == true,
                3 => world.status().await["up"] == true,
                _ => world.is_settled(3).await,
            }
        };
        world.eventually("it has come so far", so_far).await;
        world.kill_lb().await;
        assert_eq!((plane.state().await, plane.running().await, plane.files()), before, "in round {round}");
    }
    none_failed(traffic).await;

    // A change is made by the next one, and it is seen here.
    world.restart_balancer_with("proxy", &["--join", &joined]);
    world.start_agent("web4", &[]).await;
    world.serves(&["web1", "web2", "web3", "web4"]).await;
    assert_ne!(plane.state().await, before.0);
}

/// What is noticed within a second, on a machine that does much else.
pub(super) const NOTICED: Duration = Duration::from_secs(3);

pub(super) async fn a_worker_or_master_killed_again_and_again_is_replaced_with_all_its_servers(driver: Driver) {
    let mut world = World::with(driver, &["web1", "web2", "web3"]).await;
    let plane = world.plane("proxy");
    for (nth, kills_worker) in [true, false, true, false].into_iter().enumerate() {
        let before = plane.running().await.expect("it serves");
        let (begun, worker) = (Instant::now(), before.workers[0]);
        kill_pid(if kills_worker { worker } else { before.master }).unwrap();
        // HAProxy's master ends with its worker, that of the others starts another.
        let whole = !kills_worker || driver == Driver::Haproxy;
        let replaced = |now: Processes| !now.workers.contains(&worker) && (!whole || now.master != before.master);
        let another = || async { plane.running().await.is_some_and(replaced) };
        world.eventually("another one runs", another).await;
        // Further on it is started later and later: one that ends again and again must not be started in a loop.
        assert!(nth > 1 || begun.elapsed() < NOTICED, "after {:?}", begun.elapsed());
        eprintln!("killed {}: another one after {:?}", if kills_worker { "worker" } else { "master" }, begun.elapsed());
        world.serves(&["web1", "web2", "web3"]).await;
    }
    world.start_agent("web4", &[]).await;
    world.serves(&["web1", "web2", "web3", "web4"]).await;
}

/// The new worker knows what the file says, and from then on it is the one that is driven.
pub(super) async fn a_reload_by_hand_loses_no_request_and_the_new_worker_is_driven(driver: Driver) {
    let mut world = World::with(driver, &["web1", "web2"]).await;
    world.converges().await;
    let (traffic, plane) = (world.traffic_over_a_reload(), world.plane("proxy"));
    let (before, running) = (plane.state().await, plane.running().await.expect("it serves"));
    plane.reload().await;
    let another = |now: Processes| now.workers.iter().all(|pid| !running.workers.contains(pid));
    let reloaded = || async { plane.running().await.is_some_and(another) };
    world.eventually("another worker answers", reloaded).await;
    assert_eq!(plane.state().await, before);
    world.start_agent("web3", &[]).await;
    world.serves(&["web1", "web2", "web3"]).await;
    assert_eq!(plane.running().await.map(|now| now.master), Some(running.master), "{}", world.last_words());
    none_failed(traffic).await;
}

/// Whether `status` fails, with a line that says it of the data plane.
async fn said_to_fail(world: &World) -> Option<String> {
    let (text, code) = world.status_text().await;
    let line = text.lines().find(|line| line.starts_with("FAIL  data plane"))?.to_owned();
    (code == Some(1)).then_some(line)
}

/// A stopped one takes every command and answers none. The balancer says so, is itself a member like any other
/// meanwhile, and goes on where it was.
pub(super) async fn a_stopped_data_plane_is_said_holds_up_no_gossip_and_heals(driver: Driver) {
    let mut world = World::with(driver, &["web1", "web2"]).await;
    let plane = world.plane("proxy");
    let (before, begun) = (plane.running().await.expect("it serves"), Instant::now());
    let stopped = plane.stop().await;
    world.eventually("status says FAIL", || async { said_to_fail(&world).await.is_some() }).await;
    assert!(begun.elapsed() < NOTICED, "after {:?}", begun.elapsed());
    let line = said_to_fail(&world).await.expect("it is still so");
    eprintln!("stopped: after {:?}: {line}", begun.elapsed());
    let remedy = |pid: &u32| line.contains(&format!("kill -CONT {pid}"));
    assert!(stopped.0.iter().any(remedy), "{:?}: {line}", stopped.0);

    // Members come and go all the while, and nobody takes the balancer for dead.
    world.start_agent("web3", &[]).await;
    world.members("proxy", &[("web3", "alive")]).await;
    world.members("web3", &[("proxy", "alive")]).await;
    world.crash("web2");
    world.members("proxy", &[("web2", "failed")]).await;
    world.members("web1", &[("proxy", "alive"), ("web2", "failed")]).await;
    let plan = tokio::time::timeout(PATIENCE, world.json("proxy", &["plan"])).await;
    assert!(plan.is_ok(), "a question of the loop is answered or refused");

    drop(stopped);
    world.serves(&["web1", "web3"]).await;
    let begun = Instant::now();
    world.converges().await;
    assert!(begun.elapsed() < NOTICED, "after {:?}", begun.elapsed());
    let after = plane.running().await.expect("it serves");
    assert_eq!(after.master, before.master, "it was let go on, not replaced");
    assert!(plane.endpoints_reload() || after == before, "it was not reloaded either");
}

/// Adopted, and brought to what this daemon is told: it listens elsewhere.
pub(super) async fn a_kept_data_plane_is_adopted_by_the_next_lb_and_follows_its_flags(driver: Driver) {
    let mut world = World::run_by(driver, &["--on-exit", "keep"]).await;
    for name in ["web1", "web2"] {
        world.start_agent(name, &[]).await;
    }
    world.serves(&["web1", "web2"]).await;
    world.converges().await;
    let plane = world.plane("proxy");
    let before_it = plane.running().await.expect("it serves");
    let traffic = world.traffic_over_a_reload();
    world.end_lb().await;
    world.restart_balancer_with("proxy", &["--on-exit", "keep"]);
    world.members("proxy", &[("web1", "alive"), ("web2", "alive")]).await;
    world.converges().await;
    assert_eq!(plane.running().await.as_ref(), Some(&before_it), "it was not adopted as it was");
    none_failed(traffic).await;

    world.end_lb().await;
    let (before, elsewhere) = (world.proxy().http, ports::free().unwrap());
    world.balancers.get_mut("proxy").unwrap().http = elsewhere;
    world.restart_balancer("proxy");
    world.serves(&["web1", "web2"]).await;
    world.eventually("nobody listens where it did", || async { get(before, "any.example").await.is_none() }).await;
    let after = plane.running().await.expect("it serves");
    assert!(after.master == before_it.master && after.workers != before_it.workers, "adopted, and reloaded");
    let words = world.proxy().process.last_words(200);
    let why = |line: &str| line.contains("reload: ") && line.contains("settings") && line.contains("changed");
    assert!(words.lines().any(why), "{words}");
}

/// A load balancer may share the port with another one, and half of the clients would reach either.
pub(super) async fn a_port_that_somebody_else_has_is_refused_at_the_start(driver: Driver) {
    let mut world = World::with(driver, &["web1"]).await;
    let http = world.proxy().http;
    let mut twin = world.lb(driver, "twin", ports::free().unwrap(), http, &[], &[]);
    let status = twin.ended(PATIENCE).await.unwrap().expect("it is refused");
    let words = twin.last_words(3);
    assert_eq!(status.code(), Some(1), "{words}");
    assert!(words.contains(&format!("lb: cannot bind tcp {http}: address in use; choose another --listen")), "{words}");
    assert!(!world.plane("twin").config().exists(), "nothing was begun");

    // Its own data plane serves at one, somebody else at the other: that one is refused all the same.
    let theirs = Web::start(([127, 0, 0, 1], 0).into(), "theirs").await.unwrap();
    world.kill_lb().await;
    let listen = theirs.addr().to_string();
    world.restart_balancer_with("proxy", &["--listen", &listen]);
    let lb = &mut world.balancers.get_mut("proxy").unwrap().process;
    let status = lb.ended(PATIENCE).await.unwrap().expect("it is refused");
    assert!(status.code() == Some(1) && lb.last_words(3).contains(&listen), "{}", lb.last_words(3));
    world.serves(&["web1"]).await;
}

/// One leaves and one crashes while nobody drives the data plane. Who comes back is told of both by those that stayed, and need
/// not wait for a word of them.
pub(super) async fn who_went_while_the_lb_was_away_is_out_when_it_is_back(driver: Driver) {
    let mut world = World::with(driver, &["web1", "web2", "web3", "web4"]).await;
    // They are served as soon as the lb knows them, which may be before they know one another.
    world.members("web1", &[("web2", "alive"), ("web3", "alive"), ("web4", "alive")]).await;
    world.kill_lb().await;
    world.agents["web2"].process.terminate().unwrap();
    world.crash("web3");
    world.members("web1", &[("web2", "left"), ("web3", "failed")]).await;
    let left = world.agents.get_mut("web2").unwrap();
    left.process.ended(PATIENCE).await.unwrap().expect("it ends");
    let (plane, web2, web3) = (world.plane("proxy"), world.agents["web2"].addr, world.agents["web3"].addr);
    assert!(plane.knows(web2).await && plane.knows(web3).await);
    let joined = world.agents["web1"].gossip.to_string();
    world.restart_balancer_with("proxy", &["--join", &joined]);
    let begun = Instant::now();
    // Far less than the time for which the unheard are waited for.
    let gone = || async { !plane.knows(web2).await && !plane.knows(web3).await };
    world.eventually("both are out", gone).await;
    eprintln!("out {:?} after the lb's start", begun.elapsed());
    world.serves(&["web1", "web4"]).await;
}

//! Daemons and data planes end, hang and begin anew, one at a time and together: what was served is served on.

use std::{os::unix::fs::MetadataExt as _, time::Duration};

use backchat::demo::{
    Child, Web,
    child::{kill_pid, parent_of},
    ports,
};

use rustix::process::Signal;
use tokio::time::Instant;

use super::{
    plane::{backend_of, servers, show, worker_of},
    recorder::Recorder,
    signals::send,
    world::{PATIENCE, World, get, none_failed},
};

/// SIGKILL for a balancer and its HAProxy at once, and nothing left in the run folder: what a reboot leaves.
async fn reboot(world: &mut World, more: &[&str]) {
    let worker = worker_of(world, "proxy").await.expect("HAProxy tells its pid");
    let lb = world.balancers.get_mut("proxy").unwrap();
    lb.process.kill().unwrap();
    lb.process.ended(PATIENCE).await.unwrap().expect("it was killed");
    for pid in [parent_of(worker).expect("a worker has a master"), worker] {
        kill_pid(pid).expect("it runs");
    }
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
    let mut world = World::run_by(&["--data-dir", &data]).await;
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
    reboot(&mut world, &[]).await;
    world.eventually("web9 serves the shop", || by("web9")).await;
}

/// How often a balancer is killed in the scene below.
const RESTARTS: usize = 100;

/// Killed at every point of its start and afterwards, under load. What HAProxy was asked is taken down between the two,
/// so that not a single command is missed that would change anything, even back and forth.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_restarts_under_load_change_nothing() {
    let mut world = World::with(&["web1", "web2", "web3"]).await;
    world.eventually("all is settled", || settled(&world)).await;
    world.kill_lb().await;
    let socket = |name: &str| Recorder::before(&world.run_dir("proxy").join(name)).unwrap();
    let (runtime, master) = (socket("haproxy.sock"), socket("master.sock"));
    let before = (servers(&world).await, worker_of(&world, "proxy").await, files(&world));
    let traffic = world.traffic();
    let (joined, asks) = (world.agents["web1"].gossip.to_string(), |lines: usize| move |now: usize| now >= lines);
    for round in 0..RESTARTS {
        let begun = runtime.count();
        world.restart_balancer_with("proxy", &["--join", &joined]);
        if round % 5 == 0 {
            world.eventually("it is settled again", || settled(&world)).await;
            let status = world.status().await;
            assert!(status["last_apply"].is_null() && status["held"] == serde_json::json!([]), "{status}");
        } else {
            // After its first word, its second, and so on: beyond what it has to ask until it is settled.
            let said = asks(begun + 1 + round % 24);
            world.eventually("it has asked so much", || async { said(runtime.count()) }).await;
        }
        world.kill_lb().await;
    }
    let changing =
        |recorder: &Recorder| recorder.asked().into_iter().filter(|line| !is_question(line)).collect::<Vec<_>>();
    assert_eq!((changing(&runtime), changing(&master)), (vec![], vec![]));
    assert_eq!((servers(&world).await, worker_of(&world, "proxy").await, files(&world)), before);
    let counts = none_failed(traffic).await;
    eprintln!("{RESTARTS} restarts, {} questions, {counts}", runtime.count() + master.count());

    // The witness would have told: a change does pass through it.
    world.restart_balancer_with("proxy", &["--join", &joined]);
    world.start_agent("web4", &[]).await;
    world.serves(&["web1", "web2", "web3", "web4"]).await;
    assert!(changing(&runtime).iter().any(|line| line.starts_with("add server")), "{:?}", changing(&runtime));
}

/// Whether the balancer knows its three agents, and has nothing left to do.
async fn settled(world: &World) -> bool {
    let status = world.status().await;
    status["synced"] == true && status["converged"] == true && status["members"]["alive"] == 4
}

/// What HAProxy was loaded from: which file each is, and what it says. Written again it would be another one.
fn files(world: &World) -> Vec<(u64, String)> {
    let read = |name: &str| {
        let path = world.run_dir("proxy").join(name);
        (std::fs::metadata(&path).unwrap().ino(), std::fs::read_to_string(&path).unwrap())
    };
    ["haproxy.cfg", "hosts.map", "services.map"].map(read).into()
}

/// Whether HAProxy is only asked, or told how to speak.
fn is_question(line: &str) -> bool {
    let begins = |words: &str| line.starts_with(words);
    ["show ", "get ", "prompt", "set severity-output ", "quit"].into_iter().any(begins)
}

/// What is noticed within a second, on a machine that does much else.
const NOTICED: Duration = Duration::from_secs(3);

async fn master_and_worker(world: &World) -> (u32, u32) {
    let worker = worker_of(world, "proxy").await.expect("HAProxy tells its pid");
    (parent_of(worker).expect("a worker has a master"), worker)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_or_master_killed_again_and_again_is_replaced_with_all_its_servers() {
    let mut world = World::with(&["web1", "web2", "web3"]).await;
    for (nth, kills_worker) in [true, false, true, false].into_iter().enumerate() {
        let (master, worker) = master_and_worker(&world).await;
        let begun = Instant::now();
        kill_pid(if kills_worker { worker } else { master }).unwrap();
        let another = || async {
            let now = worker_of(&world, "proxy").await;
            now.is_some_and(|pid| pid != worker && parent_of(pid) != Some(master))
        };
        world.eventually("another HAProxy runs", another).await;
        // Further on it is started later and later: one that ends again and again must not be started in a loop.
        assert!(nth > 1 || begun.elapsed() < NOTICED, "after {:?}", begun.elapsed());
        eprintln!("killed {}: another one after {:?}", if kills_worker { "worker" } else { "master" }, begun.elapsed());
        world.serves(&["web1", "web2", "web3"]).await;
    }
    world.start_agent("web4", &[]).await;
    world.serves(&["web1", "web2", "web3", "web4"]).await;
}

/// The new worker knows what the file says, and from then on it is the one that is read back and driven: what is
/// changed there by hand is put right.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_by_hand_loses_no_request_and_the_new_worker_is_driven() {
    let mut world = World::with(&["web1", "web2"]).await;
    world.converges().await;
    let traffic = world.traffic();
    let (before, (master, worker)) = (servers(&world).await, master_and_worker(&world).await);
    let begun = Instant::now();
    send(master, Signal::USR2);
    let another = || async { worker_of(&world, "proxy").await.is_some_and(|pid| pid != worker) };
    world.eventually("another worker answers", another).await;
    assert_eq!(servers(&world).await, before);
    let backend = backend_of(&world, "web1").await.expect("web1 is there");
    show(&world, &format!("set server {backend}/web1 weight 7")).await;
    world.eventually("its weight is put right", || async { servers(&world).await == before }).await;
    assert!(begun.elapsed() < NOTICED, "after {:?}", begun.elapsed());
    eprintln!("reloaded by hand: driven again after {:?}", begun.elapsed());
    world.start_agent("web3", &[]).await;
    world.serves(&["web1", "web2", "web3"]).await;
    let (same, newest) = master_and_worker(&world).await;
    assert!(same == master && newest != worker, "{}", world.last_words());
    none_failed(traffic).await;
}

/// Whether `status` fails, with a line that says it of the data plane.
async fn said_to_fail(world: &World) -> Option<String> {
    let (text, code) = world.status_text().await;
    let line = text.lines().find(|line| line.starts_with("FAIL  data plane"))?.to_owned();
    (code == Some(1)).then_some(line)
}

/// A stopped HAProxy takes every command and answers none. The balancer says so, is itself a member like any other
/// meanwhile, and goes on where it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_haproxy_is_said_holds_up_no_gossip_and_heals() {
    let mut world = World::with(&["web1", "web2"]).await;
    let (_, worker) = master_and_worker(&world).await;
    let begun = Instant::now();
    send(worker, Signal::STOP);
    world.eventually("status says FAIL", || async { said_to_fail(&world).await.is_some() }).await;
    assert!(begun.elapsed() < NOTICED, "after {:?}", begun.elapsed());
    let line = said_to_fail(&world).await.expect("it is still so");
    eprintln!("stopped: after {:?}: {line}", begun.elapsed());
    assert!(line.contains(&format!("kill -CONT {worker}")), "{line}");

    // Members come and go all the while, and nobody takes the balancer for dead.
    world.start_agent("web3", &[]).await;
    world.members("proxy", &[("web3", "alive")]).await;
    world.members("web3", &[("proxy", "alive")]).await;
    world.crash("web2");
    world.members("proxy", &[("web2", "failed")]).await;
    world.members("web1", &[("proxy", "alive"), ("web2", "failed")]).await;
    let plan = tokio::time::timeout(PATIENCE, world.json("proxy", &["plan"])).await;
    assert!(plan.is_ok(), "a question of the loop is answered or refused");

    send(worker, Signal::CONT);
    world.serves(&["web1", "web3"]).await;
    let begun = Instant::now();
    world.converges().await;
    assert!(begun.elapsed() < NOTICED, "after {:?}", begun.elapsed());
    assert_eq!(worker_of(&world, "proxy").await, Some(worker), "it was let go on, not replaced");
}

/// Adopted, and brought to what this daemon is told: it listens elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_haproxy_is_adopted_by_the_next_lb_and_follows_its_flags() {
    let mut world = World::run_by(&["--on-exit", "keep"]).await;
    for name in ["web1", "web2"] {
        world.start_agent(name, &[]).await;
    }
    world.serves(&["web1", "web2"]).await;
    let (master, worker) = master_and_worker(&world).await;
    let traffic = world.traffic();
    end_lb(&mut world).await;
    world.restart_balancer_with("proxy", &["--on-exit", "keep"]);
    world.members("proxy", &[("web1", "alive"), ("web2", "alive")]).await;
    world.converges().await;
    assert_eq!(master_and_worker(&world).await, (master, worker), "it was not adopted as it was");
    none_failed(traffic).await;

    end_lb(&mut world).await;
    let (before, elsewhere) = (world.proxy().http, ports::free().unwrap());
    world.balancers.get_mut("proxy").unwrap().http = elsewhere;
    world.restart_balancer("proxy");
    world.serves(&["web1", "web2"]).await;
    world.eventually("nobody listens where it did", || async { get(before, "any.example").await.is_none() }).await;
    let (same, newest) = master_and_worker(&world).await;
    assert!(same == master && newest != worker, "adopted, and reloaded");
    let words = world.proxy().process.last_words(200);
    assert!(words.contains("reload: settings or template changed"), "{words}");
}

async fn end_lb(world: &mut World) {
    let lb = world.balancers.get_mut("proxy").unwrap();
    lb.process.terminate().unwrap();
    let status = lb.process.ended(PATIENCE).await.unwrap();
    assert_eq!(status.and_then(|s| s.code()), Some(0), "{}", world.last_words());
}

/// HAProxy would share the port with another one, and half of the clients would reach either.
#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_somebody_else_has_is_refused_at_the_start() {
    let mut world = World::with(&["web1"]).await;
    let http = world.proxy().http;
    let mut twin = world.lb("twin", ports::free().unwrap(), http, &[], &[]);
    let status = twin.ended(PATIENCE).await.unwrap().expect("it is refused");
    let words = twin.last_words(3);
    assert_eq!(status.code(), Some(1), "{words}");
    assert!(words.contains(&format!("lb: cannot bind tcp {http}: address in use; choose another --listen")), "{words}");
    assert!(!world.run_dir("twin").join("haproxy.cfg").exists(), "nothing was begun");

    // Its own HAProxy serves at one, somebody else at the other: that one is refused all the same.
    let theirs = Web::start(([127, 0, 0, 1], 0).into(), "theirs").await.unwrap();
    world.kill_lb().await;
    let listen = theirs.addr().to_string();
    world.restart_balancer_with("proxy", &["--listen", &listen]);
    let lb = &mut world.balancers.get_mut("proxy").unwrap().process;
    let status = lb.ended(PATIENCE).await.unwrap().expect("it is refused");
    assert!(status.code() == Some(1) && lb.last_words(3).contains(&listen), "{}", lb.last_words(3));
    world.serves(&["web1"]).await;
}

/// One leaves and one crashes while nobody drives HAProxy. Who comes back is told of both by those that stayed, and need
/// not wait for a word of them.
#[tokio::test(flavor = "multi_thread")]
async fn who_went_while_the_lb_was_away_is_out_when_it_is_back() {
    let mut world = World::with(&["web1", "web2", "web3", "web4"]).await;
    world.kill_lb().await;
    world.agents["web2"].process.terminate().unwrap();
    world.crash("web3");
    world.members("web1", &[("web2", "left"), ("web3", "failed")]).await;
    let left = world.agents.get_mut("web2").unwrap();
    left.process.ended(PATIENCE).await.unwrap().expect("it ends");
    assert!(backend_of(&world, "web2").await.is_some() && backend_of(&world, "web3").await.is_some());
    let joined = world.agents["web1"].gossip.to_string();
    world.restart_balancer_with("proxy", &["--join", &joined]);
    let begun = Instant::now();
    // Far less than the time for which the unheard are waited for.
    let gone = || async { backend_of(&world, "web2").await.is_none() && backend_of(&world, "web3").await.is_none() };
    world.eventually("both are out", gone).await;
    eprintln!("out {:?} after the lb's start", begun.elapsed());
    world.serves(&["web1", "web4"]).await;
}

//! Daemons and data planes end, hang and begin anew, one at a time and together: what was served is served on.

use std::os::unix::fs::MetadataExt as _;

use backchat::demo::{
    Child, Web,
    child::{kill_pid, parent_of},
    ports,
};

use super::{
    plane::{servers, worker_of},
    recorder::Recorder,
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
    let status = world.json("proxy", &["status"]).await.unwrap_or_default();
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
    kill_lb(&mut world).await;
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
            let status = world.json("proxy", &["status"]).await.unwrap_or_default();
            assert!(status["last_apply"].is_null() && status["held"] == serde_json::json!([]), "{status}");
        } else {
            // After its first word, its second, and so on: beyond what it has to ask until it is settled.
            let said = asks(begun + 1 + round % 24);
            world.eventually("it has asked so much", || async { said(runtime.count()) }).await;
        }
        kill_lb(&mut world).await;
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

async fn kill_lb(world: &mut World) {
    let lb = world.balancers.get_mut("proxy").unwrap();
    lb.process.kill().unwrap();
    lb.process.ended(PATIENCE).await.unwrap().expect("it was killed");
}

/// Whether the balancer knows its three agents, and has nothing left to do.
async fn settled(world: &World) -> bool {
    let status = world.json("proxy", &["status"]).await.unwrap_or_default();
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

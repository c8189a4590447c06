//! Daemons and data planes end, hang and begin anew, one at a time and together: what was served is served on.

use std::path::Path;

use backchat::demo::{
    Child, Web,
    child::{kill_pid, parent_of},
    plane::ask,
    ports,
};

use super::world::{PATIENCE, World, get};

/// SIGKILL for a balancer and its HAProxy at once, and nothing left in the run folder: what a reboot leaves.
async fn reboot(world: &mut World, more: &[&str]) {
    let socket = world.run_dir("proxy").join("haproxy.sock");
    let worker = worker(&socket).await.expect("HAProxy tells its pid");
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

/// The process id of the HAProxy that answers on the socket.
async fn worker(socket: &Path) -> Option<u32> {
    let info = ask(socket, "show info").await.ok()?;
    info.lines().find_map(|line| line.strip_prefix("Pid: "))?.trim().parse().ok()
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

//! What HAProxy alone tells: its own checks, and what a server is called there.

use std::net::SocketAddr;

use backchat::demo::{Driver, Web, plane::haproxy, ports};

use crate::scenes::world::{PATIENCE, World, get, none_failed};

/// What HAProxy has at an address; by name.
async fn at(world: &World, addr: SocketAddr) -> Vec<String> {
    let servers = haproxy::servers(&world.plane("proxy").path(haproxy::SOCKET)).await.unwrap_or_default();
    servers.into_iter().filter(|server| server.addr == addr).map(|server| server.name).collect()
}

/// Gossip says that it lives, HAProxy's own check that it does not: it gets nothing, and is not removed; it is back as
/// soon as it answers.
#[tokio::test(flavor = "multi_thread")]
async fn what_gossip_calls_alive_and_the_check_down_gets_nothing_and_stays() {
    let world = World::new(Driver::Haproxy).await;
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

/// Of two at one address the newest life has it; the other is a rejection, and is back when that has left.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_members_at_one_address_the_newest_serves() {
    let world = World::with(Driver::Haproxy, &["web1", "web2"]).await;
    let traffic = world.traffic();
    let addr = world.agents["web1"].addr;
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
    let mut world = World::run_by(Driver::Haproxy, &slow).await;
    for web in ["web1", "web2"] {
        world.start_agent(web, &slow).await;
    }
    world.serves(&["web1", "web2"]).await;
    let traffic = world.traffic();
    let addr = world.agents["web1"].addr;
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

#[tokio::test(flavor = "multi_thread")]
async fn hosts_lead_to_their_services() {
    let mut world = World::with(Driver::Haproxy, &["web1"]).await;
    world.start_agent("shop1", &["--service", "shop:9,host=shop.example.com"]).await;
    // The second --service has a port where nobody listens: shop1's web server is of service `web` too.
    let http = world.proxy().http;
    world.serves(&["web1", "shop1"]).await;
    let refused = || async { get(http, "shop.example.com").await.map(|(status, _)| status) == Some(503) };
    world.eventually("shop.example.com has no server that answers", refused).await;
    let told = || async {
        let answer = world.json("proxy", &["services"]).await.unwrap_or_default();
        let shop = answer["services"].as_array().and_then(|all| all.iter().find(|s| s["name"] == "shop").cloned());
        shop.is_some_and(|shop| shop["ready"] == 0 && shop["state"] == "down")
    };
    world.eventually("services says that nobody answers for shop", told).await;
    let default = get(http, "other.example.com").await;
    assert_eq!(default.map(|(status, _)| status), Some(200));
}

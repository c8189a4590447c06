//! A member that comes and goes, or a service of it, with traffic flowing.

use backchat::demo::{Driver, Web};
use serde_json::Value;

use super::world::{PATIENCE, World, none_failed};

/// Agent and web server are killed, the balancer takes them out, and both come back.
async fn crash_and_return(world: &mut World, name: &str) {
    let at = world.agents[name].web.as_ref().expect("it serves").addr();
    world.crash(name);
    let agent = world.agents.get_mut(name).unwrap();
    agent.process.ended(PATIENCE).await.unwrap().expect("it was killed");
    world.members("proxy", &[(name, "failed")]).await;
    // A balancer that is busy until it is back has never missed it.
    world.converges().await;
    world.agents.get_mut(name).unwrap().web = Some(Web::start(at, name).await.expect("its port is free again"));
    world.restart_agent(name, &[]);
    world.members("proxy", &[(name, "alive")]).await;
}

pub(super) async fn a_member_that_comes_and_goes_is_held_down_and_no_request_is_lost(driver: Driver) {
    let mut world = World::with(driver, &["web1", "web2", "web3"]).await;
    let traffic = world.traffic();
    for _ in 0..3 {
        crash_and_return(&mut world, "web1").await;
        world.serves(&["web1", "web2", "web3"]).await;
        assert_eq!(world.status().await["flapping"], Value::Array(Vec::new()), "it is forgiven");
    }
    crash_and_return(&mut world, "web1").await;
    let held = || async {
        let status = world.status().await;
        let flap = &status["flapping"][0];
        flap["node"] == "web1" && flap["times"] == 4 && flap["endpoints"][0] == "web/web1"
    };
    world.eventually("web1 is held down", held).await;
    world.serves(&["web2", "web3"]).await;
    // Its agent lives, and it is let in when its time is over.
    world.members("proxy", &[("web1", "alive")]).await;
    world.serves(&["web1", "web2", "web3"]).await;
    crash_and_return(&mut world, "web1").await;
    world.eventually("web1 is held down again", || async { world.status().await["flapping"][0]["times"] == 5 }).await;
    let id = world.status().await["flapping"][0]["id"].as_str().unwrap().to_owned();
    let released = world.json("proxy", &["release", &id]).await.expect("release answers");
    assert_eq!(released["hold"], id.as_str());
    world.serves(&["web1", "web2", "web3"]).await;
    no_reload_without_a_change(&world).await;
    none_failed(traffic).await;
}

/// A data plane that reloads for its endpoints did so once for each that it says to have come or gone at most, any other
/// never.
async fn no_reload_without_a_change(world: &World) {
    let reloads = world.status().await["reloads"].as_u64().expect("status answers");
    let words = world.proxy().process.last_words(1000);
    let changes = words.lines().filter(|line| line.contains(" kind=Endpoint id=web/")).count() as u64;
    let most = if world.plane("proxy").endpoints_reload() { changes } else { 0 };
    assert!(reloads <= most, "{reloads} reloads for {changes} changes\n{words}");
}

/// A restart is no crash, however many follow one another.
pub(super) async fn a_member_that_is_restarted_again_and_again_is_not(driver: Driver) {
    let mut world = World::with(driver, &["web1", "web2"]).await;
    let traffic = world.traffic();
    for _ in 0..6 {
        let agent = world.agents.get_mut("web1").unwrap();
        agent.process.terminate().unwrap();
        agent.process.ended(PATIENCE).await.unwrap().expect("it leaves");
        world.restart_agent("web1", &[]);
        world.serves(&["web1", "web2"]).await;
        assert_eq!(world.status().await["flapping"], Value::Array(Vec::new()));
    }
    none_failed(traffic).await;
}

/// Waits until the data plane has so many servers by the balancer's word: a few requests may miss one that is there.
async fn endpoints(world: &World, wanted: u64) {
    let there = || async {
        let services = world.json("proxy", &["services"]).await.unwrap_or_default();
        services["services"][0]["total"] == wanted
    };
    world.eventually(&format!("{wanted} endpoints"), there).await;
}

/// Its agent lives on and its server serves on; only the check of it cannot make up its mind.
pub(super) async fn a_service_that_comes_and_goes_behind_a_living_agent_is_held_down(driver: Driver) {
    let mut world = World::with(driver, &["web1", "web3"]).await;
    let health = Web::start(([127, 0, 0, 1], 0).into(), "ok").await.expect("it listens");
    let at = health.addr();
    let check = format!("http://{at}/");
    let pace = ["--check", &check, "--check-interval", "50ms", "--check-rise", "1", "--check-fall", "1"];
    world.start_agent("web2", &pace).await;
    endpoints(&world, 3).await;
    let traffic = world.traffic();
    drop(health);
    for nth in 1..=4 {
        endpoints(&world, 2).await;
        let health = Web::start(at, "ok").await.expect("its port is free again");
        if nth < 4 {
            endpoints(&world, 3).await;
            assert_eq!(world.status().await["flapping"], Value::Array(Vec::new()), "it is forgiven");
        } else {
            let held = || async {
                let status = world.status().await;
                let flap = &status["flapping"][0];
                let endpoint = flap["endpoints"][0] == "web/web2";
                flap["node"] == "web2" && flap["service"] == "web" && flap["times"] == 4 && endpoint
            };
            world.eventually("web2's service is held down", held).await;
            world.serves(&["web1", "web3"]).await;
            world.members("proxy", &[("web2", "alive")]).await;
            // By itself, when its time is over.
            world.serves(&["web1", "web2", "web3"]).await;
        }
        drop(health);
    }
    world.serves(&["web1", "web3"]).await;
    no_reload_without_a_change(&world).await;
    none_failed(traffic).await;
}

//! Several balancers, names that return, names that are taken.

use std::time::Duration;

use backchat::demo::Driver;

use super::{
    plane::ANY,
    world::{PATIENCE, World},
};

pub(super) async fn two_balancers_see_the_same_set(driver: Driver) {
    let mut world = World::new(driver).await;
    world.start_balancer("proxy2", &[]).await;
    for name in ["web1", "web2"] {
        world.start_agent(name, &[]).await;
    }
    for balancer in ["proxy", "proxy2"] {
        world.serves_at(balancer, &["web1", "web2"]).await;
    }
    world.crash("web1");
    for balancer in ["proxy", "proxy2"] {
        world.serves_at(balancer, &["web2"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_restarts_with_its_name() {
    let mut world = World::with(ANY, &["web1", "web2"]).await;
    let data = world.folder.path().join("web1.data").display().to_string();
    for more in [&[][..], &["--data-dir", &data], &["--data-dir", &data]] {
        let agent = world.agents.get_mut("web1").unwrap();
        agent.process.kill().unwrap();
        agent.process.ended(PATIENCE).await.unwrap().expect("it was killed");
        world.restart_agent("web1", more);
        world.members("proxy", &[("web1", "alive")]).await;
        world.serves(&["web1", "web2"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_comes_back_at_another_address() {
    let mut world = World::with(ANY, &["web1", "web2"]).await;
    world.crash("web1");
    let before = world.agents["web1"].gossip;
    world.start_agent_at(std::net::Ipv4Addr::new(127, 0, 0, 2), "web1", &[]).await;
    let moved = || async {
        let members = world.json("proxy", &["members"]).await.unwrap_or_default();
        let all = members["members"].as_array().cloned().unwrap_or_default();
        all.iter().any(|m| m["name"] == "web1" && m["ip"] == "127.0.0.2" && m["liveness"] == "alive")
    };
    world.eventually("web1 is at its new address", moved).await;
    world.serves(&["web1", "web2"]).await;
    assert_ne!(world.agents["web1"].gossip, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_name_is_refused_with_the_holders_address() {
    let world = World::with(ANY, &["web1"]).await;
    let elsewhere = backchat::demo::ports::free().unwrap();
    let mut twin = world.agent("web1", elsewhere, 1, &["--run-dir", &world.run_dir("twin").display().to_string()]);
    let status = twin.ended(PATIENCE).await.unwrap().expect("it is refused");
    assert_eq!(status.code(), Some(1), "{}", twin.last_words(10));
    let holder = world.agents["web1"].gossip.to_string();
    assert!(twin.last_words(10).contains(&holder), "{}", twin.last_words(10));
    world.serves(&["web1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_free_again_when_its_holder_is_silent() {
    let mut world = World::with(ANY, &["web1", "web2"]).await;
    world.crash("web1");
    let elsewhere = backchat::demo::ports::free().unwrap();
    let port = world.agents["web2"].web.as_ref().unwrap().addr().port();
    // No waiting for the failure to be noticed: the holder's silence is found out by asking.
    let mut heir = world.agent("web1", elsewhere, port + 1, &["--service", "other:1,host=other.example"]);
    world.members("proxy", &[("web1", "alive")]).await;
    assert!(heir.ended(Duration::from_millis(1)).await.unwrap().is_none(), "{}", heir.last_words(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_starts_before_its_seed_joins_when_it_comes() {
    let mut world = World::new(ANY).await;
    let lb = world.balancers.get_mut("proxy").unwrap();
    lb.process.terminate().unwrap();
    lb.process.ended(PATIENCE).await.unwrap().expect("it ends");
    world.start_agent("web1", &[]).await;
    world.restart_balancer("proxy");
    world.serves(&["web1"]).await;
}

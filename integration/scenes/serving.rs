//! Joins, leaves and crashes, with traffic flowing.

use backchat::demo::Driver;

use super::world::{PATIENCE, World, get, none_failed};

pub(super) async fn three_agents_join_and_traffic_reaches_each(driver: Driver) {
    let mut world = World::new(driver).await;
    assert_eq!(get(world.proxy().http, "any.example").await.map(|(status, _)| status), Some(404));
    for name in ["web1", "web2", "web3"] {
        world.start_agent(name, &[]).await;
    }
    world.serves(&["web1", "web2", "web3"]).await;
    for node in ["proxy", "web1", "web3"] {
        world.members(node, &[("proxy", "alive"), ("web1", "alive"), ("web2", "alive"), ("web3", "alive")]).await;
    }
    let services = world.json("proxy", &["services"]).await.expect("services answers");
    assert_eq!(services["format"], "backchat.services/1");
}

pub(super) async fn a_leave_loses_no_request(driver: Driver) {
    let mut world = World::with(driver, &["web1", "web2", "web3"]).await;
    let traffic = world.traffic();
    let leaver = world.agents.get_mut("web2").unwrap();
    leaver.process.terminate().unwrap();
    let status = leaver.process.ended(PATIENCE).await.unwrap();
    assert_eq!(status.and_then(|s| s.code()), Some(0), "{}", world.last_words());
    let words = world.agents["web2"].process.last_words(10);
    assert!(words.contains("drained balancers=\"proxy\""), "the balancer itself said so: {words}");
    // The agent has ended, so the balancer has let go of it: its web server may go without a word.
    world.agents.get_mut("web2").unwrap().web = None;
    world.serves(&["web1", "web3"]).await;
    world.members("proxy", &[("web2", "left")]).await;
    none_failed(traffic).await;
}

pub(super) async fn a_crash_takes_the_endpoint_out_and_idempotent_requests_are_retried(driver: Driver) {
    let mut world = World::with(driver, &["web1", "web2", "web3"]).await;
    let traffic = world.traffic();
    world.crash("web3");
    world.members("proxy", &[("web3", "failed")]).await;
    world.serves(&["web1", "web2"]).await;
    none_failed(traffic).await;
}

//! Joins, leaves and crashes, with traffic flowing.

use super::world::{World, get, none_failed};

#[tokio::test(flavor = "multi_thread")]
async fn three_agents_join_and_traffic_reaches_each() {
    let mut world = World::new().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_leave_loses_no_request() {
    let mut world = World::with(&["web1", "web2", "web3"]).await;
    let traffic = world.traffic();
    let leaver = world.agents.get_mut("web2").unwrap();
    leaver.process.terminate().unwrap();
    let status = leaver.process.ended(super::world::PATIENCE).await.unwrap();
    assert_eq!(status.and_then(|s| s.code()), Some(0), "{}", world.last_words());
    let words = world.agents["web2"].process.last_words(10);
    assert!(words.contains("drained balancers=\"proxy\""), "the balancer itself said so: {words}");
    // The agent has ended, so the balancer has let go of it: its web server may go without a word.
    world.agents.get_mut("web2").unwrap().web = None;
    world.serves(&["web1", "web3"]).await;
    world.members("proxy", &[("web2", "left")]).await;
    none_failed(traffic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_takes_the_endpoint_out_and_idempotent_requests_are_retried() {
    let mut world = World::with(&["web1", "web2", "web3"]).await;
    let traffic = world.traffic();
    world.crash("web3");
    world.members("proxy", &[("web3", "failed")]).await;
    world.serves(&["web1", "web2"]).await;
    none_failed(traffic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_lead_to_their_services() {
    let mut world = World::with(&["web1"]).await;
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

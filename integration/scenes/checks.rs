//! The data plane's own checks: what the cluster makes of one that fails.

use super::{plane::ANY, world::World};

/// A web server that is gone while its agent lives: the agent is asked, and nothing follows from its answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_check_asks_the_member() {
    let mut world = World::with(ANY, &["web1", "web2"]).await;
    world.agents.get_mut("web1").unwrap().web = None;
    let says = |what: &str| {
        let log = std::fs::read_to_string(world.folder.path().join("proxy.log")).unwrap_or_default();
        log.lines().any(|line| line.contains(what) && line.contains("node=web1"))
    };
    world.eventually("web1 is asked", || async { says("fails the data plane's check: asking it") }).await;
    let down = || async {
        let services = world.json("proxy", &["services"]).await.unwrap();
        (&services["services"][0]["ready"], &services["services"][0]["total"]) == (&1.into(), &2.into())
    };
    world.eventually("web1 is shown to be down", down).await;
    world.members("proxy", &[("web1", "alive"), ("web2", "alive")]).await;
    assert!(!says("Remove"), "{}", world.last_words());
}

//! The lb and its data plane die, one at a time: requests keep flowing.

use backchat::demo::{Driver, ports};

use super::world::{PATIENCE, World, none_failed};

pub(super) async fn the_lb_is_killed_and_restarted_under_load_and_nothing_changes(driver: Driver) {
    let mut world = World::with(driver, &["web1", "web2"]).await;
    world.converges().await;
    let (traffic, plane) = (world.traffic(), world.plane("proxy"));
    let before = (plane.state().await, plane.running().await);
    for _ in 0..3 {
        world.kill_lb().await;
        assert_eq!(plane.state().await, before.0, "without its lb, it serves on");
        world.restart_balancer("proxy");
        world.members("proxy", &[("web1", "alive"), ("web2", "alive")]).await;
        world.serves(&["web1", "web2"]).await;
        assert_eq!(plane.state().await, before.0, "{}", world.last_words());
    }
    assert_eq!(plane.running().await, before.1, "it was adopted, neither reloaded nor restarted");
    none_failed(traffic).await;
}

pub(super) async fn a_killed_data_plane_comes_back_with_all_its_servers(driver: Driver) {
    let world = World::with(driver, &["web1", "web2", "web3"]).await;
    let plane = world.plane("proxy");
    let before = plane.running().await.expect("it serves");
    plane.kill();
    let back = || async { plane.running().await.is_some_and(|now| now.master != before.master) };
    world.eventually("another one runs", back).await;
    world.serves(&["web1", "web2", "web3"]).await;
}

pub(super) async fn sigterm_ends_the_data_plane_too_and_keep_leaves_it(driver: Driver) {
    let mut world = World::with(driver, &["web1"]).await;
    world.end_lb().await;
    assert_eq!(world.plane("proxy").running().await, None);

    world.start_balancer("kept", &["--on-exit", "keep"]).await;
    world.restart_agent("web1", &[]);
    world.serves_at("kept", &["web1"]).await;
    world.converges_at("kept").await;
    let before = world.plane("kept").running().await.expect("it serves");
    let kept = world.balancers.get_mut("kept").unwrap();
    kept.process.terminate().unwrap();
    kept.process.ended(PATIENCE).await.unwrap().expect("it ends");
    assert_eq!(world.plane("kept").running().await, Some(before));
    world.serves_at("kept", &["web1"]).await;
}

pub(super) async fn a_daemon_that_fails_leaves_the_data_plane_serving(driver: Driver) {
    let mut world = World::with(driver, &["web1"]).await;
    world.converges().await;
    let before = world.plane("proxy").running().await.expect("it serves");
    world.kill_lb().await;
    let nowhere = ports::free().unwrap().to_string();
    world.restart_balancer_with("proxy", &["--join", &nowhere, "--join-timeout", "500ms"]);
    let lb = world.balancers.get_mut("proxy").unwrap();
    let status = lb.process.ended(PATIENCE).await.unwrap();
    assert_eq!(status.and_then(|s| s.code()), Some(1), "{}", world.last_words());
    assert_eq!(world.plane("proxy").running().await, Some(before));
    world.serves(&["web1"]).await;
}
